import Dispatch
import Logging
import SelfTelemetry
import Synchronization

/// Reads the price file anew when it changes. A file that cannot be used changes nothing, and is said once.
final class PriceWatcher: Sendable {
    private struct State {
        var isRunning = false
        var stamp: PriceFile.Stamp?
        var trouble: String?
    }

    private let path: String
    private let logger: Logger
    private let failures: Counter
    private let reloads: Counter
    private let use: @Sendable (PriceTable.Layer) -> Void
    private let state: Mutex<State>
    private let queue = DispatchQueue(label: "price-file")

    /// How often the file's date is looked at.
    private static let intervalSeconds = 10

    /// - Parameters:
    ///   - stamp: of the file as it was when its prices were read.
    ///   - use: takes the prices of a changed file.
    init(
        path: String, stamp: PriceFile.Stamp?, registry: MetricRegistry, processor: String, logger: Logger,
        use: @escaping @Sendable (PriceTable.Layer) -> Void
    ) {
        self.path = path
        self.logger = logger
        self.use = use
        let labels: MetricRegistry.Labels = [(name: "processor", value: processor)]
        reloads = registry.counter("collector_genai_price_reloads_total", help: "Price files taken over while running.", labels: labels)
        failures = registry.counter(
            "collector_genai_price_reload_failures_total", help: "Price files refused while running.", labels: labels)
        state = Mutex(State(stamp: stamp))
    }

    /// Why the file as it is now is not used.
    var problem: String? { state.withLock { $0.trouble } }

    func start() {
        let isFirst = state.withLock { state in
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if isFirst { schedule() }
    }

    func stop() {
        state.withLock { $0.isRunning = false }
    }

    private func schedule() {
        queue.asyncAfter(deadline: .now() + .seconds(Self.intervalSeconds)) { [weak self] in
            guard let self, state.withLock({ $0.isRunning }) else { return }
            poll()
            schedule()
        }
    }

    /// Looks at the file once. One thread at a time.
    func poll() {
        let stamp = PriceFile.stamp(path)
        let isChanged = state.withLock { state in
            defer { state.stamp = stamp }
            return state.stamp != stamp
        }
        guard isChanged else { return }
        do throws(PriceFileError) {
            let layer = try PriceFile.read(path)
            use(layer)
            reloads.add()
            state.withLock { $0.trouble = nil }
            logger.info("price file taken over", metadata: ["file": "\(path)", "models": "\(layer.count)"])
        } catch {
            failures.add()
            state.withLock { $0.trouble = "price file refused, the former prices stay: \(error.description)" }
            logger.warning("price file refused, the former prices stay", metadata: ["problem": "\(error.description)"])
        }
    }
}
