"""SIGHUP: what changes is exchanged, what stays goes on, and nothing acknowledged is lost or stored twice."""
import http.client
import json
import signal
import socket
import sqlite3
import threading
from contextlib import closing

import grpc
import pytest

import otlp
from clients import EXPORT, PROTOBUF, http_export
from daemon import Ports, configuration, fetch, wait_until
from load import Load, assert_each_once, span_ids
from stores import SQLite, count

RELOADS = "collector_config_reloads_total"


def write(daemon, store, settings=None, **changes):
    (daemon.directory / "collector.yaml").write_text(
        configuration(daemon.ports, store.exporter, store.settings(**(settings or {})), **changes))


def change(daemon, edit):
    """Lets `edit` change the configuration as a dictionary."""
    path = daemon.directory / "collector.yaml"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config, indent=2))


def hang_up(daemon, result="success"):
    """SIGHUP, then waits for its outcome."""
    before = daemon.metric(RELOADS, result=result)
    other = daemon.metric(RELOADS)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.metric(RELOADS) > other, what="the reload is over")
    assert daemon.metric(RELOADS, result=result) == before + 1, daemon.log()[-3000:]


def with_log(tmp_path, on):
    return {"service__write_ahead_log": {"directory": str(tmp_path / "wal"), "max_size_mib": 64, "segment_mib": 4}} if on else {}


class Connections:
    """An HTTP/1.1 and a gRPC connection that are used again and again; both notice when they had to be made anew."""

    def __init__(self, ports):
        self.http = http.client.HTTPConnection("127.0.0.1", ports.http, timeout=30)
        self.http.connect()
        self.http.auto_open = False
        self.channel = grpc.insecure_channel(f"127.0.0.1:{ports.grpc}")
        self.changes = []
        self.channel.subscribe(self.changes.append)
        self.acknowledged = set()

    def use(self):
        for send in (self._http, self._grpc):
            spans = [{"span_id": otlp.random.randbytes(8)} for _ in range(5)]
            send(otlp.request(spans).SerializeToString())
            self.acknowledged |= {s["span_id"].hex() for s in spans}

    def _http(self, raw):
        self.http.request("POST", "/v1/traces", raw, {"Content-Type": PROTOBUF})
        response = self.http.getresponse()
        response.read()
        assert response.status == 200

    def _grpc(self, raw):
        self.channel.unary_unary(EXPORT)(raw, timeout=30)

    def close(self):
        self.http.close()
        self.channel.close()

    def assert_unbroken(self):
        ready = grpc.ChannelConnectivity.READY
        assert ready in self.changes and self.changes[-1] is ready and self.changes.count(ready) == 1, self.changes


@pytest.mark.parametrize("log", [False, True])
def test_twenty_reloads_under_load_lose_and_double_nothing_and_keep_connections(store, start, tmp_path, log):
    daemon = start(store, **with_log(tmp_path, log))
    connections = Connections(daemon.ports)
    with Load(daemon.ports) as load:
        load.until(500)
        for number in range(20):
            connections.use()
            write(daemon, store, settings={"retention": f"{1000 + number}h"} if number % 3 == 0 else None,
                  processors__batch={"timeout": f"{20 + number}ms"}, **with_log(tmp_path, log))
            hang_up(daemon)
            load.until(len(load.acknowledged) + 100)
        connections.use()
    connections.assert_unbroken()
    connections.close()
    daemon.stop()
    assert_each_once(store, load.acknowledged | connections.acknowledged)
    assert "lost" not in daemon.log() and daemon.log().count("configuration reloaded") == 20


def test_signals_in_a_row_end_in_the_newest_configuration(sqlite, start):
    daemon = start(sqlite)
    with Load(daemon.ports) as load:
        for number in range(50):
            write(daemon, sqlite, processors__batch={"timeout": f"{20 + number}ms"})
            daemon.process.send_signal(signal.SIGHUP)
        write(daemon, sqlite, processors={}, service__pipelines__traces__processors=[])
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "processors" not in str(daemon.health()[1]), what="the last file is in force")
        load.until(500)
    daemon.stop()
    assert_each_once(sqlite, load.acknowledged)


def test_another_file_gets_what_comes_after(tmp_path, start):
    first, second = SQLite(tmp_path / "1"), SQLite(tmp_path / "2")
    daemon = start(first)
    with Load(daemon.ports) as load:
        load.until(1_000)
        write(daemon, second)
        hang_up(daemon)
        load.until(len(load.acknowledged) + 1_000)
    daemon.stop()
    old, new = span_ids(first), span_ids(second)
    assert old and new and not set(old) & set(new)
    assert len(old) + len(new) == len(set(old) | set(new)) and load.acknowledged <= set(old) | set(new)
    with closing(sqlite3.connect(second.path)) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def test_another_exporter_takes_over(postgres, tmp_path, start):
    other = SQLite(tmp_path)
    daemon = start(postgres)
    with Load(daemon.ports) as load:
        load.until(1_000)
        write(daemon, other)
        hang_up(daemon)
        load.until(len(load.acknowledged) + 1_000)
        wait_until(lambda: not any("queue_size" in name and "timescaledb" in name for name in daemon.metrics()),
                   what="the old exporter's queue is no longer shown")
    daemon.stop()
    old, new = span_ids(postgres), span_ids(other)
    assert old and new and sorted(old + new) == sorted(set(old + new)) and load.acknowledged <= set(old + new)


def test_pipelines_come_and_go(sqlite, tmp_path, start):
    second = SQLite(tmp_path / "2")
    daemon = start(sqlite)
    connections = Connections(daemon.ports)
    connections.use()

    def add(config):
        config["exporters"]["sqlite/2"] = {"path": str(second.path)}
        config["service"]["pipelines"]["traces/2"] = {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["sqlite/2"]}

    def remove(config):
        del config["exporters"]["sqlite/2"], config["service"]["pipelines"]["traces/2"]

    with Load(daemon.ports) as load:
        load.until(500)
        change(daemon, add)
        hang_up(daemon)
        connections.use()
        load.until(len(load.acknowledged) + 500)
        change(daemon, remove)
        hang_up(daemon)
        connections.use()
        load.until(len(load.acknowledged) + 500)
    connections.assert_unbroken()
    connections.close()
    daemon.stop()
    assert_each_once(sqlite, load.acknowledged | connections.acknowledged)
    copies = span_ids(second)
    assert 500 <= len(copies) == len(set(copies)) < count(sqlite)


def test_with_the_log_another_set_of_pipelines_is_refused(sqlite, tmp_path, start):
    daemon = start(sqlite, **with_log(tmp_path, True))

    def add(config):
        config["service"]["pipelines"]["traces/2"] = {"receivers": ["otlp"], "exporters": ["sqlite"]}

    change(daemon, add)
    hang_up(daemon, "failure")
    assert "restart" in str(daemon.health()[1])


def test_a_receivers_new_port_is_open_and_the_old_one_closed(sqlite, start):
    daemon = start(sqlite)
    assert http_export(daemon.ports.http, otlp.request([{}] * 5)).status == 200
    old, daemon.ports.http = daemon.ports.http, Ports().http
    write(daemon, sqlite)
    hang_up(daemon)
    assert http_export(daemon.ports.http, otlp.request([{}] * 7)).status == 200
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", old), 5).close()
    daemon.stop()
    assert count(sqlite) == 12


def test_a_changed_receiver_on_the_same_port_takes_over(sqlite, start):
    daemon = start(sqlite)
    with Load(daemon.ports) as load:
        load.until(500)
        write(daemon, sqlite, receivers__otlp__protocols__grpc__max_recv_msg_size_mib=5)
        hang_up(daemon)
        load.until(len(load.acknowledged) + 500)
    daemon.stop()
    assert_each_once(sqlite, load.acknowledged)


def test_a_port_that_is_taken_brings_the_old_receiver_back(sqlite, start):
    daemon = start(sqlite)
    ports = Ports()
    with socket.create_server(("127.0.0.1", ports.http)):
        old, daemon.ports.http = daemon.ports.http, ports.http
        write(daemon, sqlite, processors__batch={"timeout": "1s"})
        hang_up(daemon, "failure")
    assert f"127.0.0.1:{ports.http}" in str(daemon.health()[1])
    daemon.ports.http = old
    assert http_export(old, otlp.request([{}] * 5)).status == 200
    wait_until(lambda: count(sqlite) == 5, what="5 rows")
    write(daemon, sqlite)
    hang_up(daemon)
    assert daemon.health()[1]["status"] == "ok" and daemon.metric("collector_config_last_reload_successful") == 1


@pytest.mark.parametrize("text, expected", [("receivers: [", "collector.yaml"), ('{"exporters": {"nop": {"nope": 1}}}', "nope")])
def test_an_invalid_file_is_refused_with_its_problems(sqlite, start, text, expected):
    daemon = start(sqlite)
    path = daemon.directory / "collector.yaml"
    valid = path.read_text()
    path.write_text(text)
    hang_up(daemon, "failure")
    assert expected in daemon.log()
    status, report = daemon.health()
    assert status == 200 and report["status"] == "degraded"
    assert any(c["id"] == "service.configuration" and "failed" in c.get("reason", "") for c in report["components"])
    assert daemon.metric("collector_config_last_reload_successful") == 0
    assert http_export(daemon.ports.http, otlp.request([{}] * 5)).status == 200
    path.write_text(valid)
    hang_up(daemon)
    assert daemon.health()[1]["status"] == "ok" and daemon.metric("collector_config_last_reload_successful") == 1
    wait_until(lambda: count(sqlite) == 5, what="5 rows")


def test_an_exporter_that_cannot_start_changes_nothing(sqlite, tmp_path, start):
    daemon = start(sqlite)
    (tmp_path / "file").write_text("not a directory")
    with Load(daemon.ports) as load:
        load.until(200)
        write(daemon, SQLite(tmp_path / "file"))
        hang_up(daemon, "failure")
        load.until(len(load.acknowledged) + 200)
    daemon.stop()
    assert_each_once(sqlite, load.acknowledged)


def test_level_and_endpoints_are_applied_live(sqlite, start):
    daemon = start(sqlite)
    old = daemon.ports.metrics
    before = daemon.metric(RELOADS)
    daemon.ports.metrics, daemon.ports.health = Ports().metrics, Ports().health
    write(daemon, sqlite, service__telemetry={"logs": {"level": "error", "encoding": "json"},
                                              "metrics": {"address": f"127.0.0.1:{daemon.ports.metrics}"}})
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.health()[0] == 200, what="health at its new address")
    wait_until(lambda: fetch(f"http://127.0.0.1:{daemon.ports.metrics}/metrics")[0] == 200, what="metrics at their new address")
    wait_until(lambda: daemon.metric(RELOADS) == before + 1, what="the reload is over")
    assert fetch(f"http://127.0.0.1:{old}/metrics")[0] is None
    lines = len(daemon.log().splitlines())
    (daemon.directory / "collector.yaml").write_text("nonsense")
    hang_up(daemon, "failure")
    new = daemon.log().splitlines()[lines:]
    assert new and all(json.loads(line)["level"] == "error" for line in new)


@pytest.mark.parametrize("log", [False, True])
def test_what_a_stuck_exporter_holds_goes_to_its_replacement(postgres, relay, tmp_path, start, log):
    """The database does not answer; the replaced exporter gives up, and the new one finds everything once."""
    relay.open()
    daemon = start(postgres, service__shutdown_timeout="4s", **with_log(tmp_path, log))
    with Load(daemon.ports) as load:
        load.until(500)
        relay.close()
        load.until(len(load.acknowledged) + 2_000)
        write(daemon, postgres, settings={"num_consumers": 2}, service__shutdown_timeout="4s", **with_log(tmp_path, log))
        hang_up(daemon)
        load.until(len(load.acknowledged) + 500)
        wait_until(lambda: "successor goes on" in daemon.log(), what="the old exporter has given up")
        relay.open()
        load.until(len(load.acknowledged) + 500)
    assert_each_once(postgres, load.acknowledged)
    daemon.stop()
    assert_each_once(postgres, load.acknowledged)
    assert "is lost" not in daemon.log()


def test_a_stop_in_the_middle_of_a_reload_loses_nothing(store, start):
    daemon = start(store)
    connections = Connections(daemon.ports)

    def use():
        try:
            while True:
                connections.use()
        except (OSError, http.client.HTTPException, grpc.RpcError):
            return

    user = threading.Thread(target=use)
    user.start()
    wait_until(lambda: len(connections.acknowledged) > 200, what="load")
    write(daemon, store, processors__batch={"timeout": "10ms"}, receivers__otlp__protocols__grpc__max_recv_msg_size_mib=5)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait() == 0, daemon.log()[-3000:]
    user.join()
    connections.close()
    assert_each_once(store, connections.acknowledged)
