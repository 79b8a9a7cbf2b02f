/// Reads numbers off hostile bytes, front to back; nil at the end.
struct ByteInput {
    private var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) { rest = bytes }

    var count: Int { rest.count }

    mutating func take<Number: FixedWidthInteger>(_: Number.Type) -> Number? {
        let size = MemoryLayout<Number>.size
        guard rest.count >= size else { return nil }
        let value = rest.loadUnaligned(as: Number.self)
        rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        return Number(littleEndian: value)
    }

    mutating func take(bytes: Int) -> UnsafeRawBufferPointer? {
        guard bytes >= 0, rest.count >= bytes else { return nil }
        defer { rest = UnsafeRawBufferPointer(rebasing: rest[bytes...]) }
        return UnsafeRawBufferPointer(rebasing: rest[..<bytes])
    }
}

extension [UInt8] {
    mutating func append<Number: FixedWidthInteger>(_ value: Number) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }
}

/// Part of a release record's body: 64 records a word, the lowest bit the first of them. A reader's released records are the union of
/// all such entries, so that a lost one means replaying more and nothing else.
struct ReleaseEntry: Equatable, Sendable {
    var reader: String
    var segment: UInt64
    /// Word of the segment's bitmap at which `words` begins.
    var firstWord: UInt32
    var words: [UInt64]

    static func encodedBytes(reader: String, words: Int) -> Int { 2 + reader.utf8.count + 8 + 4 + 4 + 8 * words }

    func encode(to out: inout [UInt8]) {
        out.append(UInt16(reader.utf8.count))
        out.append(contentsOf: reader.utf8)
        out.append(segment)
        out.append(firstWord)
        out.append(UInt32(words.count))
        for word in words { out.append(word) }
    }

    /// All entries of a record's body; what is cut off is left out.
    static func decode(_ body: UnsafeRawBufferPointer) -> [ReleaseEntry] {
        var input = ByteInput(body)
        var entries: [ReleaseEntry] = []
        while let length = input.take(UInt16.self), let name = input.take(bytes: Int(length)), let segment = input.take(UInt64.self),
            let first = input.take(UInt32.self), let count = input.take(UInt32.self), Int(count) <= input.count / 8
        {
            var words: [UInt64] = []
            words.reserveCapacity(Int(count))
            for _ in 0..<count { words.append(input.take(UInt64.self) ?? 0) }
            entries.append(
                ReleaseEntry(reader: String(decoding: name, as: UTF8.self), segment: segment, firstWord: first, words: words))
        }
        return entries
    }
}

/// A fingerprint record's body: requests accepted no later than `newestUnixNano`.
struct FingerprintBlock: Equatable, Sendable {
    var newestUnixNano: UInt64
    var fingerprints: [Fingerprint]

    static let capacity = (LogLimits.controlBytesMax - 8) / 16

    func encode(to out: inout [UInt8]) {
        out.append(newestUnixNano)
        for fingerprint in fingerprints {
            out.append(fingerprint.low)
            out.append(fingerprint.high)
        }
    }

    static func decode(_ body: UnsafeRawBufferPointer) -> FingerprintBlock? {
        var input = ByteInput(body)
        guard let newest = input.take(UInt64.self) else { return nil }
        var block = FingerprintBlock(newestUnixNano: newest, fingerprints: [])
        block.fingerprints.reserveCapacity(input.count / 16)
        while let low = input.take(UInt64.self), let high = input.take(UInt64.self) {
            block.fingerprints.append(Fingerprint(low: low, high: high))
        }
        return block
    }
}

/// An abort record's body.
enum AbortedRanges {
    static func encode(_ ranges: [Range<UInt64>], to out: inout [UInt8]) {
        for range in ranges {
            out.append(range.lowerBound)
            out.append(range.upperBound)
        }
    }

    static func decode(_ body: UnsafeRawBufferPointer) -> [Range<UInt64>] {
        var input = ByteInput(body)
        var ranges: [Range<UInt64>] = []
        while let from = input.take(UInt64.self), let to = input.take(UInt64.self) {
            if from < to { ranges.append(from..<to) }
        }
        return ranges
    }
}
