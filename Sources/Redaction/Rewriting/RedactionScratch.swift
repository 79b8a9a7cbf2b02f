import OTLPWire

/// Working memory for rewriting texts, used by one thread at a time and kept from text to text.
public final class RedactionScratch {
    /// A part of the text to be rewritten.
    struct Edit: BitwiseCopyable {
        var start: Int
        var end: Int
        /// In `replacements`.
        var replacement: Int
        var replacementBytes: Int
        /// Index into `TextRedactor.kindNames`.
        var kind: Int
        var isRemoval: Bool
    }

    /// Bytes that buffers keep after a large text.
    static let retainedBytesMax = 256 * 1024

    /// In order, not overlapping. Unchecked, here and below: one thread, and no access lasts while another is made; the checks
    /// are a tenth of the time of a short text.
    @exclusivity(unchecked) var edits: [Edit] = []
    @exclusivity(unchecked) var replacements = OutputBuffer()
    /// Open brackets of JSON nested deeper than 64 levels: a bit each.
    @exclusivity(unchecked) var nesting: [UInt64] = []
    /// Unescaped strings, a buffer for each level of JSON in JSON.
    @exclusivity(unchecked) private var unescaped: [Level] = []

    final class Level {
        @exclusivity(unchecked) var buffer = OutputBuffer()
    }

    public init() {}

    func level(_ depth: Int) -> Level {
        while unescaped.count <= depth { unescaped.append(Level()) }
        return unescaped[depth]
    }

    @inline(__always)
    func begin() {
        if !edits.isEmpty || replacements.count > 0 { clear() }
    }

    @inline(never)
    private func clear() {
        edits.removeAll(keepingCapacity: edits.count < 1024)
        replacements.removeAll(keepingCapacity: Self.retainedBytesMax)
    }

    /// Gives back what a large text made buffers grow to.
    public func shrink() {
        begin()
        for level in unescaped { level.buffer.removeAll(keepingCapacity: Self.retainedBytesMax) }
    }

    /// Kinds of what was found in the last text, as indices into `TextRedactor.kindNames`, one per value.
    public var foundKinds: [Int] { edits.map(\.kind) }

    /// Calls `body` with the place, the kind and the new text of each value found in the last text, in order.
    public func forEachEdit(_ body: (_ place: Range<Int>, _ kind: Int, _ replacement: WireBytes) -> Void) {
        for edit in edits {
            replacements.withBytes {
                body(
                    edit.start..<edit.end, edit.kind,
                    WireBytes(rebasing: $0[edit.replacement..<edit.replacement + edit.replacementBytes]))
            }
        }
    }

    /// Whether what was found is the whole of `text` and its strategy is to remove it.
    public func removesAll(of text: WireBytes) -> Bool {
        edits.count == 1 && edits[0].isRemoval && edits[0].start == 0 && edits[0].end == text.count
    }

    /// Appends `text`, the last text searched, with everything found rewritten.
    public func write(_ text: WireBytes, into output: inout OutputBuffer) {
        var position = 0
        for edit in edits {
            output.append(WireBytes(rebasing: text[position..<edit.start]))
            replacements.withBytes {
                output.append(WireBytes(rebasing: $0[edit.replacement..<edit.replacement + edit.replacementBytes]))
            }
            position = edit.end
        }
        output.append(WireBytes(rebasing: text[position...]))
    }
}
