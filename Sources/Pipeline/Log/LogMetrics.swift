import Logging
import SelfTelemetry

/// What the log counts and says.
struct LogMetrics: Sendable {
    let appendedRequests: Counter
    let appendedBytes: Counter
    let repeatedRequests: Counter
    let syncs: Counter
    let replayedRequests: Counter
    let syncSeconds: Histogram
    let syncFailed: InternalEvent
    let refused: InternalEvent
    let corrupt: InternalEvent
    let unknown: InternalEvent
    let orphaned: InternalEvent
    let readFailed: InternalEvent

    init(registry: MetricRegistry, logger: Logger) {
        appendedRequests = registry.counter("collector_wal_appended_requests_total", help: "Requests made durable in the log.")
        appendedBytes = registry.counter("collector_wal_appended_bytes_total", help: "Bytes of the requests made durable in the log.")
        repeatedRequests = registry.counter(
            "collector_wal_repeated_requests_total", help: "Requests answered OK and not stored, having been accepted before.")
        syncs = registry.counter("collector_wal_syncs_total", help: "Group commits: calls that made appended requests durable.")
        replayedRequests = registry.counter(
            "collector_wal_replayed_requests_total", help: "Requests of former runs handed to pipelines, each pipeline counted.")
        syncSeconds = registry.histogram(
            "collector_wal_sync_duration_seconds", help: "Time of one group commit: write and sync.", bounds: Histogram.durationBounds)
        func event(_ name: String, _ help: String, _ level: Logger.Level, _ message: Logger.Message) -> InternalEvent {
            InternalEvent(counter: registry.counter(name, help: help), logger: logger, level: level, message: message)
        }
        syncFailed = event(
            "collector_wal_sync_failures_total", "Group commits and segment changes that failed.", .error,
            "the write-ahead log could not be written; requests are refused until it can")
        refused = event(
            "collector_wal_refused_requests_total", "Requests refused by the log, to be sent again.", .warning,
            "requests are refused by the write-ahead log")
        corrupt = event(
            "collector_wal_corrupt_records_total", "Damaged records found in the log and skipped.", .error,
            "damaged records in the write-ahead log were skipped; acknowledged requests may be lost")
        unknown = event(
            "collector_wal_unknown_records_total", "Records of a kind that this version does not know, skipped.", .warning,
            "records of an unknown kind in the write-ahead log were skipped")
        orphaned = event(
            "collector_wal_orphaned_requests_total", "Requests left by pipelines that are no longer configured, dropped.", .error,
            "requests in the write-ahead log were dropped: their pipeline is no longer configured")
        readFailed = event(
            "collector_wal_read_failures_total", "Records that could not be read back; they stay in the log for the next start.", .error,
            "the write-ahead log could not be read back; the records stay in it for the next start")
    }

    /// Gauges, read from the log when the metrics are.
    static func observe(_ log: WriteAheadLog, in registry: MetricRegistry) {
        func gauge(_ name: String, _ help: String, labels: MetricRegistry.Labels = [], _ read: @escaping @Sendable (LogState) -> Int) {
            registry.observe(name, help: help, labels: labels) { [weak log] in log.map { Double($0.withState(read)) } ?? 0 }
        }
        let capacity = log.settings.maxSizeBytes
        gauge("collector_wal_size_bytes", "Bytes of disk that the log takes.") { $0.allocatedBytes }
        gauge("collector_wal_capacity_bytes", "Bytes of disk that the log may take.") { _ in capacity }
        gauge("collector_wal_segments", "Segment files of the log.") { $0.segments.count }
        gauge("collector_wal_fingerprints", "Requests that would be recognised if they were sent again.") { $0.fingerprints.count }
        for (reader, name) in log.readers.enumerated() {
            gauge(
                "collector_wal_unreleased_requests", "Requests in the log that a pipeline is not done with.",
                labels: [(name: "pipeline", value: name)]
            ) { $0.segments.reduce(0) { $0 + $1.unreleasedCount(reader: reader) } }
        }
    }
}
