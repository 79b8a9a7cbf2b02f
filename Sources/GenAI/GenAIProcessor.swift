import Logging
import OTLPWire
import Pipeline
import SelfTelemetry

/// The `genai` processor: lays the LLM columns beside each span, prices the calls, and hands the batch on. Holds nothing back.
///
/// The same request with the same prices gives the same columns. Must come before the fan-out and before `batch`: it writes into
/// the requests' memory, which nobody else may be reading yet.
public final class GenAIProcessor: Consumer, Component {
    public let id: String
    private let next: any Consumer<SpanBatch>
    private let config: GenAIConfig
    private let metrics: GenAIMetrics
    private let catalogue: ModelCatalogue
    private let prices: PriceWatcher?

    public init(id: String, config: GenAIConfig, next: any Consumer<SpanBatch>, registry: MetricRegistry, logger: Logger) {
        self.id = id
        self.config = config
        self.next = next
        metrics = GenAIMetrics(registry: registry, processor: id)
        catalogue = ModelCatalogue(table: config.table(filePrices: config.filePrices), metrics: metrics)
        prices = config.priceFile.map { [catalogue] path in
            PriceWatcher(path: path, stamp: config.fileStamp, registry: registry, processor: id, logger: logger) { layer in
                catalogue.replace(config.table(filePrices: layer))
            }
        }
    }

    public var admission: Outcome { next.admission }

    public func consume(_ batch: SpanBatch) -> Outcome {
        var enricher = SpanEnricher(config: config, catalogue: catalogue, metrics: metrics)
        for slice in batch.slices {
            guard enricher.enrich(slice) else { return .permanent(.memoryLimit) }
        }
        enricher.finish()
        return next.consume(batch)
    }

    public func start() async throws { prices?.start() }

    public func shutdown(deadline: ContinuousClock.Instant) async { prices?.stop() }

    /// Degraded while the price file cannot be used: calls are priced by the last good one.
    public var health: ComponentHealth { prices?.problem.map(ComponentHealth.degraded) ?? .ok }
}
