"""OTLP/JSON: what browsers and Node send ends in the same rows; rules 13 and 23 to 25 of spec/otlp-server.md."""
import base64
import gzip
import json

import pytest
from google.protobuf import json_format

import otlp
import random_spans
from clients import JSON, grpc_export, http_post
from daemon import Daemon, wait_until
from stores import count, rows


def to_json(request, ids=str.lower):
    """A request as OTLP/JSON: protobuf's JSON mapping, but ids in hex and enums as numbers. Works on the parsed text, so that the
    ids of links are found and attribute values named like them are not touched."""
    decoded = json_format.MessageToDict(request, use_integers_for_enums=True)

    def fix(span):
        for key in ("traceId", "spanId", "parentSpanId"):
            if key in span:
                span[key] = ids(base64.b64decode(span[key]).hex())
    for group in decoded.get("resourceSpans", []):
        for scope in group.get("scopeSpans", []):
            for span in scope.get("spans", []):
                fix(span)
                for link in span.get("links", []):
                    fix(link)
    return decoded


def post(daemon, body, **more):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http_post(daemon.ports.http, raw, content_type=JSON, **more)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("ids", [str.lower, str.upper], ids=["lower-case ids", "upper-case ids"])
def test_json_is_stored_like_the_same_protobuf(store, start, ids, packed):
    request = random_spans.request({False: 11, True: 12}[packed], 200, otlp.now_nano())
    raw = json.dumps(to_json(request, ids), ensure_ascii=packed).encode()
    daemon = start(store)
    answer = post(daemon, gzip.compress(raw) if packed else raw, headers={"Content-Encoding": "gzip"} if packed else None)
    assert (answer.status, answer.type) == (200, JSON) and json.loads(answer.body) == {}
    wait_until(lambda: count(store) == 200, 20, "200 rows")
    expected = {span.span_id.hex(): otlp.from_message(group, scope, span) for group, scope, span in otlp.spans_of(request)}
    for row in rows(store):
        assert otlp.from_row(row) == expected[otlp.hexadecimal(row["span_id"])]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with Daemon.with_config(tmp_path_factory.mktemp("json"), "nop") as daemon:
        yield daemon


def request(**fields):
    span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "n", "kind": 1,
            "startTimeUnixNano": str(otlp.now_nano()), **fields}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def attribute(value):
    return request(attributes=[{"key": "k", "value": value}])


TAKEN = {
    "integers as strings": attribute({"intValue": "-9223372036854775808"}),
    "integers as numbers": attribute({"intValue": 9007199254740993}),
    "times as numbers": request(startTimeUnixNano=1767225600000000000),
    "unknown fields": request(future={"a": [1, {"b": None}]}),
    "doubles by name": attribute({"doubleValue": "NaN"}),
    "bytes": attribute({"bytesValue": "AAEC/w=="}),
    "null fields": request(events=None, status=None),
    "empty": {},
    "empty list": {"resourceSpans": []},
}
REFUSED = {
    "enum by name": request(kind="SPAN_KIND_SERVER"),
    "id that is no hex": request(spanId="zz" * 8),
    "text for a list": {"resourceSpans": "none"},
    "object for text": request(name={}),
    "integer beyond 64 bits": attribute({"intValue": "9223372036854775808"}),
    "negative time": request(startTimeUnixNano="-1"),
    "base64 that is none": attribute({"bytesValue": "***"}),
    "an array": [],
    "cut off": json.dumps(request()).encode()[:-3],
    "two documents": json.dumps(request()).encode() * 2,
    "nothing": b"",
    "invalid UTF-8 outside strings": b"\xff\xfe{}",
    "nested 10,000 deep": json.dumps(request()).encode().replace(b'"n"', b'"n","x":' + b"[" * 10_000 + b"]" * 10_000),
}


@pytest.mark.parametrize("name", TAKEN)
def test_json_that_the_mapping_allows_is_taken(daemon, name):
    answer = post(daemon, TAKEN[name])
    assert (answer.status, answer.type) == (200, JSON), answer.body
    assert json.loads(answer.body) == {}


@pytest.mark.parametrize("name", REFUSED)
def test_json_that_cannot_be_decoded_is_400_with_a_json_status(daemon, name):
    answer = post(daemon, REFUSED[name])
    assert (answer.status, answer.type) == (400, JSON)
    status = json.loads(answer.body)
    assert status["code"] == 3 and status["message"]
    assert any("BadRequest" in detail["@type"] for detail in status["details"])


def test_spans_with_bad_ids_are_counted_in_partial_success(daemon):
    body = request()
    body["resourceSpans"][0]["scopeSpans"][0]["spans"] += [{"traceId": "0102", "spanId": "b7ad6b7169203331"}, {"traceId": "", "spanId": ""}]
    answer = post(daemon, body)
    assert answer.status == 200
    partial = json.loads(answer.body)["partialSuccess"]
    assert int(partial["rejectedSpans"]) == 2 and partial["errorMessage"]


def test_daemon_serves_on_after_all_that(daemon):
    assert daemon.process.poll() is None
    assert grpc_export(daemon.ports.grpc, otlp.request([{}])).code.value[0] == 0
