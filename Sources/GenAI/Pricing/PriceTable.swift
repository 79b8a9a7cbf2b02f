/// Prices by model name: layers, of which the first that has a name for the model decides. The user's own prices come before the
/// price file, and that before the table that ships with the collector.
public struct PriceTable: Sendable {
    public typealias Layer = [String: ModelPrice]

    private let layers: [Layer]

    public init(layers: [Layer]) {
        self.layers = layers.filter { !$0.isEmpty }
    }

    /// The price of `model` as `provider` sells it; nil when unknown. Slow: see `ModelCatalogue`.
    public func price(provider: String, model: String) -> ModelPrice? {
        let names = ModelNames.candidates(provider: provider, model: model)
        for layer in layers {
            for name in names {
                if let price = layer[name] { return price }
            }
        }
        return nil
    }
}

/// Why a price table cannot be used: which file, which key, what is wrong. Holds no more of the file than names.
public struct PriceFileError: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ file: String, _ problem: String) {
        description = "\(file): \(problem)"
    }

    /// A problem that says its file itself.
    init(located problem: String) {
        description = problem
    }
}
