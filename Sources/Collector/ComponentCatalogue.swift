import Configuration
import Exporters
import GenAI
import OTLPReceiver
import Pipeline
import Redaction
import Sampling

/// The one place that names concrete components: a line per component type.
enum ComponentCatalogue {
    private static let receivers: [String: @Sendable (ConfigSection, _ id: String) -> ReceiverBlueprint] = [
        "otlp": otlpReceiver
    ]

    private static let processors: [String: @Sendable (ConfigSection, _ id: String) -> ProcessorBlueprint] = [
        "attributes": attributesProcessor,
        "batch": batchProcessor,
        "filter": filterProcessor,
        "genai": genAIProcessor,
        "groupbytrace": groupByTraceProcessor,
        "memory_limiter": memoryLimiterProcessor,
        "pii_redaction": piiRedactionProcessor,
        "probabilistic_sampler": probabilisticSampler,
        "redaction": keyRedactionProcessor,
        "resource": resourceProcessor,
        "tail_sampling": tailSamplingProcessor,
    ]

    private static let exporters: [String: @Sendable (ConfigSection, _ id: String) -> ExporterBlueprint] = [
        "debug": debugExporter, "nop": nopExporter, "sqlite": sqliteExporter, "timescaledb": timescaleDBExporter,
    ]

    private static let healthCheck = "health_check"

    static let builtIn = ConfigurationDocument.BuiltIn(
        types: [
            .receivers: Array(receivers.keys), .processors: Array(processors.keys), .exporters: Array(exporters.keys),
            .extensions: [healthCheck],
        ],
        signals: ["traces"])

    /// Decodes every component of a configuration. Problems are kept by the document; `ConfigurationDocument.check` throws them.
    static func decode(_ document: ConfigurationDocument) -> Blueprints {
        var blueprints = Blueprints()
        for component in document.all(.receivers) {
            blueprints.receivers[component.id] = receivers[component.id.type]?(component.section, component.id.description)
        }
        for component in document.all(.processors) {
            blueprints.processors[component.id] = processors[component.id.type]?(component.section, component.id.description)
        }
        for component in document.all(.exporters) {
            blueprints.exporters[component.id] = exporters[component.id.type]?(component.section, component.id.description)
        }
        for component in document.all(.extensions) where component.id.type == healthCheck {
            if blueprints.healthCheck != nil { component.section.problem("only one health_check can be configured") }
            blueprints.healthCheck = HealthCheckConfig(from: component.section)
        }
        blueprints.pipelines = document.service.pipelines.map {
            Blueprints.Pipeline(
                id: $0.id, receivers: $0.receivers.map(\.id), processors: $0.processors.map(\.id), exporters: $0.exporters.map(\.id))
        }
        blueprints.checkRewriters(document)
        for kind in ConfigurationDocument.Kind.allCases {
            for component in document.all(kind) { blueprints.texts[kind, default: [:]][component.id] = component.section.comparisonText }
        }
        return blueprints
    }
}

// MARK: Receivers

private func otlpReceiver(_ section: ConfigSection, _ id: String) -> ReceiverBlueprint {
    let config = OTLPReceiverConfig(from: section)
    var listeners: [(sdkProtocol: String, host: String)] = []
    if let grpc = config.grpc { listeners.append(("grpc", grpc.endpoint.host)) }
    if let http = config.http { listeners.append(("http/protobuf", http.endpoint.host)) }
    let ports = [config.grpc?.endpoint.port, config.http?.endpoint.port].compactMap { $0 }
    return ReceiverBlueprint(ports: ports) { [listeners] context, output in
        let memory = ReceiverMemory(
            bodyPoolBytesMax: context.memory.bodyPoolBytes, unreservedBytesMax: context.memory.unreservedBytesMax,
            decodingBytesMax: context.memory.decodingBytes)
        let receiver = OTLPReceiver(
            id: id, config: config, output: output, group: context.group, budget: context.budget, memory: memory,
            registry: context.registry, logger: context.loggers.logger("receivers.\(id)"))
        return MadeReceiver(component: receiver) {
            // The real port: the configured one may be 0.
            zip(listeners, receiver.localAddresses).compactMap { listener, address in
                address.port.map {
                    ClientAddress(
                        url: "http://\(Endpoint(host: listener.host, port: $0).asSeenLocally)", sdkProtocol: listener.sdkProtocol)
                }
            }
        }
    }
}

// MARK: Processors

private func attributesProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = AttributesConfig(from: section)
    return ProcessorBlueprint(changesSpans: true) { context, next in config.processor(id: id, next: next, registry: context.registry) }
}

private func batchProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = BatchConfig(from: section)
    return ProcessorBlueprint { context, next in
        BatchProcessor(
            id: id, settings: config.settings, next: next, registry: context.registry,
            logger: context.loggers.logger("processors.\(id)"))
    }
}

private func genAIProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = GenAIConfig(from: section)
    return ProcessorBlueprint(changesSpans: true, genAI: config) { context, next in
        GenAIProcessor(
            id: id, config: config, next: next, registry: context.registry, logger: context.loggers.logger("processors.\(id)"))
    }
}

private func memoryLimiterProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    ProcessorBlueprint(memoryLimiter: MemoryLimiterConfig(from: section)) { context, next in
        MemoryLimiter(id: id, itemName: "spans", budget: context.budget, next: next, registry: context.registry)
    }
}

private func groupByTraceProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = GroupByTraceConfig(from: section)
    return ProcessorBlueprint { context, next in
        GroupByTraceProcessor(
            id: id, config: config, next: next, budget: context.budget, registry: context.registry,
            logger: context.loggers.logger("processors.\(id)"))
    }
}

private func piiRedactionProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = PIIRedactionConfig(from: section)
    let makeRewriter: @Sendable (ComponentContext) -> any RequestRewriter = { context in
        RequestRedactor(processor: id, config: config, registry: context.registry)
    }
    return ProcessorBlueprint(changesSpans: true, redaction: config, makeRewriter: config.redactsBeforeLog ? makeRewriter : nil) {
        context, next in
        PIIRedactionProcessor(
            id: id, config: config, next: next, registry: context.registry, logger: context.loggers.logger("processors.\(id)"))
    }
}

private func filterProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = FilterConfig(from: section)
    return ProcessorBlueprint(changesSpans: config.editsEvents) { context, next in
        FilterProcessor(
            id: id, config: config, next: next, registry: context.registry, logger: context.loggers.logger("processors.\(id)"))
    }
}

private func probabilisticSampler(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = ProbabilisticSamplerConfig(from: section)
    return ProcessorBlueprint { context, next in
        ProbabilisticSampler(
            id: id, config: config, next: next, registry: context.registry, logger: context.loggers.logger("processors.\(id)"))
    }
}

private func tailSamplingProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = TailSamplingConfig(from: section)
    let bytes = config.maxMemoryMiB.map { $0 << 20 } ?? .max
    return ProcessorBlueprint(undecidedBytes: bytes, tailSampling: config) { context, next in
        TailSamplingProcessor(
            id: id, config: config, next: next,
            journal: context.log.map { TailSamplingProcessor.Journal(log: $0, topic: "\(context.pipeline)/\(id)") },
            budget: context.budget, bytesMax: min(bytes, context.memory.undecidedBytesMax), cores: context.eventLoopCount,
            doubles: context.doublesFinder, registry: context.registry,
            logger: context.loggers.logger("processors.\(id)"))
    }
}

private func keyRedactionProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = KeyRedactionConfig(from: section)
    return ProcessorBlueprint(changesSpans: true) { context, next in config.processor(id: id, next: next, registry: context.registry) }
}

private func resourceProcessor(_ section: ConfigSection, _ id: String) -> ProcessorBlueprint {
    let config = ResourceConfig(from: section)
    return ProcessorBlueprint(changesSpans: true) { context, next in config.processor(id: id, next: next, registry: context.registry) }
}

// MARK: Exporters

extension ComponentContext {
    /// Of a tail sampler behind a `genai` processor.
    fileprivate var doublesFinder: CallDoublesFinder? {
        guard let genAI else { return nil }
        let doubles = CallDoubles(genAI)
        return { doubles.find(among: $0) }
    }

    fileprivate var exporterResources: ExporterResources {
        ExporterResources(queueBytesMax: memory.queueBytesMax, isDurable: log != nil, deadLetterDirectory: log?.directory)
    }
}

private func debugExporter(_ section: ConfigSection, _ id: String) -> ExporterBlueprint {
    let config = DebugConfig(from: section)
    return ExporterBlueprint(destination: "the terminal (debug)") { context in
        DebugExporter(id: id, config: config, registry: context.registry, logger: context.loggers.logger("exporters.\(id)"))
    }
}

private func nopExporter(_ section: ConfigSection, _ id: String) -> ExporterBlueprint {
    section.finish()
    return ExporterBlueprint(destination: "nowhere (nop)") { _ in NopExporter<SpanBatch>(id: id) }
}

private func sqliteExporter(_ section: ConfigSection, _ id: String) -> ExporterBlueprint {
    let config = SQLiteConfig(from: section)
    return ExporterBlueprint(
        destination: "SQLite, file \(config.path)",
        migrate: { logger in try SQLiteExporter.migrate(config: config, logger: logger) },
        bufferBytes: config.bufferBytes,
        make: { context in
            SQLiteExporter(
                id: id, config: config, resources: context.exporterResources, registry: context.registry,
                logger: context.loggers.logger("exporters.\(id)"))
        })
}

private func timescaleDBExporter(_ section: ConfigSection, _ id: String) -> ExporterBlueprint {
    let config = TimescaleDBConfig(from: section)
    return ExporterBlueprint(
        destination: "PostgreSQL, \(config.destination)",
        migrate: { logger in "\(try TimescaleDBExporter.migrate(config: config, logger: logger))" },
        bufferBytes: config.bufferBytes,
        make: { context in
            TimescaleDBExporter(
                id: id, config: config, resources: context.exporterResources, registry: context.registry,
                logger: context.loggers.logger("exporters.\(id)"))
        })
}
