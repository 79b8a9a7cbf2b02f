import Glibc
import Logging
import Pipeline
import SelfTelemetry
import Synchronization

/// Exporter `debug`: shows what passes.
///
/// A worker thread writes, so that a terminal that is scrolled back holds nobody up. It never refuses a batch: what comes faster
/// than it can be shown is left out, and how much that was is said.
public final class DebugExporter: Consumer, Component {
    public let id: String
    private let exporter: QueuedExporter<SpanBatch>
    private let skipped: SkippedBatches

    /// Batches that wait to be shown: a burst, and not more memory than that.
    private static let queueSize = 64

    /// - Parameter descriptor: where to write; nil: standard output for JSON and without `use_internal_logger`, else standard error.
    public init(id: String, config: DebugConfig, registry: MetricRegistry, logger: Logger, descriptor: Int32? = nil) {
        self.id = id
        let skipped = SkippedBatches()
        self.skipped = skipped
        var queue = ExportQueueConfig(numConsumers: 1)
        queue.queueSize = Self.queueSize
        let target = descriptor ?? (config.useInternalLogger && config.format == .text ? STDERR_FILENO : STDOUT_FILENO)
        exporter = QueuedExporter(
            id: id, itemName: "spans", queue: queue, retry: RetryConfig(), registry: registry, logger: logger
        ) { _ in DebugWriter(config: config, logger: logger, descriptor: target, skipped: skipped) }
    }

    public var health: ComponentHealth { .ok }
    public var admission: Outcome { .accepted }

    public func consume(_ batch: SpanBatch) -> Outcome {
        if exporter.admission != .accepted || exporter.consume(batch) != .accepted { skipped.count.wrappingAdd(1, ordering: .relaxed) }
        return .accepted
    }

    public func start() async throws { try await exporter.start() }

    public func shutdown(deadline: ContinuousClock.Instant) async { await exporter.shutdown(deadline: deadline) }
}

/// Batches that were not shown since it was last said.
final class SkippedBatches: Sendable {
    let count = Atomic<Int>(0)
}

/// The worker's half: samples, writes text, waits for the reader as long as `Cancellation` allows.
final class DebugWriter: BatchWriter {
    private let config: DebugConfig
    private let logger: Logger
    private let descriptor: Int32
    private let skipped: SkippedBatches
    private var sampler: DebugSampler
    private var text = DebugText()

    /// Bytes written at once; a pipe that is ready takes this much without blocking (PIPE_BUF of Linux).
    private static let writeBytes = 4_096
    /// Text that is collected before it is written, and memory kept afterwards.
    private static let bufferBytes = 64 * 1_024
    /// How often a writer that waits for its reader looks whether its time is over, milliseconds.
    private static let pollMilliseconds: Int32 = 100

    init(config: DebugConfig, logger: Logger, descriptor: Int32, skipped: SkippedBatches) {
        self.config = config
        self.logger = logger
        self.descriptor = descriptor
        self.skipped = skipped
        sampler = DebugSampler(initial: config.samplingInitial, thereafter: config.samplingThereafter)
    }

    func write(_ batch: SpanBatch, cancellation: Cancellation) -> WriteOutcome {
        let skippedCount = skipped.count.exchange(0, ordering: .relaxed)
        if skippedCount > 0 {
            logger.warning("batches were not shown, they came too fast", metadata: ["batches": "\(skippedCount)"])
        }
        guard sampler.shows(now: .now) else { return .written }
        if config.format == .text { show(counts: DebugText.counts(batch)) }
        var goesOn = true
        batch.forEach { reference in
            guard goesOn else { return }
            switch (config.format, config.verbosity) {
            case (.json, _): text.appendJSON(reference)
            case (.text, .basic): return
            case (.text, .normal): text.appendLine(reference.span)
            case (.text, .detailed): text.appendDetails(reference)
            }
            if text.output.count >= Self.bufferBytes { goesOn = flush(cancellation) }
        }
        if config.format == .json { text.endDocument() }
        if goesOn { _ = flush(cancellation) }
        text.clear(keepingCapacity: Self.bufferBytes)
        return .written
    }

    private func show(counts: (resourceSpans: Int, spans: Int)) {
        text.startBatch()
        if config.useInternalLogger {
            logger.info("Traces", metadata: ["resource spans": "\(counts.resourceSpans)", "spans": "\(counts.spans)"])
        } else {
            text.appendCounts(resourceSpans: counts.resourceSpans, spans: counts.spans)
        }
    }

    func close() {}

    /// False when the text cannot be written: time over, or nobody reads any more.
    private func flush(_ cancellation: Cancellation) -> Bool {
        defer { text.clear(keepingCapacity: Self.bufferBytes) }
        return text.output.withBytes { bytes in
            var position = 0
            while position < bytes.count {
                guard isReady(cancellation) else { return false }
                let length = min(bytes.count - position, Self.writeBytes)
                let written = Glibc.write(descriptor, bytes.baseAddress.map { $0 + position }, length)
                if written < 0 {
                    if errno == EINTR || errno == EAGAIN { continue }
                    return false
                }
                position += written
            }
            return true
        }
    }

    private func isReady(_ cancellation: Cancellation) -> Bool {
        while !cancellation.isCancelled {
            var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let ready = poll(&request, 1, Self.pollMilliseconds)
            if ready > 0 { return request.revents & Int16(POLLOUT) != 0 }
            if ready < 0, errno != EINTR { return false }
        }
        return false
    }
}
