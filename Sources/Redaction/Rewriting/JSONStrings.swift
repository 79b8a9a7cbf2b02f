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
    private var position = 0
    private var nesting = Nesting()
    /// Name of the member whose value comes next.
    private var name = WireBytes(start: nil, count: 0)

    /// Which of the open brackets are objects: a bit each.
    private struct Nesting {
        /// Deeper texts are searched as plain ones.
        static let levelsMax = 4096
        private var words = InlineArray<64, UInt64>(repeating: 0)
        private(set) var count = 0

        var isObject: Bool { count > 0 && words[(count - 1) / 64] >> UInt64((count - 1) % 64) & 1 == 1 }

        mutating func push(isObject: Bool) -> Bool {
            guard count < Self.levelsMax else { return false }
            let bit = UInt64(1) << UInt64(count % 64)
            if isObject { words[count / 64] |= bit } else { words[count / 64] &= ~bit }
            count += 1
            return true
        }

        mutating func pop() { count -= 1 }
    }

    init(_ text: WireBytes, redactor: TextRedactor, scratch: RedactionScratch, depth: Int) {
        self.text = text
        self.redactor = redactor
        self.scratch = scratch
        self.depth = depth
    }

    /// Whether it is worth trying: `{` or `[` first, its counterpart last, white space aside.
    static func isPossible(_ text: WireBytes) -> Bool {
        guard let first = text.first(where: { !ASCII.isSpace($0) }), first == UInt8(ascii: "{") || first == UInt8(ascii: "[") else {
            return false
        }
        guard let last = text.last(where: { !ASCII.isSpace($0) }) else { return false }
        return last == first + 2
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
                nesting.pop()
            case UInt8(ascii: "]"):
                guard !nesting.isObject else { return false }
                nesting.pop()
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
            guard nesting.push(isObject: true) else { return .malformed }
            skipSpace()
            if position < text.count, text[position] == UInt8(ascii: "}") {
                position += 1
                nesting.pop()
                return .complete
            }
            return member() ? .opened : .malformed
        case UInt8(ascii: "["):
            position += 1
            guard nesting.push(isObject: false) else { return .malformed }
            skipSpace()
            if position < text.count, text[position] == UInt8(ascii: "]") {
                position += 1
                nesting.pop()
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
            position += ctextscan_quote_or_backslash(base + position, text.count - position)
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
        if digits == bytes.count, digits >= 9 { redactor.collectNumber(bytes, name: name, at: start, scratch) }
        return ASCII.isDigit(bytes[0]) || (bytes[0] == UInt8(ascii: "-") && bytes.count > 1 && ASCII.isDigit(bytes[1]))
    }

    private mutating func skipSpace() {
        while position < text.count, ASCII.isSpace(text[position]) { position += 1 }
    }

    /// Searches a string value; false when its escapes are malformed.
    private func search(_ string: (contents: Range<Int>, hasEscapes: Bool)) -> Bool {
        let raw = WireBytes(rebasing: text[string.contents])
        let mark = scratch.edits.count
        guard string.hasEscapes else {
            redactor.collect(raw, name: name, depth: depth + 1, scratch)
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
