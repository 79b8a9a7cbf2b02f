import OTLPWire
import Pipeline

/// Why a trace was decided about when it was.
enum DecisionCause: String, Sendable {
    /// Its time was up.
    case due
    /// Nothing that may still come could change the decision.
    case early
    /// A span of a trace that was decided about before.
    case late
    /// There were too many traces, or too many bytes.
    case overflow
    /// It alone was too large.
    case tooLarge
    case shutdown
}

/// One trace's fate, or that of spans that came after it was decided about.
struct DecidedTrace {
    let id: TraceID
    let decision: TailDecision
    let cause: DecisionCause
    let spanCount: Int
    let costUSD: Double
    /// Nanoseconds from the first span's arrival; for late spans 0.
    let age: Int64
}

/// What a shard wants done, gathered while it is locked and carried out after that.
struct TailOutput {
    /// Spans to be sent on, trace by trace, each with the decision it was kept by.
    var kept: [SpanSlice] = []
    /// Requests nothing of which waits any more: to be let go when the decisions are on record.
    var freed: [SpanSlice] = []
    var decided: [DecidedTrace] = []
    var newTraces = 0
    /// Conditions that could not be evaluated.
    var failures = 0

    var isEmpty: Bool { kept.isEmpty && freed.isEmpty && decided.isEmpty }

    mutating func append(_ other: TailOutput) {
        kept += other.kept
        freed += other.freed
        decided += other.decided
        newTraces += other.newTraces
        failures += other.failures
    }
}
