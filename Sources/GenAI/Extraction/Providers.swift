import OTLPWire

/// Names of providers: what instrumentations write, as the one name of the OpenTelemetry GenAI conventions.
enum Providers {
    /// Other spellings, in lower case, and the name of the convention.
    private static let aliases: [(alias: StaticString, name: StaticString)] = [
        ("azure_openai", "azure.ai.openai"), ("az.ai.openai", "azure.ai.openai"), ("azure", "azure.ai.openai"),
        ("azure-openai", "azure.ai.openai"), ("azureopenai", "azure.ai.openai"), ("azure.openai", "azure.ai.openai"),
        ("az.ai.inference", "azure.ai.inference"), ("azure_ai", "azure.ai.inference"), ("azure_ai_inference", "azure.ai.inference"),
        ("bedrock", "aws.bedrock"), ("aws_bedrock", "aws.bedrock"), ("aws", "aws.bedrock"), ("amazon_bedrock", "aws.bedrock"),
        ("amazon-bedrock", "aws.bedrock"), ("bedrock_converse", "aws.bedrock"), ("aws-bedrock", "aws.bedrock"),
        ("xai", "x_ai"), ("x.ai", "x_ai"), ("x-ai", "x_ai"), ("grok", "x_ai"),
        ("google", "gcp.gemini"), ("gemini", "gcp.gemini"), ("google_genai", "gcp.gemini"), ("google-gla", "gcp.gemini"),
        ("google_ai_studio", "gcp.gemini"), ("google.generative-ai", "gcp.gemini"), ("generative-ai", "gcp.gemini"),
        ("vertexai", "gcp.vertex_ai"), ("vertex_ai", "gcp.vertex_ai"), ("vertex", "gcp.vertex_ai"), ("google-vertex", "gcp.vertex_ai"),
        ("google_vertexai", "gcp.vertex_ai"), ("google.vertex", "gcp.vertex_ai"), ("gcp.vertex.agent", "gcp.vertex_ai"),
        ("mistralai", "mistral_ai"), ("mistral", "mistral_ai"), ("mistral-ai", "mistral_ai"),
        ("ibm.watsonx", "ibm.watsonx.ai"), ("watsonx", "ibm.watsonx.ai"), ("watsonx.ai", "ibm.watsonx.ai"),
        ("together", "together_ai"), ("togetherai", "together_ai"), ("fireworks_ai", "fireworks"), ("fireworks-ai", "fireworks"),
        ("cohereai", "cohere"), ("cohere_chat", "cohere"), ("open_ai", "openai"), ("openai.chat", "openai"),
        ("openai.responses", "openai"), ("anthropic.messages", "anthropic"), ("deepseek-ai", "deepseek"),
    ]

    /// Names that are already the convention's, or have no other: kept as they are, but in lower case.
    private static let known: [StaticString] = [
        "openai", "anthropic", "azure.ai.openai", "azure.ai.inference", "aws.bedrock", "gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai",
        "cohere",
        "mistral_ai", "groq", "deepseek", "perplexity", "x_ai", "ibm.watsonx.ai", "together_ai", "fireworks", "ollama", "openrouter",
        "huggingface", "replicate", "cerebras", "moonshot", "nvidia",
    ]

    /// Frameworks that name themselves where the provider belongs.
    private static let frameworks: [StaticString] = [
        "langchain", "langgraph", "strands-agents", "strands", "llamaindex", "llama_index", "haystack", "crewai", "openai-agents",
        "openai_agents", "pydantic-ai", "pydantic_ai", "autogen", "semantic_kernel", "semantic-kernel", "smolagents", "dspy", "agno",
        "google_adk", "google-adk", "mcp", "litellm", "traceloop", "langfuse", "vercel", "guardrails", "instructor", "beeai",
    ]

    /// What a text says about the provider.
    enum Verdict {
        /// A name of static storage.
        case known(StaticString)
        /// None that we know: kept as sent.
        case other
        case framework
    }

    /// Longest name in the tables.
    private static let nameBytesMax = 24

    /// All three tables, by name in lower case. Read once per distinct provider of a batch.
    private static let verdicts: [String: Verdict] = {
        var verdicts: [String: Verdict] = [:]
        for name in frameworks { verdicts["\(name)"] = .framework }
        for name in known { verdicts["\(name)"] = .known(name) }
        for (alias, name) in aliases { verdicts["\(alias)"] = .known(name) }
        return verdicts
    }()

    static func verdict(_ text: WireBytes) -> Verdict {
        guard text.count <= nameBytesMax else { return .other }
        return verdicts[String(decoding: text, as: UTF8.self).lowercased()] ?? .other
    }

    /// Of the families that models are named for; longest first where one begins with another.
    private static let families: [(prefix: StaticString, name: StaticString)] = [
        ("gpt-", "openai"), ("chatgpt-", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"), ("text-embedding-3", "openai"),
        ("text-embedding-ada", "openai"), ("text-davinci", "openai"), ("davinci", "openai"), ("babbage", "openai"), ("ft:gpt", "openai"),
        ("dall-e", "openai"), ("whisper", "openai"), ("tts-1", "openai"), ("omni-moderation", "openai"), ("codex-", "openai"),
        ("computer-use-", "openai"), ("claude", "anthropic"), ("gemini", "gcp.gemini"), ("text-embedding-004", "gcp.gemini"),
        ("text-embedding-005", "gcp.vertex_ai"), ("gemma", "gcp.gemini"), ("models/gemini", "gcp.gemini"), ("mistral", "mistral_ai"),
        ("mixtral", "mistral_ai"), ("codestral", "mistral_ai"), ("ministral", "mistral_ai"), ("magistral", "mistral_ai"),
        ("devstral", "mistral_ai"), ("pixtral", "mistral_ai"), ("open-mistral", "mistral_ai"), ("open-mixtral", "mistral_ai"),
        ("command", "cohere"), ("embed-english", "cohere"), ("embed-multilingual", "cohere"), ("embed-v4", "cohere"), ("rerank-", "cohere"),
        ("deepseek", "deepseek"), ("grok-", "x_ai"), ("sonar", "perplexity"), ("anthropic.", "aws.bedrock"), ("amazon.", "aws.bedrock"),
        ("meta.llama", "aws.bedrock"), ("cohere.", "aws.bedrock"), ("mistral.", "aws.bedrock"), ("us.", "aws.bedrock"),
        ("eu.", "aws.bedrock"), ("apac.", "aws.bedrock"), ("global.", "aws.bedrock"), ("arn:aws:bedrock", "aws.bedrock"),
    ]

    /// The provider whose models have such names: by a prefix `provider/`, else by the family. Nil when neither is known.
    static func inferred(fromModel model: WireBytes) -> StaticString? {
        if let slash = model.firstIndex(of: UInt8(ascii: "/")), slash > 0,
            case .known(let name) = verdict(WireBytes(rebasing: model[..<slash]))
        {
            return name
        }
        // `mistral.…` is Bedrock's, `mistral-…` is not.
        var found: StaticString?
        var length = 0
        for (prefix, name) in families where prefix.utf8CodeUnitCount > length && model.begins(with: prefix) {
            (found, length) = (name, prefix.utf8CodeUnitCount)
        }
        return found
    }
}

extension StaticString {
    /// Its bytes, which live as long as the process.
    var bytes: WireBytes { WireBytes(start: utf8Start, count: utf8CodeUnitCount) }
}
