"""The write-ahead log: what was answered OK is stored once, whatever happens to the collector, its database and its disk."""
import concurrent.futures
import fcntl
import re
import signal
import socket
import struct
import time
from datetime import datetime, timezone

import grpc
import pytest

import otlp
from clients import PROTOBUF, grpc_export, http_export, json_export
from compress import COMPRESS
from daemon import Ports, run_cli, wait_until
from load import Load, assert_each_once
from stores import SQLite, count, rows
from test_under_stress import assert_refusals_say_when_to_come_back

MIB = 1 << 20
QUICK_RETRY = {"initial_interval": "50ms", "max_interval": "200ms"}
HEALTH_ID = "service.write_ahead_log"
# Holds everything back, so that nothing is stored when the collector dies.
HOLD = {"processors__batch": {"timeout": "1h", "send_batch_size": 1_000_000}}
SMALL = {"max_size_mib": 4, "segment_mib": 1}


@pytest.fixture
def wal(tmp_path):
    """Path of a log directory that does not exist yet."""
    return tmp_path / "wal"


def with_log(wal, **keys):
    """Changes to the configuration that turn the log on."""
    return {"service__write_ahead_log": {"directory": str(wal), **keys}}


def names(store):
    return sorted(row["name"] for row in rows(store))


def kill(daemon):
    """kill -9."""
    daemon.kill()
    daemon.ended = True


def log_health(daemon):
    """(status, reason) of the log in the health report, reason None when ok."""
    line, = [c for c in daemon.health()[1]["components"] if c["id"] == HEALTH_ID]
    return line["status"], line.get("reason")


def unreleased(wal):
    """{pipeline: requests that it is not done with}, as the files say."""
    result = run_cli("wal", "inspect", wal)
    assert result.returncode == 0, result.stderr
    counts = {}
    for pipeline, released, requests in re.findall(r"pipeline (\S+) released=(\d+)/(\d+)", result.stdout):
        counts[pipeline] = counts.get(pipeline, 0) + int(requests) - int(released)
    return counts


def send_each_way(ports, prefix):
    """One span over each protocol, encoding and compression; the names of the spans. All must be acknowledged."""
    sent = []

    def spans(kind):
        sent.append(f"{prefix} {kind}")
        return otlp.request([{"name": sent[-1], "attributes": {"text": "x" * 5000}}])
    for encoding in ("identity", "gzip", "zstd"):
        assert http_export(ports.http, spans(f"http {encoding}"), encoding).status == 200
        assert json_export(ports.http, spans(f"json {encoding}"), encoding).status == 200
        assert grpc_export(ports.grpc, spans(f"grpc {encoding}"), encoding).code is grpc.StatusCode.OK
    return sent


def test_what_was_acknowledged_before_a_kill_is_stored_after_the_restart(store, start, wal):
    first = start(store, **with_log(wal), **HOLD)
    sent = send_each_way(first.ports, "span")
    kill(first)
    assert count(store) == 0
    second = start(store, **with_log(wal))
    wait_until(lambda: count(store) >= len(sent), what="everything is replayed")
    second.stop()
    assert names(store) == sorted(sent)


def test_replayed_spans_are_the_same_to_the_last_column(store, start, wal):
    """Spans whose time the receiver decides come out with the time of their arrival, not of the replay."""
    first = start(store, **with_log(wal), **HOLD)
    request = otlp.request([{"name": "timeless", "start_time_unix_nano": 0, "end_time_unix_nano": 0},
                            {"name": "whole", "attributes": {"a": [1, "b", None, {"c": 2.5}]}, "status": (2, "broken")}])
    before = time.time_ns()
    assert http_export(first.ports.http, request).status == 200
    after = time.time_ns()
    kill(first)
    start(store, **with_log(wal))
    wait_until(lambda: count(store) == 2, what="both spans")
    stored = {row["name"]: row for row in rows(store)}
    sent = {span.name: otlp.from_message(group, scope, span) for group, scope, span in otlp.spans_of(request)}
    assert otlp.from_row(stored["whole"]) == sent["whole"]
    # Microseconds, as text that compares.
    arrival = stored["timeless"]["ts"].ljust(26, "0")
    moments = [datetime.fromtimestamp(nano / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f") for nano in (before - 1000, after + 1000)]
    assert moments[0] <= arrival <= moments[1]


def test_kills_in_mid_load_lose_and_double_nothing(store, start, wal):
    ports = Ports()
    daemon = start(store, ports, **with_log(wal))
    with Load(ports) as load:
        for _ in range(3):
            load.until(len(load.acknowledged) + 1_000)
            kill(daemon)
            daemon = start(store, ports, **with_log(wal))
        load.until(len(load.acknowledged) + 1_000)
    daemon.stop()
    assert_each_once(store, load.acknowledged)
    assert set(unreleased(wal).values()) <= {0}


def test_a_clean_stop_leaves_nothing_to_replay(store, start, wal):
    first = start(store, **with_log(wal), **HOLD)
    sent = send_each_way(first.ports, "span")
    first.stop()
    assert names(store) == sorted(sent)
    assert unreleased(wal) and set(unreleased(wal).values()) == {0}
    assert run_cli("wal", "verify", wal).returncode == 0
    second = start(store, **with_log(wal))
    wait_until(lambda: log_health(second) == ("ok", None), what="the log is open")
    assert second.metric("collector_wal_replayed_requests") == 0


# MARK: The same request again

def test_a_request_that_is_sent_again_is_answered_ok_and_stored_once(store, start, wal):
    daemon = start(store, **with_log(wal))
    raw = otlp.request([{}] * 10).SerializeToString()
    for _ in range(3):
        assert http_export(daemon.ports.http, raw).status == 200
        assert http_export(daemon.ports.http, raw, "gzip").status == 200
        assert grpc_export(daemon.ports.grpc, raw).code is grpc.StatusCode.OK
    assert daemon.metric("collector_wal_repeated_requests") == 8
    assert daemon.metric("otelcol_receiver_accepted_spans") == 10
    daemon.stop()
    assert count(store) == 10


def test_a_request_that_comes_again_while_it_is_written_is_stored_once(store, start, wal):
    daemon = start(store, **with_log(wal))
    requests = [otlp.request([{}] * 10).SerializeToString() for _ in range(20)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: http_export(daemon.ports.http, requests[n // 8]).status, range(len(requests) * 8)))
    assert set(answers) == {200}
    daemon.stop()
    assert count(store) == 200


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_request_that_comes_again_after_a_restart_is_stored_once(store, start, wal, end):
    first = start(store, **with_log(wal))
    raw = otlp.request([{}] * 10).SerializeToString()
    assert http_export(first.ports.http, raw).status == 200
    first.stop() if end == "stop" else kill(first)
    second = start(store, **with_log(wal))
    wait_until(lambda: log_health(second) == ("ok", None), what="the log is open")
    assert http_export(second.ports.http, raw).status == 200
    assert grpc_export(second.ports.grpc, otlp.request([{"name": "another"}])).code is grpc.StatusCode.OK
    wait_until(lambda: count(store) == 11, what="the first request's spans and the other")
    second.stop()
    assert count(store) == 11


def test_a_repeat_gets_the_same_partial_success(sqlite, start, wal):
    daemon = start(sqlite, **with_log(wal))
    raw = otlp.request([{}, {"span_id": bytes(8)}, {"trace_id": b"short"}]).SerializeToString()
    answers = [http_export(daemon.ports.http, raw) for _ in range(2)]
    assert [a.status for a in answers] == [200, 200] and answers[0].body == answers[1].body
    assert answers[1].response().partial_success.rejected_spans == 2
    daemon.stop()
    assert count(sqlite) == 1


def test_without_a_window_the_same_request_is_stored_again(sqlite, start, wal):
    daemon = start(sqlite, **with_log(wal, dedup_window="0s"))
    raw = otlp.request([{}]).SerializeToString()
    assert [http_export(daemon.ports.http, raw).status for _ in range(2)] == [200, 200]
    daemon.stop()
    assert count(sqlite) == 2


# MARK: Outages

def outage(daemon, requests, bytes_each):
    """Sends requests of one span; all must be acknowledged. Their names."""
    sent = []
    for number in range(requests):
        sent.append(f"span {number}")
        answer = http_export(daemon.ports.http, otlp.request([{"name": sent[-1], "attributes": {"text": f"{number} " + "x" * bytes_each}}]))
        assert answer.status == 200, (number, answer.google_status())
    return sent


def test_an_outage_is_bounded_by_the_log_and_not_by_memory(postgres, relay, start, wal):
    daemon = start(postgres, settings={"sending_queue": {"queue_size": 2}, "retry_on_failure": QUICK_RETRY},
                   processors__batch={"timeout": "1ms"}, **with_log(wal, max_size_mib=512))
    sent = outage(daemon, 80, 2 * MIB)
    assert daemon.metric("collector_pipeline_backlog", pipeline="traces") == 1
    assert daemon.rss_mib() < 200 and daemon.metric("collector_wal_size_bytes") > 160 * MIB
    relay.open()
    wait_until(lambda: count(postgres) >= len(sent), 60, "everything arrives")
    wait_until(lambda: daemon.metric("collector_pipeline_backlog", pipeline="traces") == 0, what="the pipeline is direct again")
    daemon.stop()
    assert names(postgres) == sorted(sent)
    assert set(unreleased(wal).values()) == {0}


def test_an_outage_within_a_small_memory_limit_refuses_nothing(postgres, relay, start, wal):
    """With the queue as it is by default: its bytes count, not its batches."""
    daemon = start(postgres, settings={"retry_on_failure": QUICK_RETRY}, **with_log(wal, max_size_mib=512),
                   processors__memory_limiter={"check_interval": "1s", "limit_mib": 48},
                   service__pipelines__traces__processors=["memory_limiter", "batch"])
    sent = outage(daemon, 60, 2 * MIB)
    relay.open()
    wait_until(lambda: count(postgres) >= len(sent), 60, "everything arrives")
    daemon.stop()
    assert names(postgres) == sorted(sent)


def test_what_an_outage_left_behind_is_stored_by_the_next_start(postgres, relay, start, wal):
    """A stop in the middle of an outage: nothing is lost, and nothing is called lost."""
    settings = {"sending_queue": {"queue_size": 2}, "retry_on_failure": QUICK_RETRY}
    first = start(postgres, settings=settings, processors__batch={"timeout": "1ms"}, service__shutdown_timeout="2s", **with_log(wal))
    sent = outage(first, 30, 1000)
    first.process.send_signal(signal.SIGTERM)
    first.wait(10)
    first.ended = True
    assert "data is lost" not in first.log()
    assert sum(unreleased(wal).values()) == len(sent)
    relay.open()
    second = start(postgres, settings=settings, **with_log(wal))
    wait_until(lambda: count(postgres) >= len(sent), 60, "everything is replayed")
    second.stop()
    assert names(postgres) == sorted(sent)


def test_load_through_an_outage_and_a_kill_is_stored_once(postgres, relay, start, wal):
    ports = Ports()
    settings = {"sending_queue": {"queue_size": 3}, "retry_on_failure": QUICK_RETRY}
    relay.open()
    first = start(postgres, ports, settings=settings, processors__batch={"timeout": "10ms"}, **with_log(wal))
    with Load(ports) as load:
        load.until(1_000)
        relay.close()
        load.until(3_000)
        kill(first)
        second = start(postgres, ports, settings=settings, processors__batch={"timeout": "10ms"}, **with_log(wal))
        load.until(5_000)
        relay.open()
        load.until(7_000)
        for _ in range(5):
            load.until(len(load.acknowledged) + 300)
            relay.cut()
    wait_until(lambda: second.metric("collector_wal_unreleased_requests") == 0, 60, "the log is empty")
    second.stop()
    assert_each_once(postgres, load.acknowledged)


def test_a_full_log_refuses_and_takes_requests_again_when_it_empties(postgres, relay, start, wal):
    daemon = start(postgres, settings={"sending_queue": {"queue_size": 2}, "retry_on_failure": QUICK_RETRY},
                   processors__batch={"timeout": "1ms"}, **with_log(wal, **SMALL))
    acknowledged = []
    while True:
        name = f"span {len(acknowledged)}"
        request = otlp.request([{"name": name, "attributes": {"text": name + "x" * 200_000}}])
        answer = http_export(daemon.ports.http, request)
        if answer.status != 200:
            break
        acknowledged.append(name)
        assert len(acknowledged) < 30, "4 MiB do not hold 6"
    assert len(acknowledged) >= 5
    assert_refusals_say_when_to_come_back(daemon, answer, request)
    status, reason = log_health(daemon)
    assert status == "degraded" and "full" in reason
    assert daemon.health()[0] == 200
    assert sum(f.stat().st_size for f in wal.iterdir()) <= SMALL["max_size_mib"] * MIB
    relay.open()
    wait_until(lambda: http_export(daemon.ports.http, request).status == 200, 60, "requests are taken again")
    wait_until(lambda: count(postgres) == len(acknowledged) + 1, 60, "everything is stored")
    wait_until(lambda: log_health(daemon)[0] == "ok", what="the log is well again")
    daemon.stop()
    assert names(postgres) == sorted([*acknowledged, name])


# MARK: The directory

def assert_refused_and_reported(daemon, *words):
    """Up, and says so: 503 to clients, the reason in the health report."""
    wait_until(lambda: log_health(daemon)[0] == "degraded" and all(w in log_health(daemon)[1] for w in words), what=f"health says {words}")
    answer = http_export(daemon.ports.http, otlp.request([{"name": "refused"}]))
    assert_refusals_say_when_to_come_back(daemon, answer, otlp.request([{"name": "refused"}]))
    health = grpc_export_health(daemon)
    assert health == NOT_SERVING


SERVING, NOT_SERVING = 1, 2


def grpc_export_health(daemon):
    with grpc.insecure_channel(f"127.0.0.1:{daemon.ports.grpc}") as channel:
        answer = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=20)
    # HealthCheckResponse { ServingStatus status = 1 }
    return answer[1] if answer else 0


def assert_recovers(daemon, store, name="taken"):
    wait_until(lambda: log_health(daemon) == ("ok", None), what="the log is well")
    assert http_export(daemon.ports.http, otlp.request([{"name": name}])).status == 200
    wait_until(lambda: names(store) == [name], what="the span is stored")
    assert grpc_export_health(daemon) == SERVING


def test_a_log_directory_that_cannot_be_made_is_reported_and_made_when_it_can(sqlite, start, wal):
    wal.write_text("in the way")
    daemon = start(sqlite, **with_log(wal))
    assert_refused_and_reported(daemon)
    wal.unlink()
    assert_recovers(daemon, sqlite)
    assert wal.stat().st_mode & 0o777 == 0o700


def test_a_log_directory_in_use_is_reported_and_taken_over_when_it_is_free(sqlite, start, wal):
    """As in a rolling restart: the new process starts while the old one still has the log."""
    wal.mkdir()
    with open(wal / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        daemon = start(sqlite, **with_log(wal))
        assert_refused_and_reported(daemon)
    assert_recovers(daemon, sqlite)


def test_a_second_collector_takes_over_the_first_ones_log(store, start, wal):
    first = start(store, **with_log(wal), **HOLD)
    sent = send_each_way(first.ports, "span")
    second = start(store, **with_log(wal))
    assert http_export(second.ports.http, otlp.request([{}])).status == 503
    kill(first)
    wait_until(lambda: count(store) >= len(sent), what="the second replays what the first had acknowledged")
    second.stop()
    assert names(store) == sorted(sent)


def test_a_log_of_a_newer_format_is_reported_and_left_alone(sqlite, start, wal):
    first = start(sqlite, **with_log(wal))
    assert http_export(first.ports.http, otlp.request([{}])).status == 200
    first.stop()
    segment = max(wal.glob("*.wal"))
    original = segment.read_bytes()
    newer = bytearray(original)
    for copy in (0, 8192):
        # The version and its complement; the rest is the newer version's own affair.
        struct.pack_into("<II", newer, copy + 8, 99, 99 ^ 0xFFFFFFFF)
    segment.write_bytes(newer)
    second = start(sqlite, **with_log(wal))
    assert_refused_and_reported(second, "newer")
    assert segment.read_bytes() == newer
    segment.write_bytes(original)
    wait_until(lambda: log_health(second) == ("ok", None), what="the log is well")


def test_the_log_is_nobody_elses_business(sqlite, start, wal):
    daemon = start(sqlite, **with_log(wal))
    assert http_export(daemon.ports.http, otlp.request([{}])).status == 200
    assert wal.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in wal.iterdir())


# MARK: Clients and pipelines

def test_a_request_whose_client_has_gone_is_stored_once(sqlite, start, wal):
    daemon = start(sqlite, **with_log(wal))
    for _ in range(20):
        raw = otlp.request([{}]).SerializeToString()
        with socket.create_connection(("127.0.0.1", daemon.ports.http)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {len(raw)}\r\n\r\n"
            connection.sendall(head.encode() + raw)
            # The answer may be under way; the reset that follows is what a client with a short timeout does.
            wait_until(lambda: daemon.metric("collector_wal_appended_requests") + daemon.metric("collector_wal_repeated_requests")
                       >= _ + 1, what="it is in the log")
        assert http_export(daemon.ports.http, raw).status == 200
    daemon.stop()
    assert count(sqlite) == 20


def test_empty_requests_are_answered_without_the_log(sqlite, start, wal):
    daemon = start(sqlite, **with_log(wal))
    assert http_export(daemon.ports.http, b"").status == 200
    assert grpc_export(daemon.ports.grpc, b"").code is grpc.StatusCode.OK
    assert http_export(daemon.ports.http, COMPRESS["gzip"](b""), "identity").status == 400
    assert daemon.metric("collector_wal_appended_requests") == 0


def test_a_replay_reaches_the_pipelines_that_the_receiver_feeds_and_no_others(tmp_path, start, wal):
    stores = {"": SQLite(tmp_path / "first"), "/second": SQLite(tmp_path / "second")}
    ports, other = Ports(), Ports()
    changes = {
        **with_log(wal),
        "receivers__otlp/second": {"protocols": {"http": {"endpoint": f"127.0.0.1:{other.http}"}}},
        "exporters__sqlite/second": stores["/second"].settings(),
        "service__pipelines__traces/second": {"receivers": ["otlp/second"], "processors": ["batch"], "exporters": ["sqlite/second"]}}
    first = start(stores[""], ports, **changes, **HOLD)
    raw = otlp.request([{"name": "to both"}]).SerializeToString()
    for port, name in ((ports.http, "first"), (other.http, "second")):
        assert http_export(port, otlp.request([{"name": name}])).status == 200
        # The same bytes to two receivers are two requests.
        assert http_export(port, raw).status == 200
    kill(first)
    assert unreleased(wal) and sum(count(s) for s in stores.values()) == 0
    second = start(stores[""], ports, **changes)
    for store in stores.values():
        wait_until(lambda: count(store) == 2, what="two spans in each store")
    second.stop()
    assert names(stores[""]) == ["first", "to both"] and names(stores["/second"]) == ["second", "to both"]
    assert set(unreleased(wal).values()) == {0}


def test_two_pipelines_of_one_receiver_each_store_everything_once(tmp_path, start, wal):
    stores = [SQLite(tmp_path / "first"), SQLite(tmp_path / "second")]
    changes = {
        **with_log(wal), "exporters__sqlite/second": stores[1].settings(),
        "service__pipelines__traces/second": {"receivers": ["otlp"], "exporters": ["sqlite/second"]}}
    first = start(stores[0], **changes, **HOLD)
    sent = [f"span {n}" for n in range(20)]
    for name in sent:
        assert http_export(first.ports.http, otlp.request([{"name": name}])).status == 200
    wait_until(lambda: count(stores[1]) == len(sent), what="the pipeline without the batcher has stored everything")
    kill(first)
    assert count(stores[0]) == 0
    second = start(stores[0], **changes)
    wait_until(lambda: count(stores[0]) == len(sent), what="the other pipeline's spans are replayed")
    second.stop()
    assert names(stores[0]) == names(stores[1]) == sorted(sent)
