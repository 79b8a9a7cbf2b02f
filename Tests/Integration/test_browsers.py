"""What browsers and Node send: OTLP/JSON, and the preflight that comes before it."""
import json

import pytest

import otlp
from clients import JSON, http_post, json_export
from daemon import Daemon, wait_until
from stores import count, rows

ORIGIN = "https://app.example.com"
INVALID = 3


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    cors = {"allowed_origins": ["https://*.example.com"], "allowed_headers": ["X-Tenant"], "max_age": 7200}
    with Daemon.with_config(tmp_path_factory.mktemp("cors"), "nop", receivers__otlp__protocols__http__cors=cors) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Without cors in the configuration."""
    with Daemon.with_config(tmp_path_factory.mktemp("plain"), "nop") as daemon:
        yield daemon


def preflight(daemon, origin):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-tenant"}
    return http_post(daemon.ports.http, None, method="OPTIONS", content_type=None, headers=headers)


def test_preflight_of_an_allowed_origin_names_what_is_allowed(daemon):
    answer = preflight(daemon, ORIGIN)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, ORIGIN)
    assert "POST" in answer.headers["access-control-allow-methods"] and answer.headers["access-control-max-age"] == "7200"
    allowed = [name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")]
    assert {"content-type", "x-tenant"} <= set(allowed) and "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize("origin", ["https://example.com", "https://app.example.com.evil.org", "http://app.example.com", "null"])
def test_preflight_of_another_origin_allows_nothing(daemon, origin):
    assert not [name for name in preflight(daemon, origin).headers if name.startswith("access-control-")]


def test_answers_to_an_allowed_origin_may_be_read_by_the_page(daemon):
    body = b'{"resourceSpans":[]}'
    for sent, expected in ((body, 200), (b"[", 400)):
        answer = http_post(daemon.ports.http, sent, content_type=JSON, headers={"Origin": ORIGIN})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (expected, ORIGIN)
    answer = http_post(daemon.ports.http, body, content_type=JSON, headers={"Origin": "https://evil.org"})
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers


def test_without_cors_in_the_configuration_there_is_no_preflight(plain):
    answer = preflight(plain, ORIGIN)
    assert answer.status == 405 and not [name for name in answer.headers if name.startswith("access-control-")]


def span_json(**fields):
    span = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", **fields}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


BAD_JSON = {
    "nothing": b"", "cut": span_json()[:-5], "an array": b"[]", "null": b"null", "no JSON": b"\xff\xfe", "two documents": b"{}{}",
    "object for a list": b'{"resourceSpans":{}}', "text for a span": b'{"resourceSpans":[{"scopeSpans":[{"spans":["x"]}]}]}',
    "ids not hexadecimal": span_json(traceId="W47/95gDgQPSabYzgT/GDA=="), "half a digit": span_json(spanId="eee"),
    "name of an enum": span_json(kind="SPAN_KIND_SERVER"), "time as words": span_json(startTimeUnixNano="now"),
    "time too large": span_json(startTimeUnixNano="18446744073709551616"), "negative time": span_json(startTimeUnixNano=-1),
    "bytes not base64": span_json(attributes=[{"key": "k", "value": {"bytesValue": "***"}}]),
    "10,000 nested arrays": b'{"resourceSpans":' + b"[" * 10_000,
    "10,000 nested values": span_json(attributes=[]).replace(
        b"[]", b'[{"key":"k","value":' + b'{"arrayValue":{"values":[' * 10_000 + b"]}}" * 10_000 + b"}]"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_is_400_with_details_in_json(plain, name):
    answer = http_post(plain.ports.http, BAD_JSON[name], content_type=JSON)
    assert (answer.status, answer.type) == (400, JSON)
    status = json.loads(answer.body)
    assert status["code"] == INVALID and status["message"] and "BadRequest" in status["details"][0]["@type"]


def test_json_of_every_dialect_is_read(store, start):
    """Ids in any case, 64-bit integers as text or number, unknown fields, nulls."""
    begin = otlp.now_nano()
    daemon = start(store)
    dialects = [
        span_json(spanId="00000000000000AB", name="0", startTimeUnixNano=begin, endTimeUnixNano=str(begin + 5), kind=2,
                  attributes=[{"key": "n", "value": {"intValue": 2**53 + 1}}]),
        span_json(traceId="5B8EFFF798038103D269B633813FC60C", spanId="00000000000000cd", name="1", startTimeUnixNano=str(begin),
                  endTimeUnixNano=begin + 5, kind=2, attributes=[{"key": "n", "value": {"intValue": str(2**53 + 1)}}],
                  future={"a": [1, {"b": None}]}, parentSpanId=None, events=None, status=None),
    ]
    for body in dialects:
        answer = http_post(daemon.ports.http, body, content_type=JSON)
        assert (answer.status, answer.type, answer.body) == (200, JSON, b"{}")
    wait_until(lambda: count(store) == 2, what="2 rows")
    for row in rows(store):
        span = otlp.from_row(row)
        assert span["trace_id"] == "5b8efff798038103d269b633813fc60c"
        assert span["span_id"] == "00000000000000" + ("ab", "cd")[int(span["name"])]
        assert (span["start"], span["end"], span["kind"]) == (begin, begin + 5, "SERVER")
        assert span["attributes"] == ("kvlist", (("n", ("int", 2**53 + 1)),))
        assert (span["parent_span_id"], span["events"], span["status_code"]) == (None, (), "UNSET")


def test_empty_json_requests_succeed(plain):
    for body in (b"{}", b'{"resourceSpans":[]}', b'{"resourceSpans":[{}]}', b'{"resourceSpans":[{"scopeSpans":[{}]}]}'):
        answer = http_post(plain.ports.http, body, content_type=JSON)
        assert (answer.status, answer.body) == (200, b"{}")


def test_the_good_spans_of_a_partly_bad_request_are_stored(store, start):
    daemon = start(store)
    request = otlp.request([{"name": "good"}, {"name": "bad", "trace_id": b"x" * 15}, {"name": "good"}, {"name": "bad", "span_id": b""}])
    partial = json.loads(json_export(daemon.ports.http, request).body)["partialSuccess"]
    assert int(partial["rejectedSpans"]) == 2
    wait_until(lambda: count(store) == 2, what="2 rows")
    assert [row["name"] for row in rows(store)] == ["good", "good"]
