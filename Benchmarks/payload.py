"""OTLP trace payloads for benchmarks: realistic LLM traces (eight spans each, two of them LLM calls with prompt and answer),
seeded, so that the same arguments give the same bytes. About 750 bytes of protobuf per span."""
import gzip
import json
import os
import random
import struct
import sys

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts"))
import otlp_samples  # noqa: E402  (how OTLP/JSON is written is said there)

MODELS = [("openai", "gpt-4o-mini-2024-07-18"), ("openai", "gpt-4o-2024-08-06"),
          ("anthropic", "claude-3-5-sonnet-20241022"), ("aws.bedrock", "meta.llama3-1-70b-instruct-v1:0")]
RESOURCE = {"service.name": "chat-api", "service.version": "4.12.0", "service.namespace": "assist",
            "deployment.environment.name": "production", "host.name": "ip-10-2-33-17", "process.pid": 4121,
            "telemetry.sdk.language": "python", "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.version": "1.45.2",
            "project.id": "acme-assist"}
SCOPES = ("opentelemetry.instrumentation.openai_v2", "opentelemetry.instrumentation.fastapi",
          "opentelemetry.instrumentation.httpx", "app.retrieval")
# The eight spans of a trace: name, kind, scope. Those without a name are LLM calls.
SPANS = [("POST /v1/chat", 2, 1), ("GET /v1/users/{id}", 3, 2), ("retrieve", 1, 3), (None, 3, 0),
         ("POST", 3, 2), (None, 3, 0), ("rerank", 1, 3), ("render", 1, 3)]


def _vocabulary():
    """4,000 pronounceable words; drawn Zipf-like by `_text` they compress about as well as English prose."""
    r = random.Random(1)
    syllables = [c + v + t for c in "bcdfglmnprstv" for v in "aeiou" for t in ("", "n", "r", "s", "l")]
    return ["".join(r.choice(syllables) for _ in range(r.randrange(1, 5))) for _ in range(4000)]


WORDS = _vocabulary()


def _text(r, size):
    words, length = [], 0
    while length < size:
        word = WORDS[int(4000 ** r.random()) - 1]
        words.append(word)
        length += len(word) + 1
    return " ".join(words)[:size]


def _set(target, key, value):
    item = target.add()
    item.key = key
    if isinstance(value, bool):
        item.value.bool_value = value
    elif isinstance(value, int):
        item.value.int_value = value
    elif isinstance(value, float):
        item.value.double_value = value
    elif isinstance(value, list):
        for element in value:
            item.value.array_value.values.add().string_value = element
    else:
        item.value.string_value = value


def _message(role, content, **more):
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": content}], **more}])


def _llm(r, span, duration):
    provider, model = r.choice(MODELS)
    span.name = "chat " + model
    plain = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model, "gen_ai.response.model": model,
        "gen_ai.response.id": "chatcmpl-" + r.randbytes(12).hex(), "gen_ai.usage.input_tokens": r.randrange(40, 6000),
        "gen_ai.usage.output_tokens": r.randrange(5, 900), "gen_ai.request.temperature": 0.2, "gen_ai.request.max_tokens": 1024,
        "gen_ai.response.finish_reasons": ["stop"], "gen_ai.conversation.id": f"conv_{r.getrandbits(32):08x}",
        "user.id": f"u-{r.randrange(1, 50000)}", "session.id": r.randbytes(8).hex(), "server.address": "api.openai.com",
        "server.port": 443,
        "gen_ai.input.messages": _message("user", _text(r, r.randrange(200, 1200)) + f" write to jane.doe{r.randrange(999)}@example.com"),
        "gen_ai.output.messages": _message("assistant", _text(r, r.randrange(80, 700)), finish_reason="stop"),
    }
    for key, value in plain.items():
        _set(span.attributes, key, value)
    event = span.events.add(name="gen_ai.first_token", time_unix_nano=span.start_time_unix_nano + duration // 5)
    _set(event.attributes, "gen_ai.token.index", 0)


def _plain(r, span):
    plain = {
        "http.request.method": "POST", "url.path": f"/v1/chat/{r.randrange(10_000)}", "http.response.status_code": 200,
        "server.address": f"10.2.3.{r.randrange(255)}", "network.protocol.version": "1.1", "user_agent.original": "python-httpx/0.28.1",
        "thread.id": r.randrange(1, 64), "retry": r.random() < 0.02,
    }
    for key, value in plain.items():
        _set(span.attributes, key, value)


def request(spans, seed, start_unix_nano):
    """An ExportTraceServiceRequest of so many spans, the first one starting at `start_unix_nano`."""
    r = random.Random(seed)
    result = ExportTraceServiceRequest()
    resource = result.resource_spans.add()
    for key, value in RESOURCE.items():
        _set(resource.resource.attributes, key, value)
    scopes = [resource.scope_spans.add() for _ in SCOPES]
    for scope, name in zip(scopes, SCOPES):
        scope.scope.name, scope.scope.version = name, "2.4.0"
    now = start_unix_nano
    for index in range(spans):
        name, kind, scope = SPANS[index % 8]
        if index % 8 == 0:
            trace, parent = r.randbytes(16), b""
            now += r.randrange(1_000_000, 9_000_000)
        duration = r.randrange(2_000_000, 4_000_000_000)
        span = scopes[scope].spans.add(
            trace_id=trace, span_id=r.randbytes(8), parent_span_id=parent, flags=0x101, kind=kind,
            start_time_unix_nano=now + index * 1000, end_time_unix_nano=now + index * 1000 + duration)
        parent = parent or span.span_id
        if name is None:
            _llm(r, span, duration)
        else:
            span.name = name
            _plain(r, span)
        if r.random() < 0.02:
            span.status.code, span.status.message = 2, "upstream timed out"
            event = span.events.add(name="exception", time_unix_nano=span.end_time_unix_nano)
            _set(event.attributes, "exception.type", "TimeoutError")
            _set(event.attributes, "exception.message", "upstream timed out after 30s")
    return result


def write(directory, spans, start_unix_nano):
    """Writes traces-N.pb, .grpc (the five-byte gRPC frame before it), .grpc.gz (gzip level 6) and .json for one request."""
    message = request(spans, 7, start_unix_nano)
    raw = message.SerializeToString()
    packed = gzip.compress(raw, 6, mtime=0)
    files = {"pb": raw, "grpc": struct.pack(">BI", 0, len(raw)) + raw, "grpc.gz": struct.pack(">BI", 1, len(packed)) + packed,
             "json": otlp_samples.otlp_json(message, indent=None).encode()}
    for suffix, content in files.items():
        with open(os.path.join(directory, f"traces-{spans}.{suffix}"), "wb") as file:
            file.write(content)
    return len(raw)


def write_distinct(path, requests, spans, start_unix_nano):
    """Writes so many different requests to one file, each as a little-endian 32-bit length and the protobuf. The spans' times
    go on from request to request, as they do in life."""
    if os.path.exists(path):
        return
    with open(path + ".part", "wb") as file:
        for number in range(requests):
            raw = request(spans, 1000 + number, start_unix_nano + number * 1_000_000_000).SerializeToString()
            file.write(struct.pack("<I", len(raw)) + raw)
    os.rename(path + ".part", path)
