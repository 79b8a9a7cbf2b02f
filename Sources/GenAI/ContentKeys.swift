import OTLPWire

/// Attributes and events that hold what people wrote and models answered, in all vocabularies: what `capture_content: false`
/// leaves out of every span, also of those that are no LLM call.
enum ContentKeys {
    private static let keys: [StaticString] = [
        "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt", "gen_ai.completion",
        "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.retrieval.documents", "gen_ai.retrieval.query.text",
        "gen_ai.content.prompt", "gen_ai.content.completion", "input.value", "output.value", "traceloop.entity.input",
        "traceloop.entity.output", "langfuse.observation.input", "langfuse.observation.output", "langfuse.trace.input",
        "langfuse.trace.output", "ai.prompt", "ai.prompt.messages", "ai.prompt.tools", "ai.response.text", "ai.response.object",
        "ai.response.toolCalls", "ai.response.reasoning", "ai.toolCall.args", "ai.toolCall.result", "ai.value", "ai.values",
        "ai.result.text", "ai.result.object", "ai.result.toolCalls", "request_data", "response_data", "all_messages_events",
        "pydantic_ai.all_messages", "final_result", "tool_arguments", "tool_response", "llm.prompt_template.variables",
        "llm.prompt_template.template", "llm.function_call", "tool.parameters",
    ]

    private static let prefixes: [StaticString] = [
        "gen_ai.prompt.", "gen_ai.completion.", "llm.input_messages.", "llm.output_messages.", "llm.prompts.", "llm.choices.",
        "embedding.embeddings.", "embedding.text", "retrieval.documents.", "reranker.input_documents.", "reranker.output_documents.",
        "reranker.query", "llm.request.functions.",
    ]

    private static let events: [StaticString] = ["gen_ai.content.prompt", "gen_ai.content.completion"]

    static func isContent(attribute key: WireBytes) -> Bool {
        keys.contains { key.matches($0) } || prefixes.contains { key.begins(with: $0) }
    }

    static func isContent(event name: WireBytes) -> Bool {
        GenAIMessageEvent.isInput(name) || GenAIMessageEvent.isOutput(name) || events.contains { name.matches($0) }
    }
}
