/// The sampling part of a W3C tracestate: the member `ot=` with `th` (threshold) and `rv` (randomness).
///
/// Read from the span's bytes without allocation; everything else in the tracestate is carried over as it is.
/// Specifications: W3C Trace Context, "tracestate"; OpenTelemetry, "TraceState Handling".
public struct OTelTraceState {
    public private(set) var threshold: SamplingThreshold?
    public private(set) var randomness: Randomness?
    /// Whether the tracestate or its `ot` member breaks the specification: nothing in it is believed, and it is not rewritten.
    public private(set) var isMalformed = false

    /// The `ot` member's value; empty when there is none.
    private var value = WireBytes(start: nil, count: 0)
    /// The whole member with its key.
    private var member = WireBytes(start: nil, count: 0)
    private let whole: WireBytes

    /// Longest value of `ot`, from the specification.
    static let valueBytesMax = 256
    /// Longest key and longest value of any member, from the specification.
    static let memberPartBytesMax = 256
    /// Members of a tracestate, from the specification.
    static let membersMax = 32

    public init(_ traceState: WireBytes) {
        whole = traceState
        guard !traceState.isEmpty else { return }
        var members = 0
        for part in Parts(traceState, separator: UInt8(ascii: ",")) {
            let text = Self.trimmed(part)
            guard !text.isEmpty else { continue }
            members += 1
            guard members <= Self.membersMax, let equals = text.firstIndex(of: UInt8(ascii: "=")),
                Self.isMember(key: text[..<equals], value: text[(equals + 1)...])
            else {
                isMalformed = true
                return
            }
            guard WireBytes(rebasing: text[..<equals]).matches("ot") else { continue }
            // Only one member may have this key.
            guard member.isEmpty else {
                isMalformed = true
                return
            }
            member = text
            value = WireBytes(rebasing: text[(equals + 1)...])
        }
        if !member.isEmpty { readValue() }
        if isMalformed {
            threshold = nil
            randomness = nil
        }
    }

    private mutating func readValue() {
        guard value.count <= Self.valueBytesMax else {
            isMalformed = true
            return
        }
        for part in Parts(value, separator: UInt8(ascii: ";")) {
            guard let colon = part.firstIndex(of: UInt8(ascii: ":")), Self.isKey(part[..<colon]),
                part[(colon + 1)...].allSatisfy(Self.isValueByte)
            else {
                isMalformed = true
                return
            }
            let key = WireBytes(rebasing: part[..<colon])
            if key.matches("th") {
                threshold = SamplingThreshold(text: part[(colon + 1)...])
                if threshold == nil { isMalformed = true }
            } else if key.matches("rv") {
                randomness = Randomness(text: part[(colon + 1)...])
                if randomness == nil { isMalformed = true }
            }
        }
    }

    /// The tracestate with this `th` and `rv` in it, the `ot` member in front as W3C wants changed members; nil when that would
    /// break a limit.
    ///
    /// - Parameters:
    ///   - threshold: nil takes `th` out.
    ///   - randomness: nil leaves `rv` as it is.
    public func rewritten(threshold: SamplingThreshold?, randomness newRandomness: Randomness? = nil) -> [UInt8]? {
        guard !isMalformed else { return nil }
        var entries: [[UInt8]] = []
        if let newRandomness {
            entries.append(Array("rv:\(newRandomness.text)".utf8))
        } else {
            for part in Parts(value, separator: UInt8(ascii: ";")) where Self.isOurs(part, "rv:") { entries = [Array(part)] }
        }
        if let text = threshold?.text { entries.append(Array("th:\(text)".utf8)) }
        for part in Parts(value, separator: UInt8(ascii: ";")) where !Self.isOurs(part, "rv:") && !Self.isOurs(part, "th:") {
            entries.append(Array(part))
        }
        let ot = Array(entries.joined(separator: [UInt8(ascii: ";")]))
        guard ot.count <= Self.valueBytesMax else { return nil }
        var members: [[UInt8]] = ot.isEmpty ? [] : [Array("ot=".utf8) + ot]
        for part in Parts(whole, separator: UInt8(ascii: ",")) {
            let text = Self.trimmed(part)
            if !text.isEmpty, text.baseAddress != member.baseAddress { members.append(Array(text)) }
        }
        // W3C: a tracestate that is full loses its last member when one is added.
        return Array(members.prefix(Self.membersMax).joined(separator: [UInt8(ascii: ",")]))
    }

    /// The tracestate of a span that came with none: `rewritten` of nothing, for once per decision instead of once per span.
    public static func alone(threshold: SamplingThreshold?, randomness: Randomness?) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(aloneBytesMax)
        if let randomness { append("ot=rv:", randomness.value, digits: SamplingThreshold.digitsMax, to: &text) }
        guard let threshold, threshold != .never else { return text }
        // Zeros at the end are not written, but for one when there is nothing else.
        let zeros = min(threshold.value.trailingZeroBitCount / 4, SamplingThreshold.digitsMax - 1)
        append(
            text.isEmpty ? "ot=th:" : ";th:", threshold.value >> UInt64(4 * zeros), digits: SamplingThreshold.digitsMax - zeros, to: &text)
        return text
    }

    /// `ot=rv:` and `;th:` with their digits.
    private static let aloneBytesMax = 6 + 4 + 2 * SamplingThreshold.digitsMax

    private static func append(_ key: StaticString, _ value: UInt64, digits: Int, to text: inout [UInt8]) {
        text.append(contentsOf: UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
        for place in (0..<digits).reversed() {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(4 * place)) & 0xF
            text.append(digit + (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10))
        }
    }

    private static func isOurs(_ part: WireBytes, _ key: StaticString) -> Bool {
        part.count >= 3 && WireBytes(rebasing: part[..<3]).matches(key)
    }

    // MARK: Syntax

    /// A member of a tracestate as W3C Trace Context (level 2, which takes what level 1 takes) has it; `value` without blanks around.
    private static func isMember(key: Slice<WireBytes>, value: Slice<WireBytes>) -> Bool {
        guard let first = key.first, isLower(first) || isDigit(first), key.count <= memberPartBytesMax else { return false }
        let isKey = key.allSatisfy { byte in
            isLower(byte) || isDigit(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "*")
                || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "@")
        }
        guard isKey, !value.isEmpty, value.count <= memberPartBytesMax else { return false }
        return value.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "=") }
    }

    /// key = lower-case letter, then lower-case letters and digits.
    private static func isKey(_ key: Slice<WireBytes>) -> Bool {
        guard let first = key.first, isLower(first) else { return false }
        return key.allSatisfy { isLower($0) || isDigit($0) }
    }

    private static func isValueByte(_ byte: UInt8) -> Bool {
        isLower(byte) || isDigit(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || byte == UInt8(ascii: ".")
            || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
    }

    private static func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func trimmed(_ bytes: WireBytes) -> WireBytes {
        let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var rest = bytes[...]
        while let first = rest.first, isBlank(first) { rest = rest.dropFirst() }
        while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
        return WireBytes(rebasing: rest)
    }
}

/// The pieces between separators; none for no bytes.
private struct Parts: Sequence, IteratorProtocol {
    private var rest: WireBytes?
    private let separator: UInt8

    init(_ bytes: WireBytes, separator: UInt8) {
        rest = bytes.isEmpty ? nil : bytes
        self.separator = separator
    }

    mutating func next() -> WireBytes? {
        guard let bytes = rest else { return nil }
        guard let cut = bytes.firstIndex(of: separator) else {
            rest = nil
            return bytes
        }
        rest = WireBytes(rebasing: bytes[(cut + 1)...])
        return WireBytes(rebasing: bytes[..<cut])
    }
}

extension SpanView {
    /// 1 / probability with which the span was kept before it came here, as its tracestate says; 1 when that says nothing.
    @inline(__always)
    public var toldAdjustedCount: Double { traceState.isEmpty ? 1 : OTelTraceState(traceState).threshold?.adjustedCount ?? 1 }
}
