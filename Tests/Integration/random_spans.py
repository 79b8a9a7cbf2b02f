"""Seeded random spans that use every corner of the OTLP trace data model, for the losslessness tests."""
import random

import otlp

TEXTS = ["", "plain", "ünï→🦄", "quote\" back\\slash /", "line\nbreak\ttab\r\x01\x1f\x7f", "nul\0inside", "\u2028\ufeff", "x" * 3000,
         "{\"json\": [1, 2]}", "\ufffd", "C:\\n", "\\u0000", "'; drop table traces; --"]
INTEGERS = [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -2**63]
DOUBLES = [0.0, -0.0, 1.0, -1.5, 0.1, 1e21, 1e-7, 1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, float("inf"),
           float("-inf"), float("nan"), 123456789.12345678, 1e15, 1e16, 2.0**53]
KEYS = ["a", "b.c", "ü", "", "double", "bytes", "kvlist", "column", "key with space", "k\"ey", "http.request.method", "x" * 200]


def value(r, depth=0):
    kind = r.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return r.choice(TEXTS)
    if kind == 1:
        return r.random() < 0.5
    if kind == 2:
        return r.choice(INTEGERS) if r.random() < 0.7 else r.randrange(-2**63, 2**63)
    if kind == 3:
        return r.choice(DOUBLES) if r.random() < 0.7 else r.uniform(-1e6, 1e6)
    if kind == 4:
        return r.randbytes(r.choice([0, 1, 2, 3, 40]))
    if kind == 5:
        return None
    if kind == 6:
        return [value(r, depth + 1) for _ in range(r.randrange(4))]
    if kind == 7:
        return attributes(r, depth + 1)
    # What looks like one of the tags in the table, or repeats a key, but is an ordinary kvlist.
    tag = r.choice(["double", "bytes", "kvlist", "column"])
    lookalikes = [{tag: "NaN"}, {tag: "AA=="}, {tag: [["a", 1]]}, {tag: "input"}, otlp.Pairs([("a", 1), ("b", 2), ("a", 1)]),
                  otlp.Pairs([(tag, 1.5), (tag, "x")]), {}]
    return r.choice(lookalikes)


def attributes(r, depth=0):
    keys = r.sample(KEYS, r.randrange(6))
    return {key: value(r, depth) for key in keys}


def span(r, start):
    return {
        "trace_id": r.randbytes(16), "span_id": r.randbytes(8),
        "parent_span_id": r.choice([b"", r.randbytes(8)]), "trace_state": r.choice(["", "ot=th:8;rv:abcdef,vendor=1"]),
        "flags": r.choice([0, 1, 0x101, 0x301, 2**32 - 1]), "name": r.choice(TEXTS), "kind": r.randrange(6),
        "start_time_unix_nano": start + r.randrange(-3600 * otlp.SECOND, 0),
        "attributes": attributes(r), "dropped_attributes_count": r.choice([0, 1, 2**31 + 5]),
        "events": [{"name": r.choice(TEXTS), "time_unix_nano": r.choice([0, start, 2**64 - 1]), "attributes": attributes(r),
                    "dropped_attributes_count": r.choice([0, 7])} for _ in range(r.choice([0, 0, 1, 3]))],
        "dropped_events_count": r.choice([0, 3]),
        "links": [{"trace_id": r.randbytes(16), "span_id": r.randbytes(8), "trace_state": r.choice(["", "a=b"]),
                   "flags": r.choice([0, 0x301]), "attributes": attributes(r), "dropped_attributes_count": r.choice([0, 9])}
                  for _ in range(r.choice([0, 0, 1, 2]))],
        "dropped_links_count": r.choice([0, 2**32 - 1]),
        "status": r.choice([None, (0, ""), (1, ""), (2, r.choice(TEXTS))]),
    }


def request(seed, count, start):
    """A request of `count` spans. The end of each is up to an hour after its start, some at once."""
    r = random.Random(seed)
    spans = []
    for _ in range(count):
        fields = span(r, start)
        fields["end_time_unix_nano"] = fields["start_time_unix_nano"] + r.choice([0, 1, 999, 1_500_000, r.randrange(3600 * otlp.SECOND)])
        spans.append(fields)
    return otlp.request(spans, resource=attributes(r) | {"service.name": r.choice(["svc", "ünï", "x" * 3000])},
                        scope=(r.choice(TEXTS), r.choice(["", "1.2"])), schema_url=r.choice(["", "https://example.test/schema/1.0"]))
