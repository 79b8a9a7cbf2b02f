import OTLPWire

/// A text in which `*` stands for any bytes, also none.
public struct Glob: Sendable, Equatable {
    private let pieces: [[UInt8]]
    private let ignoresCase: Bool
    /// As it was written, in small letters where case is ignored.
    public var text: String { pieces.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "*") }
    /// Whether there is no `*`.
    public var isLiteral: Bool { pieces.count == 1 }
    /// The text when there is no `*`.
    public var literal: [UInt8] { pieces[0] }

    public init(_ text: String, ignoresCase: Bool = false) {
        self.ignoresCase = ignoresCase
        let bytes = text.utf8.map { ignoresCase ? Self.lower($0) : $0 }
        pieces = bytes.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map(Array.init)
    }

    /// Linear: each piece is taken where it is found first.
    public func matches(_ bytes: WireBytes) -> Bool {
        guard !isLiteral else { return pieces[0].count == bytes.count && has(pieces[0], bytes, at: 0) }
        let first = pieces[0]
        let last = pieces[pieces.count - 1]
        guard bytes.count >= first.count + last.count, has(first, bytes, at: 0) else { return false }
        let end = bytes.count - last.count
        guard has(last, bytes, at: end) else { return false }
        var position = first.count
        for piece in pieces[1..<(pieces.count - 1)] where !piece.isEmpty {
            while position + piece.count <= end, !has(piece, bytes, at: position) { position += 1 }
            guard position + piece.count <= end else { return false }
            position += piece.count
        }
        return true
    }

    private func has(_ piece: [UInt8], _ bytes: WireBytes, at start: Int) -> Bool {
        for offset in piece.indices {
            let byte = bytes[start + offset]
            if (ignoresCase ? Self.lower(byte) : byte) != piece[offset] { return false }
        }
        return true
    }

    private static func lower(_ byte: UInt8) -> UInt8 { byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte }
}
