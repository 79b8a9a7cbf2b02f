import Configuration
import Glibc
import Logging
import OTLPWire
import SelfTelemetry
import Synchronization
import Testing

@testable import GenAI

@Suite struct PriceTests {
    private func usage(
        _ prompt: Int64, _ completion: Int64, cached: Int64 = 0, write: Int64 = 0, reasoning: Int64 = 0, excluded: Bool = false
    ) -> TokenUsage {
        var usage = TokenUsage()
        (usage.prompt, usage.completion, usage.cached) = (prompt, completion, cached)
        (usage.cacheWrite, usage.reasoning, usage.excludesCached) = (write, reasoning, excluded)
        return usage
    }

    private func price(
        _ input: Double?, _ output: Double?, read: Double? = nil, write: Double? = nil, reasoning: Double? = nil
    ) -> ModelPrice {
        var price = ModelPrice()
        (price.base.input, price.base.output, price.base.cacheRead) = (input, output, read)
        (price.base.cacheWrite, price.base.reasoning) = (write, reasoning)
        return price
    }

    @Test func cachedTokensAreTakenOutOfThePromptUnlessTheyAreNotInIt() {
        let price = price(10, 100, read: 1, write: 20)
        #expect(price.cost(of: usage(100, 1, cached: 40, write: 10))?.prompt == 740)
        #expect(price.cost(of: usage(100, 1, cached: 40, write: 10, excluded: true))?.prompt == 1_240)
        // More from the cache than there is in all: it was not counted in.
        #expect(price.cost(of: usage(10, 1, cached: 40))?.prompt == 140)
        #expect(self.price(10, 100).cost(of: usage(100, 1, cached: 40))?.prompt == 1_000)
    }

    @Test func reasoningHasItsOwnPriceOnlyWhereThereIsOneAndItFits() {
        #expect(price(1, 10, reasoning: 3).cost(of: usage(0, 100, reasoning: 40))?.completion == 720)
        #expect(price(1, 10).cost(of: usage(0, 100, reasoning: 40))?.completion == 1_000)
        #expect(price(1, 10, reasoning: 3).cost(of: usage(0, 100, reasoning: 140))?.completion == 1_000)
    }

    @Test func theHighestPassedTierPricesTheWholeCall() {
        var price = price(1, 10, read: 0.5)
        var rates = ModelPrice.Rates()
        rates.input = 2
        price.tiers = [ModelPrice.Tier(above: 100, rates: rates)]
        rates.input = 4
        rates.output = 40
        price.tiers.append(ModelPrice.Tier(above: 200, rates: rates))
        #expect(price.cost(of: usage(100, 1))?.total == 110)
        #expect(price.cost(of: usage(101, 1))?.total == 212)
        #expect(price.cost(of: usage(201, 1, cached: 101))?.total == 490.5)
        // Excluded cached tokens are part of the prompt all the same.
        #expect(price.cost(of: usage(100, 1, cached: 101))?.total == 490.5)
    }

    @Test func aMissingPriceForUsedTokensMeansUnknown() {
        #expect(price(1, nil).cost(of: usage(5, 5)) == nil)
        #expect(price(1, nil).cost(of: usage(5, 0))?.total == 5)
        #expect(price(0, 0).cost(of: usage(5, 5))?.total == 0)
    }

    @Test func namesAreTriedFromTheLongestAndMostSpecific() {
        #expect(
            ModelNames.candidates(provider: "azure.ai.openai", model: "gpt-4o-2024-08-06")
                == ["azure/gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "azure/gpt-4o", "gpt-4o"])
        let bedrock = ModelNames.candidates(provider: "aws.bedrock", model: "us.anthropic.claude-3-5-sonnet-20241022-v2:0")
        #expect(bedrock.first == "bedrock/us.anthropic.claude-3-5-sonnet-20241022-v2:0")
        #expect(bedrock.contains("anthropic.claude-3-5-sonnet-20241022-v2:0") && bedrock.last == "claude-3-5-sonnet")
        #expect(ModelNames.candidates(provider: "", model: "openai/gpt-4o") == ["openai/gpt-4o", "gpt-4o"])
        #expect(ModelNames.candidates(provider: "x", model: "").allSatisfy { $0.isEmpty || $0 == "x/" })
    }

    @Test(arguments: [
        ("gpt-4o-2024-08-06", "gpt-4o"), ("claude-3-5-sonnet-20241022", "claude-3-5-sonnet"), ("claude-x-v2:0", "claude-x-v2"),
        ("claude-x-v2", "claude-x"), ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet"), ("gemini-1.5-pro-002", "gemini-1.5-pro"),
        ("gpt-4-0613", "gpt-4"), ("claude-3-5-haiku-latest", "claude-3-5-haiku"), ("ft:gpt-4o-mini:org::id", "ft:gpt-4o-mini"),
    ])
    func datesAndVersionsAreCutOff(_ name: String, _ expected: String) {
        #expect(ModelNames.withoutSuffix(name) == expected)
    }

    @Test(arguments: ["gpt-4o", "gpt-4o-mini", "o1", "gpt-5", "llama-3.1-8b", "claude-sonnet-4-5", "-", "", ":0", "ft:x"])
    func otherEndingsStay(_ name: String) {
        #expect(ModelNames.withoutSuffix(name) == nil)
    }

    @Test func theShippedTableIsReadableAndPricesCommonModels() throws {
        let table = PriceTable(layers: [try OwnPrices.shipped()])
        #expect(try OwnPrices.shipped().count >= 60)
        #expect(table.price(provider: "openai", model: "gpt-4o-2024-08-06")?.base.input == 2.5 / 1e6)
        #expect(table.price(provider: "anthropic", model: "claude-sonnet-4-5-20250929")?.base.cacheWrite == 3.75 / 1e6)
        #expect(table.price(provider: "aws.bedrock", model: "eu.anthropic.claude-haiku-4-5-20251001-v1:0")?.base.output == 5 / 1e6)
        #expect(table.price(provider: "mistral_ai", model: "mistral-large-latest")?.base.output == 1.5 / 1e6)
        #expect(table.price(provider: "openai", model: "gpt-4o-nobody") == nil)
    }

    @Test func theUsersPricesWinOverTheFileAndThatOverTheShipped() throws {
        let table = PriceTable(layers: [["gpt-4o": price(1, 1)], ["gpt-4o": price(2, 2), "o1": price(2, 2)], try OwnPrices.shipped()])
        #expect(table.price(provider: "openai", model: "gpt-4o-2024-08-06")?.base.input == 1)
        #expect(table.price(provider: "openai", model: "o1")?.base.input == 2)
        #expect(table.price(provider: "openai", model: "o3")?.base.input == 2 / 1e6)
    }
}

@Suite struct PriceFileTests {
    private func litellm(_ text: String) throws -> PriceTable.Layer {
        try Array(text.utf8).withUnsafeBytes { try LiteLLMPrices.read($0, file: "p.json") }
    }

    @Test func liteLLMsFormatIsReadAsItIs() throws {
        let layer = try litellm(
            """
            {"sample_spec": {"input_cost_per_token": "none"},
             "search": {"mode": "search", "tiered_pricing": [{"max_results_range": [0, 25]}]},
             "a": {"mode": "chat", "input_cost_per_token": "1e-06", "output_cost_per_token": 2e-06, "supports": {"x": [1, {}]},
                   "input_cost_per_token_above_200k_tokens": 3e-06, "input_cost_per_token_above_200k_tokens_priority": 9,
                   "cache_creation_input_token_cost_above_1hr": 7e-06, "cache_read_input_token_cost": null},
             "image": {"mode": "image_generation", "input_cost_per_token": 1e-06},
             "per-query": {"mode": "rerank", "input_cost_per_query": 0.002},
             "b": {"tiered_pricing": [{"range": [0, 256e3], "input_cost_per_token": 4e-06, "output_cost_per_token": 5e-06},
                   {"range": [256e3, 1e6], "input_cost_per_token": 6e-06, "output_cost_per_token": 7e-06}]}}
            """)
        #expect(layer.keys.sorted() == ["a", "b"])
        #expect(layer["a"]?.base.input == 1e-6 && layer["a"]?.base.cacheWrite == nil)
        #expect(layer["a"]?.tiers.map(\.above) == [200_000] && layer["a"]?.tiers[0].rates.input == 3e-6)
        #expect(layer["b"]?.rates(promptTokens: 256_000).input == 4e-6 && layer["b"]?.rates(promptTokens: 256_001).output == 7e-6)
    }

    @Test(arguments: [
        (#"{"a": {"input_cost_per_token": -1e-06}}"#, "p.json: 'a': input_cost_per_token is negative"),
        (#"{"a": {"input_cost_per_token": "free"}}"#, "p.json: 'a': input_cost_per_token is no number"),
        (#"{"a": {"output_cost_per_token": true}}"#, "p.json: 'a': output_cost_per_token is no number"),
        (#"{"a": {"output_cost_per_token": 2.5}}"#, "p.json: 'a': output_cost_per_token is more than a dollar per token"),
        (#"{"a": 1}"#, "p.json: 'a': expected an object"), (#"{"a": {"#, "p.json: invalid JSON at byte 7"),
        ("[]", "p.json: is no JSON object of models"), (#"{"a": {}} x"#, "p.json: invalid JSON at byte 10"),
        (
            #"{"a": {"tiered_pricing": [{"input_cost_per_token": 1e-06}]}}"#,
            "p.json: 'a': tiered_pricing has no range of two ascending numbers"
        ),
    ])
    func aBadFileIsRefusedWithItsKey(_ text: String, _ message: String) {
        #expect(throws: PriceFileError.self) { try litellm(text) }
        do { _ = try litellm(text) } catch { #expect("\(error)" == message) }
    }

    @Test(arguments: [
        ("models: {a: {input: -1}}", "p.yaml:1:14: models.a.input: must be from 0.0 to 1000000.0"),
        ("models: {a: {input: x}}", "p.yaml:1:14: models.a.input: expected a number, found 'x'"),
        ("models: {a: {}}", "p.yaml:1:10: models.a: needs a price: input, output or both"),
        ("a: 1", "p.yaml: has no 'models'"), ("models: {a: {inputs: 1, output: 1}}", "unknown key 'inputs'"), (": :", "p.yaml"),
    ])
    func ourOwnFormIsRefusedWithItsPlace(_ text: String, _ message: String) {
        do {
            _ = try OwnPrices.read(yaml: text, file: "p.yaml")
            Issue.record("accepted")
        } catch {
            #expect(error.description.contains(message), "\(error)")
        }
    }

    @Test func aConfigurationWithAnUnusableFileIsRefusedAtItsPlace() throws {
        let section = try ConfigSection(yaml: "price_file: /nonexistent/prices.json\nprices: {a: {input: -1}}")
        _ = GenAIConfig(from: section)
        #expect(section.problemMessages.count == 2)
        #expect(section.problemMessages[0].hasPrefix("test.yaml:1:1: test.price_file: /nonexistent/prices.json: cannot be read"))
    }

    @Test func aChangedFileIsTakenOverAndABadOneChangesNothing() throws {
        let path = "/tmp/genai-prices-\(getpid())-\(UInt32.random(in: 0 ... .max)).json"
        defer { unlink(path) }
        func write(_ text: String) {
            guard let file = fopen(path, "w") else { return }
            fputs(text, file)
            fclose(file)
        }
        write(#"{"a": {"input_cost_per_token": 1e-06}}"#)
        let taken = Mutex<[Double?]>([])
        let registry = MetricRegistry()
        let watcher = PriceWatcher(
            path: path, stamp: PriceFile.stamp(path), registry: registry, processor: "genai", logger: Logger(label: "test")
        ) { layer in taken.withLock { $0.append(layer["a"]?.base.input) } }
        watcher.poll()
        #expect(taken.withLock { $0 } == [])
        // Another size each time: two writes may fall on one tick of the file system's clock.
        write(#"{"a": {"input_cost_per_token": 25e-07}}"#)
        watcher.poll()
        watcher.poll()
        #expect(taken.withLock { $0 } == [2.5e-6] && watcher.problem == nil)
        write(#"{"a": {"input_cost_per_token": -25e-07}}"#)
        watcher.poll()
        #expect(taken.withLock { $0 } == [2.5e-6])
        #expect(watcher.problem?.contains("'a': input_cost_per_token is negative") == true)
        write(#"{"a": {"input_cost_per_token": 3e-06}}  "#)
        watcher.poll()
        #expect(taken.withLock { $0 } == [2.5e-6, 3e-6] && watcher.problem == nil)
        let text = registry.prometheusText()
        #expect(text.contains(#"collector_genai_price_reload_failures_total{processor="genai"} 1"#))
    }
}
