"""Overload, slow clients and bad company: refusals say when to come back, and what was acknowledged is there once."""
import socket
import struct
import time

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

import otlp
from clients import EXPORT, PROTOBUF, H2Client, frame, grpc_call, grpc_export, http_export, http_post, json_export
from compress import COMPRESS
from daemon import Daemon, wait_until
from load import Load, assert_each_once
from stores import count, rows
from test_bad_requests import UNDECODABLE, WRONG_GRPC, WRONG_HTTP

QUICK_RETRY = {"initial_interval": "50ms", "max_interval": "200ms"}
RSS_MIB_MAX = 200
MIB = 1 << 20
UNAVAILABLE, DEADLINE_EXCEEDED = 14, 4


def send_until_refused(daemon, attributes, requests_max):
    """Sends one span per request; (names of those acknowledged, the first refusal)."""
    acknowledged = []
    for number in range(requests_max):
        name = f"span {number}"
        answer = http_export(daemon.ports.http, otlp.request([{"name": name, "attributes": attributes}]))
        if answer.status != 200:
            return acknowledged, answer
        acknowledged.append(name)
    raise AssertionError(f"{requests_max} requests were taken although nothing leaves the queue")


def assert_refusals_say_when_to_come_back(daemon, answer, request):
    """The refusal given, and those of the same request in JSON and gRPC."""
    assert (answer.status, answer.type, answer.google_status().code) == (503, PROTOBUF, UNAVAILABLE)
    assert int(answer.headers["retry-after"]) >= 1
    answer = json_export(daemon.ports.http, request)
    assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
    result = grpc_export(daemon.ports.grpc, request)
    assert result.code is grpc.StatusCode.UNAVAILABLE and result.has(error_details_pb2.RetryInfo)
    # Where the Python SDK looks for the delay.
    assert error_details_pb2.RetryInfo.FromString(result.trailers["google.rpc.retryinfo-bin"]).retry_delay.seconds >= 1


def test_full_queue_refuses_and_loses_nothing_it_took(postgres, relay, start):
    daemon = start(postgres, processors__batch={"timeout": "1ms"}, settings={
        "flush_interval": "1ms", "num_consumers": 1, "sending_queue": {"queue_size": 2}, "retry_on_failure": QUICK_RETRY})
    acknowledged, refusal = send_until_refused(daemon, {}, 2000)
    assert_refusals_say_when_to_come_back(daemon, refusal, otlp.request([{}]))
    assert daemon.metric("otelcol_exporter_queue_capacity") == 2 and daemon.metric("otelcol_exporter_queue_size") >= 2
    relay.open()
    wait_until(lambda: count(postgres) >= len(acknowledged), 30, "what was acknowledged is stored")
    wait_until(lambda: http_export(daemon.ports.http, b"").status == 200 and http_export(daemon.ports.http, otlp.request(
        [{"name": "afterwards"}])).status == 200, what="requests are taken again")
    daemon.stop()
    assert sorted(row["name"] for row in rows(postgres)) == sorted([*acknowledged, "afterwards"])


def test_memory_is_bounded_in_bytes_and_what_was_taken_is_kept(postgres, relay, start):
    daemon = start(postgres, settings={"retry_on_failure": QUICK_RETRY})
    text = {"text": "x" * 3 * MIB}
    acknowledged, refusal = send_until_refused(daemon, text, 100)
    assert_refusals_say_when_to_come_back(daemon, refusal, otlp.request([{"attributes": text}]))
    assert len(acknowledged) >= 10 and daemon.rss_mib() < RSS_MIB_MAX
    status, report = daemon.health()
    assert (status, report["status"]) == (200, "degraded")
    relay.open()
    wait_until(lambda: count(postgres) >= len(acknowledged), 60, "what was acknowledged is stored")
    daemon.stop()
    assert sorted(row["name"] for row in rows(postgres)) == sorted(acknowledged)


def test_good_spans_all_arrive_between_bad_requests(store, start):
    daemon = start(store, receivers__otlp__protocols__grpc__max_recv_msg_size_mib=4,
                   receivers__otlp__protocols__http__max_request_body_size=4 * MIB)
    with Load(daemon.ports) as load:
        for round in range(1, 3):
            for raw in [*UNDECODABLE.values(), bytes(5 * MIB)]:
                assert http_post(daemon.ports.http, raw).status in (400, 413)
                grpc_call(daemon.ports.grpc, raw)
            for _, arguments in WRONG_HTTP.values():
                assert 400 <= http_post(daemon.ports.http, b"\0" * 9, **arguments).status < 500
            assert http_post(daemon.ports.http, COMPRESS["gzip"](bytes(50 * MIB)), headers={"Content-Encoding": "gzip"}).status == 413
            for _, arguments in WRONG_GRPC.values():
                with H2Client(daemon.ports.grpc) as client:
                    client.begin([(":method", "POST"), (":path", arguments.get("path", EXPORT)), ("x" * 100, "y" * 100)])
            for port in (daemon.ports.http, daemon.ports.grpc):
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(bytes(range(256)) * 50)
            load.until(round * 1_000)
    daemon.stop()
    assert_each_once(store, load.acknowledged)


@pytest.fixture
def impatient(tmp_path):
    """A collector that waits a second where the default is longer."""
    times = {"read_timeout": "1s", "read_header_timeout": "1s", "idle_timeout": "2s"}
    with Daemon.with_config(tmp_path, "nop", **{f"receivers__otlp__protocols__http__{key}": value for key, value in times.items()},
                            receivers__otlp__protocols__grpc__keepalive={"server_parameters": {"max_connection_idle": "2s"}}) as daemon:
        yield daemon


def read_to_end(connection):
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def test_body_that_does_not_come_is_answered_408_and_the_connection_ends(impatient):
    with socket.create_connection(("127.0.0.1", impatient.ports.http), 20) as connection:
        connection.sendall(f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 100\r\n\r\n12345".encode())
        head, _, body = read_to_end(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408") and status_pb2.Status.FromString(body).message


@pytest.mark.parametrize("sent", [b"", b"POST /v1/tra", b"PRI * HTTP/2.0\r\n"], ids=["nothing", "half a head", "half a preface"])
def test_head_that_does_not_come_ends_the_connection(impatient, sent):
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", impatient.ports.http), 20) as connection:
        connection.sendall(sent)
        read_to_end(connection)
    assert time.monotonic() - begin < 10


def test_idle_connections_are_closed(impatient):
    with H2Client(impatient.ports.grpc) as client, socket.create_connection(("127.0.0.1", impatient.ports.http), 20) as http:
        http.sendall(f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: 0\r\n\r\n".encode())
        assert read_to_end(http).startswith(b"HTTP/1.1 200")
        client.socket.settimeout(20)
        while not client.closed:
            client._read()


def test_grpc_timeout_is_honoured(impatient):
    with H2Client(impatient.ports.grpc) as client:
        stream = client.begin([(":method", "POST"), (":scheme", "http"), (":path", EXPORT), (":authority", "x"),
                               ("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "300m")])
        client.send(stream, struct.pack(">BI", 0, 1000) + bytes(10), end=False)
        answer = client.answer(stream)
    assert dict(answer["headers"])["grpc-status"] == str(DEADLINE_EXCEEDED)


def test_many_calls_on_one_connection_are_all_answered(impatient):
    """Up to the limit of 100 streams at a time, as a client that heeds SETTINGS does."""
    raw = frame(otlp.request([{}] * 5).SerializeToString())
    with H2Client(impatient.ports.grpc) as client:
        client._read()
        for _ in range(5):
            streams = [client.begin([(":method", "POST"), (":scheme", "http"), (":path", EXPORT), (":authority", "x"),
                                     ("content-type", "application/grpc"), ("te", "trailers")]) for _ in range(100)]
            for stream in streams:
                client.send(stream, raw)
            for stream in streams:
                assert ("grpc-status", "0") in client.answer(stream)["trailers"]
    assert impatient.metric("otelcol_receiver_accepted_spans", transport="grpc") == 2500
