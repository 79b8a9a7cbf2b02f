import Configuration
import Logging
import Pipeline
import SelfTelemetry
import Synchronization

/// Reads the configuration again at SIGHUP and brings the collector into line with it, or leaves everything as it was.
///
/// One reload at a time, to its very end; however many are asked for meanwhile, one more follows, which sees the newest files. A stop
/// waits until the reload that is under way has put everything in its place, and then goes first.
final class Reloader: Sendable {
    private struct State {
        /// Components are being exchanged.
        var isExchanging = false
        var isClosed = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let running: RunningState
    private let load: @Sendable () throws(ConfigurationError) -> LoadedConfiguration
    private let admin: AdminServers
    private let makeContext: @Sendable (Blueprints) -> ComponentContext
    private let inheritances: Inheritances
    private let loggers: LoggerFactory
    private let logger: Logger
    private let metrics: ReloadMetrics
    private let requests: AsyncStream<Void>
    private let requester: AsyncStream<Void>.Continuation
    private let state = Mutex(State())

    /// - Parameters:
    ///   - load: throws every problem of the files as they are now.
    ///   - makeContext: what new components are made with, and the process-wide settings put in force.
    init(
        _ running: RunningState, load: @escaping @Sendable () throws(ConfigurationError) -> LoadedConfiguration, admin: AdminServers,
        inheritances: Inheritances, registry: MetricRegistry, loggers: LoggerFactory,
        makeContext: @escaping @Sendable (Blueprints) -> ComponentContext
    ) {
        self.running = running
        self.load = load
        self.admin = admin
        self.inheritances = inheritances
        self.loggers = loggers
        self.makeContext = makeContext
        logger = loggers.logger("service")
        metrics = ReloadMetrics(registry)
        (requests, requester) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Asks for a reload and returns at once. From any thread.
    func request() {
        requester.yield()
    }

    /// Carries out what is asked for, until `close`.
    func run() async {
        for await _ in requests {
            guard begin() else { return }
            let exchange = await reload()
            end()
            await exchange?.retire()
        }
    }

    /// No reload begins any more; waits until the one under way has everything in its place. It may still be emptying old components:
    /// that is over when `run` returns.
    func close() async {
        requester.finish()
        await withCheckedContinuation { waiter in
            let goesOn = state.withLock { state in
                state.isClosed = true
                if state.isExchanging { state.waiter = waiter }
                return !state.isExchanging
            }
            if goesOn { waiter.resume() }
        }
    }

    private func begin() -> Bool {
        state.withLock { state in
            guard !state.isClosed else { return false }
            state.isExchanging = true
            return true
        }
    }

    private func end() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            state.isExchanging = false
            return state.waiter
        }
        waiter?.resume()
    }

    // MARK: One reload

    /// - Returns: the exchange whose old components are still to be retired.
    private func reload() async -> Exchange? {
        logger.info("SIGHUP: reloading the configuration")
        let wanted: LoadedConfiguration
        do throws(ConfigurationError) {
            wanted = try load()
        } catch {
            for problem in error.problems { logger.error("\(problem)") }
            failed("the configuration has \(error.problems.count) problems")
            return nil
        }
        let former = running.current
        if former.log != nil, Set(former.configuration.blueprints.pipelines.map(\.id)) != Set(wanted.blueprints.pipelines.map(\.id)) {
            failed("pipelines were added or removed, which needs a restart when the write-ahead log is on")
            return nil
        }
        for warning in wanted.warnings { loggers.logger("configuration").warning("\(warning)") }
        if wanted.service.writeAheadLog != former.startedWith.writeAheadLog {
            logger.warning("service.write_ahead_log has changed: that takes a restart; everything else is reloaded")
        }
        return await apply(wanted, former)
    }

    private func apply(_ wanted: LoadedConfiguration, _ former: RunningState.Content) async -> Exchange? {
        let formerAdmin = AdminServers.Wanted(former.configuration.service, former.configuration.blueprints)
        let context = makeContext(wanted.blueprints)
        let exchange = Exchange(
            transition: Transition(from: former.assembly, to: wanted.blueprints, context), context: context, inheritances: inheritances,
            logger: logger, shutdownTimeout: former.configuration.service.shutdownTimeout)
        var receiversWereStopped = false
        do throws(StartFailure) {
            try await admin.apply(AdminServers.Wanted(wanted.service, wanted.blueprints))
            try await exchange.startStages()
            await exchange.connect()
            receiversWereStopped = true
            try await exchange.exchangeReceivers()
        } catch {
            let restored = await exchange.withdraw(receiversWereStopped: receiversWereStopped)
            running.update { $0.assembly = restored }
            _ = makeContext(former.configuration.blueprints)
            do throws(StartFailure) {
                try await admin.apply(formerAdmin)
            } catch {
                logger.error("an endpoint could not be started again", metadata: ["reason": "\(error)"])
            }
            failed("\(error)")
            return nil
        }
        running.update {
            $0.assembly = exchange.transition.next
            $0.configuration = wanted
            $0.reloadTrouble = nil
        }
        loggers.output.level = wanted.service.logLevel.swiftLogLevel
        loggers.output.encoding = wanted.service.logEncoding.ofLines
        metrics.succeeded()
        let plan = exchange.transition.plan
        logger.info("configuration reloaded", metadata: plan.summary.mapValues { "\($0)" })
        exchange.transition.next.announce(exchange.transition.madeReceivers, exchange.transition.madeExporters, logger)
        return exchange
    }

    private func failed(_ reason: String) {
        running.update { $0.reloadTrouble = "the last reload failed, the configuration before it is in force: \(reason)" }
        metrics.failed()
        logger.error("the reload failed, the configuration before it stays in force", metadata: ["reason": "\(reason)"])
    }
}

/// Own metrics of reloads; the second is what Prometheus itself and its relatives have under this name.
struct ReloadMetrics: Sendable {
    private let successes: Counter
    private let failures: Counter
    private let lastSuccessful: Gauge

    init(_ registry: MetricRegistry) {
        func counter(_ result: String) -> Counter {
            registry.counter(
                "collector_config_reloads_total", help: "Reloads of the configuration.", labels: [(name: "result", value: result)])
        }
        successes = counter("success")
        failures = counter("failure")
        lastSuccessful = registry.gauge(
            "collector_config_last_reload_successful", help: "1 unless the last reload of the configuration failed.")
        lastSuccessful.set(1)
    }

    func succeeded() {
        successes.add()
        lastSuccessful.set(1)
    }

    func failed() {
        failures.add()
        lastSuccessful.set(0)
    }
}
