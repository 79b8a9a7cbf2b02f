import Configuration
import OTLPWire
import Pipeline
import Synchronization
import Testing

@testable import Sampling

/// The tail sampler's configuration from YAML.
///
/// - Parameters:
///   - policies: the list under `policies:`, one policy a line, in flow style.
///   - settings: the other keys.
func tailConfig(_ policies: String, _ settings: String = "") throws -> TailSamplingConfig {
    let lines = policies.split(separator: "\n").map { "  - " + $0 }.joined(separator: "\n")
    let section = try ConfigSection(yaml: "\(settings)\npolicies:\n\(lines)\n")
    let config = TailSamplingConfig(from: section)
    try #require(section.problemMessages == [])
    return config
}

enum TailPolicy {
    static let always = "{name: all, type: always_sample}"
    static let errors = "{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}"
    static let slow = "{name: slow, type: latency, latency: {threshold_ms: 1000}}"
    static let many = "{name: many, type: span_count, span_count: {min_spans: 4}}"
    static let half = "{name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}"
    static let fourth = "{name: fourth, type: probabilistic, probabilistic: {sampling_percentage: 25, hash_salt: x}}"
    static let limited = "{name: limited, type: rate_limiting, rate_limiting: {spans_per_second: 20}}"
    static let noHealth =
        "{name: no-health, type: drop, drop: {drop_sub_policy: "
        + "[{name: health, type: string_attribute, string_attribute: {key: route, values: [/health]}}]}}"
}

/// Memory that is counted, as the process-wide budget does.
final class TestAccount: ByteAccount {
    private let bytes = Atomic<Int>(0)

    var count: Int { bytes.load(ordering: .sequentiallyConsistent) }
    func charge(_ count: Int) { bytes.wrappingAdd(count, ordering: .sequentiallyConsistent) }
    func release(_ count: Int) { bytes.wrappingSubtract(count, ordering: .sequentiallyConsistent) }
}

struct LedgerViolation: Error, CustomStringConvertible { let description: String }

/// Keeps account of every span that a tail sampler gets: each is pending, kept once, or dropped, and all that the sampler says of itself
/// has to agree with that.
final class TailLedger {
    /// One span of one request.
    struct Instance: Hashable {
        let request: Int
        let index: Int
    }

    private struct Request {
        weak var batch: TraceBatch?
        let bytes: Int
        var pending: Int
    }

    struct Fate {
        let decision: TailDecision
        let cause: DecisionCause
    }

    let shards: TailShards
    let account = TestAccount()
    private let bytesMax: Int
    private let tracesMax: Int
    private var requests: [Request] = []
    private var numbers: [ObjectIdentifier: Int] = [:]
    /// In order of arrival.
    private var pending: [TraceID: [Instance]] = [:]
    /// What the spans' samplers before us, and the clients', have said.
    private var counts: [Instance: Double] = [:]
    /// Counts with which spans have left.
    private(set) var kept: [Instance: Double] = [:]
    private(set) var droppedCount = 0
    private(set) var addedCount = 0
    private(set) var fates: [TraceID: Fate] = [:]
    private(set) var causes: [DecisionCause: Int] = [:]
    private(set) var newTraces = 0
    /// Whether late spans must find their trace's decision: the caches are as large as the test.
    private let remembersAll: Bool

    init(_ config: TailSamplingConfig, shards count: Int = 1, bytesMax: Int = .max, remembersAll: Bool = true) {
        shards = TailShards(config, shards: count, bytesMax: bytesMax, seed: 0x5EED, account: account)
        self.bytesMax = bytesMax
        self.remembersAll = remembersAll
        tracesMax = (config.numTraces + count - 1) / count * count * (config.blockOnOverflow ? 2 : 1)
    }

    func fate(_ trace: UInt64) -> Fate? { fates[TraceID(high: 1, low: trace)] }
    func keptCounts(request: Int) -> [Int: Double] {
        Dictionary(uniqueKeysWithValues: kept.filter { $0.key.request == request }.map { ($0.key.index, $0.value) })
    }

    /// Adds a request, cut into slices at these places.
    ///
    /// - Returns: the request's number.
    @discardableResult
    func add(_ batch: TraceBatch, cuts: [Int] = [], decision: SamplingDecision? = nil, at now: Int64) throws -> Int {
        let whole = SpanSlice(batch)
        let ends = cuts + [batch.spanCount]
        let slices = zip([0] + cuts, ends).map { whole.part($0..<$1, decision) }.filter { !$0.range.isEmpty }
        return try add(SpanBatch(slices: slices), at: now)
    }

    @discardableResult
    func add(_ batch: SpanBatch, at now: Int64) throws -> Int {
        for slice in batch.slices {
            let number = numbers[ObjectIdentifier(slice.batch)] ?? requests.count
            if number == requests.count {
                requests.append(Request(batch: slice.batch, bytes: slice.batch.byteCount, pending: 0))
                numbers[ObjectIdentifier(slice.batch)] = number
            }
            for index in slice.range {
                let instance = Instance(request: number, index: index)
                pending[slice.batch[index].traceID, default: []].append(instance)
                counts[instance] = slice[index].adjustedCount
                requests[number].pending += 1
                addedCount += 1
            }
        }
        try settle(shards.add(batch, now: now))
        if shards.heldBytes > bytesMax { throw LedgerViolation(description: "holds \(shards.heldBytes) of \(bytesMax) bytes") }
        return requests.count - 1
    }

    func advance(to now: Int64) throws { try settle(shards.decideDue(now: now)) }
    func decideAll() throws { try settle(shards.decideAll(.shutdown)) }
    func decideHalf() throws { try settle(shards.decideOldest(half: .overflow)) }

    /// Takes everything out undecided, each pending span once, a trace's in their order.
    func takeAll() throws -> Int {
        let slices = shards.takeAll()
        var count = 0
        for slice in slices {
            for index in slice.range {
                let instance = try instance(slice, index)
                let trace = slice.batch[index].traceID
                guard pending[trace]?.first == instance else { throw LedgerViolation(description: "taken out of order") }
                pending[trace]?.removeFirst()
                requests[instance.request].pending -= 1
                count += 1
            }
        }
        pending = pending.filter { !$0.value.isEmpty }
        if !pending.isEmpty { throw LedgerViolation(description: "not all was taken") }
        return count
    }

    private func instance(_ slice: SpanSlice, _ index: Int) throws -> Instance {
        guard let number = numbers[ObjectIdentifier(slice.batch)] else { throw LedgerViolation(description: "an unknown request") }
        return Instance(request: number, index: index)
    }

    private func settle(_ output: consuming TailOutput) throws {
        var leaving: [TraceID: [(Instance, Double)]] = [:]
        for slice in output.kept {
            for index in slice.range {
                leaving[slice.batch[index].traceID, default: []].append((try instance(slice, index), slice[index].adjustedCount))
            }
        }
        for decided in output.decided {
            causes[decided.cause, default: 0] += 1
            let mine = Array((pending[decided.id] ?? []).prefix(decided.spanCount))
            guard mine.count == decided.spanCount, decided.spanCount > 0 else {
                throw LedgerViolation(description: "\(decided.spanCount) spans decided about, \(mine.count) pending (\(decided.cause))")
            }
            pending[decided.id]?.removeFirst(mine.count)
            for instance in mine { requests[instance.request].pending -= 1 }
            if decided.decision.isKept {
                let own = (leaving[decided.id] ?? []).prefix(mine.count)
                guard own.map(\.0) == mine else { throw LedgerViolation(description: "a kept trace left in parts, or not in its order") }
                leaving[decided.id]?.removeFirst(mine.count)
                for (instance, count) in own {
                    let wanted = decided.decision.adjustedCount * (counts[instance] ?? 1)
                    guard count == wanted else { throw LedgerViolation(description: "adjusted count \(count), not \(wanted)") }
                    guard kept.updateValue(count, forKey: instance) == nil else { throw LedgerViolation(description: "kept twice") }
                }
            } else {
                droppedCount += mine.count
            }
            if decided.cause == .late {
                guard let fate = fates[decided.id], fate.decision.isKept == decided.decision.isKept else {
                    throw LedgerViolation(description: "late spans met another fate")
                }
                if decided.decision.isKept, fate.decision != decided.decision {
                    throw LedgerViolation(description: "late spans were kept for another reason")
                }
            } else {
                if remembersAll, fates[decided.id] != nil { throw LedgerViolation(description: "decided about twice") }
                fates[decided.id] = Fate(decision: decided.decision, cause: decided.cause)
            }
        }
        newTraces += output.newTraces
        guard leaving.values.allSatisfy(\.isEmpty) else { throw LedgerViolation(description: "spans left of which no decision tells") }
        pending = pending.filter { !$0.value.isEmpty }
        output = TailOutput()
        try check()
    }

    /// What the sampler says of itself.
    func check() throws {
        let spans = pending.values.reduce(0) { $0 + $1.count }
        func expect(_ found: Int, _ wanted: Int, _ what: String) throws {
            if found != wanted { throw LedgerViolation(description: "\(what): \(found), not \(wanted)") }
        }
        try expect(shards.traceCount, pending.count, "traces")
        try expect(shards.spanCount, spans, "spans")
        try expect(shards.heldBytes, requests.reduce(0) { $0 + ($1.pending > 0 ? $1.bytes : 0) }, "held bytes")
        try expect(kept.count + droppedCount + spans, addedCount, "fates")
        if pending.count > tracesMax { throw LedgerViolation(description: "\(pending.count) traces of at most \(tracesMax)") }
        if spans > 0, shards.nextDeadline == nil { throw LedgerViolation(description: "spans wait and no deadline is set") }
        if account.count < 0 { throw LedgerViolation(description: "the account has \(account.count) bytes") }
    }

    /// Whether the requests' memory is there exactly as long as one of their spans waits; to be called when the caller holds none.
    func checkMemory() throws {
        for (number, request) in requests.enumerated() where (request.batch != nil) != (request.pending > 0) {
            throw LedgerViolation(
                description: "request \(number) has \(request.pending) pending spans, and memory: \(request.batch != nil)")
        }
        numbers = numbers.filter { requests[$0.value].batch != nil }
    }

    /// A request with these spans; nobody but the sampler holds it afterwards.
    @discardableResult
    func add(_ spans: [TestSpan], cuts: [Int] = [], decision: SamplingDecision? = nil, at now: Int64) throws -> Int {
        numbers = numbers.filter { requests[$0.value].batch != nil }
        return try add(try TestSpan.batch(spans), cuts: cuts, decision: decision, at: now)
    }
}

extension TestSpan {
    static func of(_ trace: UInt64, _ span: UInt64 = 1, isError: Bool = false, isRoot: Bool = false) -> TestSpan {
        var made = TestSpan()
        made.traceID = (1, trace)
        made.spanID = span
        made.parent = isRoot ? 0 : 99
        made.status = isError ? 2 : 0
        return made
    }
}
