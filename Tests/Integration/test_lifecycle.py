"""Start, stop, restart: nothing acknowledged is lost or doubled, and what cannot start says why."""
import os
import re
import signal
import socket
import subprocess
import time
from urllib.parse import urlsplit

import grpc
import pytest

import otlp
from clients import EXPORT, PROTOBUF, H2Client, frame, grpc_export, http_export
from daemon import Daemon, Ports, wait_until
from load import Load, assert_each_once
from stores import count


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_at_a_stop_are_finished_and_stored(store, start, number):
    """Their bodies are half here when the signal comes; their clients get an answer, and it is true."""
    daemon = start(store)
    raw = otlp.request([{}] * 25).SerializeToString()
    middle = len(raw) // 2
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {len(raw)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", daemon.ports.http), 20) as http, H2Client(daemon.ports.grpc) as client:
        http.sendall(head.encode() + raw[:middle])
        stream = client.begin([(":method", "POST"), (":scheme", "http"), (":path", EXPORT), (":authority", "x"),
                               ("content-type", "application/grpc"), ("te", "trailers")])
        client.send(stream, frame(raw)[:middle], end=False)
        # A request on each port after them: by then the collector has seen those before.
        assert http_export(daemon.ports.http, b"").status == 200 and grpc_export(daemon.ports.grpc, b"").code is grpc.StatusCode.OK
        daemon.process.send_signal(number)
        wait_until(lambda: "stopping" in daemon.log(), what="the log says that it stops")
        http.sendall(raw[middle:])
        client.send(stream, frame(raw)[middle:])
        assert http.recv(1000).startswith(b"HTTP/1.1 200")
        assert ("grpc-status", "0") in client.answer(stream)["trailers"]
    assert daemon.wait() == 0
    assert count(store) == 50


def test_new_requests_are_refused_while_stopping_and_the_ports_are_free_afterwards(store, start):
    daemon = start(store)
    daemon.stop()
    for port in (daemon.ports.grpc, daemon.ports.http):
        socket.create_server(("127.0.0.1", port)).close()


def test_sighup_does_not_end_the_daemon(sqlite, start):
    daemon = start(sqlite)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in daemon.log(), what="the log mentions it")
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
