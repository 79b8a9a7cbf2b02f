import OTLPWire

/// An attribute whose text stands in the column `input` or `output`, and what is left in its place, so that it can be put back:
///
/// - `{"column": "input"}`: the column's text.
/// - `{"column": ["input"]}`: what the column's text says as JSON of this schema. With a path after the name, `["input", 0,
///   "content"]`: the text there.
/// - `{"column": {"input": [1, 20]}}`: of the column's text 20 characters from the first on; `"before": "["` stands before them,
///   and with `"json": true` they are JSON of this schema.
///
/// An attribute of such a form is written as `{"kvlist": …}`. Contract: database documentation, "Lossless".
struct MovedText {
    enum Form {
        case whole
        case json
        /// The place in the column's array, and the member there; an empty member for arrays of texts.
        case element(Int, member: WireBytes)
        /// In characters of the column, from 1.
        case part(start: Int, count: Int, before: Bool, isJSON: Bool)
    }

    /// The attribute's place among the span's.
    let attribute: Int
    let side: GenAIContentSource.Side
    let form: Form

    func append(to output: inout OutputBuffer) {
        let name: StaticString = side == .input ? "\"input\"" : "\"output\""
        output.append(#"{"column":"#)
        switch form {
        case .whole: output.append(name)
        case .json:
            output.append("[")
            output.append(name)
            output.append("]")
        case .element(let place, let member):
            output.append("[")
            output.append(name)
            output.append(",")
            output.appendDecimal(UInt64(place))
            if member.count > 0 {
                output.append(",")
                output.appendJSONString(member, nul: .replace)
            }
            output.append("]")
        case .part(let start, let count, let before, let isJSON):
            output.append("{")
            output.append(name)
            output.append(":[")
            output.appendDecimal(UInt64(start))
            output.append(",")
            output.appendDecimal(UInt64(count))
            output.append("]")
            if before { output.append(#","before":"[""#) }
            if isJSON { output.append(#","json":true"#) }
            output.append("}")
        }
        output.append("}")
    }
}
