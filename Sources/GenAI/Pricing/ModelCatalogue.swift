import OTLPWire
import Synchronization

/// A provider's model as spans name it, by two hashes: what everything remembered about models is looked up by.
struct ModelKey: Hashable, Sendable {
    /// One of the hashes, for tables of one's own.
    let first: UInt64
    private let second: UInt64

    /// Seeded per process, so that nobody can make two names meet.
    private static let seed = UInt64.random(in: .min ... .max)
    private static let multiplier = UInt64.random(in: .min ... .max) | 1

    @inline(__always)
    init(provider: WireBytes, model: WireBytes) {
        var state = (first: Self.seed, second: ~Self.seed)
        Self.mix(provider, into: &state)
        Self.mix(model, into: &state)
        (first, second) = state
    }

    @inline(__always)
    private static func mix(_ bytes: WireBytes, into state: inout (first: UInt64, second: UInt64)) {
        var position = 0
        while position &+ 8 <= bytes.count {
            mix(bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self), into: &state)
            position &+= 8
        }
        var rest = UInt64(truncatingIfNeeded: bytes.count)
        while position < bytes.count {
            rest = rest << 8 | UInt64(bytes[position])
            position &+= 1
        }
        // The length too: one name's end is not the other's beginning.
        mix(rest ^ UInt64(truncatingIfNeeded: bytes.count) << 56, into: &state)
    }

    @inline(__always)
    private static func mix(_ word: UInt64, into state: inout (first: UInt64, second: UInt64)) {
        let (high, low) = (state.first ^ word).multipliedFullWidth(by: multiplier)
        state.first = high ^ low
        state.second = (state.second ^ word) &* 0x9E37_79B9_7F4A_7C15
        state.second ^= state.second >> 29 ^ high
    }
}

/// A model with what it costs and where it is counted.
final class PricedModel: Sendable {
    /// Nil when no table knows it.
    let price: ModelPrice?
    let usage: ModelUsage

    init(price: ModelPrice?, usage: ModelUsage) {
        self.price = price
        self.usage = usage
    }
}

/// Looks models up once per distinct pair of provider and model, and starts over when the prices change.
final class ModelCatalogue: Sendable {
    private struct State {
        var table: PriceTable
        /// Counts the tables.
        var generation = 0
        var known: [ModelKey: PricedModel] = [:]
    }

    private let state: Mutex<State>
    private let metrics: GenAIMetrics

    init(table: PriceTable, metrics: GenAIMetrics) {
        state = Mutex(State(table: table))
        self.metrics = metrics
    }

    /// From now on models are priced by `table`.
    func replace(_ table: PriceTable) {
        state.withLock { $0 = State(table: table, generation: $0.generation + 1) }
    }

    func model(_ key: ModelKey, provider: WireBytes, model: WireBytes) -> PricedModel {
        let (known, table, generation) = state.withLock { ($0.known[key], $0.table, $0.generation) }
        if let known { return known }
        let providerName = Self.name(provider)
        let modelName = Self.name(model)
        let found = PricedModel(
            price: model.count > 0 && model.count <= GenAILimits.nameBytesMax ? table.price(provider: providerName, model: modelName) : nil,
            usage: metrics.usage(provider: providerName, model: modelName))
        state.withLock { state in
            // A price of a table that was replaced meanwhile is not remembered.
            if state.generation == generation, state.known.count < GenAILimits.pricedModelsMax { state.known[key] = found }
        }
        return found
    }

    private static func name(_ text: WireBytes) -> String {
        String(decoding: text.prefix(GenAILimits.nameBytesMax), as: UTF8.self)
    }
}
