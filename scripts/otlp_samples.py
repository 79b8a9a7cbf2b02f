#!/usr/bin/env python3
"""Writes the sample requests that the decoder's tests read, made by the official protobuf library:
"full" has a value for each field there is, "llm" twelve spans as LLM instrumentation sends them. Each comes as .pb, as OTLP/JSON
in .json, and as .txt, which says in lines what a decoder must find in it.

usage: scripts/otlp_samples.py Tests/OTLPWireTests/Fixtures      (pip install opentelemetry-proto)
"""
import base64
import json
import os
import random
import struct
import sys
import urllib.parse

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, EntityRef, KeyValue

START = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


def value(plain):
    """An AnyValue of a Python value; None is one that is not set."""
    if plain is None:
        return AnyValue()
    if isinstance(plain, bool):
        return AnyValue(bool_value=plain)
    if isinstance(plain, int):
        return AnyValue(int_value=plain)
    if isinstance(plain, float):
        return AnyValue(double_value=plain)
    if isinstance(plain, bytes):
        return AnyValue(bytes_value=plain)
    if isinstance(plain, str):
        return AnyValue(string_value=plain)
    result = AnyValue()
    if isinstance(plain, dict):
        result.kvlist_value.SetInParent()
        result.kvlist_value.values.extend(attributes(plain))
    else:
        result.array_value.SetInParent()
        result.array_value.values.extend(value(element) for element in plain)
    return result


def attributes(plain):
    return [KeyValue(key=key, value=value(item)) for key, item in plain.items()]


def full():
    request = ExportTraceServiceRequest()
    first = request.resource_spans.add(schema_url="https://opentelemetry.io/schemas/1.37.0")
    first.resource.attributes.extend(attributes({"service.name": "checkout", "host.cpus": 8}))
    first.resource.dropped_attributes_count = 3
    first.resource.entity_refs.append(
        EntityRef(schema_url="https://example.org/e", type="service", id_keys=["service.name", "x"], description_keys=["host.cpus"]))
    scope = first.scope_spans.add(schema_url="https://opentelemetry.io/schemas/1.36.0")
    scope.scope.name = "tests"
    scope.scope.version = "1.2.3"
    scope.scope.attributes.extend(attributes({"scope.attribute": True}))
    scope.scope.dropped_attributes_count = 4
    span = scope.spans.add(
        trace_id=bytes(range(1, 17)), span_id=bytes(range(0x21, 0x29)), trace_state="vendor=1,other=2",
        parent_span_id=bytes(range(0x31, 0x39)),
        flags=0x301, name="GET /caf\u00e9 \U0001f600", kind=3, start_time_unix_nano=START, end_time_unix_nano=2**64 - 1,
        dropped_attributes_count=5, dropped_events_count=6, dropped_links_count=2**32 - 1)
    span.attributes.extend(attributes({
        "string": "quote \" backslash \\ slash / line\n tab\t nul \0 bell \a del \x7f", "empty": "", "yes": True, "no": False,
        "int": -42, "zero": 0, "smallest": -(2**63), "largest": 2**63 - 1, "double": 0.1, "whole": 2.0, "tiny": 5e-324, "huge": 1.7e308,
        "negative zero": -0.0, "infinity": float("inf"), "minus infinity": float("-inf"), "nan": float("nan"),
        "bytes": bytes(range(256)), "no bytes": b"", "absent": None, "empty array": [], "empty map": {},
        "array": ["a", 1, 2.5, False, None, b"\xff\xfe", ["nested", ["deeper"]], {"in": "array"}],
        "map": {"k": "v", "list": [1, 2], "map": {"deep": {"deeper": "end"}}}, "long": "x" * 300,
        "": "empty key", "unicode \u00fc": "\u4f60\u597d",
    }))
    span.attributes.extend(attributes({"int": "the key again"}))
    for index in range(2):
        event = span.events.add(time_unix_nano=START + index, name=f"event {index}", dropped_attributes_count=index)
        event.attributes.extend(attributes({"exception.type": "E", "n": index}))
        link = span.links.add(trace_id=bytes([index + 1] * 16), span_id=bytes([index + 1] * 8), trace_state="l=1", flags=index * 256)
        link.attributes.extend(attributes({"link": index}))
        link.dropped_attributes_count = 7 * index
    span.status.message = "it failed"
    span.status.code = 2
    scope.spans.add(trace_id=b"\xaa" * 16, span_id=b"\xbb" * 8)
    first.scope_spans.add()
    second = request.resource_spans.add()
    second.scope_spans.add().spans.add(trace_id=b"\xff" * 16, span_id=b"\xee" * 8, name="other resource", kind=5)
    request.resource_spans.add()
    return request


def llm():
    random_bytes = random.Random(5).randbytes
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(attributes({"service.name": "chat", "process.pid": 4121, "telemetry.sdk.language": "python"}))
    for number in range(3):
        scope = resource.scope_spans.add()
        scope.scope.name = f"instrumentation.{number}"
        for index in range(4):
            span = scope.spans.add(
                trace_id=random_bytes(16), span_id=random_bytes(8), parent_span_id=random_bytes(8) if index else b"", name="chat gpt-4o",
                kind=3, start_time_unix_nano=START + index, end_time_unix_nano=START + 10**9, flags=0x101)
            span.attributes.extend(attributes({
                "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
                "gen_ai.usage.input_tokens": 120 * index, "gen_ai.request.temperature": 0.2, "gen_ai.response.finish_reasons": ["stop"],
                "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Why?\n" * 40}]}]),
            }))
            event = span.events.add(time_unix_nano=START + 5, name="gen_ai.first_token")
            event.attributes.extend(attributes({"gen_ai.token.index": 0}))
    return request


def otlp_json(request, indent=1):
    """ProtoJSON with OTLP's exceptions: ids in hexadecimal, enums as numbers. In lines, or without any spaces (`indent=None`)."""
    document = json_format.MessageToDict(request, use_integers_for_enums=True)

    def fix(node):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            if key in ("traceId", "spanId", "parentSpanId"):
                node[key] = base64.b64decode(child).hex()
            else:
                fix(child)

    fix(document)
    return json.dumps(document, indent=indent, separators=None if indent else (",", ":"))


def text(plain):
    """Text or bytes so that a line can hold them."""
    return urllib.parse.quote(plain, safe="/:.-_")


def value_line(item):
    kind = item.WhichOneof("value")
    if kind is None:
        return "absent"
    plain = getattr(item, kind)
    return kind.removesuffix("_value") + " " + {
        "string_value": lambda: text(plain), "bool_value": lambda: str(plain).lower(), "int_value": lambda: str(plain),
        "double_value": lambda: struct.pack(">d", plain).hex(), "bytes_value": lambda: plain.hex(),
        "array_value": lambda: "[" + ", ".join(map(value_line, plain.values)) + "]",
        "kvlist_value": lambda: "{" + ", ".join(map(attribute_line, plain.values)) + "}",
    }[kind]()


def attribute_line(item):
    return text(item.key) + "=" + value_line(item.value)


def lines(request):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield f"span {span.trace_id.hex()} {span.span_id.hex()} parent={span.parent_span_id.hex()} state={text(span.trace_state)}"
                yield f"  name={text(span.name)} kind={span.kind} flags={span.flags} start={span.start_time_unix_nano}"
                yield (f"  end={span.end_time_unix_nano} dropped={span.dropped_attributes_count},{span.dropped_events_count},"
                       f"{span.dropped_links_count} status={span.status.code} {text(span.status.message)}")
                yield from ("  " + attribute_line(item) for item in span.attributes)
                for event in span.events:
                    yield f"  event {text(event.name)} at={event.time_unix_nano} dropped={event.dropped_attributes_count}"
                    yield from ("    " + attribute_line(item) for item in event.attributes)
                for link in span.links:
                    yield (f"  link {link.trace_id.hex()} {link.span_id.hex()} state={text(link.trace_state)} flags={link.flags} "
                           f"dropped={link.dropped_attributes_count}")
                    yield from ("    " + attribute_line(item) for item in link.attributes)
                yield (f"  scope {text(scope.scope.name)} {text(scope.scope.version)} dropped={scope.scope.dropped_attributes_count} "
                       f"schema={text(scope.schema_url)}")
                yield from ("    " + attribute_line(item) for item in scope.scope.attributes)
                yield f"  resource dropped={resource.resource.dropped_attributes_count} schema={text(resource.schema_url)}"
                yield from ("    " + attribute_line(item) for item in resource.resource.attributes)


if __name__ == "__main__":
    for name, request in {"full": full(), "llm": llm()}.items():
        with open(os.path.join(sys.argv[1], name + ".pb"), "wb") as file:
            file.write(request.SerializeToString(deterministic=True))
        with open(os.path.join(sys.argv[1], name + ".json"), "w") as file:
            file.write(otlp_json(request) + "\n")
        with open(os.path.join(sys.argv[1], name + ".txt"), "w") as file:
            file.writelines(line + "\n" for line in lines(request))
