/// The names under which a model may stand in a price table, best first.
///
/// Each is tried with the provider's prefix and without; then again without its last date or version, and so on: the longest
/// name that is in the table wins. Prefixes that say who serves the model (`us.`, `anthropic.`, `openai/`) are also tried without.
enum ModelNames {
    /// Prefixes of LiteLLM's table for the providers of the GenAI conventions. Others are tried with their own name.
    static let tablePrefixes: [String: String] = [
        "openai": "openai/", "azure.ai.openai": "azure/", "azure.ai.inference": "azure_ai/", "aws.bedrock": "bedrock/",
        "gcp.gemini": "gemini/", "gcp.gen_ai": "gemini/", "gcp.vertex_ai": "vertex_ai/", "x_ai": "xai/", "mistral_ai": "mistral/",
        "groq": "groq/", "cohere": "cohere/", "deepseek": "deepseek/", "perplexity": "perplexity/", "together_ai": "together_ai/",
        "fireworks": "fireworks_ai/", "ibm.watsonx.ai": "watsonx/", "anthropic": "anthropic/", "nvidia": "nvidia_nim/",
    ]

    /// Who serves a model, before a slash.
    private static let servers: Set<String> = Set(tablePrefixes.values).union([
        "models/", "google/", "mistralai/", "x-ai/", "openrouter/", "cerebras/", "ollama/", "moonshot/", "litellm_proxy/",
    ])

    /// Regions of Bedrock's inference profiles, and makers of the models it serves.
    private static let regions = ["us.", "eu.", "apac.", "global.", "us-gov.", "au.", "jp.", "ca.", "sa."]
    private static let makers = [
        "anthropic.", "amazon.", "meta.", "mistral.", "cohere.", "ai21.", "deepseek.", "openai.", "qwen.", "writer.", "stability.",
    ]

    /// Suffixes that are cut off one after another.
    private static let suffixesMax = 4

    static func candidates(provider: String, model: String) -> [String] {
        let prefix = tablePrefixes[provider] ?? (provider.isEmpty ? "" : provider + "/")
        var found: [String] = []
        var seen: Set<String> = []
        var forms = forms(of: model)
        for _ in 0...suffixesMax {
            for form in forms {
                for name in prefix.isEmpty || form.hasPrefix(prefix) ? [form] : [prefix + form, form] where seen.insert(name).inserted {
                    found.append(name)
                }
            }
            let shorter = forms.compactMap(withoutSuffix)
            guard !shorter.isEmpty else { break }
            forms = shorter
        }
        return found
    }

    /// The name, and the name without what is in front of the model's own, one piece after another.
    private static func forms(of model: String) -> [String] {
        var forms = [model]
        var rest = Substring(model)
        if rest.hasPrefix("arn:"), let slash = rest.lastIndex(of: "/") {
            rest = rest[rest.index(after: slash)...]
            forms.append(String(rest))
        }
        while let slash = rest.firstIndex(of: "/"), servers.contains(String(rest[...slash])) {
            rest = rest[rest.index(after: slash)...]
            forms.append(String(rest))
        }
        for pieces in [regions, makers] {
            guard let piece = pieces.first(where: { rest.hasPrefix($0) }) else { continue }
            rest = rest.dropFirst(piece.count)
            forms.append(String(rest))
        }
        return forms.filter { !$0.isEmpty }
    }

    /// The name without its last date or version: `:0`, `@20240620`, `-v2`, `-2024-08-06`, `-20241022`, `-0613`, `-002`, `-latest`;
    /// of a fine-tuned model what names the customer. Nil when it has none.
    static func withoutSuffix(_ name: String) -> String? {
        if name.hasPrefix("ft:") {
            let parts = name.split(separator: ":", omittingEmptySubsequences: false)
            if parts.count > 2 { return parts[..<2].joined(separator: ":") }
        }
        if let mark = name.lastIndex(where: { $0 == ":" || $0 == "@" }), mark > name.startIndex, !name.hasPrefix("ft:") {
            let version = name[name.index(after: mark)...]
            if isDigits(version) || version == "latest" || version == "default" { return String(name[..<mark]) }
        }
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count > 1, let last = parts.last else { return nil }
        func dropping(_ count: Int) -> String? { parts.count > count ? parts.dropLast(count).joined(separator: "-") : nil }
        if parts.count > 3, last.count == 2, isDigits(last) {
            let month = parts[parts.count - 2]
            let year = parts[parts.count - 3]
            if month.count == 2, isDigits(month), year.count == 4, isDigits(year) { return dropping(3) }
        }
        if last == "latest" { return dropping(1) }
        if isDigits(last), last.count == 8 || last.count == 4 || last.count == 3 { return dropping(1) }
        if last.first == "v", last.count <= 3, isDigits(last.dropFirst()) { return dropping(1) }
        return nil
    }

    private static func isDigits(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    }
}
