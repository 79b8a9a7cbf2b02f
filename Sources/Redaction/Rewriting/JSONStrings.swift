import CTextScan
import OTLPWire

/// Walks JSON (RFC 8259) held in a text and has its values searched; names of members are left alone.
///
/// One pass without recursion into nested arrays and objects. Lenient where it makes no difference to what is rewritten:
/// control characters and invalid UTF-8 inside strings pass.
struct JSONStrings {
    private let text: WireBytes
    private let redactor: TextRedactor
    private let scratch: RedactionScratch
    private let depth: Int
    /// No string or number that ends up to here holds a value.
    private let quietEnd: Int
    private var position = 0
    private var nesting = Nesting()
    /// Name of the member whose value comes next.
    private var name = WireBytes(start: nil, count: 0)

    /// Which of the open brackets are objects: a bit each, the innermost lowest. Full words go to the scratch.
    private struct Nesting {
        /// Deeper texts are searched as plain ones.
        static let levelsMax = 4096
        private var word: UInt64 = 0
        private(set) var count = 0

        @inline(__always)
        var isObject: Bool { word & 1 == 1 && count > 0 }

        @inline(__always)
        mutating func push(isObject: Bool, _ scratch: RedactionScratch) -> Bool {
            guard count < Self.levelsMax else { return false }
            if count > 0, count & 63 == 0 { scratch.nesting.append(word) }
            word = word << 1 | (isObject ? 1 : 0)
            count += 1
            return true
        }

        @inline(__always)
        mutating func pop(_ scratch: RedactionScratch) {
            word >>= 1
            count -= 1
            if count > 0, count & 63 == 0 { word = scratch.nesting.popLast() ?? 0 }
        }
    }

    init(_ text: WireBytes, redactor: TextRedactor, scratch: RedactionScratch, depth: Int, quietEnd: Int) {
        self.text = text
        self.redactor = redactor
        self.scratch = scratch
        self.depth = depth
        self.quietEnd = quietEnd
    }

    /// Whether it is worth trying: `{` or `[` first, its counterpart last, white space aside.
    @inline(__always)
    static func isPossible(_ text: WireBytes) -> Bool {
        var start = 0
        while start < text.count, ASCII.isSpace(text[start]) { start += 1 }
        guard start < text.count, text[start] == UInt8(ascii: "{") || text[start] == UInt8(ascii: "[") else { return false }
        var end = text.count
        while ASCII.isSpace(text[end - 1]) { end -= 1 }
        return text[end - 1] == text[start] + 2
    }

    /// Adds edits for all values; false when the text is not JSON, then those added are to be taken back.
    mutating func collect() -> Bool {
        var expectsValue = true
        while true {
            skipSpace()
            if expectsValue {
                switch value() {
                case .opened: continue
                case .complete: expectsValue = false
                case .malformed: return false
                }
            }
            skipSpace()
            if nesting.count == 0 { return position == text.count }
            guard position < text.count else { return false }
            let byte = text[position]
            position += 1
            switch byte {
            case UInt8(ascii: ","):
                if nesting.isObject, !member() { return false }
                expectsValue = true
            case UInt8(ascii: "}"):
                guard nesting.isObject else { return false }
                nesting.pop(scratch)
            case UInt8(ascii: "]"):
                guard !nesting.isObject else { return false }
                nesting.pop(scratch)
            default: return false
            }
        }
    }

    private enum Step { case opened, complete, malformed }

    private mutating func value() -> Step {
        guard position < text.count else { return .malformed }
        switch text[position] {
        case UInt8(ascii: "{"):
            position += 1
            guard nesting.push(isObject: true, scratch) else { return .malformed }
            skipSpace()
            if position < text.count, text[position] == UInt8(ascii: "}") {
                position += 1
                nesting.pop(scratch)
                return .complete
            }
            return member() ? .opened : .malformed
        case UInt8(ascii: "["):
            position += 1
            guard nesting.push(isObject: false, scratch) else { return .malformed }
            skipSpace()
            if position < text.count, text[position] == UInt8(ascii: "]") {
                position += 1
                nesting.pop(scratch)
                return .complete
            }
            return .opened
        case UInt8(ascii: "\""):
            guard let string = string() else { return .malformed }
            if !string.contents.isEmpty { return search(string) ? .complete : .malformed }
            return .complete
        default: return scalar() ? .complete : .malformed
        }
    }

    /// A member's name and colon.
    private mutating func member() -> Bool {
        skipSpace()
        guard position < text.count, text[position] == UInt8(ascii: "\""), let string = string() else { return false }
        name = WireBytes(rebasing: text[string.contents])
        skipSpace()
        guard position < text.count, text[position] == UInt8(ascii: ":") else { return false }
        position += 1
        return true
    }

    /// Where a string's contents are; moves behind its end.
    private mutating func string() -> (contents: Range<Int>, hasEscapes: Bool)? {
        guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return nil }
        let start = position + 1
        var hasEscapes = false
        position = start
        while true {
            position += ctextscan_either(base + position, text.count - position, UInt8(ascii: "\""), UInt8(ascii: "\\"))
            guard position < text.count else { return nil }
            if text[position] == UInt8(ascii: "\"") {
                position += 1
                return (start..<(position - 1), hasEscapes)
            }
            hasEscapes = true
            position += 2
            guard position <= text.count else { return nil }
        }
    }

    /// Numbers and `true false null`.
    private mutating func scalar() -> Bool {
        let start = position
        var digits = 0
        while position < text.count {
            let byte = text[position]
            let isMark = byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
            guard isMark || ASCII.isAlphanumeric(byte) else { break }
            if ASCII.isDigit(byte) { digits += 1 }
            position += 1
        }
        let bytes = WireBytes(rebasing: text[start..<position])
        if digits == 0 { return bytes.matches("true") || bytes.matches("false") || bytes.matches("null") }
        // Only digits can be a card's or another number's.
        if digits == bytes.count, digits >= 9, position > quietEnd { redactor.collectNumber(bytes, name: name, at: start, scratch) }
        return ASCII.isDigit(bytes[0]) || (bytes[0] == UInt8(ascii: "-") && bytes.count > 1 && ASCII.isDigit(bytes[1]))
    }

    private mutating func skipSpace() {
        while position < text.count, ASCII.isSpace(text[position]) { position += 1 }
    }

    /// Searches a string value; false when its escapes are malformed.
    private func search(_ string: (contents: Range<Int>, hasEscapes: Bool)) -> Bool {
        // Escapes are to be seen through to the end: a malformed one makes the text none of JSON.
        if string.contents.upperBound <= quietEnd, !string.hasEscapes { return true }
        let raw = WireBytes(rebasing: text[string.contents])
        let mark = scratch.edits.count
        guard string.hasEscapes else {
            redactor.collect(raw, name: name, depth: depth + 1, quietEnd: max(0, quietEnd - string.contents.lowerBound), scratch)
            for index in mark..<scratch.edits.count {
                scratch.edits[index].start += string.contents.lowerBound
                scratch.edits[index].end += string.contents.lowerBound
            }
            if scratch.edits.count > mark { scratch.escapeReplacements(from: mark) }
            return true
        }
        let level = scratch.level(depth)
        level.buffer.truncate(to: 0)
        guard JSONEscapes.decode(raw, into: &level.buffer) else { return false }
        level.buffer.withBytes { redactor.collect($0, name: name, depth: depth + 1, scratch) }
        if scratch.edits.count > mark {
            scratch.moveEdits(from: mark, into: raw, at: string.contents.lowerBound)
            scratch.escapeReplacements(from: mark)
        }
        return true
    }
}
