import OTLPWire

/// Numbers of JSON texts.
extension JSONMembers {
    static func amount(_ scanner: inout JSONScanner) throws(JSONScanError) -> Double? {
        guard let text = try text(&scanner), let number = TolerantNumber.amount(text.raw), number >= 0 else { return nil }
        return number
    }

    static func count(_ scanner: inout JSONScanner) throws(JSONScanError) -> Int64? {
        try amount(&scanner).flatMap(TolerantNumber.count)
    }
}

/// Token counts as Langfuse's `usage_details` and the providers' own usage objects have them.
struct UsageDetails {
    private(set) var prompt: Int64?
    private(set) var completion: Int64?
    private(set) var cached: Int64?
    private(set) var cacheWrite: Int64?
    private(set) var reasoning: Int64?
    /// Whether `prompt` counts only what did not come from a cache.
    private(set) var excludesCached = false

    init?(_ value: AnyValueView?) {
        guard case .string(let text)? = value else { return nil }
        var found = Found()
        guard JSONMembers.read(text, { (key, scanner) throws(JSONScanError) in try found.read(key, &scanner) }) else { return nil }
        prompt = found.input ?? found.promptTokens ?? found.inputTokens
        completion = found.output ?? found.completionTokens ?? found.outputTokens
        cached = found.nestedCached ?? found.cacheRead ?? found.inputCached
        cacheWrite = found.cacheCreation
        reasoning = found.nestedReasoning ?? found.outputReasoning
        // OpenAI's objects nest the cached tokens and include them; the others tell of them beside.
        excludesCached = found.nestedCached == nil && (found.input != nil || found.promptTokens == nil)
    }

    private struct Found {
        var input: Int64?, promptTokens: Int64?, inputTokens: Int64?
        var output: Int64?, completionTokens: Int64?, outputTokens: Int64?
        var nestedCached: Int64?, cacheRead: Int64?, inputCached: Int64?, cacheCreation: Int64?
        var nestedReasoning: Int64?, outputReasoning: Int64?

        mutating func read(_ key: JSONString, _ scanner: inout JSONScanner) throws(JSONScanError) -> Bool {
            let raw = key.raw
            if raw.matches("input") {
                input = try JSONMembers.count(&scanner)
            } else if raw.matches("prompt_tokens") {
                promptTokens = try JSONMembers.count(&scanner)
            } else if raw.matches("input_tokens") {
                inputTokens = try JSONMembers.count(&scanner)
            } else if raw.matches("output") {
                output = try JSONMembers.count(&scanner)
            } else if raw.matches("completion_tokens") {
                completionTokens = try JSONMembers.count(&scanner)
            } else if raw.matches("output_tokens") {
                outputTokens = try JSONMembers.count(&scanner)
            } else if raw.matches("cache_read_input_tokens") {
                cacheRead = try JSONMembers.count(&scanner)
            } else if raw.matches("input_cached_tokens") {
                inputCached = try JSONMembers.count(&scanner)
            } else if raw.matches("cache_creation_input_tokens") {
                cacheCreation = try JSONMembers.count(&scanner)
            } else if raw.matches("output_reasoning_tokens") {
                outputReasoning = try JSONMembers.count(&scanner)
            } else if raw.matches("prompt_tokens_details") || raw.matches("input_tokens_details") {
                try details(&scanner, "cached_tokens") { $0.nestedCached = $1 }
            } else if raw.matches("completion_tokens_details") || raw.matches("output_tokens_details") {
                try details(&scanner, "reasoning_tokens") { $0.nestedReasoning = $1 }
            } else {
                return false
            }
            return true
        }

        /// One member of an object inside the object.
        private mutating func details(
            _ scanner: inout JSONScanner, _ wanted: StaticString, _ set: (inout Found, Int64) -> Void
        ) throws(JSONScanError) {
            guard case .object = try scanner.value() else { return }
            var count: Int64?
            try JSONMembers.members(&scanner) { (key, scanner) throws(JSONScanError) in
                guard key.matches(wanted) else { return false }
                count = try JSONMembers.count(&scanner)
                return true
            }
            if let count { set(&self, count) }
        }
    }
}

/// Langfuse's `cost_details`, US dollars.
struct CostDetails {
    private(set) var prompt: Double?
    private(set) var completion: Double?
    /// `total`, else the sum of all entries.
    private(set) var total: Double?

    init?(_ value: AnyValueView?) {
        guard case .string(let text)? = value else { return nil }
        var prompt: Double?
        var completion: Double?
        var total: Double?
        var sum: Double?
        let isJSON = JSONMembers.read(text) { (key, scanner) throws(JSONScanError) in
            guard let amount = try JSONMembers.amount(&scanner) else { return true }
            if key.matches("total") {
                total = amount
            } else {
                if key.matches("input") { prompt = amount }
                if key.matches("output") { completion = amount }
                sum = (sum ?? 0) + amount
            }
            return true
        }
        guard isJSON else { return nil }
        (self.prompt, self.completion, self.total) = (prompt, completion, total ?? sum)
    }
}
