import Configuration
import OTLPWire

/// The project's own form of prices, in YAML: model names, and for each US dollars per million tokens.
///
/// ```yaml
/// gpt-4o: { input: 2.5, output: 10, cache_read: 1.25, as_of: 2025-11-01 }
/// gemini-2.5-pro: { input: 1.25, output: 10, above: [{ tokens: 200000, input: 2.5, output: 15 }] }
/// ```
enum OwnPrices {
    private static let tokensPerPrice = 1e6
    /// US dollars per million tokens.
    private static let priceMax = GenAILimits.pricePerTokenMaxUSD * tokensPerPrice

    /// All models of a section whose keys are their names. Problems are noted in the section.
    static func read(_ section: ConfigSection) -> PriceTable.Layer {
        var layer: PriceTable.Layer = [:]
        if section.keys.count > GenAILimits.pricesMax { section.problem("more than \(GenAILimits.pricesMax) models") }
        for name in section.keys.prefix(GenAILimits.pricesMax) {
            guard let model = section.section(name) else { continue }
            var price = ModelPrice()
            price.base = rates(model)
            // When the price was looked up: for people.
            _ = model.string("as_of")
            for tier in model.sections("above").prefix(GenAILimits.tiersMax) {
                guard let tokens = tier.int("tokens", in: 1...Int(GenAILimits.tokensMax)) else {
                    tier.problem("tokens is required")
                    continue
                }
                price.tiers.append(ModelPrice.Tier(above: Int64(tokens), rates: rates(tier)))
            }
            price.tiers.sort { $0.above < $1.above }
            if !model.has("input"), !model.has("output") { model.problem("needs a price: input, output or both") }
            layer[name] = price
        }
        return layer
    }

    private static func rates(_ section: ConfigSection) -> ModelPrice.Rates {
        var rates = ModelPrice.Rates()
        func price(_ key: String) -> Double? { section.double(key, in: 0...priceMax).map { $0 / tokensPerPrice } }
        rates.input = price("input")
        rates.output = price("output")
        rates.cacheRead = price("cache_read")
        rates.cacheWrite = price("cache_write")
        rates.reasoning = price("reasoning")
        return rates
    }

    /// A file with `models:`. Throws the first problem.
    static func read(yaml: String, file: String) throws(PriceFileError) -> PriceTable.Layer {
        let section: ConfigSection
        do throws(ConfigurationError) {
            section = try ConfigSection(yaml: yaml, path: "", file: file)
        } catch {
            throw error.problems.first.map { PriceFileError(located: $0.description) } ?? PriceFileError(file, "is no YAML")
        }
        guard let models = section.section("models") else {
            throw section.problemMessages.first.map(PriceFileError.init(located:)) ?? PriceFileError(file, "has no 'models'")
        }
        let layer = read(models)
        section.finish()
        if let problem = section.problemMessages.first { throw PriceFileError(located: problem) }
        return layer
    }

    /// The table that ships with the collector.
    static func shipped() throws(PriceFileError) -> PriceTable.Layer {
        try read(yaml: String(decoding: PackageResources.prices_yaml, as: UTF8.self), file: "shipped prices")
    }
}
