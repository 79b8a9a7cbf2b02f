"""Calls a provider as applications do, with one instrumentation switched on: calls.py INSTRUMENTATION PROVIDER_URL OTLP_URL.

Runs in the environment of requirements-genai.txt; each instrumentation in a process of its own, since they replace the same functions.
"""
import os
import sys
from contextlib import contextmanager

INSTRUMENTATION, PROVIDER, OTLP = sys.argv[1:]
os.environ.update({
    "OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "OPENAI_BASE_URL": f"{PROVIDER}/v1", "ANTHROPIC_BASE_URL": PROVIDER,
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only", "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk", "LANGFUSE_HOST": "http://127.0.0.1:9",
    "LANGFUSE_BASE_URL": "http://127.0.0.1:9",
    "TRACELOOP_TRACE_CONTENT": "true"})

from opentelemetry import trace  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: E402

provider = TracerProvider(resource=Resource({"service.name": INSTRUMENTATION}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{OTLP}/v1/traces")))
trace.set_tracer_provider(provider)

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How are you?"}]
OPENAI_TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
ANTHROPIC_TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {}}}


@contextmanager
def step(name):
    """A parent span that names the call for the test; a failing call is part of the plan."""
    with trace.get_tracer("steps").start_as_current_span(f"step {name}"):
        try:
            yield
        except Exception as error:  # the instrumentations record it
            if name != "error":
                raise
            print(name, type(error).__name__)


def openai_calls(module=None):
    if module is None:
        import openai as module
    client = module.OpenAI(max_retries=0)
    with step("chat"):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, user="user-1")
    with step("stream"):
        for _ in client.chat.completions.create(
                model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}):
            pass
    with step("tool"):
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES, tools=[OPENAI_TOOL])
    with step("embeddings"):
        client.embeddings.create(model="text-embedding-3-small", input="one text")
    with step("error"):
        client.chat.completions.create(model="failing", messages=MESSAGES)


def anthropic_calls():
    import anthropic
    client = anthropic.Anthropic(max_retries=0)
    common = {"model": "claude-sonnet-4-5", "max_tokens": 50, "messages": MESSAGES[1:], "system": "Be brief."}
    with step("chat"):
        client.messages.create(**common, metadata={"user_id": "user-1"})
    with step("stream"):
        for _ in client.messages.create(**common, stream=True):
            pass
    with step("tool"):
        client.messages.create(**common, tools=[ANTHROPIC_TOOL])
    with step("error"):
        client.messages.create(**{**common, "model": "failing"})


def openai_v2():
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    openai_calls()


def openinference_openai():
    from openinference.instrumentation import using_session, using_user
    from openinference.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    with using_session("session-1"), using_user("user-1"):
        openai_calls()


def openinference_anthropic():
    from openinference.instrumentation import using_session, using_user
    from openinference.instrumentation.anthropic import AnthropicInstrumentor
    AnthropicInstrumentor().instrument(tracer_provider=provider)
    with using_session("session-1"), using_user("user-1"):
        anthropic_calls()


def openllmetry_openai():
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    openai_calls()


def anthropic_sdk():
    anthropic_calls()


def langfuse():
    from langfuse import Langfuse, propagate_attributes
    from langfuse.openai import openai as wrapped
    Langfuse(tracer_provider=provider)
    with propagate_attributes(session_id="session-1", user_id="user-1"):
        openai_calls(wrapped)


def pydantic_ai():
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings
    settings = InstrumentationSettings(tracer_provider=provider, include_content=True)
    Agent.instrument_all(settings)
    with step("chat"):
        Agent("openai-chat:gpt-4o", instructions="Be brief.").run_sync("How are you?", conversation_id="session-1")
    with step("chat anthropic"):
        Agent("anthropic:claude-sonnet-4-5", instructions="Be brief.").run_sync("How are you?")


{f.__name__: f for f in (openai_v2, openinference_openai, openinference_anthropic, openllmetry_openai, anthropic_sdk, langfuse,
                         pydantic_ai)}[INSTRUMENTATION]()
provider.force_flush()
