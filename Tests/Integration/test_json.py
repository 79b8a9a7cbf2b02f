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


def test_json_of_every_dialect_is_read(store, start):
    """Ids in any case, 64-bit integers as text or number, unknown fields, nulls."""
    begin = otlp.now_nano()
    daemon = start(store)
    dialects = [
        request(traceId="5b8efff798038103d269b633813fc60c", spanId="00000000000000AB", name="0", startTimeUnixNano=begin,
                endTimeUnixNano=str(begin + 5), kind=2,
                attributes=[{"key": "n", "value": {"intValue": 2**53 + 1}}]),
        request(traceId="5B8EFFF798038103D269B633813FC60C", spanId="00000000000000cd", name="1", startTimeUnixNano=str(begin),
                endTimeUnixNano=begin + 5, kind=2, attributes=[{"key": "n", "value": {"intValue": str(2**53 + 1)}}],
                future={"a": [1, {"b": None}]}, parentSpanId=None, events=None, status=None),
    ]
    for body in dialects:
        assert post(daemon, body).status == 200
    wait_until(lambda: count(store) == 2, what="2 rows")
    for row in rows(store):
        span = otlp.from_row(row)
        assert span["trace_id"] == "5b8efff798038103d269b633813fc60c"
        assert span["span_id"] == "00000000000000" + ("ab", "cd")[int(span["name"])]
        assert (span["start"], span["end"], span["kind"]) == (begin, begin + 5, "SERVER")
        assert span["attributes"] == ("kvlist", (("n", ("int", 2**53 + 1)),))
        assert (span["parent_span_id"], span["events"], span["status_code"]) == (None, (), "UNSET")


def test_the_good_spans_of_a_partly_bad_request_are_stored(store, start):
    daemon = start(store)
    sent = otlp.request([{"name": "good"}, {"name": "bad", "trace_id": b"x" * 15}, {"name": "good"}, {"name": "bad", "span_id": b""}])
    partial = json.loads(post(daemon, to_json(sent)).body)["partialSuccess"]
    assert int(partial["rejectedSpans"]) == 2
    wait_until(lambda: count(store) == 2, what="2 rows")
    assert [row["name"] for row in rows(store)] == ["good", "good"]


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
    "time as words": request(startTimeUnixNano="now"),
    "time too large": request(startTimeUnixNano="18446744073709551616"),
    "half a digit pair": request(spanId="eee"),
    "ids in base64": request(traceId="W47/95gDgQPSabYzgT/GDA=="),
    "text for a span": {"resourceSpans": [{"scopeSpans": [{"spans": ["x"]}]}]},
    "null": b"null",
    "base64 that is none": attribute({"bytesValue": "***"}),
    "an array": [],
    "cut off": json.dumps(request()).encode()[:-3],
    "two documents": json.dumps(request()).encode() * 2,
    "nothing": b"",
    "invalid UTF-8 outside strings": b"\xff\xfe{}",
    "nested 10,000 deep": json.dumps(request()).encode().replace(b'"n"', b'"n","x":' + b"[" * 10_000 + b"]" * 10_000),
    "values nested 10,000 deep": json.dumps(attribute(1)).encode().replace(
        b'{"key": "k", "value": 1}', b'{"key":"k","value":' + b'{"arrayValue":{"values":[' * 10_000 + b"]}}" * 10_000 + b"}"),
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
