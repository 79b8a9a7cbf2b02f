"""Requests that nobody should send: each gets the status that spec/otlp-server.md names, and the daemon goes on serving."""
import json
import random
import socket
import struct
import threading

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import otlp
from clients import (EXPORT, JSON, PROTOBUF, H2Client, frame, grpc_call, grpc_export, grpc_raw, h2_request, http_export, http_post,
                     json_export)
from compress import COMPRESS
from daemon import Daemon, wait_until

MIB = 1 << 20
BODY_MIB_MAX = 4
RSS_MIB_MAX = 200
OK, INVALID, EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 8, 12, 13


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """One daemon for all of it: whatever a test does to it, the next ones need it alive."""
    limits = {"receivers__otlp__protocols__grpc__max_recv_msg_size_mib": BODY_MIB_MAX,
              "receivers__otlp__protocols__http__max_request_body_size": BODY_MIB_MAX * MIB}
    with Daemon.with_config(tmp_path_factory.mktemp("bad"), "nop", **limits) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def still_serving(daemon):
    """Afterwards: the same process, both protocols answer good requests, and it holds little memory."""
    yield
    assert daemon.process.poll() is None, "the daemon died"
    good = otlp.request([{}])
    assert http_export(daemon.ports.http, good).status == 200
    assert grpc_export(daemon.ports.grpc, good).code is grpc.StatusCode.OK
    assert daemon.rss_mib() < RSS_MIB_MAX


def field(number, payload):
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def nested(depth):
    """A request whose one attribute value is `depth` arrays inside each other, about 7.4 bytes each."""
    value = field(1, b"x")
    for _ in range(depth):
        value = field(5, field(1, value))
    attribute = field(1, b"deep") + field(2, value)
    span = field(1, b"t" * 16) + field(2, b"s" * 8) + field(9, attribute)
    return field(1, field(2, field(2, span)))


GOOD = otlp.request([{"attributes": {"text": "x" * 50}} for _ in range(20)]).SerializeToString()
SPAN = field(1, b"t" * 16) + field(2, b"s" * 8)


def in_span(raw):
    return field(1, field(2, field(2, SPAN + raw)))


UNDECODABLE = {
    "truncated": GOOD[:-7],
    "random": random.Random(5).randbytes(5000),
    "text": b"hello, is this a collector?",
    "length beyond the end": field(1, field(2, b"\x12\xff\xff\xff\x7f")),
    "varint of 11 bytes": b"\x0a" + b"\xff" * 11,
    "attribute that is not a message": in_span(field(9, b"\xff\xff\xff")),
    "nested 10,000 deep": nested(10_000),
    "nested 65 deep": nested(65),
    "4 MiB of empty spans": field(1, field(2, b"\x12\x00" * (2 * MIB - 16))),
    "resource spans as varint": varint(1 << 3) + varint(7),
    "span id as varint": field(1, field(2, field(2, field(1, b"t" * 16) + varint(2 << 3) + varint(9)))),
    "start time as text": in_span(field(7, b"yesterday")),
    "kind as fixed64": in_span(varint(6 << 3 | 1) + b"x" * 8),
    "group": b"\x0b\x0c",
}


@pytest.mark.parametrize("name", UNDECODABLE)
def test_undecodable_protobuf_is_400_with_details(daemon, name):
    answer = http_post(daemon.ports.http, UNDECODABLE[name])
    assert (answer.status, answer.type) == (400, PROTOBUF)
    status = answer.google_status()
    assert status.code == INVALID and status.message and answer.has_bad_request()


@pytest.mark.parametrize("name", UNDECODABLE)
def test_undecodable_protobuf_is_invalid_argument_with_details(daemon, name):
    result = grpc_call(daemon.ports.grpc, UNDECODABLE[name])
    assert result.code is grpc.StatusCode.INVALID_ARGUMENT and result.message
    assert result.has(error_details_pb2.BadRequest) and not result.has(error_details_pb2.RetryInfo)


def test_nesting_up_to_the_limit_is_taken(daemon):
    assert http_post(daemon.ports.http, nested(64)).status == 200


def test_unknown_fields_are_ignored(daemon):
    raw = in_span(field(200, b"future") + varint(201 << 3) + varint(5)) + field(300, b"future")
    answer = http_post(daemon.ports.http, raw)
    assert answer.status == 200 and answer.response() == ExportTraceServiceResponse()


@pytest.mark.parametrize("raw", [b"", field(1, b""), field(1, field(2, b"")), field(1, field(1, b""))],
                         ids=["nothing", "empty resource spans", "empty scope spans", "resource alone"])
def test_empty_requests_succeed(daemon, raw):
    answer = http_post(daemon.ports.http, raw)
    assert (answer.status, answer.type, answer.body) == (200, PROTOBUF, b"")
    result = grpc_call(daemon.ports.grpc, raw)
    assert (result.code, result.response) == (grpc.StatusCode.OK, b"")


BOMB_MIB = 300
COMPRESSED = ["gzip", "deflate", "zstd"]


@pytest.fixture(scope="module")
def bombs():
    """300 MiB of zeros in each compression: a few hundred KiB, of zstd some 10."""
    return {name: COMPRESS[name](bytes(BOMB_MIB * MIB)) for name in COMPRESSED}


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_bomb_is_413_without_the_memory(daemon, bombs, encoding):
    before = daemon.rss_mib()
    answer = http_post(daemon.ports.http, bombs[encoding], headers={"Content-Encoding": encoding})
    assert (answer.status, answer.type, answer.google_status().code) == (413, PROTOBUF, EXHAUSTED)
    assert daemon.rss_mib() < before + 4 * BODY_MIB_MAX


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_bomb_is_resource_exhausted_without_retry_info(daemon, bombs, encoding):
    result = grpc_raw(daemon.ports.grpc, bombs[encoding], encoding)
    assert result.code is grpc.StatusCode.RESOURCE_EXHAUSTED and not result.has(error_details_pb2.RetryInfo)


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_cut_and_damaged_compression_is_refused(daemon, encoding):
    whole = COMPRESS[encoding](GOOD)
    for body in (whole[:-9], whole[:9], b"", whole + b"more", bytes(200)):
        answer = http_post(daemon.ports.http, body, headers={"Content-Encoding": encoding})
        assert (answer.status, answer.google_status().code) == (400, INVALID), body[:20]
        assert grpc_raw(daemon.ports.grpc, body, encoding).code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_body_over_the_limit_is_413(daemon, chunked):
    body = bytes(BODY_MIB_MAX * MIB + 1)
    answer = http_post(daemon.ports.http, iter([body]) if chunked else body)
    assert (answer.status, answer.type, answer.google_status().code) == (413, PROTOBUF, EXHAUSTED)


def test_body_over_the_limit_is_413_over_http2(daemon):
    status, fields, body = h2_request(daemon.ports.http, bytes(BODY_MIB_MAX * MIB + 1), path="/v1/traces", content_type=PROTOBUF)
    assert (status, fields["content-type"], status_pb2.Status.FromString(body).code) == (413, PROTOBUF, EXHAUSTED)


def test_message_over_the_limit_is_resource_exhausted_without_retry_info(daemon):
    result = grpc_call(daemon.ports.grpc, bytes(BODY_MIB_MAX * MIB + 1))
    assert result.code is grpc.StatusCode.RESOURCE_EXHAUSTED and not result.has(error_details_pb2.RetryInfo)


def test_body_at_the_limit_is_read(daemon):
    request = otlp.request([{"attributes": {"fill": ""}}])
    request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.string_value = "x" * (BODY_MIB_MAX * MIB - 300)
    raw = request.SerializeToString()
    assert BODY_MIB_MAX * MIB - 300 < len(raw) <= BODY_MIB_MAX * MIB
    assert http_post(daemon.ports.http, raw).status == 200
    assert grpc_call(daemon.ports.grpc, raw).code is grpc.StatusCode.OK


WRONG_HTTP = {
    "unknown path": (404, dict(path="/v1/nothing")),
    "the root": (404, dict(path="/")),
    "GET": (405, dict(method="GET")),
    "PUT": (405, dict(method="PUT")),
    "text content type": (415, dict(content_type="text/plain")),
    "no content type": (415, dict(content_type=None)),
    "unknown encoding": (415, dict(headers={"Content-Encoding": "br"})),
    "gzip that is none": (400, dict(headers={"Content-Encoding": "gzip"})),
}


@pytest.mark.parametrize("name", WRONG_HTTP)
def test_wrong_http_request_gets_its_status_as_an_encoded_status_message(daemon, name):
    expected, arguments = WRONG_HTTP[name]
    answer = http_post(daemon.ports.http, GOOD, **arguments)
    assert (answer.status, answer.type) == (expected, PROTOBUF)
    assert answer.google_status().message


def test_errors_for_json_requests_are_json(daemon):
    for arguments, expected in [(dict(path="/nothing"), 404), (dict(), 400), (dict(method="GET"), 405)]:
        answer = http_post(daemon.ports.http, b"{\"resourceSpans\": [{", content_type=JSON + "; charset=utf-8", **arguments)
        assert (answer.status, answer.type) == (expected, JSON)
        assert b'"message"' in answer.body


def test_content_type_parameters_and_case_are_allowed(daemon):
    assert http_post(daemon.ports.http, GOOD, content_type="Application/X-Protobuf; version=1").status == 200


WRONG_GRPC = {
    "unknown method": (UNIMPLEMENTED, dict(path="/opentelemetry.proto.collector.trace.v1.TraceService/Import")),
    "unknown service": (UNIMPLEMENTED, dict(path="/example.Service/Export")),
    "path in other case": (UNIMPLEMENTED, dict(path=EXPORT.lower())),
    "unknown compression": (UNIMPLEMENTED, dict(body=frame(GOOD, flag=1), headers=[("grpc-encoding", "br")])),
    "compressed without encoding": (INTERNAL, dict(body=frame(GOOD, flag=1))),
    "length beyond the body": (INTERNAL, dict(body=frame(GOOD, length=len(GOOD) + 1))),
    "length before the body's end": (INTERNAL, dict(body=frame(GOOD, length=len(GOOD) - 1))),
    "length of 4 GiB": (None, dict(body=frame(GOOD, length=2**32 - 1))),
    "two messages": (INTERNAL, dict(body=frame(GOOD) * 2)),
    "no message": (INTERNAL, dict(body=b"")),
    "half a prefix": (INTERNAL, dict(body=b"\0\0\0")),
    "unknown flag": (INTERNAL, dict(body=frame(GOOD, flag=2))),
    "gzip that is none": (INVALID, dict(body=frame(GOOD, flag=1), headers=[("grpc-encoding", "gzip")])),
}


@pytest.mark.parametrize("name", WRONG_GRPC)
def test_wrong_grpc_request_gets_its_status_in_trailers(daemon, name):
    expected, arguments = WRONG_GRPC[name]
    status, fields, body = h2_request(daemon.ports.grpc, **{"body": frame(GOOD), **arguments})
    assert (status, fields["content-type"].split("+")[0], body) == (200, "application/grpc", b"")
    code = int(fields["grpc-status"])
    assert code in ((INTERNAL, EXHAUSTED, INVALID) if expected is None else (expected,)), fields
    assert fields["grpc-message"]
    if name == "unknown compression":
        assert "gzip" in fields["grpc-accept-encoding"]


def test_grpc_content_type_must_be_grpc(daemon):
    status, _, _ = h2_request(daemon.ports.grpc, frame(GOOD), content_type="text/plain")
    assert status == 415


def test_both_protocols_are_served_on_either_port(daemon):
    assert http_export(daemon.ports.grpc, GOOD).status == 200
    assert grpc_export(daemon.ports.http, GOOD).code is grpc.StatusCode.OK
    status, _, _ = h2_request(daemon.ports.http, GOOD, path="/v1/traces", content_type=PROTOBUF)
    assert status == 200


HEALTH = "/grpc.health.v1.Health/Check"


@pytest.mark.parametrize("service", ["", "opentelemetry.proto.collector.trace.v1.TraceService"])
def test_health_service_says_serving(daemon, service):
    result = grpc_call(daemon.ports.grpc, field(1, service.encode()) if service else b"", method=HEALTH)
    assert (result.code, result.response) == (grpc.StatusCode.OK, b"\x08\x01")


def test_health_service_does_not_know_other_services(daemon):
    assert grpc_call(daemon.ports.grpc, field(1, b"example.Service"), method=HEALTH).code is grpc.StatusCode.NOT_FOUND


def test_spans_with_invalid_ids_are_counted_in_partial_success(daemon):
    spans = [{}, {"trace_id": b"x" * 15}, {"trace_id": bytes(16)}, {"span_id": b"y" * 7}, {"span_id": bytes(8)}, {"trace_id": b""}, {}]
    request = otlp.request(spans)
    for response in (http_export(daemon.ports.http, request).response(),
                     ExportTraceServiceResponse.FromString(grpc_export(daemon.ports.grpc, request).response)):
        assert response.partial_success.rejected_spans == 5 and "id" in response.partial_success.error_message
    answer = json_export(daemon.ports.http, request)
    partial = json.loads(answer.body)["partialSuccess"]
    assert (answer.status, answer.type, int(partial["rejectedSpans"])) == (200, JSON, 5) and "id" in partial["errorMessage"]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_client_that_hangs_up_in_mid_body_takes_nothing_along(daemon, protocol):
    for _ in range(20):
        if protocol == "http":
            with socket.create_connection(("127.0.0.1", daemon.ports.http)) as connection:
                connection.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
                                   b"Content-Length: 3000000\r\n\r\n" + bytes(500_000))
        else:
            with H2Client(daemon.ports.grpc) as client:
                stream = client.begin([(":method", "POST"), (":scheme", "http"), (":path", EXPORT), (":authority", "x"),
                                       ("content-type", "application/grpc"), ("te", "trailers")])
                client.send(stream, struct.pack(">BI", 0, 3_000_000) + bytes(400_000), end=False)


def test_200_connections_that_send_nothing_do_not_hinder_others(daemon):
    idle = [socket.create_connection(("127.0.0.1", port)) for port in (daemon.ports.grpc, daemon.ports.http) for _ in range(100)]
    try:
        failures = []

        def work():
            for _ in range(20):
                if http_export(daemon.ports.http, GOOD).status != 200:
                    failures.append("http")
                if grpc_export(daemon.ports.grpc, GOOD).code is not grpc.StatusCode.OK:
                    failures.append("grpc")
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
    finally:
        for connection in idle:
            connection.close()


def test_1000_random_bodies_never_stop_the_daemon(daemon):
    seed = random.randrange(2**32)
    print("seed", seed)
    r = random.Random(seed)
    for _ in range(1000):
        raw = bytearray(GOOD[:r.randrange(1, len(GOOD))])
        for _ in range(r.randrange(1, 8)):
            raw[r.randrange(len(raw))] = r.randrange(256)
        assert http_post(daemon.ports.http, bytes(raw)).status in (200, 400)


def test_refusals_are_counted(daemon):
    before = daemon.metric("otelcol_receiver_refused_spans", transport="http")
    http_export(daemon.ports.http, otlp.request([{"trace_id": b"x" * 15}, {"span_id": b""}]))
    wait_until(lambda: daemon.metric("otelcol_receiver_refused_spans", transport="http") == before + 2, what="2 refused spans")


def test_details_of_grpc_errors_repeat_code_and_message(daemon):
    result = grpc_call(daemon.ports.grpc, b"\xff")
    status = status_pb2.Status.FromString(result.trailers["grpc-status-details-bin"])
    assert status.code == INVALID and status.message == result.message
