"""Builds OTLP requests from plain Python values and reads spans back: from messages and from table rows, to one comparable form.

`from_message` and `from_row` are written independently of the collector, from OTLP and from spec/database.md ("Lossless").
"""
import base64
import json
import math
import random
import re
import struct
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from moved_text import put_back

KINDS = {0: "UNSPECIFIED", 1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
STATUS = {0: "UNSET", 1: "OK", 2: "ERROR"}
TAGS = {"double", "bytes", "kvlist", "column"}
SECOND = 1_000_000_000


class Pairs(list):
    """A kvlist whose keys may repeat."""


def now_nano():
    return time.time_ns()


def set_value(any_value, value):
    """A Python value as AnyValue: None is absent, dict and Pairs are kvlists, list is an array."""
    if isinstance(value, bool):
        any_value.bool_value = value
    elif isinstance(value, int):
        any_value.int_value = value
    elif isinstance(value, float):
        any_value.double_value = value
    elif isinstance(value, str):
        any_value.string_value = value
    elif isinstance(value, bytes):
        any_value.bytes_value = value
    elif isinstance(value, (dict, Pairs)):
        any_value.kvlist_value.SetInParent()
        for key, inner in value.items() if isinstance(value, dict) else value:
            pair = any_value.kvlist_value.values.add(key=key)
            set_value(pair.value, inner)
    elif isinstance(value, list):
        any_value.array_value.SetInParent()
        for inner in value:
            set_value(any_value.array_value.values.add(), inner)
    elif value is not None:
        raise TypeError(type(value))


def set_attributes(target, attributes):
    for key, value in attributes.items() if isinstance(attributes, dict) else attributes:
        set_value(target.add(key=key).value, value)


def request(spans=(), resource=None, scope=("test", "1.0"), schema_url=""):
    """A request with one resource and one scope; each span is a dictionary of Span fields, with Python attributes."""
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add(schema_url=schema_url)
    set_attributes(group.resource.attributes, {"service.name": "tests"} if resource is None else resource)
    scope_spans = group.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = scope
    for fields in spans:
        add_span(scope_spans, **fields)
    return message


def add_span(scope_spans, attributes=(), events=(), links=(), status=None, **fields):
    start = fields.setdefault("start_time_unix_nano", now_nano())
    fields.setdefault("end_time_unix_nano", start + 5_000_000)
    fields.setdefault("trace_id", random.randbytes(16))
    fields.setdefault("span_id", random.randbytes(8))
    fields.setdefault("name", "span")
    span = scope_spans.spans.add(**fields)
    set_attributes(span.attributes, attributes)
    for event in events:
        inner = dict(event)
        set_attributes(span.events.add(**{k: v for k, v in inner.items() if k != "attributes"}).attributes, inner.get("attributes", ()))
    for link in links:
        inner = dict(link)
        set_attributes(span.links.add(**{k: v for k, v in inner.items() if k != "attributes"}).attributes, inner.get("attributes", ()))
    if status:
        span.status.code, span.status.message = status
    return span


def spans_of(message):
    """Every (resource spans, scope spans, span) of a request."""
    for group in message.resource_spans:
        for scope_spans in group.scope_spans:
            for span in scope_spans.spans:
                yield group, scope_spans, span


# The comparable form of values: tagged tuples, because 1 == True == 1.0 in Python, and sorted pairs, key order aside.

def clean(text):
    """Sanitised text: U+0000 becomes U+FFFD; runs of U+FFFD compare as one (how many an invalid sequence gives is not promised)."""
    return re.sub("\ufffd+", "\ufffd", text.replace("\0", "\ufffd"))


def canonical_double(value):
    return ("double", "NaN" if math.isnan(value) else struct.pack(">d", value).hex())


def canonical_pairs(pairs):
    return ("kvlist", tuple(sorted(pairs, key=repr)))


def value_of(any_value):
    kind = any_value.WhichOneof("value")
    value = getattr(any_value, kind) if kind else None
    if kind is None:
        return None
    if kind == "array_value":
        return ("array", tuple(value_of(v) for v in value.values))
    if kind == "kvlist_value":
        return pairs_of(value.values)
    if kind == "double_value":
        return canonical_double(value)
    if kind == "string_value":
        return ("string", clean(value))
    return (kind.removesuffix("_value"), value)


def pairs_of(attributes):
    return canonical_pairs((clean(pair.key), value_of(pair.value)) for pair in attributes)


def value_of_json(value):
    if value is None or isinstance(value, tuple):
        return value
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("int", value)
    if isinstance(value, float):
        return canonical_double(value)
    if isinstance(value, str):
        return ("string", clean(value))
    if isinstance(value, list):
        return ("array", tuple(value_of_json(v) for v in value))
    if len(value) == 1 and not TAGS.isdisjoint(value):
        (tag, inner), = value.items()
        if tag == "double" and isinstance(inner, str):
            return canonical_double(float(inner))
        if tag == "bytes" and isinstance(inner, str):
            return ("bytes", base64.b64decode(inner, validate=True))
        if tag == "kvlist" and isinstance(inner, list):
            return canonical_pairs((clean(k), value_of_json(v)) for k, v in inner)
    return canonical_pairs((clean(k), value_of_json(v)) for k, v in value.items())


def _number(text):
    assert "e" not in text.lower(), f"a double with an exponent in jsonb: {text}"
    return float(text)


def _no_constant(name):
    raise AssertionError(f"not JSON: {name}")


def json_of_column(text):
    """A jsonb column read strictly. Objects that repeat a key are not allowed to reach a table as such."""
    def unique(pairs):
        assert len({k for k, _ in pairs}) == len(pairs), "an object in the table repeats a key"
        return dict(pairs)
    return json.loads(text, parse_float=_number, parse_constant=_no_constant, object_pairs_hook=unique)


def pairs_of_json(value):
    pairs = value_of_json(value)
    assert pairs[0] == "kvlist", pairs
    return pairs


def from_message(group, scope_spans, span):
    """The comparable form of a span as it was sent."""
    return {
        "trace_id": span.trace_id.hex(), "span_id": span.span_id.hex(), "parent_span_id": span.parent_span_id.hex() or None,
        "trace_state": clean(span.trace_state), "flags": span.flags, "name": clean(span.name), "kind": KINDS[span.kind],
        "start": span.start_time_unix_nano, "end": span.end_time_unix_nano,
        "attributes": pairs_of(span.attributes), "dropped_attributes": span.dropped_attributes_count,
        "events": tuple((clean(e.name), e.time_unix_nano, pairs_of(e.attributes), e.dropped_attributes_count) for e in span.events),
        "dropped_events": span.dropped_events_count,
        "links": tuple((link.trace_id.hex(), link.span_id.hex(), clean(link.trace_state), link.flags, pairs_of(link.attributes),
                        link.dropped_attributes_count) for link in span.links),
        "dropped_links": span.dropped_links_count,
        "status_code": STATUS[span.status.code], "status_message": clean(span.status.message),
        "resource": pairs_of(group.resource.attributes), "schema_url": clean(group.schema_url),
        "scope": (clean(scope_spans.scope.name), clean(scope_spans.scope.version)),
    }


def hexadecimal(value):
    """Ids as hex text, whichever way the store gives them."""
    return value.hex() if isinstance(value, bytes) else value.replace("-", "") if value else None


def from_row(row):
    """The comparable form of a span as the tables hold it. 64-bit columns are signed; OTLP's numbers are not."""
    assert not any(isinstance(v, str) and "\0" in v for v in row.values()), "U+0000 in a table"
    start = row["start_unix_nano"] % 2**64
    events = json_of_column(row["events"]) if row["events"] is not None else []
    links = json_of_column(row["links"]) if row["links"] is not None else []
    assert events or row["events"] is None, "no events is null"
    assert links or row["links"] is None, "no links is null"

    def inner(item):
        return pairs_of_json(item.get("attributes") or {})
    return {
        "trace_id": hexadecimal(row["trace_id"]), "span_id": hexadecimal(row["span_id"]),
        "parent_span_id": hexadecimal(row["parent_span_id"]) or None,
        "trace_state": row["trace_state"] or "", "flags": (row["flags"] or 0) % 2**32, "name": row["name"] or "", "kind": row["kind"],
        "start": start, "end": (start + row["duration_nano"]) % 2**64,
        "attributes": pairs_of_json(put_back(
            json_of_column(row["attributes"]), row, lambda text: ("string", clean(text)), value_of_json, json_of_column)),
        "dropped_attributes": (row["dropped_attributes"] or 0) % 2**32,
        "events": tuple((clean(e["name"]), e["time_unix_nano"], inner(e), e.get("dropped_attributes", 0)) for e in events),
        "dropped_events": (row["dropped_events"] or 0) % 2**32,
        "links": tuple((i["trace_id"], i["span_id"], clean(i.get("trace_state") or ""), i.get("flags", 0), inner(i),
                        i.get("dropped_attributes", 0)) for i in links),
        "dropped_links": (row["dropped_links"] or 0) % 2**32,
        "status_code": row["status_code"], "status_message": clean(row["status_message"] or ""),
        "resource": pairs_of_json(json_of_column(row["resource_attributes"])), "schema_url": clean(row["schema_url"] or ""),
        "scope": (clean(row["scope_name"] or ""), clean(row["scope_version"] or "")),
    }
