import OTLPWire

/// Reads LiteLLM's `model_prices_and_context_window.json` as it is: an object of models, prices in US dollars per token, numbers
/// perhaps as text. Models that are not priced by tokens (images, audio, search) are passed over.
///
/// A price that is no number or negative refuses the whole file: a table that is half right is worse than the old one.
enum LiteLLMPrices {
    private struct Refused: Error {
        let problem: String
    }

    /// What a model must be for, to be priced by tokens; also without any mode.
    private static let modes: Set<String> = ["chat", "responses", "completion", "embedding", "rerank", "moderation"]

    static func read(_ bytes: WireBytes, file: String) throws(PriceFileError) -> PriceTable.Layer {
        var scanner = JSONScanner(bytes)
        var layer: PriceTable.Layer = [:]
        do {
            guard case .object = try scanner.value() else { throw Refused(problem: "is no JSON object of models") }
            while let key = try scanner.nextKey() {
                let name = string(key)
                guard layer.count < GenAILimits.pricesMax else { throw Refused(problem: "more than \(GenAILimits.pricesMax) models") }
                guard case .object = try scanner.value() else { throw Refused(problem: "'\(shortened(name))': expected an object") }
                let model = try Model(name: name, &scanner)
                if let problem = model.problem { throw Refused(problem: problem) }
                if let price = model.price { layer[name] = price }
            }
            try scanner.finish()
            return layer
        } catch let error as Refused {
            throw PriceFileError(file, error.problem)
        } catch let error as JSONScanError {
            throw PriceFileError(file, "\(error == .nestedTooDeep ? "nested too deep" : "invalid JSON") at byte \(scanner.offset)")
        } catch {
            throw PriceFileError(file, "cannot be read")
        }
    }

    private struct Model {
        private var mode: String?
        private var base = ModelPrice.Rates()
        private var tiers: [Int64: ModelPrice.Rates] = [:]
        private var list: [ModelPrice.Tier] = []
        private let name: String
        private var noted: String?

        private enum Rate: String, CaseIterable {
            case input = "input_cost_per_token"
            case output = "output_cost_per_token"
            case cacheRead = "cache_read_input_token_cost"
            case cacheWrite = "cache_creation_input_token_cost"
            case reasoning = "output_cost_per_reasoning_token"

            func set(_ price: Double?, in rates: inout ModelPrice.Rates) {
                switch self {
                case .input: rates.input = price
                case .output: rates.output = price
                case .cacheRead: rates.cacheRead = price
                case .cacheWrite: rates.cacheWrite = price
                case .reasoning: rates.reasoning = price
                }
            }
        }

        init(name: String, _ scanner: inout JSONScanner) throws(JSONScanError) {
            self.name = name
            while let jsonKey = try scanner.nextKey() {
                let key = LiteLLMPrices.string(jsonKey)
                if key == "mode" {
                    if case .string(let text) = try Self.scalar(&scanner) { mode = LiteLLMPrices.string(text) }
                } else if key == "tiered_pricing" {
                    try readList(&scanner)
                } else if let (rate, threshold) = Self.rate(key) {
                    let price = try price(key, &scanner)
                    if let threshold { rate.set(price, in: &tiers[threshold, default: .init()]) } else { rate.set(price, in: &base) }
                } else {
                    try scanner.skip()
                }
            }
        }

        private var isPricedByTokens: Bool { name != "sample_spec" && mode.map(LiteLLMPrices.modes.contains) ?? true }

        /// What refuses the file: only of models that are priced by tokens, since others may mean other things by the same keys.
        var problem: String? { isPricedByTokens ? noted : nil }

        /// Nil for models that are not priced by tokens.
        var price: ModelPrice? {
            guard isPricedByTokens else { return nil }
            var price = ModelPrice()
            price.base = base
            price.tiers = tiers.map { ModelPrice.Tier(above: $0.key, rates: $0.value) }.filter { !$0.rates.isEmpty }
            if price.tiers.isEmpty, !list.isEmpty {
                price.tiers = list
                if let first = list.min(by: { $0.above < $1.above }) { price.base = first.rates.over(base) }
            }
            price.tiers.sort { $0.above < $1.above }
            return price.base.input == nil && price.base.output == nil ? nil : price
        }

        /// Which rate a key is, and above which prompt: `input_cost_per_token_above_200k_tokens`.
        private static func rate(_ key: String) -> (rate: Rate, threshold: Int64?)? {
            for rate in Rate.allCases where key.hasPrefix(rate.rawValue) {
                let rest = key.dropFirst(rate.rawValue.count)
                if rest.isEmpty { return (rate, nil) }
                guard rest.hasPrefix("_above_"), rest.hasSuffix("k_tokens"), let thousands = Int64(rest.dropFirst(7).dropLast(8)),
                    thousands > 0, thousands < 1_000_000
                else { continue }
                return (rate, thousands * 1_000)
            }
            return nil
        }

        /// `tiered_pricing`: objects with `range: [low, high]` and rates.
        private mutating func readList(_ scanner: inout JSONScanner) throws(JSONScanError) {
            switch try scanner.value() {
            case .array: break
            case .object:
                while try scanner.nextKey() != nil { try scanner.skip() }
                return note("tiered_pricing", "is no list")
            case .string, .number, .bool, .null: return note("tiered_pricing", "is no list")
            }
            while try scanner.nextElement() {
                guard case .object = try scanner.value() else { throw .malformed }
                var low: Double?
                var rates = ModelPrice.Rates()
                while let jsonKey = try scanner.nextKey() {
                    let key = LiteLLMPrices.string(jsonKey)
                    if key == "range" {
                        low = try readRange(&scanner)
                    } else if let rate = Rate(rawValue: key) {
                        rate.set(try price("tiered_pricing.\(key)", &scanner), in: &rates)
                    } else {
                        try scanner.skip()
                    }
                }
                guard let low, let above = TolerantNumber.count(low.rounded(.down)) else {
                    note("tiered_pricing", "has no range of two ascending numbers")
                    continue
                }
                if list.count >= GenAILimits.tiersMax { note("tiered_pricing", "has more than \(GenAILimits.tiersMax) tiers") }
                list.append(ModelPrice.Tier(above: above, rates: rates))
            }
        }

        private func readRange(_ scanner: inout JSONScanner) throws(JSONScanError) -> Double? {
            guard case .array = try scanner.value() else { throw .malformed }
            var numbers: [Double?] = []
            while try scanner.nextElement() { numbers.append(Self.number(try Self.scalar(&scanner))) }
            guard numbers.count == 2, let low = numbers[0], let high = numbers[1], low >= 0, low <= high else { return nil }
            return low
        }

        /// Nil for null, which LiteLLM writes for "not known".
        private mutating func price(_ key: String, _ scanner: inout JSONScanner) throws(JSONScanError) -> Double? {
            let scalar = try Self.scalar(&scanner)
            if case .null = scalar { return nil }
            guard let number = Self.number(scalar) else {
                note(key, "is no number")
                return nil
            }
            if number < 0 { note(key, "is negative") }
            if number > GenAILimits.pricePerTokenMaxUSD { note(key, "is more than a dollar per token") }
            return number
        }

        /// Only the first problem is kept.
        private mutating func note(_ key: String, _ text: String) {
            if noted == nil { noted = "'\(LiteLLMPrices.shortened(name))': \(key) \(text)" }
        }

        private static func scalar(_ scanner: inout JSONScanner) throws(JSONScanError) -> JSONScanner.Value {
            let value = try scanner.value()
            switch value {
            case .object: while try scanner.nextKey() != nil { try scanner.skip() }
            case .array: while try scanner.nextElement() { try scanner.skip() }
            case .string, .number, .bool, .null: break
            }
            return value
        }

        private static func number(_ value: JSONScanner.Value) -> Double? {
            switch value {
            case .number(let text): TolerantNumber.amount(text)
            case .string(let text): TolerantNumber.amount(text.raw)
            case .object, .array, .bool, .null: nil
            }
        }
    }

    private static func string(_ text: JSONString) -> String {
        var output = OutputBuffer()
        text.append(to: &output)
        return output.withBytes { String(decoding: $0, as: UTF8.self) }
    }

    private static func shortened(_ name: String) -> String {
        String(name.filter { $0.isASCII && !$0.isNewline }.prefix(80))
    }
}
