"""The filter processor in the built daemon: what conditions hold for is gone, in the one pipeline that filters."""
import re

import pytest

import otlp
from clients import http_export
from daemon import ROOT, run_cli, wait_until
from stores import SQLite, count, rows


def workload():
    """100 spans: n = 0 to 99, every tenth one with three events."""
    return [{"name": f"span {n}", "attributes": {"n": n, "route": "/health" if n % 4 == 0 else "/work"},
             "status": (2 if n % 8 == 0 else 0, ""),
             "events": [{"name": name, "attributes": {"n": n}} for name in ("debug", "exception", "debug")] if n % 10 == 0 else []}
            for n in range(100)]


def names(store):
    return {row["name"]: [event[0] for event in otlp.from_row(row)["events"]] for row in rows(store)}


def expected(drops, event_drops=lambda n, name: False):
    return {span["name"]: [e["name"] for e in span["events"] if not event_drops(span["attributes"]["n"], e["name"])]
            for span in workload() if not drops(span["attributes"]["n"])}


def filtered(conditions, **more):
    return {"processors": {"batch": {"timeout": "50ms"}, "filter": conditions},
            "service__pipelines__traces__processors": ["filter", "batch"], **more}


def test_spans_and_events_are_dropped(store, start):
    daemon = start(store, **filtered({"traces": {
        "span": ['attributes["route"] == "/health" and status.code != STATUS_CODE_ERROR', 'attributes["n"] >= 90'],
        "spanevent": ['name == "debug" and attributes["n"] > 30']}}))
    assert http_export(daemon.ports.http, otlp.request(workload())).status == 200
    wanted = expected(lambda n: n % 4 == 0 and n % 8 != 0 or n >= 90, lambda n, name: name == "debug" and n > 30)
    wait_until(lambda: count(store) >= len(wanted), 20, "the rows")
    daemon.stop()
    daemon.ended = True
    assert names(store) == wanted


def test_a_pipeline_that_filters_changes_nothing_for_another_one(tmp_path, sqlite, start):
    all_of_it = SQLite(tmp_path / "all")
    daemon = start(sqlite, processors={"batch": {"timeout": "50ms"}, "filter/events": {"trace_conditions": ['spanevent.name == "debug"']},
                                       "filter/spans": {"trace_conditions": ['span.attributes["n"] < 50']}},
                   exporters={"sqlite": sqlite.settings(), "sqlite/all": all_of_it.settings()},
                   service__pipelines={
                       "traces": {"receivers": ["otlp"], "processors": ["filter/events", "filter/spans", "batch"], "exporters": ["sqlite"]},
                       "traces/all": {"receivers": ["otlp"], "processors": ["batch"], "exporters": ["sqlite/all"]}})
    for _ in range(3):
        assert http_export(daemon.ports.http, otlp.request(workload())).status == 200
    wait_until(lambda: count(all_of_it) >= 300 and count(sqlite) >= 150, 20, "the rows")
    assert daemon.metric("otelcol_processor_filter_spans_filtered", filter="filter/spans") == 150
    assert daemon.metric("collector_filter_events_filtered", filter="filter/events") == 60
    assert names(all_of_it) == expected(lambda n: False)
    assert names(sqlite) == expected(lambda n: n < 50, lambda n, name: name == "debug")


FAILING = 'HasPrefix(attributes["n"], "x")'


def test_a_failing_condition_is_ignored_and_counted(sqlite, start):
    daemon = start(sqlite, **filtered({"traces": {"span": [FAILING, 'attributes["n"] == 1']}}))
    assert http_export(daemon.ports.http, otlp.request(workload())).status == 200
    wait_until(lambda: count(sqlite) >= 99, 20, "the rows")
    assert daemon.metric("collector_filter_condition_failures", error_mode="ignore") == 100
    assert daemon.log().count("cannot be evaluated") == 1
    daemon.stop()
    daemon.ended = True
    assert count(sqlite) == 99


@pytest.mark.parametrize("has_log", [False, True], ids=["without the log", "with the log"])
def test_propagate_refuses_the_request_and_goes_on_with_the_next(sqlite, start, tmp_path, has_log):
    more = {"service__write_ahead_log": {"directory": str(tmp_path / "log")}} if has_log else {}
    daemon = start(sqlite, **filtered({"error_mode": "propagate", "traces": {"span": ['attributes["n"] * 1 == 3']}}, **more))
    bad = otlp.request([{"name": "good", "attributes": {"n": 1}}, {"name": "bad", "attributes": {"n": "text"}}])
    good = otlp.request([{"name": "next", "attributes": {"n": 1}}, {"name": "dropped", "attributes": {"n": 3}}])
    answer = http_export(daemon.ports.http, bad)
    if has_log:
        # It was durable, so it was answered; then it is lost, and that is said.
        assert answer.status == 200
        wait_until(lambda: daemon.metric("collector_pipeline_refused_spans") == 2, 20, "the refusal")
        assert "refuses spans for good" in daemon.log()
    else:
        assert answer.status == 400
    assert http_export(daemon.ports.http, good).status == 200
    wait_until(lambda: count(sqlite) == 1, 20, "the next request")
    assert names(sqlite) == {"next": []}
    if has_log:
        wait_until(lambda: daemon.metric("collector_pipeline_backlog") == 0, 20, "the end of the backlog")


def test_a_mistake_in_a_condition_is_reported_with_its_place(tmp_path):
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    example, = (block for block in blocks if "trace_conditions" in block)
    bad = tmp_path / "bad.yaml"
    bad.write_text(example.replace('"/health" and', '"/health" und'))
    done = run_cli("validate", "--config", bad)
    assert done.returncode != 0
    line = next(n for n, text in enumerate(bad.read_text().splitlines(), 1) if " und " in text)
    assert f"bad.yaml:{line}:9: processors.filter.trace_conditions[0]: column 44: expected" in done.stdout + done.stderr
