import Configuration
import Pipeline
import SelfTelemetry

/// `processors.attributes`: actions on the attributes of spans, with the keys and the meaning of the Go collector's processor.
///
/// Different from there, beyond what `AttributeAction` says: `from_context` is refused at start, since the collector keeps nothing of
/// the client but its spans; and libraries match in pairs of name and version, as documented there, where the code there combines
/// any name of the list with any version.
public struct AttributesConfig: Sendable {
    var actions: [AttributeAction] = []
    var include: SpanMatch?
    var exclude: SpanMatch?

    public init(from section: ConfigSection) {
        include = SpanMatch(in: section, "include")
        exclude = SpanMatch(in: section, "exclude")
        actions = AttributeActionConfig.list(in: section, "actions")
        section.finish()
    }

    /// The processor these settings describe. It works on the thread that brings the batch, and holds nothing.
    public func processor(
        id: String, next: any Consumer<SpanBatch>, registry: MetricRegistry
    ) -> any Consumer<SpanBatch> & Component {
        let metrics = AttributeActionMetrics(registry: registry, processor: id)
        return EditingProcessor(id: id, next: next, refused: metrics.refused) { [actions, include, exclude] in
            SpanAttributesEditor(
                ActionRunner(actions), SpanFilter(include: include, exclude: exclude), changed: metrics.changed)
        }
    }
}
