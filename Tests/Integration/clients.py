"""Clients that say exactly what a test wants said: well-formed over grpcio and HTTP, malformed over raw HTTP/2 frames and sockets."""
import base64
import http.client
import socket
import struct
import sys

import grpc
import h2.connection
import h2.config
import h2.events
from google.rpc import error_details_pb2, status_pb2
from hyperframe.frame import GoAwayFrame
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from compress import COMPRESS
from daemon import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import otlp_samples  # noqa: E402  (how OTLP/JSON is written is said there)

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF, JSON = "application/x-protobuf", "application/json"


class Answer:
    """What came back over HTTP: status, header fields (lower-case names), body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, {k.lower(): v for k, v in headers}, body

    @property
    def type(self):
        return self.headers.get("content-type", "").split(";")[0]

    def response(self):
        return ExportTraceServiceResponse.FromString(self.body)

    def google_status(self):
        return status_pb2.Status.FromString(self.body)

    def has_bad_request(self):
        return any(d.Is(error_details_pb2.BadRequest.DESCRIPTOR) for d in self.google_status().details)


def http_post(port, body, path="/v1/traces", method="POST", content_type=PROTOBUF, headers=None):
    """One HTTP/1.1 request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        fields = {"Content-Type": content_type, **(headers or {})} if content_type else dict(headers or {})
        connection.request(method, path, body=body, headers=fields)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


def http_export(port, request, encoding="identity", content_type=PROTOBUF):
    """One OTLP/HTTP request; `encoding` as in content-encoding. The answer."""
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    headers = {} if encoding == "identity" else {"Content-Encoding": encoding}
    return http_post(port, COMPRESS[encoding](raw), content_type=content_type, headers=headers)


def json_export(port, request, encoding="identity"):
    """The same as OTLP/JSON."""
    return http_export(port, otlp_samples.otlp_json(request).encode(), encoding, JSON)


class RPCResult:
    def __init__(self, code, message, trailers, response=None):
        self.code, self.message, self.trailers, self.response = code, message, trailers, response

    def details(self):
        """The messages packed into grpc-status-details-bin."""
        raw = self.trailers.get("grpc-status-details-bin")
        return [] if raw is None else list(status_pb2.Status.FromString(raw).details)

    def has(self, kind):
        return any(detail.Is(kind.DESCRIPTOR) for detail in self.details())


GRPC_COMPRESSION = {"identity": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}


def grpc_call(port, raw, method=EXPORT, encoding="identity", timeout=60):
    """One unary call with the given message bytes, as grpcio makes it."""
    compression = GRPC_COMPRESSION[encoding]
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        try:
            response, call = channel.unary_unary(method).with_call(raw, timeout=timeout, compression=compression)
            return RPCResult(grpc.StatusCode.OK, "", dict(call.trailing_metadata()), response)
        except grpc.RpcError as error:
            return RPCResult(error.code(), error.details(), dict(error.trailing_metadata() or ()))


def grpc_export(port, request, encoding="identity"):
    """One OTLP/gRPC request; `encoding` as in grpc-encoding."""
    raw = request if isinstance(request, bytes) else request.SerializeToString()
    if encoding in GRPC_COMPRESSION:
        return grpc_call(port, raw, encoding=encoding)
    return grpc_raw(port, COMPRESS[encoding](raw), encoding)


def grpc_raw(port, compressed, encoding, headers=()):
    """One unary export whose message is said to be compressed so."""
    status, fields, body = h2_request(port, frame(compressed, flag=1), headers=[("grpc-encoding", encoding), *headers])
    assert status == 200, status
    code = next(code for code in grpc.StatusCode if code.value[0] == int(fields["grpc-status"]))
    if details := fields.get("grpc-status-details-bin"):
        fields["grpc-status-details-bin"] = base64.b64decode(details + "=" * (-len(details) % 4))
    return RPCResult(code, fields.get("grpc-message", ""), fields, body[5:])


def frame(message, flag=0, length=None):
    """A gRPC message frame; `length` lies about the length."""
    return struct.pack(">BI", flag, len(message) if length is None else length) + message


class H2Client:
    """A connection that speaks HTTP/2 with prior knowledge and sends what it is told, well-formed or not."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False))
        # The library takes GOAWAY for the end of everything; in truth streams that are open go on.
        self.h2._frame_dispatch_table[GoAwayFrame] = self._goaway_received
        self.h2.initiate_connection()
        self.answers, self.closed, self.goaway = {}, False, None
        self._flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def begin(self, headers, end=False):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=end)
        self.answers[stream] = {"headers": [], "trailers": [], "body": b"", "done": False, "reset": None}
        self._flush()
        return stream

    def send(self, stream, data, end=True):
        """Sends data as flow control allows, reading what the server says meanwhile."""
        at = 0
        while at < len(data):
            if self.answers[stream]["done"] or self.closed:
                return
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data) - at)
            if room == 0:
                self._read()
                continue
            self.h2.send_data(stream, data[at:at + room])
            at += room
            self._flush()
        if end:
            self.h2.end_stream(stream)
            self._flush()

    def _goaway_received(self, frame):
        self.goaway = frame.error_code
        return [], []

    def _read(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(data):
            answer = self.answers.get(getattr(event, "stream_id", None))
            if answer is None:
                continue
            elif isinstance(event, h2.events.ResponseReceived):
                answer["headers"] = event.headers
            elif isinstance(event, h2.events.TrailersReceived):
                answer["trailers"] = event.headers
            elif isinstance(event, h2.events.DataReceived):
                answer["body"] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                answer["done"] = True
            elif isinstance(event, h2.events.StreamReset):
                answer["done"], answer["reset"] = True, event.error_code
        try:
            self._flush()
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True

    def answer(self, stream):
        while not self.answers[stream]["done"] and not self.closed:
            self._read()
        return self.answers[stream]


def h2_request(port, body, path=EXPORT, content_type="application/grpc", headers=(), method="POST"):
    """One HTTP/2 request; the answer as (HTTP status, all header and trailer fields, body)."""
    with H2Client(port) as client:
        stream = client.begin([(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost"),
                               ("content-type", content_type), ("te", "trailers"), *headers])
        client.send(stream, body)
        answer = client.answer(stream)
    fields = dict(answer["headers"]) | dict(answer["trailers"])
    return int(fields.get(":status", 0)), fields, answer["body"]
