"""`redact_before_log`: the write-ahead log never holds what is redacted, and is as safe as it is without."""
import json
import signal

import grpc
import pytest

import otlp
from clients import grpc_export, http_export, json_export
from daemon import fetch, run_cli, wait_until
from stores import SQLite, count, rows
from test_redaction import VALUE_BYTES_MIN, corpus, settings, spans_with, stored_text
from test_reload import hang_up, write
from test_write_ahead_log import HOLD, kill, log_health, unreleased, with_log

SECRET = "jane.doe@example.com"
PIPELINE = ["pii_redaction", "batch"]


@pytest.fixture
def wal(tmp_path):
    return tmp_path / "wal"


def redacting(wal, before=True, **more):
    """Changes to the configuration: the log, and a processor that does its work in front of it, or behind."""
    return {**with_log(wal), "processors__pii_redaction": settings(redact_before_log=before, **more),
            "service__pipelines__traces__processors": PIPELINE}


def files(wal):
    """Every byte of the log directory."""
    return b"".join(path.read_bytes() for path in sorted(wal.rglob("*")) if path.is_file())


def one(**fields):
    return otlp.request([{"name": "one", "attributes": {"to": SECRET}, **fields}])


@pytest.mark.parametrize("before", [True, False])
def test_no_labelled_value_is_in_the_log_with_the_key_and_some_are_without(sqlite, start, wal, before):
    texts = list(corpus(12, 340))
    values = {value.encode() for _, labelled in texts for value in labelled if len(value) >= VALUE_BYTES_MIN}
    daemon = start(sqlite, **redacting(wal, before), **HOLD)
    request = otlp.request(spans_with(text for text, _ in texts), resource={"owner": SECRET})
    # Not in the batch, but in the request.
    otlp.add_span(request.resource_spans[0].scope_spans[0], name=f"rejected {SECRET}", span_id=b"short")
    senders = (lambda: grpc_export(daemon.ports.grpc, request), lambda: json_export(daemon.ports.http, request, "gzip"))
    for send, code in zip(senders, (grpc.StatusCode.OK, 200)):
        for span in request.resource_spans[0].scope_spans[0].spans[:-1]:
            span.trace_id = otlp.random.randbytes(16)
        answer = send()
        assert (answer.code if code is grpc.StatusCode.OK else answer.status) == code
    held = files(wal)
    kill(daemon)
    found = [value for value in sorted(values) if value in held]
    assert len(values) > 300
    if before:
        assert found == [] and b"jane.doe" not in held and b"sha256:" in held
    else:
        assert len(found) > 250 and b"jane.doe" in held
    # Read back, they are the rows that they would have been.
    daemon = start(sqlite, **redacting(wal, before))
    wait_until(lambda: count(sqlite) == 2 * len(texts), 30, "all rows")
    daemon.stop()
    stored = stored_text(sqlite)
    assert [value for value in sorted(values) if value.decode() in stored] == [] and "jane.doe" not in stored
    assert unreleased(wal) == {"traces": 0} and run_cli("wal", "verify", wal).returncode == 0


def test_rows_are_the_same_whichever_way_and_whether_replayed_or_not(tmp_path, start):
    """Fields that are hashed whole would be hashed twice if the processor did its work again."""
    spans = [{"name": f"s{n}", "trace_id": bytes([n + 1]) * 16, "span_id": bytes([n + 1]) * 8, "start_time_unix_nano": 10**18 + n,
              "attributes": {"user.name": f"Jane {n}", "to": SECRET, "n": n, "tree": {"a": [1, None, {"b": b"\0"}]}},
              "events": [{"name": "e", "time_unix_nano": 5, "attributes": {"message": f"from {SECRET}"}}],
              "links": [{"trace_id": b"\7" * 16, "span_id": b"\6" * 8, "attributes": {"n": 1}}], "status": (2, f"no {SECRET}"),
              "trace_state": "a=b", "parent_span_id": b"\5" * 8, "flags": 257, "dropped_events_count": 3, "kind": 3} for n in range(20)]
    message = otlp.request(spans, resource={"service.name": "x", "owner": SECRET}, schema_url="https://example.org/1")
    found = []
    for way, before, replayed in (("a", False, False), ("b", True, False), ("c", True, True)):
        store = SQLite(tmp_path / way)
        keys = redacting(tmp_path / f"wal-{way}", before, fields=["span.attributes.user.name"], summary=True)
        daemon = start(store, **keys, **(HOLD if replayed else {}))
        assert http_export(daemon.ports.http, message).status == 200
        if replayed:
            kill(daemon)
            daemon = start(store, **keys)
        wait_until(lambda: count(store) == 20, what="20 rows")
        assert daemon.metric("collector_redaction_values_total", kind="field") == (0 if replayed else 20)
        daemon.stop()
        found.append(sorted(rows(store), key=lambda row: row["name"]))
    assert found[0] == found[1] == found[2]
    assert '"redaction.count":4' in found[0][0]["attributes"].replace(" ", "")


@pytest.mark.parametrize("key", ["0123456789abcdef-test", None])
def test_a_request_that_comes_again_is_stored_once_also_after_a_restart(sqlite, start, wal, key):
    """Without a key, hashes differ from process to process: the request is the same all the same."""
    changes = redacting(wal, hash_key=key)
    first = start(sqlite, **changes)
    raw = otlp.request([{"attributes": {"to": SECRET, "n": n}} for n in range(10)]).SerializeToString()
    for _ in range(3):
        assert http_export(first.ports.http, raw, "gzip").status == 200
    assert first.metric("collector_wal_repeated_requests") == 2
    kill(first)
    second = start(sqlite, **changes)
    wait_until(lambda: log_health(second) == ("ok", None), what="the log is open")
    assert grpc_export(second.ports.grpc, raw).code is grpc.StatusCode.OK
    assert second.metric("collector_wal_repeated_requests") == 1
    assert http_export(second.ports.http, one()).status == 200
    wait_until(lambda: count(sqlite) == 11, what="the first request's spans and the other")
    second.stop()
    assert count(sqlite) == 11


def test_records_that_came_before_the_key_was_set_are_redacted_when_they_are_replayed(sqlite, start, wal):
    first = start(sqlite, **redacting(wal, False), **HOLD)
    assert http_export(first.ports.http, one()).status == 200
    kill(first)
    assert SECRET.encode() in files(wal)
    second = start(sqlite, **redacting(wal, True))
    wait_until(lambda: count(sqlite) == 1, what="the row")
    second.stop()
    assert SECRET not in stored_text(sqlite) and "sha256:" in stored_text(sqlite)


def test_records_of_a_weaker_configuration_are_redacted_again_when_they_are_replayed(sqlite, start, wal):
    first = start(sqlite, **redacting(wal, detect=["phone"]), **HOLD)
    assert http_export(first.ports.http, one()).status == 200
    kill(first)
    second = start(sqlite, **redacting(wal))
    wait_until(lambda: count(sqlite) == 1, what="the row")
    second.stop()
    assert SECRET not in stored_text(sqlite)


def test_several_pipelines_of_a_receiver_share_what_was_redacted(sqlite, start, wal):
    both = {"service__pipelines__traces/debug": {"receivers": ["otlp"], "processors": ["pii_redaction"], "exporters": ["debug"]}}
    daemon = start(sqlite, **redacting(wal, fields=["span.attributes.to"]), exporters__debug={"verbosity": "detailed"}, **both)
    assert http_export(daemon.ports.http, one()).status == 200
    wait_until(lambda: count(sqlite) == 1, what="the row")
    wait_until(lambda: "sha256:" in daemon.log(), what="the debug exporter's text")
    token = json.loads(rows(sqlite)[0]["attributes"])["to"]
    assert token in daemon.log() and SECRET not in daemon.log()
    assert daemon.metric("collector_redaction_values_total", kind="field") == 1


def test_pipelines_that_do_not_agree_are_a_problem_with_its_place(tmp_path):
    pipelines = "traces: {receivers: [otlp], processors: [pii_redaction], exporters: [nop]}"

    def validate(more, processors="  pii_redaction:\n    redact_before_log: true\n"):
        (tmp_path / "collector.yaml").write_text(
            "receivers: {otlp: {protocols: {grpc: }}, otlp/two: {protocols: {grpc: {endpoint: 'localhost:0'}}}}\n"
            f"exporters: {{nop: }}\nprocessors:\n{processors}service: {{pipelines: {{{pipelines}, {more}}}}}\n")
        result = run_cli("validate", "--config", str(tmp_path / "collector.yaml"))
        return result.returncode, result.stdout + result.stderr
    code, text = validate("traces/plain: {receivers: [otlp, otlp/two], exporters: [nop]}")
    assert code == 1 and "collector.yaml:5:5: processors.pii_redaction.redact_before_log: requests of receiver 'otlp' are" in text
    assert "'traces/plain' must have this processor too, or another receiver" in text
    two = "  pii_redaction:\n    redact_before_log: true\n  pii_redaction/two:\n    redact_before_log: true\n"
    code, text = validate("traces/two: {receivers: [otlp/two], processors: [pii_redaction, pii_redaction/two], exporters: [nop]}", two)
    assert code == 1 and "'otlp/two' can be redacted before the log by one processor only, and 'pii_redaction/two' would do it too" in text
    assert validate("traces/other: {receivers: [otlp/two], exporters: [nop]}")[0] == 0


def test_a_reload_turns_it_on_and_off_and_changes_what_is_found(sqlite, start, wal):
    daemon = start(sqlite, **redacting(wal, False))
    ports, sent = daemon.ports, []

    def send(text):
        sent.append(text)
        assert http_export(ports.http, one(name=f"span {len(sent)}", attributes={"to": text})).status == 200

    def is_logged(text):
        return text.encode() in files(wal)
    steps = [(False, {}, "first.one@example.com", True), (True, {}, "second.one@example.com", False),
             (True, {"detect": ["phone"]}, "third.one@example.com", True), (True, {"detect": ["email"]}, "fourth.one@example.com", False),
             (False, {}, "fifth.one@example.com", True)]
    for number, (before, more, text, expected) in enumerate(steps):
        if number:
            write(daemon, sqlite, **redacting(wal, before, **more))
            hang_up(daemon)
        send(text)
        assert is_logged(text) == expected, text
    wait_until(lambda: count(sqlite) == len(sent), what="all rows")
    stored = stored_text(sqlite)
    assert [text for text in sent if text in stored] == ["third.one@example.com"]


def test_without_the_log_the_processor_works_in_its_place(sqlite, start):
    daemon = start(sqlite, processors__pii_redaction=settings(redact_before_log=True), service__pipelines__traces__processors=PIPELINE)
    assert http_export(daemon.ports.http, one()).status == 200
    wait_until(lambda: count(sqlite) == 1, what="the row")
    assert SECRET not in stored_text(sqlite) and "sha256:" in stored_text(sqlite)


def test_what_is_redacted_is_in_no_answer_metric_or_health_report(sqlite, start, wal):
    daemon = start(sqlite, **redacting(wal), service__telemetry__logs={"level": "debug", "encoding": "json"})
    assert http_export(daemon.ports.http, one()).status == 200
    wait_until(lambda: count(sqlite) == 1, what="the row")
    metrics = fetch(f"http://127.0.0.1:{daemon.ports.metrics}/metrics")[1]
    assert SECRET not in metrics + str(daemon.health()) + daemon.log()
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait()
    assert SECRET not in daemon.log() and SECRET.encode() not in files(wal)
