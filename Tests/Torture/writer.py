"""The client: numbered spans, sent by the Python SDK's own exporters with their own rules for retries, in several threads.

Only two things differ from an application: the requests are made here (so that their bytes are known), and the exporters' waits are
shorter by `WAIT_SCALE`, because a round lasts seconds. Besides, clients with bad habits send the same bytes again, also at the same time.
"""
import contextlib
import random
import socket
import threading
import time

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExportResult

import sampling

# The exporters give up when their next wait (unscaled: 1, 2, 4 ... s) goes past this; long enough for all their attempts.
TIMEOUT_SECONDS = 60
WAIT_SCALE = 0.03
JOIN_SECONDS_MAX = 150
SPANS_MAX = 60
OPEN_TRACES = 5
PAUSES_SECONDS = (0, 0.02, 0.04, 0.1)
NANOS = 1_000_000_000
# One request in so many: sent and hung up on before the answer; sent again after its answer; sent twice at once.
HANG_UP, AGAIN, AT_ONCE = 15, 12, 20


class ShortWaits(threading.Event):
    def wait(self, timeout=None):
        return super().wait(None if timeout is None else timeout * WAIT_SCALE)


class HTTPClient:
    def __init__(self, port, gzip):
        self.exporter = HTTPExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces", timeout=TIMEOUT_SECONDS,
                                     compression=Compression.Gzip if gzip else Compression.NoCompression)
        assert isinstance(self.exporter._client._shutdown_event, threading.Event)
        self.exporter._client._shutdown_event = ShortWaits()

    def export(self, request):
        return self.exporter._client.export(request.raw).success

    def close(self):
        self.exporter.shutdown()


class ReadyMessages(GRPCExporter):
    """The SDK's exporter for messages that are encoded already."""

    def _translate_data(self, data):
        return data.message

    def _count_data(self, data):
        return len(data.numbers)


class GRPCClient:
    def __init__(self, port):
        options = (("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200))
        self.exporter = ReadyMessages(endpoint=f"http://127.0.0.1:{port}", insecure=True, timeout=TIMEOUT_SECONDS, channel_options=options)
        assert isinstance(self.exporter._shutdown_in_progress, threading.Event)
        self.exporter._shutdown_in_progress = ShortWaits()

    def export(self, request):
        return self.exporter._export(request) is SpanExportResult.SUCCESS

    def close(self):
        self.exporter.shutdown()


class Request:
    """`traces`: the trace of each of the numbered spans."""

    def __init__(self, numbers, traces, message):
        self.numbers, self.traces, self.message, self.raw = numbers, traces, message, message.SerializeToString(deterministic=True)
        self.is_acknowledged = False
        # Nobody will send these bytes any more.
        self.is_closed = False


class Traces:
    """Spans of several traces in each request, and of each trace in several requests."""

    def __init__(self, rng):
        self.rng, self.ids = rng, [rng.randbytes(16) for _ in range(OPEN_TRACES)]

    def next(self):
        index = self.rng.randrange(OPEN_TRACES)
        if self.rng.random() < 0.1:
            self.ids[index] = self.rng.randbytes(16)
        return self.ids[index]


def make_request(rng, traces, numbers, sender):
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    attribute = group.resource.attributes.add(key="service.name")
    attribute.value.string_value = f"torture-{sender}"
    scope = group.scope_spans.add()
    scope.scope.name = "torture"
    filler = "x" * (rng.choice([0, 0, 0, 2_000]))
    members = [traces.next() for _ in numbers]
    for number, trace in zip(numbers, members):
        begin = start_time(rng)
        span = scope.spans.add(trace_id=trace, span_id=number.to_bytes(8, "big"), name=f"span {number}",
                               start_time_unix_nano=begin, end_time_unix_nano=begin + 5_000_000 if begin else 0)
        sampling.mark(rng, span, trace)
        if filler:
            span.attributes.add(key="filler").value.string_value = filler
    return Request(numbers, members, message)


def start_time(rng):
    """Now; or none, or one that the database does not take, for which the time of arrival stands in: a replay must give it again."""
    kind = rng.random()
    if kind < 0.1:
        return 0
    return 1 if kind < 0.15 else time.time_ns() + (86_400 * 365 * NANOS if kind < 0.2 else 0)


class Writer:
    """Sends until told to stop. `repeats`: the bad habits too; without a log that knows repeats they would be stored twice."""

    def __init__(self, rng, grpc_port, http_port, repeats=True):
        self.http_port, self.repeats = http_port, repeats
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.requests, self.last_number, self.failures, self.hung = [], 0, [], 0
        makers = [lambda: HTTPClient(http_port, gzip=False), lambda: HTTPClient(http_port, gzip=True), lambda: GRPCClient(grpc_port),
                  lambda: GRPCClient(grpc_port)]
        self.threads = [threading.Thread(target=self._work, args=[index, random.Random(rng.random()), make], daemon=True)
                        for index, make in enumerate(makers)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        """Returns when each request under way has been answered or given up by the SDK's rules."""
        self.stopping.set()
        deadline = time.monotonic() + JOIN_SECONDS_MAX
        for thread in self.threads:
            thread.join(max(deadline - time.monotonic(), 0))
        if any(thread.is_alive() for thread in self.threads):
            self.failures.append(f"a request was not answered within {JOIN_SECONDS_MAX} s")

    def acknowledged(self, closed=False):
        with self.lock:
            return [request for request in self.requests if request.is_acknowledged and (request.is_closed or not closed)]

    def _work(self, index, rng, make):
        try:
            with contextlib.closing(make()) as client, contextlib.closing(make()) as other:
                traces = Traces(rng)
                while not self.stopping.wait(rng.choice(PAUSES_SECONDS)):
                    self._send(self._next(rng, traces, index), rng, client, other)
        except Exception as error:  # a broken client must not pass for a quiet one
            self.failures.append(f"client {index}: {error!r}")

    def _next(self, rng, traces, index):
        count = rng.randint(1, SPANS_MAX)
        with self.lock:
            numbers = range(self.last_number + 1, self.last_number + 1 + count)
            self.last_number += count
        request = make_request(rng, traces, numbers, index)
        with self.lock:
            self.requests.append(request)
        return request

    def _send(self, request, rng, client, other):
        if self.repeats and rng.randrange(HANG_UP) == 0:
            self._hang_up(request, rng.choice([0, 0.001, 0.02]))
        twin = None
        if self.repeats and rng.randrange(AT_ONCE) == 0:
            twin = threading.Thread(target=self._export, args=[request, other], daemon=True)
            twin.start()
        self._export(request, client)
        if twin:
            twin.join()
        if self.repeats and rng.randrange(AGAIN) == 0:
            self._export(request, client)
        with self.lock:
            request.is_closed = True

    def _export(self, request, client):
        if client.export(request):
            with self.lock:
                request.is_acknowledged = True

    def _hang_up(self, request, seconds):
        """Sends all of it and does not wait for the answer, as a client that is killed or out of patience."""
        head = (f"POST /v1/traces HTTP/1.1\r\nHost: torture\r\nContent-Type: application/x-protobuf\r\n"
                f"Content-Length: {len(request.raw)}\r\n\r\n")
        try:
            with socket.create_connection(("127.0.0.1", self.http_port), 5) as connection:
                connection.sendall(head.encode() + request.raw)
                time.sleep(seconds)
            self.hung += 1
        except OSError:
            pass
