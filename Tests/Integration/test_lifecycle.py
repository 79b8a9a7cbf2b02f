"""Start, stop, restart: nothing acknowledged is lost or doubled, and what cannot start says why."""
import os
import re
import signal
import socket
import subprocess
import threading
import time
from urllib.parse import urlsplit

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otlp
from clients import grpc_export, http_export
from daemon import Daemon, Ports, free_ports, wait_until
from stores import count


class Relay:
    """A TCP relay in front of the database: down until `open`, and able to cut every connection."""

    def __init__(self, dsn):
        address = urlsplit(dsn)
        self.target = (address.hostname, address.port)
        self.port, = free_ports(1)
        self.dsn = dsn.replace(f":{address.port}/", f":{self.port}/")
        self.listener, self.pairs, self.lock = None, [], threading.Lock()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=[self.listener], daemon=True).start()

    def close(self):
        """Nobody listens any more, and every connection is reset."""
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        self.cut()

    def cut(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for end in (end for pair in pairs for end in pair):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        return len(pairs)

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            with self.lock:
                self.pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=[source, sink], daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@pytest.fixture
def relay(postgres):
    relay = Relay(postgres.dsn)
    postgres.settings_of_store = postgres.settings
    postgres.settings = lambda **more: postgres.settings_of_store(**{"dsn": relay.dsn, **more})
    yield relay
    relay.close()


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


def test_graceful_restart_in_mid_load_loses_and_doubles_nothing(store, start):
    ports = Ports()
    first = start(store, ports)
    with Load(ports) as load:
        load.until(2_000)
        first.stop()
        second = start(store, ports)
        load.until(len(load.acknowledged) + 2_000)
        second.stop()
        third = start(store, ports)
        load.until(len(load.acknowledged) + 500)
    third.stop()
    assert_each_once(store, load.acknowledged)


def test_stop_flushes_what_the_batcher_still_holds(store, start):
    daemon = start(store, processors__batch={"timeout": "1h", "send_batch_size": 100_000}, settings={} if store.name == "sqlite" else
                   {"flush_interval": "1h"})
    assert http_export(daemon.ports.http, otlp.request([{}] * 300)).status == 200
    assert count(store) == 0
    daemon.stop()
    assert count(store) == 300


def test_database_down_at_start_is_no_failure(postgres, relay, start):
    daemon = start(postgres)
    wait_until(lambda: daemon.health()[1]["status"] == "degraded", what="health says degraded")
    status, report = daemon.health()
    assert status == 200
    assert any(c["id"].endswith("timescaledb") and c["status"] == "degraded" and c["reason"] for c in report["components"])
    assert urlsplit(postgres.dsn).password not in str(report) + daemon.log()
    for _ in range(5):
        assert http_export(daemon.ports.http, otlp.request([{}] * 100)).status == 200
        assert grpc_export(daemon.ports.grpc, otlp.request([{}] * 100)).code is grpc.StatusCode.OK
    relay.open()
    wait_until(lambda: count(postgres) == 1000, 60, "the queued spans are stored")
    wait_until(lambda: daemon.health()[1]["status"] == "ok", what="health says ok again")


def test_database_that_goes_away_in_mid_load_costs_nothing(postgres, relay, start):
    relay.open()
    daemon = start(postgres)
    cut = 0
    with Load(daemon.ports) as load:
        for target in range(1, 7):
            load.until(target * 1_000)
            cut += relay.cut()
        relay.close()
        load.until(8_000)
        relay.open()
        load.until(10_000)
    daemon.stop()
    assert cut > 0, "no connection was there to be cut"
    assert_each_once(postgres, load.acknowledged)


def test_second_signal_ends_at_once(postgres, relay, start):
    daemon = start(postgres)
    assert http_export(daemon.ports.http, otlp.request([{}])).status == 200
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in daemon.log(), what="the log says that it stops")
    begin = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait(5) != 0
    assert time.monotonic() - begin < 3
    daemon.ended = True


def test_stop_with_unreachable_database_ends_within_shutdown_timeout(postgres, relay, start):
    daemon = start(postgres, service__shutdown_timeout="2s")
    assert http_export(daemon.ports.http, otlp.request([{}] * 7)).status == 200
    daemon.process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    daemon.wait(6)
    assert time.monotonic() - begin < 5
    assert re.search(r"\b(lost|dropped|not exported|not stored)\b", daemon.log()), "the log says what was lost"
    daemon.ended = True


def test_new_requests_are_refused_while_stopping_and_the_ports_are_free_afterwards(store, start):
    daemon = start(store)
    daemon.stop()
    for port in (daemon.ports.grpc, daemon.ports.http):
        socket.create_server(("127.0.0.1", port)).close()


def test_sighup_does_not_end_the_daemon(sqlite, start):
    daemon = start(sqlite)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP" in daemon.log(), what="the log mentions it")
    assert http_export(daemon.ports.http, otlp.request([{}])).status == 200


def failed_start(tmp_path, exporter, settings=None, **changes):
    """The log of a start that has to fail with exit code 1."""
    daemon = Daemon.with_config(tmp_path, exporter, settings, ports=changes.pop("ports", None), **changes).launch()
    assert daemon.wait(20) == 1
    lines = [line for line in daemon.log().splitlines() if line.strip()]
    assert "Fatal error" not in daemon.log() and "Stack dump" not in daemon.log()
    return lines


@pytest.mark.parametrize("listener", ["grpc", "http", "health", "metrics"])
def test_used_port_fails_the_start_and_names_the_address(tmp_path, listener):
    ports = Ports()
    with socket.create_server(("127.0.0.1", getattr(ports, listener))):
        lines = failed_start(tmp_path, "nop", ports=ports)
    assert f"127.0.0.1:{getattr(ports, listener)}" in lines[-1] and "in use" in lines[-1], lines


def test_unreachable_path_fails_the_start_and_names_it(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    lines = failed_start(tmp_path, "sqlite", {"path": str(tmp_path / "file" / "telemetry.db")})
    assert "telemetry.db" in lines[-1] or str(tmp_path / "file") in lines[-1], lines


def test_bad_configuration_fails_the_start_with_its_place(tmp_path):
    lines = failed_start(tmp_path, "nop", receivers__otlp__protocols__grpc__endpiont="x")
    assert any(re.search(r"collector\.yaml:\d+:\d+: .*endpiont.*endpoint", line) for line in lines), lines


def test_silent_and_half_open_clients_do_not_delay_a_stop(sqlite, start):
    daemon = start(sqlite)
    silent = [socket.create_connection(("127.0.0.1", daemon.ports.grpc)) for _ in range(50)]
    try:
        begin = time.monotonic()
        daemon.stop()
        assert time.monotonic() - begin < 14
    finally:
        for connection in silent:
            connection.close()


def test_files_of_the_embedded_store_are_readable_while_it_runs(sqlite, start):
    daemon = start(sqlite)
    http_export(daemon.ports.http, otlp.request([{}] * 5))
    wait_until(lambda: count(sqlite) == 5, what="5 rows")
    sql = "pragma integrity_check; select count(*) from spans"
    out = subprocess.run(["sqlite3", str(sqlite.path), sql], capture_output=True, text=True)
    assert out.stdout.split() == ["ok", "5"], out
    assert os.stat(sqlite.path.parent).st_mode & 0o007 == 0, "telemetry is nobody else's business"
