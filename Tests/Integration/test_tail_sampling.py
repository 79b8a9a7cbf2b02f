"""Tail sampling end to end: which traces of an SDK's application are stored, that they are whole, and that totals computed from the rows
are true."""
import random
import re
import sys
import time
from collections import defaultdict

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Status, StatusCode, set_span_in_context

import otlp
from clients import grpc_export
from daemon import ROOT, Daemon, Ports, wait_until
from stores import SQLite, count
from test_reload import change, hang_up

sys.path.insert(0, str(ROOT / "Tests" / "Sampling"))
from chances import coin, holds_for  # noqa: E402

SIGMAS = 4
PERCENTAGE = 20
POLICIES = [
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "slow", "type": "latency", "latency": {"threshold_ms": 5000}},
    {"name": "dear", "type": "cost", "cost": {"min_usd": 0.05}},
    {"name": "some", "type": "probabilistic", "probabilistic": {"sampling_percentage": PERCENTAGE}}]
# Dollars per million tokens: input, output.
MODELS = {"gpt-4o": (2.5, 10), "gpt-4o-mini": (0.15, 0.6), "claude-3-5-sonnet-20241022": (3, 15)}


def tail_sampling(policies, wait="1s", **more):
    return {"decision_wait": wait, "policies": policies, **more}


class SeededIds(IdGenerator):
    """So that the choice by trace id is the same in each run."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def generate_trace_id(self):
        return self.random.getrandbits(128) or 1

    def generate_span_id(self):
        return self.random.getrandbits(64) or 1


class Trace:
    """What the application did, and so what is to be stored of it."""

    def __init__(self):
        self.id, self.spans, self.is_error, self.is_slow, self.calls = None, set(), False, False, []

    @property
    def usd(self):
        return sum(usd for _, usd in self.calls)

    @property
    def reason(self):
        certain = [("errors", self.is_error), ("slow", self.is_slow), ("dear", self.usd >= 0.05)]
        return next((name for name, holds in certain if holds), "some" if holds_for(coin("", PERCENTAGE), self.id) else None)

    @property
    def adjusted(self):
        return 100 / PERCENTAGE if self.reason == "some" else 1.0


class Application:
    """Traces made and exported by the Python SDK, over gRPC and HTTP by turns."""

    def __init__(self, ports, seed, kind=Trace):
        self.kind, self.random, self.traces, self.providers = kind, random.Random(seed), [], []
        exporters = [GRPCExporter(endpoint=f"http://127.0.0.1:{ports.grpc}", insecure=True),
                     HTTPExporter(endpoint=f"http://127.0.0.1:{ports.http}/v1/traces")]
        for number, exporter in enumerate(exporters):
            provider = TracerProvider(shutdown_on_exit=False, id_generator=SeededIds(seed + number))
            provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=100, schedule_delay_millis=50))
            self.providers.append(provider)

    def run(self, traces):
        for number in range(traces):
            self._trace(self.providers[number % 2].get_tracer("application"))
        for provider in self.providers:
            assert provider.force_flush(20_000)

    def close(self):
        for provider in self.providers:
            provider.shutdown()

    def _trace(self, tracer):
        r, trace, begin = self.random, self.kind(), otlp.now_nano()
        root = tracer.start_span("POST /chat", start_time=begin)
        trace.id = root.get_span_context().trace_id.to_bytes(16, "big")
        trace.is_slow = r.random() < 0.04
        for _ in range(r.randrange(1, 6)):
            child = tracer.start_span("step", set_span_in_context(root), start_time=begin + 1_000_000)
            if r.random() < 0.4:
                self._call(trace, child)
            if r.random() < 0.02:
                trace.is_error = True
                child.set_status(Status(StatusCode.ERROR))
            child.end(begin + r.randrange(2, 900) * 1_000_000)
            trace.spans.add(child.get_span_context().span_id)
        root.end(begin + (6_000 if trace.is_slow else 950) * 1_000_000)
        trace.spans.add(root.get_span_context().span_id)
        self.traces.append(trace)

    def _call(self, trace, span):
        model = self.random.choice(list(MODELS))
        prompt, completion = self.random.randrange(50, 4_000), self.random.randrange(10, 4_000)
        trace.calls.append((model, (prompt * MODELS[model][0] + completion * MODELS[model][1]) / 1e6))
        for key, value in {"operation.name": "chat", "request.model": model, "usage.input_tokens": prompt,
                           "usage.output_tokens": completion}.items():
            span.set_attribute("gen_ai." + key, value)


@pytest.fixture
def application():
    running = []

    def application(daemon, seed=7, kind=Trace):
        running.append(Application(daemon.ports, seed, kind))
        return running[-1]
    yield application
    for one in running:
        one.close()


class HalvedTrace(Trace):
    """One that a head sampler of 50 % stands before."""

    @property
    def reason(self):
        return super().reason if int.from_bytes(self.id, "big") & (2**56 - 1) >= 2**55 else None

    @property
    def adjusted(self):
        return 2 * super().adjusted


def expected_rows(traces):
    """{(trace, span): (reason, adjusted count)}."""
    return {(trace.id.hex(), f"{span:016x}"): (trace.reason, trace.adjusted) for trace in traces if trace.reason for span in trace.spans}


def stored_rows(store):
    fields = [store.selected.get(column, "{}").format(column) for column in ("trace_id", "span_id")]
    rows = store.query(f"select {', '.join(fields)}, sampling_reason, adjusted_count from traces")
    assert len({(trace, span) for trace, span, *_ in rows}) == len(rows), "a span is stored twice"
    return {(otlp.hexadecimal(trace), otlp.hexadecimal(span)): (reason, adjusted) for trace, span, reason, adjusted in rows}


def printed_queries(store):
    """The README's, in the store's dialect."""
    section = (ROOT / "README.md").read_text().split("## True totals after sampling")[1].split("\n## ")[0]
    queries = re.findall(r"^```sql\n(.*?);\n```$", section, re.M | re.S)
    assert len(queries) == 2
    return queries if store.name == "postgres" else [q.replace("now() - interval '1 day'", "datetime('now', '-1 day')") for q in queries]


def assert_near(estimate, error, values, traces):
    """The estimate is within four standard errors of the truth, and the error is the one that theory gives for what was kept."""
    truth = sum(values)
    assert abs(estimate - truth) <= SIGMAS * error + 1e-6 * truth, f"{estimate} instead of {truth}, standard error {error}"
    kept = [(trace.adjusted, value) for trace, value in zip(traces, values) if trace.reason]
    assert error == pytest.approx(sum(count * (count - 1) * value**2 for count, value in kept) ** 0.5, rel=1e-6)


@pytest.mark.parametrize("kind", [Trace, HalvedTrace], ids=["tail", "head and tail"])
def test_errors_slow_and_dear_traces_are_whole_and_totals_are_true(store, start, application, kind):
    head = {"probabilistic_sampler": {"mode": "proportional", "sampling_percentage": 50}} if kind is HalvedTrace else {}
    processors = {"genai": None, **head, "tail_sampling": tail_sampling(POLICIES), "batch": {"timeout": "50ms"}}
    daemon = start(store, processors=processors, service__pipelines__traces__processors=list(processors))
    app = application(daemon, kind=kind)
    app.run(700)
    expected = expected_rows(app.traces)
    assert {reason for reason, _ in expected.values()} == {"errors", "slow", "dear", "some"}
    wait_until(lambda: count(store) >= len(expected), 30, f"{len(expected)} rows")
    assert stored_rows(store) == expected
    assert_totals(store, app.traces)


def assert_totals(store, traces):
    """The README's queries tell what there was."""
    totals, per_model = printed_queries(store)
    (requests, requests_error, spans, spans_error), = store.query(totals)
    assert_near(requests, requests_error, [1] * len(traces), traces)
    assert_near(spans, spans_error, [len(trace.spans) for trace in traces], traces)
    assert spans > count(store) * 2
    rows = store.query(per_model)
    assert {row[0] for row in rows} == set(MODELS)
    for model, calls, calls_error, usd, usd_error in rows:
        assert_near(calls, calls_error, [sum(name == model for name, _ in trace.calls) for trace in traces], traces)
        assert_near(usd, usd_error, [sum(usd for name, usd in trace.calls if name == model) for trace in traces], traces)


def test_aggregates_count_what_was_there_and_not_the_rows(postgres, start, application):
    daemon = start(postgres, processors__tail_sampling=tail_sampling(POLICIES), processors__genai=None,
                   service__pipelines__traces__processors=["genai", "tail_sampling", "batch"])
    app = application(daemon, seed=8)
    app.run(200)
    expected = expected_rows(app.traces)
    wait_until(lambda: count(postgres) >= len(expected), 30, f"{len(expected)} rows")
    (weighted, rows), = postgres.query("select sum(trace_count), sum(sampled_count) from traces_1hour")
    assert rows == len(expected)
    assert float(weighted) == pytest.approx(sum(adjusted for _, adjusted in expected.values()))


def test_two_pipelines_sample_the_same_spans_differently(tmp_path, application):
    errors, rest = SQLite(tmp_path / "errors"), SQLite(tmp_path / "rest")
    certain = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}
    samplers = {
        "tail_sampling/errors": tail_sampling([certain]),
        "tail_sampling/rest": tail_sampling([
            {"name": "elsewhere", "type": "drop", "drop": {"drop_sub_policy": [certain]}},
            {"name": "tenth", "type": "probabilistic", "probabilistic": {"sampling_percentage": 10}}], num_shards=2)}
    pipelines = {f"traces/{name}": {"receivers": ["otlp"], "processors": [f"tail_sampling/{name}"], "exporters": [f"sqlite/{name}"]}
                 for name in ("errors", "rest")}
    with Daemon.with_config(tmp_path, "sqlite", processors=samplers, service__pipelines=pipelines,
                            exporters={"sqlite/errors": errors.settings(), "sqlite/rest": rest.settings()}) as daemon:
        app = application(daemon, seed=9)
        app.run(600)
        of_errors, of_rest = {}, {}
        for trace in app.traces:
            if trace.is_error:
                of_errors |= {(trace.id.hex(), f"{span:016x}"): ("errors", 1.0) for span in trace.spans}
            elif holds_for(coin("", 10), trace.id):
                of_rest |= {(trace.id.hex(), f"{span:016x}"): ("tenth", 10.0) for span in trace.spans}
        assert len(of_errors) > 40 and len(of_rest) > 100
        wait_until(lambda: count(errors) >= len(of_errors) and count(rest) >= len(of_rest), 30, "both files have their rows")
    assert stored_rows(errors) == of_errors and stored_rows(rest) == of_rest


def test_a_sampling_threshold_of_the_sender_multiplies(sqlite, start):
    daemon = start(sqlite, processors__tail_sampling=tail_sampling([
        {"name": "quarter", "type": "probabilistic", "probabilistic": {"sampling_percentage": 25}}]),
        service__pipelines__traces__processors=["tail_sampling", "batch"])
    r = random.Random(3)
    traces = {r.randbytes(16): state for state in ("ot=th:8", "vendor=x,ot=th:c;rv:ffffffffffffff", "", "ot=p:8") for _ in range(40)}
    grpc_export(daemon.ports.grpc, otlp.request([{"trace_id": trace, "trace_state": state} for trace, state in traces.items()]))
    before = {"ot=th:8": 2, "vendor=x,ot=th:c;rv:ffffffffffffff": 4}
    expected = {trace.hex(): 4.0 * before.get(state, 1) for trace, state in traces.items() if holds_for(coin("", 25), trace)}
    wait_until(lambda: count(sqlite) >= len(expected), 20, "the rows")
    assert {trace: adjusted for (trace, _), (_, adjusted) in stored_rows(sqlite).items()} == expected
    assert set(expected.values()) == {4.0, 8.0, 16.0}


def spans_of(trace, *names):
    return otlp.request([{"trace_id": trace, "name": name, "status": (2, "") if name == "error" else None} for name in names])


def names_by_trace(store):
    rows = defaultdict(set)
    for trace, name in store.query("select trace_id, name from traces"):
        rows[otlp.hexadecimal(trace)].add(name)
    return rows


def test_a_crash_loses_no_pending_trace_and_forgets_no_decision(tmp_path, sqlite):
    """kill -9 with one trace undecided, one kept and one dropped: the first is decided as a whole, the others' rest meets their fate."""
    pending, kept, dropped = (random.randbytes(16) for _ in range(3))
    ports = Ports()
    config = {"processors__tail_sampling": tail_sampling(POLICIES[:1], "2s", decision_cache={"sampled_cache_size": 1000}),
              "service__pipelines__traces__processors": ["tail_sampling", "batch"],
              "service__write_ahead_log": {"directory": str(tmp_path / "wal")}}
    first = Daemon.with_config(tmp_path, "sqlite", sqlite.settings(), ports, **config).start()
    try:
        grpc_export(ports.grpc, spans_of(kept, "one", "error"))
        grpc_export(ports.grpc, spans_of(dropped, "one"))
        wait_until(lambda: count(sqlite) == 2 and first.metric("collector_wal_unreleased_requests") == 0, 20, "two decisions")
        grpc_export(ports.grpc, spans_of(pending, "one"))
        first.kill()
        with Daemon.with_config(tmp_path, "sqlite", sqlite.settings(), ports, **config) as second:
            grpc_export(ports.grpc, spans_of(pending, "error"))
            grpc_export(ports.grpc, spans_of(kept, "late"))
            grpc_export(ports.grpc, spans_of(dropped, "error"))
            wait_until(lambda: count(sqlite) >= 5, 20, "the whole trace and the late span")
            wait_until(lambda: second.metric("collector_wal_unreleased_requests") == 0, 20, "every request is released")
    finally:
        first.kill()
    assert names_by_trace(sqlite) == {pending.hex(): {"one", "error"}, kept.hex(): {"one", "error", "late"}}


@pytest.mark.parametrize("with_log", [False, True], ids=["memory", "log"])
def test_a_reload_of_the_sampler_decides_about_what_was_pending_and_forgets_no_decision(tmp_path, sqlite, start, with_log):
    pending, unwanted, kept, dropped = (random.randbytes(16) for _ in range(4))
    log = {"service__write_ahead_log": {"directory": str(tmp_path / "wal")}} if with_log else {}
    daemon = start(sqlite, processors__tail_sampling=tail_sampling(POLICIES[:1], "500ms"),
                   service__pipelines__traces__processors=["tail_sampling", "batch"], **log)
    grpc_export(daemon.ports.grpc, spans_of(kept, "one", "error"))
    grpc_export(daemon.ports.grpc, spans_of(dropped, "one"))
    wait_until(lambda: count(sqlite) == 2 and daemon.metric("otelcol_processor_tail_sampling_global_count_traces_sampled") == 2, 20,
               "two decisions")
    change(daemon, lambda config: config["processors"]["tail_sampling"].update(decision_wait="1h"))
    hang_up(daemon)
    grpc_export(daemon.ports.grpc, spans_of(pending, "one"))
    grpc_export(daemon.ports.grpc, spans_of(unwanted, "one"))
    change(daemon, lambda config: config["processors"]["tail_sampling"].update(decision_wait="1s", num_shards=3))
    hang_up(daemon)
    grpc_export(daemon.ports.grpc, spans_of(pending, "error"))
    grpc_export(daemon.ports.grpc, spans_of(kept, "late"))
    grpc_export(daemon.ports.grpc, spans_of(dropped, "error"))
    wait_until(lambda: daemon.metric("otelcol_processor_tail_sampling_global_count_traces_sampled") >= 4, 20, "all four decisions")
    wait_until(lambda: count(sqlite) >= 5, 20, "the whole trace and the late span")
    assert names_by_trace(sqlite) == {pending.hex(): {"one", "error"}, kept.hex(): {"one", "error", "late"}}
    assert set(sqlite.query("select sampling_reason, adjusted_count from traces")) == {("errors", 1.0)}


@pytest.mark.parametrize("drops", [False, True], ids=["decided", "dropped"])
def test_without_the_log_a_stop_decides_about_pending_traces_unless_told_to_drop_them(sqlite, start, drops):
    error, plain = random.randbytes(16), random.randbytes(16)
    daemon = start(sqlite, processors__tail_sampling=tail_sampling(
        POLICIES[:1], "1h", decide_early=False, drop_pending_traces_on_shutdown=drops),
        service__pipelines__traces__processors=["tail_sampling", "batch"])
    grpc_export(daemon.ports.grpc, spans_of(error, "one", "error"))
    grpc_export(daemon.ports.grpc, spans_of(plain, "one"))
    daemon.stop()
    assert names_by_trace(sqlite) == ({} if drops else {error.hex(): {"one", "error"}})


def test_at_the_limit_of_traces_the_oldest_is_decided_early_or_clients_wait(sqlite, start, tmp_path):
    """Either way each trace that is to be kept is stored once."""
    for blocks in (False, True):
        store = SQLite(tmp_path / str(blocks))
        daemon = start(store, processors__tail_sampling=tail_sampling(
            POLICIES[:1], "300ms", decide_early=False, num_traces=5, num_shards=1, block_on_overflow=blocks),
            service__pipelines__traces__processors=["tail_sampling", "batch"])
        traces = [random.randbytes(16) for _ in range(40)]
        answers = [grpc_export_until_taken(daemon, spans_of(trace, "error" if number % 2 else "one"))
                   for number, trace in enumerate(traces)]
        wait_until(lambda: count(store) >= 20, 20, "20 rows")
        assert names_by_trace(store) == {trace.hex(): {"error"} for trace in traces[1::2]}
        early = daemon.metric("otelcol_processor_tail_sampling_sampling_trace_dropped_too_early")
        assert (early > 0) != blocks and (max(answers) > 0) == blocks, (early, answers)
        daemon.stop()


def grpc_export_until_taken(daemon, request):
    """How often the client was told to come back."""
    refusals = 0
    while (answer := grpc_export(daemon.ports.grpc, request)).code is not grpc.StatusCode.OK:
        assert answer.code is grpc.StatusCode.UNAVAILABLE, answer.code
        refusals += 1
        time.sleep(0.05)
    return refusals


@pytest.mark.parametrize("early", [True, False], ids=["early", "due"])
def test_a_call_that_two_requests_tell_of_counts_once(sqlite, start, early):
    """Two spans with one response id, $0.25 each if they counted: the trace is not as dear as both, and one row has the tokens."""
    policies = [{"name": "dear", "type": "cost", "cost": {"min_usd": 0.4}},
                {"name": "all", "type": "span_count", "span_count": {"min_spans": 3}}]
    daemon = start(sqlite, processors__genai={}, processors__tail_sampling=tail_sampling(policies, "1s", decide_early=early),
                   service__pipelines__traces__processors=["genai", "tail_sampling", "batch"])
    twice, once = random.randbytes(16), random.randbytes(16)

    def call(trace, response):
        return {"trace_id": trace, "name": "chat", "attributes": {
            "gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o", "gen_ai.response.id": response,
            "gen_ai.usage.input_tokens": 100_000, "gen_ai.usage.output_tokens": 0}}
    for trace, responses in ((twice, ["r1", "r1"]), (once, ["r1", "r2"])):
        for response in responses:
            grpc_export(daemon.ports.grpc, otlp.request([call(trace, response)]))
        grpc_export(daemon.ports.grpc, otlp.request([{"trace_id": trace, "name": "end"}]))
    wait_until(lambda: count(sqlite) == 6, 20, "both traces")
    rows = sqlite.query("select trace_id, sampling_reason, sum(total_tokens), round(sum(total_cost_usd), 6) from traces group by 1, 2")
    found = {otlp.hexadecimal(trace): tuple(rest) for trace, *rest in rows}
    assert found == {twice.hex(): ("all", 100_000, 0.25), once.hex(): ("dear", 200_000, 0.5)}
