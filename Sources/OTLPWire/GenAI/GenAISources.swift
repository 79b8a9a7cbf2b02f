import Glibc

/// The attribute that names the user. Order: GenAI contract, column user_id.
public enum GenAIUserSource: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case none
    case user, endUser, genAIUser, requestUser, llmUser, traceloop, langfuse
    /// Members of JSON text.
    case invocationParameters, metadata

    public var key: StaticString {
        switch self {
        case .none: ""
        case .user: "user.id"
        case .endUser: "enduser.id"
        case .genAIUser: "gen_ai.user"
        case .requestUser: "gen_ai.request.user"
        case .llmUser: "llm.user"
        case .traceloop: "traceloop.association.properties.user_id"
        case .langfuse: "langfuse.user.id"
        case .invocationParameters: "llm.invocation_parameters"
        case .metadata: "metadata"
        }
    }

    /// Of the object in the attribute, those that count, first present first; none when the attribute is the value itself.
    public var members: [StaticString] {
        switch self {
        case .invocationParameters: ["user"]
        case .metadata: ["user_id"]
        case .none, .user, .endUser, .genAIUser, .requestUser, .llmUser, .traceloop, .langfuse: []
        }
    }
}

/// The attribute that names the conversation. Order: GenAI contract, column session_id.
public enum GenAISessionSource: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case none
    case conversation, session, traceloop, langfuse
    case metadata

    public var key: StaticString {
        switch self {
        case .none: ""
        case .conversation: "gen_ai.conversation.id"
        case .session: "session.id"
        case .traceloop: "traceloop.association.properties.session_id"
        case .langfuse: "langfuse.session.id"
        case .metadata: "metadata"
        }
    }

    public var members: [StaticString] {
        switch self {
        case .metadata: ["session_id", "thread_id"]
        case .none, .conversation, .session, .traceloop, .langfuse: []
        }
    }
}

/// Where prompt or answer stand. Order: GenAI contract, columns input and output.
public enum GenAIContentSource: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case none
    /// `gen_ai.input.messages`, after `gen_ai.system_instructions`; `gen_ai.output.messages`.
    case messages
    /// `input.value`, `output.value`: OpenInference.
    case value
    /// `gen_ai.prompt`, `gen_ai.completion`.
    case prompt
    /// `gen_ai.prompt.N.…`, `gen_ai.completion.N.…`: OpenLLMetry.
    case indexedPrompt
    /// `llm.input_messages.N.message.…`, `llm.output_messages.N.message.…`: OpenInference.
    case indexedMessages
    /// `llm.prompts.N.prompt.text`, `llm.choices.N.completion.text`: OpenInference, completions.
    case indexedTexts
    /// `embedding.embeddings.N.embedding.text`: OpenInference.
    case embeddings
    /// Span events `gen_ai.user.message` and the like, `gen_ai.choice`.
    case events
    /// `traceloop.entity.input`, `.output`.
    case entity
    /// `langfuse.observation.input`, `.output`.
    case observation
    /// `gen_ai.system_instructions` alone.
    case instructions

    public static let systemInstructions: StaticString = "gen_ai.system_instructions"

    public enum Side: Sendable { case input, output }

    /// The attribute that is the content; nil where it is gathered from several.
    public func key(_ side: Side) -> StaticString? {
        switch (self, side) {
        case (.messages, .input): "gen_ai.input.messages"
        case (.messages, .output): "gen_ai.output.messages"
        case (.value, .input): "input.value"
        case (.value, .output): "output.value"
        case (.prompt, .input): "gen_ai.prompt"
        case (.prompt, .output): "gen_ai.completion"
        case (.entity, .input): "traceloop.entity.input"
        case (.entity, .output): "traceloop.entity.output"
        case (.observation, .input): "langfuse.observation.input"
        case (.observation, .output): "langfuse.observation.output"
        case (.instructions, .input): Self.systemInstructions
        case (.none, _), (.indexedPrompt, _), (.indexedMessages, _), (.indexedTexts, _), (.embeddings, _), (.events, _),
            (.instructions, .output):
            nil
        }
    }

    /// What keys of indexed content begin with, up to their number.
    public func prefix(_ side: Side) -> StaticString? {
        switch (self, side) {
        case (.indexedPrompt, .input): "gen_ai.prompt."
        case (.indexedPrompt, .output): "gen_ai.completion."
        case (.indexedMessages, .input): "llm.input_messages."
        case (.indexedMessages, .output): "llm.output_messages."
        case (.indexedTexts, .input): "llm.prompts."
        case (.indexedTexts, .output): "llm.choices."
        case (.embeddings, .input): "embedding.embeddings."
        case (.none, _), (.messages, _), (.value, _), (.prompt, _), (.events, _), (.entity, _), (.observation, _), (.instructions, _),
            (.embeddings, .output):
            nil
        }
    }

    /// What follows the number and is not part of a member's name, or is all of what counts when the content is a text per number.
    public func infix(_ side: Side) -> StaticString {
        switch (self, side) {
        case (.indexedMessages, _): "message."
        case (.indexedTexts, .input): "prompt.text"
        case (.indexedTexts, .output): "completion.text"
        case (.embeddings, _): "embedding.text"
        default: ""
        }
    }

    /// Whether each number has one text, and not members.
    public var isTextPerNumber: Bool { self == .indexedTexts || self == .embeddings }
}

/// A key of indexed content, taken apart.
public struct GenAIIndexedKey {
    /// As in the key; from 0 or 1.
    public let number: Int
    /// The member of the message: `role`, `content`, `tool_calls.0.…`. Empty where the number has one text.
    public let member: WireBytes

    /// Nil when `key` is none of `source`.
    public init?(_ key: WireBytes, _ source: GenAIContentSource, _ side: GenAIContentSource.Side) {
        guard let prefix = source.prefix(side), key.begins(with: prefix) else { return nil }
        var position = prefix.utf8CodeUnitCount
        let digitsStart = position
        var number = 0
        // Six digits: no list of messages is longer, and nothing overflows.
        while position < key.count, position < digitsStart + 6, key[position] >= UInt8(ascii: "0"), key[position] <= UInt8(ascii: "9") {
            number = number * 10 + Int(key[position] - UInt8(ascii: "0"))
            position += 1
        }
        guard position > digitsStart, position < key.count, key[position] == UInt8(ascii: ".") else { return nil }
        let rest = WireBytes(rebasing: key[(position + 1)...])
        let infix = source.infix(side)
        self.number = number
        if source.isTextPerNumber {
            guard rest.matches(infix) else { return nil }
            member = WireBytes(start: nil, count: 0)
        } else {
            guard rest.begins(with: infix), rest.count > infix.utf8CodeUnitCount else { return nil }
            member = WireBytes(rebasing: rest[infix.utf8CodeUnitCount...])
        }
    }
}

extension WireBytes {
    @inline(__always)
    public func begins(with text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && WireBytes(rebasing: self[..<text.utf8CodeUnitCount]).matches(text)
    }

    @inline(__always)
    public func equals(_ other: WireBytes) -> Bool {
        guard count == other.count, let one = baseAddress, let two = other.baseAddress else { return count == 0 && other.count == 0 }
        return memcmp(one, two, count) == 0
    }

    @inline(__always)
    public func ends(with text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && WireBytes(rebasing: self[(count - text.utf8CodeUnitCount)...]).matches(text)
    }
}

/// Span events that carry messages: the OpenTelemetry conventions until 1.36.
public enum GenAIMessageEvent {
    public static func isInput(_ name: WireBytes) -> Bool { role(name) != nil }

    public static func isOutput(_ name: WireBytes) -> Bool { name.matches("gen_ai.choice") }

    /// The role that an input event's name says.
    public static func role(_ name: WireBytes) -> StaticString? {
        if name.matches("gen_ai.user.message") { return "user" }
        if name.matches("gen_ai.assistant.message") { return "assistant" }
        if name.matches("gen_ai.system.message") { return "system" }
        if name.matches("gen_ai.tool.message") { return "tool" }
        return nil
    }
}
