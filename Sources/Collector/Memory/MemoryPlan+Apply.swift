import Logging
import OTLPWire
import Pipeline
import SelfTelemetry

extension MemoryPlan {
    /// Sets the process's pools and makes its budget; says what may take how much, and when that is more than there is.
    func apply(registry: MetricRegistry, logger: Logger) -> MemoryBudget {
        let budget = MemoryBudget(limits)
        apply(to: budget)
        registry.observe("collector_memory_used_bytes", help: "Bytes that requests hold until they are exported.") {
            Double(budget.usedBytes)
        }
        registry.observe("collector_memory_soft_limit_bytes", help: "Use from which new requests are refused.") {
            Double(budget.currentLimits.softBytes)
        }
        registry.observe("collector_memory_limit_bytes", help: "Bytes that requests may hold.") { Double(budget.limitBytes) }
        announce(logger)
        return budget
    }

    /// Puts the limits in force, at the start and after a reload. Pools and queues of components that are kept stay as they are.
    func apply(to budget: MemoryBudget) {
        DecoderPool.limit(retainedBytes: chunkPoolBytes)
        if budget.currentLimits != limits { budget.currentLimits = limits }
    }

    /// `requests 96.0 + decoder_pool 8.0 + ... = 171.0 MiB`
    var sumText: String {
        parts.map { "\($0.name) \(Self.mib($0.bytes))" }.joined(separator: " + ") + " = \(Self.mib(sumBytes)) MiB"
    }

    private func announce(_ logger: Logger) {
        var metadata: Logger.Metadata = [
            "requests_refused_from_mib": "\(Self.mib(limits.softBytes))",
            "queue_of_each_exporter_mib": "\(Self.mib(min(queueBytesMax, limits.softBytes)))",
        ]
        if let ceiling {
            metadata["available_mib"] = "\(Self.mib(ceiling.bytes))"
            metadata["available_by"] = "\(ceiling.origin.rawValue)"
        }
        logger.info("memory: \(sumText)", metadata: metadata)
        guard exceedsCeiling, let ceiling else { return }
        let available = "\(Self.mib(ceiling.bytes)) MiB of the \(ceiling.origin.rawValue)"
        if limits.hardBytes > ceiling.bytes {
            logger.error("the memory limit is beyond the \(available): the process will be killed when it is used; lower limit_mib")
        } else {
            logger.warning("the memory's sum is more than the \(available): the process may be killed at full load; lower limit_mib")
        }
    }

    private static func mib(_ bytes: Int) -> String {
        let tenths = (bytes * 10 + (1 << 19)) >> 20
        return "\(tenths / 10).\(tenths % 10)"
    }
}
