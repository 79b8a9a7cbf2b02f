import Configuration
import Pipeline
import SelfTelemetry

/// `processors.resource`: actions on the attributes of resources, with the keys and the meaning of the Go collector's processor.
public struct ResourceConfig: Sendable {
    var actions: [AttributeAction] = []

    public init(from section: ConfigSection) {
        actions = AttributeActionConfig.list(in: section, "attributes")
        section.finish()
    }

    /// The processor these settings describe. A resource is changed once, however many spans share it.
    public func processor(
        id: String, next: any Consumer<SpanBatch>, registry: MetricRegistry
    ) -> any Consumer<SpanBatch> & Component {
        let metrics = AttributeActionMetrics(registry: registry, processor: id)
        return EditingProcessor(id: id, next: next, refused: metrics.refused) { [actions] in
            ResourceAttributesEditor(ActionRunner(actions), changed: metrics.changed)
        }
    }
}
