import Synchronization

/// The process's own metrics: hands out instruments by name and labels, and writes them in the Prometheus text format
/// (version 0.0.4). Asking twice for the same name and labels returns the same instrument.
///
/// Names follow the Go collector's Prometheus endpoint: counters end in `_total`.
public final class MetricRegistry: Sendable {
    public typealias Labels = [(name: String, value: String)]

    private enum Instrument {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        /// Oldest first; the newest that has a value is shown.
        case observed([@Sendable () -> Double?])
    }

    private struct Family {
        let kind: String
        let help: String
        var series: [(labels: String, instrument: Instrument)] = []
    }

    private let families = Mutex<[String: Family]>([:])

    public init() {}

    public func counter(_ name: String, help: String, labels: Labels = []) -> Counter {
        let instrument = register(name, kind: "counter", help: help, labels: labels) { .counter(Counter()) }
        guard case .counter(let counter) = instrument else { preconditionFailure("\(name) is registered as another kind") }
        return counter
    }

    public func gauge(_ name: String, help: String, labels: Labels = []) -> Gauge {
        let instrument = register(name, kind: "gauge", help: help, labels: labels) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = instrument else { preconditionFailure("\(name) is registered as another kind") }
        return gauge
    }

    public func histogram(_ name: String, help: String, labels: Labels = [], bounds: [Double]) -> Histogram {
        let instrument = register(name, kind: "histogram", help: help, labels: labels) { .histogram(Histogram(bounds: bounds)) }
        guard case .histogram(let histogram) = instrument else { preconditionFailure("\(name) is registered as another kind") }
        return histogram
    }

    /// A gauge (or counter, when `monotonic`) whose value is read when the metrics are.
    ///
    /// Observing the same name and labels again takes the earlier one's place for as long as it has a value: a component's replacement
    /// shows its own, and should it be withdrawn, its predecessor's is back.
    ///
    /// - Parameter read: nil when what it reads is gone, for good: capture it weakly. A series without a value is not shown.
    ///     Must not use the registry.
    public func observe(
        _ name: String, help: String, labels: Labels = [], monotonic: Bool = false, _ read: @escaping @Sendable () -> Double?
    ) {
        let text = Self.text(labels)
        families.withLock { families in
            var family = families[name] ?? Family(kind: monotonic ? "counter" : "gauge", help: help)
            defer { families[name] = family }
            guard let index = family.series.firstIndex(where: { $0.labels == text }) else {
                family.series.append((text, .observed([read])))
                return
            }
            guard case .observed(let earlier) = family.series[index].instrument else {
                preconditionFailure("\(name) is registered as another kind")
            }
            family.series[index].instrument = .observed(earlier.filter { $0() != nil } + [read])
        }
    }

    private static func text(_ labels: Labels) -> String {
        labels.map { "\($0.name)=\"\(escaped($0.value))\"" }.joined(separator: ",")
    }

    private func register(_ name: String, kind: String, help: String, labels: Labels, make: () -> Instrument) -> Instrument {
        let text = Self.text(labels)
        return families.withLock { families in
            var family = families[name] ?? Family(kind: kind, help: help)
            if let known = family.series.first(where: { $0.labels == text }) { return known.instrument }
            let made = make()
            family.series.append((text, made))
            families[name] = family
            return made
        }
    }

    private static func escaped(_ value: String) -> String {
        var out = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": out += "\\\\"
            case "\"": out += "\\\""
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(character)
            }
        }
        return out
    }

    /// All metrics, sorted by name.
    public func prometheusText() -> String {
        let families = self.families.withLock { $0 }
        var out = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            var lines = ""
            for (labels, instrument) in family.series {
                switch instrument {
                case .counter(let counter): lines += Self.line(name, labels, "\(counter.value)")
                case .gauge(let gauge): lines += Self.line(name, labels, "\(gauge.value)")
                case .observed(let reads):
                    guard let value = reads.reversed().lazy.compactMap({ $0() }).first else { continue }
                    lines += Self.line(name, labels, Self.number(value))
                case .histogram(let histogram): lines += Self.lines(name, labels, histogram)
                }
            }
            if lines.isEmpty { continue }
            out += "# HELP \(name) \(family.help)\n# TYPE \(name) \(family.kind)\n\(lines)"
        }
        return out
    }

    private static func lines(_ name: String, _ labels: String, _ histogram: Histogram) -> String {
        let snapshot = histogram.snapshot
        let prefix = labels.isEmpty ? "" : labels + ","
        var out = ""
        var cumulative = 0
        for (index, count) in snapshot.counts.enumerated() {
            cumulative += count
            let bound = index < histogram.bounds.count ? number(histogram.bounds[index]) : "+Inf"
            out += line(name + "_bucket", prefix + "le=\"\(bound)\"", "\(cumulative)")
        }
        return out + line(name + "_sum", labels, number(snapshot.sum)) + line(name + "_count", labels, "\(cumulative)")
    }

    private static func line(_ name: String, _ labels: String, _ value: String) -> String {
        labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }

    /// Whole numbers without a fraction, as Prometheus clients print bounds; `+Inf`, `-Inf` and `NaN` in the format's spelling.
    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }
}
