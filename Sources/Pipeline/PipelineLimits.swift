/// Bounds of this module that no configuration key sets.
public enum PipelineLimits {
    /// Batches that a stage takes beyond its configured bound. `admission` refuses at the bound; callers that were admitted at
    /// the same moment still get in, so a fan-out that asked everybody first is not refused by one after another has taken
    /// the batch. One caller is one thread: this is more than the event loops and timers of any machine we run on.
    public static let admissionReserve = 256

    /// Shortest wait between two attempts of one batch, so that `initial_interval: 0` does not spin.
    static let retryWaitMin = Duration.milliseconds(1)

    /// How often a stage that shuts down looks whether the next one has taken everything.
    static let shutdownPollInterval = Duration.milliseconds(10)

    /// How often a pipeline that has a backlog is asked whether it takes more.
    static let feedPollInterval = Duration.milliseconds(5)
}
