import CRE2
import OTLPWire

/// Why a text is no regular expression.
public struct PatternProblem: Error, CustomStringConvertible {
    public let message: String
    /// Byte offset in the pattern of what is wrong.
    public let offset: Int

    public var description: String { "not a regular expression, at offset \(offset): \(message)" }
}

/// A compiled regular expression in Go's syntax (RE2's). Matching takes time linear in the text, whatever the pattern.
public final class Pattern: @unchecked Sendable {
    /// As it was written.
    public let text: String
    private let handle: OpaquePointer

    public init(_ text: String) throws(PatternProblem) {
        self.text = text
        var problem = cre2_problem()
        var copy = text
        let made = copy.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { cre2_compile($0.baseAddress, $0.count, &problem) }
        }
        guard let made else {
            let message = withUnsafeBytes(of: problem.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            throw PatternProblem(message: message.isEmpty ? "too large" : message, offset: Int(problem.offset))
        }
        handle = made
    }

    deinit {
        cre2_free(handle)
    }

    /// Names of the capturing groups, by number; nil for those without.
    public var groupNames: [String?] {
        (0..<Int(cre2_group_count(handle))).map { cre2_group_name(handle, Int32($0 + 1)).map { String(cString: $0) } }
    }

    /// The leftmost match that starts at `from` or later.
    public func firstMatch(in text: WireBytes, from: Int = 0) -> Range<Int>? {
        var span = cre2_span(start: -1, end: -1)
        guard match(text, from, &span, 1), span.start >= 0, span.end >= span.start else { return nil }
        return span.start..<span.end
    }

    public func matches(_ text: WireBytes) -> Bool {
        cre2_match(handle, Self.start(text), text.count, 0, nil, 0) == 1
    }

    /// Where the first match and its groups are, the whole match first; nil when there is none.
    public func groups(in text: WireBytes) -> [Range<Int>?]? {
        var spans = Array(repeating: cre2_span(start: -1, end: -1), count: 1 + Int(cre2_group_count(handle)))
        let found = spans.withUnsafeMutableBufferPointer { spans in
            spans.baseAddress.map { match(text, 0, $0, spans.count) } ?? false
        }
        guard found else { return nil }
        return spans.map { $0.start < 0 ? nil : $0.start..<$0.end }
    }

    private func match(_ text: WireBytes, _ from: Int, _ spans: UnsafeMutablePointer<cre2_span>, _ count: Int) -> Bool {
        cre2_match(handle, Self.start(text), text.count, from, spans, Int32(count)) == 1
    }

    /// RE2 tells groups that did not take part by a null pointer, so even an empty text needs an address.
    private static func start(_ text: WireBytes) -> UnsafePointer<CChar> {
        (text.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped).assumingMemoryBound(to: CChar.self)
    }
}

/// Several regular expressions that are looked for at once, in one pass over the text. Says which of them match, not where.
/// Used by one thread at a time.
public final class PatternSet {
    private let handle: OpaquePointer
    private var matched: [Int32]

    /// Bytes that the automaton may take, which RE2 builds as texts come: its own limit of 8 MiB is too small for some dozens of
    /// patterns, and a set that has reached it starts over again and again.
    private static let memoryMax = 256 << 20

    public init(_ patterns: [String]) throws(PatternProblem) {
        let texts = patterns.map { Array($0.utf8CString) }
        let lengths = texts.map { $0.count - 1 }
        var failed = 0
        // Copies that stay where they are, for an array of pointers.
        let pointers = texts.map { text in
            let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: text.count)
            _ = copy.initialize(from: text)
            return copy
        }
        defer { for pointer in pointers { pointer.deallocate() } }
        let starts = pointers.map { $0.baseAddress.map { UnsafePointer<CChar>($0) } }
        guard let made = cre2_set_compile(starts, lengths, texts.count, Self.memoryMax, &failed) else {
            throw PatternProblem(
                message: failed < texts.count ? "pattern \(failed + 1) of the set is none" : "the set is too large", offset: 0)
        }
        handle = made
        matched = Array(repeating: 0, count: patterns.count)
    }

    deinit {
        cre2_set_free(handle)
    }

    /// Places of the patterns that match somewhere in `text`; nil when the memory was not enough to tell.
    public func matches(in text: WireBytes) -> [Int]? {
        let start = (text.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped).assumingMemoryBound(to: CChar.self)
        let count = cre2_set_match(handle, start, text.count, &matched, matched.count)
        return count < 0 ? nil : matched.prefix(count).map(Int.init)
    }
}
