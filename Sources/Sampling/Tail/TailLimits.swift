/// Numbers that bound the tail sampler's work and memory.
enum TailLimits {
    /// Of the draws that `cost_budget`, `dynamic` and `priority` make: the same everywhere and always, so that replicas decide alike and
    /// a trace that is decided about again after a crash is decided about alike.
    static let drawSeed: UInt64 = 0x7461_696C_5F64_7261
    /// How often what is due is looked at: traces that begin one after the other leave together.
    static let turnMin = Duration.milliseconds(10)
    static let turnMax = Duration.milliseconds(100)
    /// Turns within `decision_wait`, as long as they stay within these bounds.
    static let turnsPerWait = 20
    /// With nothing due for longer it is looked at all the same: bounds what a wrong deadline could cost.
    static let longestTurn = Duration.seconds(60)
    /// Sets of decisions that wait to be carried out: beyond that newcomers are refused.
    static let waitingMax = 64
    /// How long the end waits for the log's answer beyond its deadline.
    static let carryingGrace = Duration.seconds(1)
    /// How often the end looks whether everything is carried out.
    static let pollInterval = Duration.milliseconds(5)
    /// How soon due traces are looked at again when the next stage took none.
    static let retryInterval = Duration.milliseconds(50)
}
