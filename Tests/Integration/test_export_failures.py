"""Exporters in trouble: refused rows and their replay, the circuit breaker, and a stuck exporter beside a healthy one."""
import json

import psycopg
import pytest

import otlp
from clients import http_export
from daemon import run_cli, wait_until
from stores import SQLite, count, rows

QUICK_RETRY = {"initial_interval": "50ms", "max_interval": "200ms"}
NAMES = [f"span {number}" for number in range(20)]


def send(daemon, names):
    for name in names:
        request = otlp.request([{"name": name}])
        # 503 for a moment at the start, while the log is read.
        wait_until(lambda: http_export(daemon.ports.http, request).status == 200, what="the span is taken")


def stored(store):
    return sorted(row["name"] for row in rows(store))


def replay(daemon, path, *more):
    return run_cli("replay", path, "--endpoint", f"http://127.0.0.1:{daemon.ports.http}", *more)


@pytest.mark.parametrize("place", ["configured", "beside the log"])
def test_refused_rows_wait_in_the_dead_letter_file_and_replay_stores_them_once(postgres, start, tmp_path, place):
    log = tmp_path / "wal"
    path = tmp_path / "refused" / "dead.jsonl" if place == "configured" else log / "dead-letter-timescaledb.jsonl"
    settings = {"dead_letter_file": str(path)} if place == "configured" else {}
    changes = {} if place == "configured" else {"service__write_ahead_log": {"directory": str(log)}}
    daemon = start(postgres, settings={"retry_on_failure": QUICK_RETRY, **settings}, **changes)
    send(daemon, NAMES[:1])
    wait_until(lambda: count(postgres) == 1, what="the tables are there")
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("alter table traces add constraint no_sevens check (name not like '%7')")
    send(daemon, NAMES[1:])
    wait_until(lambda: count(postgres) == 18 and path.exists() and len(path.read_text().splitlines()) == 2, what="two are refused")
    assert path.stat().st_mode & 0o777 == 0o600
    for line in map(json.loads, path.read_text().splitlines()):
        assert line["deadLetter"]["code"] == "23514" and "no_sevens" in line["deadLetter"]["reason"]
        assert "span" not in line["deadLetter"]["reason"]
    assert daemon.metric("collector_exporter_dead_lettered_items") == 2
    assert daemon.metric("otelcol_exporter_send_failed_spans") == 0
    assert daemon.metric("collector_exporter_failures", kind="data") >= 1

    # Sent again too early, they are refused again.
    result = replay(daemon, path)
    assert (result.returncode, result.stderr) == (0, ""), result
    assert "accepted 2 lines, refused 0" in result.stdout
    wait_until(lambda: path.exists() and len(path.read_text().splitlines()) == 2, what="they are refused again")
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("alter table traces drop constraint no_sevens")
    # The log does not take the second replay for a repeat of the first.
    result = replay(daemon, path)
    assert (result.returncode, result.stderr) == (0, ""), result
    wait_until(lambda: count(postgres) == 20, what="they are stored")
    assert stored(postgres) == sorted(NAMES)
    assert not path.exists()
    assert replay(daemon, path).returncode == 1


def test_a_replay_that_finds_nobody_can_be_run_again(postgres, start, tmp_path):
    path = tmp_path / "dead.jsonl"
    daemon = start(postgres)
    span = {"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708", "name": "late", "startTimeUnixNano": "1"}
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, separators=(",", ":")) + "\nno request\n")
    nobody = run_cli("replay", path, "--endpoint", "http://127.0.0.1:1", "--timeout", "1")
    assert nobody.returncode == 1 and "run the same command again" in nobody.stderr
    assert not path.exists()
    result = replay(daemon, path)
    assert result.returncode == 1 and "accepted 1 lines, refused 1" in result.stdout
    assert path.read_text() == "no request\n"
    wait_until(lambda: count(postgres) == 1, what="the good line is stored")


def test_the_circuit_breaker_is_seen_and_closes_when_the_database_is_back(postgres, relay, start):
    relay.open()
    daemon = start(postgres, settings={
        "retry_on_failure": QUICK_RETRY, "circuit_breaker": {"failure_threshold": 2, "open_for": "300ms"}})
    send(daemon, NAMES[:1])
    wait_until(lambda: count(postgres) == 1, what="the tables are there")
    relay.close()
    send(daemon, NAMES[1:])
    wait_until(lambda: daemon.metric("collector_exporter_circuit_state", exporter="timescaledb") == 2, what="the circuit is open")
    assert daemon.metric("collector_exporter_circuit_opened") >= 1
    assert daemon.metric("collector_exporter_failures", kind="connection") >= 2
    wait_until(lambda: "attempts are paused" in json.dumps(daemon.health()[1]), what="health says so")
    relay.open()
    wait_until(lambda: count(postgres) == 20, what="everything is stored")
    wait_until(lambda: daemon.metric("collector_exporter_circuit_state", exporter="timescaledb") == 0, what="the circuit is closed")
    assert stored(postgres) == sorted(NAMES)


def test_a_stuck_exporter_does_not_hold_up_another_pipeline(postgres, relay, start, tmp_path):
    other = SQLite(tmp_path / "other")
    daemon = start(
        postgres, settings={"retry_on_failure": QUICK_RETRY, "num_consumers": 1, "sending_queue": {"queue_size": 1}, "batch_rows": 1},
        exporters__sqlite=other.settings(), service__write_ahead_log={"directory": str(tmp_path / "wal")},
        service__pipelines={
            "traces": {"receivers": ["otlp"], "exporters": ["timescaledb"]},
            "traces/other": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["sqlite"]}})
    names = [f"span {number}" for number in range(800)]
    send(daemon, names)
    wait_until(lambda: count(other) == len(names), what="the other pipeline has delivered")
    assert count(postgres) == 0
    relay.open()
    wait_until(lambda: count(postgres) == len(names), 60, "the stuck one delivers later")
    assert stored(postgres) == stored(other) == sorted(names)
