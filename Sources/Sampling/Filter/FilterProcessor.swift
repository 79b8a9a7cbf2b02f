import Logging
import OTLPWire
import Pipeline
import SelfTelemetry

/// The `filter` processor: drops the spans and removes the span events that a condition holds for. Holds nothing back, and changes a
/// span only where it removes events.
///
/// A request with a span for which a condition of `error_mode: propagate` fails is refused for good. Without the write-ahead log the
/// client is told; with it the client was answered before, and the request is lost, counted and logged by the pipeline's entry.
public final class FilterProcessor: Consumer, Component {
    public let id: String
    private let config: FilterConfig
    private let metrics: FilterMetrics
    private let next: any Consumer<SpanBatch>

    public init(id: String, config: FilterConfig, next: any Consumer<SpanBatch>, registry: MetricRegistry, logger: Logger) {
        self.id = id
        self.config = config
        self.next = next
        metrics = FilterMetrics(registry: registry, processor: id, logger: logger)
    }

    public func start() async throws {}

    public func shutdown(deadline: ContinuousClock.Instant) async {}

    public var health: ComponentHealth { .ok }

    public var admission: Outcome { next.admission }

    public func consume(_ batch: SpanBatch) -> Outcome {
        var pass = FilterPass(config)
        do throws(FilterError) {
            for slice in batch.slices { try pass.filter(slice) }
        } catch {
            switch error {
            case .condition(let failure):
                metrics.refused(failure)
                return .permanent(.conditionFailed)
            case .arenaExhausted: return .permanent(.tooLarge)
            }
        }
        let outcome = pass.kept.isEmpty ? .accepted : next.consume(SpanBatch(slices: pass.kept, of: batch))
        // A batch that is refused comes again.
        if outcome == .accepted { metrics.add(pass.counts) }
        return outcome
    }
}
