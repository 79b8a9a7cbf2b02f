import OTLPWire

/// A decision as it is kept in the write-ahead log: it is carried out only once it is there, so that after a crash the rest of a trace
/// meets the fate that the first part of it has met.
struct DecisionNote: Equatable {
    let id: TraceID
    /// Nil: dropped.
    let kept: DecisionCache.Kept?
}

/// Decisions as bytes: version, the names of the policies that kept, then for each trace its id, the name's number (`dropped` for none)
/// and the adjusted count. Little-endian.
enum DecisionNotes {
    private static let version: UInt8 = 1
    private static let dropped: UInt16 = .max
    private static let headBytes = 18

    /// Decisions in one piece: far below what a record of the log may hold.
    static let countMax = 100_000

    static func encode(_ decided: ArraySlice<DecidedTrace>, _ names: PolicyNames) -> [UInt8] {
        var out: [UInt8] = [version]
        out.reserveCapacity(decided.count * (headBytes + 8) + 64)
        var numbers: [Int: UInt16] = [:]
        var texts: [String] = []
        for trace in decided {
            guard trace.decision.isKept, let policy = trace.decision.policy, numbers[policy] == nil, texts.count < Int(dropped) else {
                continue
            }
            numbers[policy] = UInt16(texts.count)
            texts.append(names[policy])
        }
        append(UInt16(texts.count), to: &out)
        for text in texts {
            append(UInt16(clamping: text.utf8.count), to: &out)
            out += text.utf8.prefix(Int(UInt16.max))
        }
        for trace in decided {
            append(trace.id.high, to: &out)
            append(trace.id.low, to: &out)
            let number = trace.decision.isKept ? trace.decision.policy.flatMap { numbers[$0] } : nil
            append(number ?? dropped, to: &out)
            if number != nil { append(trace.decision.adjustedCount.bitPattern, to: &out) }
        }
        return out
    }

    private static func append<Number: FixedWidthInteger>(_ number: Number, to out: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { out += $0 }
    }

    /// What can be read of it; nothing of another version's.
    static func decode(_ bytes: WireBytes, _ names: PolicyNames) -> [DecisionNote] {
        var offset = 0
        func take<Number: FixedWidthInteger>(_: Number.Type) -> Number? {
            let size = MemoryLayout<Number>.size
            guard bytes.count - offset >= size else { return nil }
            defer { offset += size }
            return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
        }
        guard take(UInt8.self) == version, let nameCount = take(UInt16.self) else { return [] }
        var numbers: [UInt16] = []
        for _ in 0..<nameCount {
            guard let length = take(UInt16.self), bytes.count - offset >= Int(length) else { return [] }
            let text = String(decoding: bytes[offset..<offset + Int(length)], as: UTF8.self)
            numbers.append(UInt16(clamping: names.number(of: text)))
            offset += Int(length)
        }
        var notes: [DecisionNote] = []
        while let high = take(UInt64.self), let low = take(UInt64.self), let number = take(UInt16.self) {
            var kept: DecisionCache.Kept?
            if number != dropped {
                guard Int(number) < numbers.count, let bits = take(UInt64.self) else { break }
                // No count is below 1, and one that is none would spoil every total.
                let count = Double(bitPattern: bits)
                guard count.isFinite, count >= 1 else { break }
                kept = DecisionCache.Kept(policy: numbers[Int(number)], adjustedCount: count)
            }
            notes.append(DecisionNote(id: TraceID(high: high, low: low), kept: kept))
        }
        return notes
    }
}
