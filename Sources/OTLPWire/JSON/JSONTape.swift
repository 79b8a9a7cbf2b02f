import CSIMDJSON

/// A parsed JSON document as simdjson leaves it: a "tape" of 64-bit words, type in the highest byte, and the unescaped
/// strings. Valid until the parser that made it parses again or goes.
///
/// Containers know where they end, so skipping an unknown value is one step whatever is in it. Offsets come from simdjson,
/// not from the client; they are trusted.
struct JSONTape {
    enum Kind: UInt8 {
        case object = 0x7B  // {
        case array = 0x5B  // [
        case string = 0x22  // "
        case int = 0x6C  // l
        case uint = 0x75  // u
        case double = 0x64  // d
        case yes = 0x74  // t
        case no = 0x66  // f
        case null = 0x6E  // n
    }

    private let words: UnsafePointer<UInt64>
    private let strings: UnsafeRawPointer

    fileprivate init(words: UnsafePointer<UInt64>, strings: UnsafeRawPointer) {
        self.words = words
        self.strings = strings
    }

    /// Position of the document's outermost value.
    static let root = 1

    /// Nil for the closing words of containers, where no value stands.
    @inline(__always)
    func kind(at position: Int) -> Kind? { Kind(rawValue: UInt8(words[position] >> 56)) }

    @inline(__always)
    func isString(at position: Int) -> Bool { UInt8(words[position] >> 56) == Kind.string.rawValue }

    /// Position after the value at `position`. Inside an object the values of keys follow their keys.
    @inline(__always)
    func after(_ position: Int) -> Int {
        let word = words[position]
        switch UInt8(word >> 56) {
        case Kind.object.rawValue, Kind.array.rawValue: return Int(word & 0xFFFF_FFFF)
        case Kind.int.rawValue, Kind.uint.rawValue, Kind.double.rawValue: return position &+ 2
        default: return position &+ 1
        }
    }

    /// The unescaped string at `position`.
    @inline(__always)
    func string(at position: Int) -> WireBytes {
        let start = strings + Int(words[position] & 0x00FF_FFFF_FFFF_FFFF)
        return WireBytes(start: start + MemoryLayout<UInt32>.size, count: Int(start.loadUnaligned(as: UInt32.self)))
    }

    /// Bits of the number at `position`: Int64, UInt64 or Double as its kind says.
    @inline(__always)
    func number(at position: Int) -> UInt64 { words[position &+ 1] }
}

/// simdjson's parser with its buffers, kept for the next document.
struct JSONParser: ~Copyable {
    /// JSON levels: 64 nested values take 4 each, the envelope 8; the rest is for fields we skip.
    static let depthMax = 512
    /// Bytes that stay resident between documents unless told otherwise. A request of 512 spans touches about 3 MiB.
    static let retainedBytesDefault = 4 * 1024 * 1024

    enum Failure: Error {
        case notJSON
        case tooDeep
        /// What `JSONRepair` may help with.
        case textOrNumber
        case outOfMemory
    }

    private let retainedBytesMax: Int
    private var parser: OpaquePointer?
    private var touchedBytes = 0

    init(retainedBytesMax: Int = JSONParser.retainedBytesDefault) {
        self.retainedBytesMax = retainedBytesMax
    }

    deinit {
        if let parser { csimdjson_parser_free(parser) }
    }

    /// Parses `json`. The tape stays valid until `parse` or `releaseExcess` is called again.
    mutating func parse(_ json: WireBytes) throws(Failure) -> JSONTape {
        if parser == nil { parser = csimdjson_parser_create(Self.depthMax) }
        guard let parser else { throw .outOfMemory }
        let document = csimdjson_parse(parser, json.baseAddress?.assumingMemoryBound(to: UInt8.self), json.count)
        touchedBytes = max(touchedBytes, document.touched_bytes)
        switch document.status {
        case CSIMDJSON_OK: return JSONTape(words: document.tape, strings: UnsafeRawPointer(document.strings))
        case CSIMDJSON_DEPTH: throw .tooDeep
        case CSIMDJSON_TEXT_OR_NUMBER: throw .textOrNumber
        case CSIMDJSON_MEMORY: throw .outOfMemory
        default: throw .notJSON
        }
    }

    /// Gives the buffers back when a document has made them larger than what is worth keeping.
    mutating func releaseExcess() {
        guard touchedBytes > retainedBytesMax, let parser else { return }
        csimdjson_parser_free(parser)
        self.parser = nil
        touchedBytes = 0
    }
}
