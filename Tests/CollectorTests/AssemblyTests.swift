import Pipeline
import Testing
@testable import Collector

@Suite struct AssemblyTests {
    private let world = DiaryWorld()

    private func assemble(_ pipelines: [([String], [String], [String])]) throws -> Assembly {
        Transition(to: try world.blueprints(pipelines), world.context).next
    }

    @Test func aBatchMeetsTheProcessorsInTheWrittenOrderThenEveryExporter() throws {
        let assembly = try assemble([(["otlp"], ["one", "two"], ["a", "b"])])
        #expect(try world.way(assembly, from: "otlp") == ["otlp", "one", "two", "a", "b"])
    }

    @Test func aReceiverInTwoPipelinesFeedsBothAndExistsOnce() throws {
        let assembly = try assemble([(["otlp"], ["one"], ["a"]), (["otlp", "otlp/x"], ["two"], ["b"])])
        #expect(assembly.receivers.map(\.id.description) == ["otlp", "otlp/x"])
        #expect(try world.way(assembly, from: "otlp") == ["otlp", "one", "a", "two", "b"])
        #expect(try world.way(assembly, from: "otlp/x") == ["otlp/x", "two", "b"])
    }

    @Test func anExporterInTwoPipelinesExistsOnceAProcessorOncePerPipeline() throws {
        let assembly = try assemble([(["r1"], ["batch"], ["a"]), (["r2"], ["batch"], ["a"])])
        #expect(assembly.exporters.map(\.id.description) == ["a"])
        let processors = assembly.pipelines.flatMap(\.processors)
        #expect(processors.map(\.id.description) == ["batch", "batch"])
        #expect(processors.first?.component !== processors.last?.component)
    }

    @Test func componentsAreListedInTheOrderASpanMeetsThem() throws {
        let assembly = try assemble([(["r"], ["one", "two"], ["a", "b"])])
        #expect(assembly.all.map(\.place) == ["receivers.r", "processors.one", "processors.two", "exporters.a", "exporters.b"])
    }

    @Test func processorsCountWhatComesInAndGoesOut() throws {
        let assembly = try assemble([(["r"], ["one"], ["a"])])
        _ = try world.way(assembly, from: "r")
        let text = world.registry.prometheusText()
        #expect(text.contains("otelcol_processor_incoming_items_total{processor=\"one\",otel_signal=\"traces\"} 1"))
        #expect(text.contains("otelcol_processor_outgoing_items_total{processor=\"one\",otel_signal=\"traces\"} 1"))
    }
}
