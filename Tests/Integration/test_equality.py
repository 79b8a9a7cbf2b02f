"""What was sent is what the tables hold, field by field, checked against an independent decode of the request."""
import datetime
import http.server
import gzip
import json
import random
import re
import threading
import uuid

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState
import grpc

import otlp
import random_spans
from clients import grpc_export, http_export, json_export
from daemon import wait_until
from stores import LLM_COLUMNS, count, rows

CHUNK = 512  # what the SDK's batch processor sends at once


class CaptureServer:
    """Keeps every request body that an OTLP/HTTP exporter posts, and answers OK."""

    def __enter__(self):
        bodies = self.bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def spans(self):
        for body in self.bodies:
            yield from otlp.spans_of(ExportTraceServiceRequest.FromString(body))


def sdk_spans(total):
    """Ended spans of the Python SDK with everything its API can put on them."""
    r = random.Random(total)
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "chat-api", "project.id": "acme", "process.pid": 42, "ratio": 0.5,
                                                 "flags": [True, False]}, schema_url="https://example.test/1.40"),
                              span_limits=SpanLimits(max_span_attributes=12, max_events=3, max_links=2))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracers = [provider.get_tracer("app", "2.1"), provider.get_tracer("instrumentation.http")]
    parent = None
    for i in range(total):
        if i % 8 == 0:
            state = TraceState([("ot", "th:8"), ("v", "1")])
            remote = SpanContext(r.getrandbits(128) or 1, r.getrandbits(64) or 1, True, TraceFlags(1), state)
            parent = None if i % 16 else trace.set_span_in_context(trace.NonRecordingSpan(remote))
        linked = SpanContext(r.getrandbits(128) or 1, r.getrandbits(64) or 1, False, TraceFlags(0))
        span = tracers[i % 2].start_span(
            f"opération {i % 7} 🦄", context=parent, kind=list(SpanKind)[i % 5], links=[Link(linked, {"n": k}) for k in range(i % 4)],
            attributes={"text": "ünï\n\"quoted\"", "int": -2**63 + i, "float": i / 3, "whole": float(i), "bool": i % 2 == 0,
                        "strings": ["a", "b"], "ints": [1, 2], "floats": [1.5, 2.0], "bools": [True], "empty": []})
        for k in range(i % 5):
            span.set_attribute(f"more.{k}", k)
        if i % 3 == 0:
            span.add_event("token", {"index": i, "text": "x" * (i % 50)})
        if i % 10 == 3:
            span.record_exception(ValueError(f"bad {i}"))
            span.set_status(Status(StatusCode.ERROR, "it failed: ünï"))
        elif i % 10 == 5:
            span.set_status(StatusCode.OK)
        if i % 8 == 0:
            parent = trace.set_span_in_context(span)
        span.end()
    provider.shutdown()
    return memory.get_finished_spans()


@pytest.fixture(scope="module", params=[1, 10_000], ids=["1 span", "10,000 spans"])
def sent(request):
    """SDK spans, what the SDK's own exporter puts on the wire for them, and the comparable form of that, by span id."""
    spans = sdk_spans(request.param)
    with CaptureServer() as capture:
        exporter = HTTPExporter(endpoint=capture.endpoint)
        for at in range(0, len(spans), CHUNK):
            assert exporter.export(spans[at:at + CHUNK]) is SpanExportResult.SUCCESS
        exporter.shutdown()
        expected = {span.span_id.hex(): otlp.from_message(group, scope, span) for group, scope, span in capture.spans()}
    assert len(expected) == request.param
    return spans, capture.bodies, expected


SDK_GRPC = {"identity": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}
SDK_HTTP = {"identity": Compression.NoCompression, "gzip": Compression.Gzip, "deflate": Compression.Deflate}


def sdk_send(protocol, encoding, ports, spans):
    """Exports the spans as the SDK's own exporter does."""
    if protocol == "grpc":
        exporter = GRPCExporter(endpoint=f"http://127.0.0.1:{ports.grpc}", insecure=True, compression=SDK_GRPC[encoding], timeout=30)
    else:
        exporter = HTTPExporter(endpoint=f"http://127.0.0.1:{ports.http}/v1/traces", compression=SDK_HTTP[encoding], timeout=30)
    for at in range(0, len(spans), CHUNK):
        assert exporter.export(spans[at:at + CHUNK]) is SpanExportResult.SUCCESS
    exporter.shutdown()


def other_send(protocol, encoding, ports, bodies):
    """Sends what the SDK put on the wire in a form it cannot make itself."""
    for body in bodies:
        if protocol == "grpc":
            assert grpc_export(ports.grpc, body, encoding).code is grpc.StatusCode.OK
        elif protocol == "http":
            assert http_export(ports.http, body, encoding).status == 200
        else:
            assert json_export(ports.http, ExportTraceServiceRequest.FromString(body), encoding).status == 200


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "zstd"])
@pytest.mark.parametrize("protocol", ["grpc", "http", "json"])
def test_tables_hold_what_the_python_sdk_sent(store, start, sent, protocol, encoding):
    spans, bodies, expected = sent
    daemon = start(store)
    if protocol == "json" or encoding == "zstd":
        other_send(protocol, encoding, daemon.ports, bodies)
    else:
        sdk_send(protocol, encoding, daemon.ports, spans)
    wait_until(lambda: count(store) >= len(spans), 60, f"{len(spans)} rows")
    found = rows(store)
    assert len(found) == len(spans), "a span is there more than once"
    for row in found:
        span = expected[otlp.hexadecimal(row["span_id"])]
        assert otlp.from_row(row) == span
        check_derived(row, span, project="acme", service="chat-api")
    assert {otlp.hexadecimal(row["span_id"]) for row in found} == set(expected)
    assert len({row["resource_id"] for row in found}) == 1, "one resource, one row"


def timestamp_micros(value):
    """The `ts` column in microseconds since 1970."""
    if isinstance(value, int):
        return value
    text = value.replace("T", " ").removesuffix("Z").removesuffix("+00:00")
    parsed = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
    return (parsed - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)


def told_count(trace_state):
    """What a span counts for when nobody here samples: 1 / probability by the threshold in its tracestate."""
    found = re.search(r"(?:^|,)ot=(?:[^,]*;)?th:([0-9a-f]{1,14})", trace_state)
    return 2**56 / (2**56 - int(found.group(1).ljust(14, "0"), 16)) if found else 1.0


def check_derived(row, span, project, service):
    """The columns that follow from others."""
    assert timestamp_micros(row["ts"]) == span["start"] // 1000
    assert row["project_id"] == project and row["service_name"] == service
    duration = span["end"] - span["start"]
    assert row["duration_nano"] == duration and row["duration_ms"] == pytest.approx(duration / 1e6, rel=1e-12, abs=0)
    assert row["adjusted_count"] == told_count(span["trace_state"]) and row["sampling_reason"] is None
    assert {column: row[column] for column in LLM_COLUMNS} == dict.fromkeys(LLM_COLUMNS)


@pytest.mark.parametrize("send", [grpc_export, http_export, json_export], ids=["grpc", "http", "json"])
@pytest.mark.parametrize("seed", range(3))
def test_otlp_rebuilt_from_a_row_equals_the_span_that_came_in(store, start, seed, send):
    print("seed", seed)
    request = random_spans.request(seed, 300, otlp.now_nano())
    daemon = start(store)
    answer = send(daemon.ports.grpc if send is grpc_export else daemon.ports.http, request)
    assert answer.code is grpc.StatusCode.OK if send is grpc_export else answer.status == 200, vars(answer)
    wait_until(lambda: count(store) >= 300, 20, "300 rows")
    expected = {span.span_id.hex(): otlp.from_message(group, scope, span) for group, scope, span in otlp.spans_of(request)}
    found = {otlp.hexadecimal(row["span_id"]): otlp.from_row(row) for row in rows(store)}
    assert found.keys() == expected.keys()
    for span_id, span in expected.items():
        assert found[span_id] == span


def test_every_exporter_of_a_pipeline_gets_every_span(postgres, sqlite, start):
    daemon = start(postgres, exporters__sqlite=sqlite.settings(), service__pipelines__traces__exporters=["sqlite", "timescaledb"])
    request = random_spans.request(4, 200, otlp.now_nano())
    assert http_export(daemon.ports.http, request).status == 200
    found = []
    for store in (postgres, sqlite):
        wait_until(lambda: count(store) >= 200, 20, f"200 rows in {store.name}")
        found.append({otlp.hexadecimal(row["span_id"]): otlp.from_row(row) for row in rows(store)})
    assert len(found[0]) == 200 and found[0] == found[1]


PROJECTS = [
    ({"project.id": "p", "openinference.project.name": "q", "service.namespace": "r", "service.name": "s"}, "p", "s"),
    ({"openinference.project.name": "q", "service.namespace": "r"}, "q", "unknown_service"),
    ({"service.namespace": "r", "service.name": "s"}, "r", "s"),
    ({}, "default", "unknown_service"),
    ({"project.id": "é" * 200}, "é" * 128, "unknown_service"),  # 400 bytes, cut at 256 between characters
]


def test_project_and_service_follow_the_resource(store, start):
    daemon = start(store)
    expected = {}
    for resource, project, service in PROJECTS:
        span_id = random.randbytes(8)
        expected[span_id.hex()] = (project, service)
        assert http_export(daemon.ports.http, otlp.request([{"span_id": span_id}], resource=resource)).status == 200
    wait_until(lambda: count(store) == len(PROJECTS), what="one row per request")
    assert {otlp.hexadecimal(r["span_id"]): (r["project_id"], r["service_name"]) for r in rows(store)} == expected


def test_spans_view_shows_hex_ids_and_finds_a_trace(store, start):
    trace_id, span_id, parent = random.randbytes(16), random.randbytes(8), random.randbytes(8)
    daemon = start(store)
    http_export(daemon.ports.http, otlp.request([{"trace_id": trace_id, "span_id": span_id, "parent_span_id": parent, "name": "look"}]))
    wait_until(lambda: count(store) == 1, what="the row")
    row, = store.query("select trace_id, span_id, parent_span_id, name, service_name from spans")
    assert row == (trace_id.hex(), span_id.hex(), parent.hex(), "look", "tests")
    if store.name == "postgres":
        assert store.query("select name from spans where trace_uuid = ?", uuid.UUID(bytes=trace_id)) == [("look",)]


def test_aggregate_views_count_spans(store, start):
    daemon = start(store)
    now = otlp.now_nano()
    spans = [{"start_time_unix_nano": now, "end_time_unix_nano": now + (i + 1) * 1_000_000, "status": (2, "") if i == 0 else None}
             for i in range(10)]
    http_export(daemon.ports.http, otlp.request(spans))
    wait_until(lambda: count(store) == 10, what="10 rows")
    for view in ("traces_1min", "traces_1hour", "traces_1day"):
        sql = ("select sum(trace_count), sum(sampled_count), sum(error_count), min(min_duration_ms), max(max_duration_ms),"
               f" avg(avg_duration_ms) from {view} where service_name = 'tests'")
        found = [float(value) for value in store.query(sql)[0]]
        assert found == pytest.approx([10, 10, 1, 1, 10, 5.5]), view
    assert store.query("select count(*) from llm_events") == [(0,)]


def test_duplicate_top_level_keys_are_kept(store, start):
    daemon = start(store)
    pairs = [("k", 1), ("k", 2), ("other", "x")]
    request = otlp.request([{"attributes": pairs}])
    assert http_export(daemon.ports.http, request).status == 200
    wait_until(lambda: count(store) == 1, what="the row")
    (row,), ((group, scope, span),) = rows(store), otlp.spans_of(request)
    assert otlp.from_row(row)["attributes"] == otlp.from_message(group, scope, span)["attributes"], json.dumps(row["attributes"])
