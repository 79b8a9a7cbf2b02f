/// Members of JSON objects that instrumentations send as text. What is found counts only when the whole text is JSON.
public enum JSONMembers {
    /// Larger text is not searched: prompts stand elsewhere, and searching costs time.
    public static let bytesMax = 1024 * 1024

    /// Calls `member` for each member of the object; it reads the value and returns true, or leaves it and returns false. False
    /// when `text` is no object, is no JSON, is nested too deep or is larger than `bytesMax`.
    public static func read(
        _ text: WireBytes, _ member: (JSONString, inout JSONScanner) throws(JSONScanError) -> Bool
    ) -> Bool {
        guard text.count >= 2, text.count <= bytesMax else { return false }
        var scanner = JSONScanner(text)
        do throws(JSONScanError) {
            guard case .object = try scanner.value() else { return false }
            try members(&scanner, member)
            try scanner.finish()
            return true
        } catch {
            return false
        }
    }

    /// The members of the object that has just begun.
    public static func members(
        _ scanner: inout JSONScanner, _ member: (JSONString, inout JSONScanner) throws(JSONScanError) -> Bool
    ) throws(JSONScanError) {
        while let key = try scanner.nextKey() {
            if try !member(key, &scanner) { try scanner.skip() }
        }
    }

    /// A text member that is not empty, or a number as it is written; passes over anything else.
    public static func text(_ scanner: inout JSONScanner) throws(JSONScanError) -> JSONString? {
        switch try scanner.value() {
        case .string(let text): return text.raw.isEmpty ? nil : text
        case .number(let text): return JSONString(number: text)
        case .object:
            try members(&scanner) { _, _ in false }
            return nil
        case .array:
            while try scanner.nextElement() { try scanner.skip() }
            return nil
        case .bool, .null: return nil
        }
    }

    /// The first present of some members.
    public static func text(_ text: WireBytes, members wanted: [StaticString]) -> JSONString? {
        var found: (text: JSONString, rank: Int)?
        let isJSON = read(text) { (key, scanner) throws(JSONScanError) in
            guard let rank = wanted.firstIndex(where: { key.matches($0) }) else { return false }
            if let value = try Self.text(&scanner), rank < found?.rank ?? .max { found = (value, rank) }
            return true
        }
        return isJSON ? found?.text : nil
    }
}
