"""Load as SDKs make it, and the reckoning afterwards."""
import threading

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otlp
from daemon import wait_until


class Load:
    """SDK exporters in threads that export small batches for as long as they are told; remembers what was acknowledged."""
    BATCH = 40

    def __init__(self, ports, threads=4):
        self.ports, self.stopping = ports, threading.Event()
        self.acknowledged, self.lock = set(), threading.Lock()
        self.threads = [threading.Thread(target=self._work, args=[n]) for n in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _work(self, number):
        memory = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(memory))
        tracer = provider.get_tracer("load")
        if number % 2:
            exporter = GRPCExporter(endpoint=f"http://127.0.0.1:{self.ports.grpc}", insecure=True, timeout=30)
        else:
            exporter = HTTPExporter(endpoint=f"http://127.0.0.1:{self.ports.http}/v1/traces", timeout=30)
        while not self.stopping.is_set():
            for _ in range(self.BATCH):
                tracer.start_span("load").end()
            spans = memory.get_finished_spans()
            memory.clear()
            if exporter.export(spans) is SpanExportResult.SUCCESS:
                with self.lock:
                    self.acknowledged |= {format(s.context.span_id, "016x") for s in spans}
        exporter.shutdown()

    def until(self, spans, seconds=60):
        wait_until(lambda: len(self.acknowledged) >= spans, seconds, f"{spans} spans acknowledged")


def span_ids(store):
    column = "encode(span_id, 'hex')" if store.name == "postgres" else "span_id"
    return [otlp.hexadecimal(row[0]) for row in store.query(f"select {column} from traces")]


def assert_each_once(store, acknowledged):
    wait_until(lambda: acknowledged <= set(span_ids(store)), 30, "every acknowledged span is stored")
    found = span_ids(store)
    assert len(found) == len(set(found)), f"{len(found) - len(set(found))} rows are doubles"
