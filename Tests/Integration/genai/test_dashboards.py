"""The usual queries of an LLM dashboard, on the plain table and through the aggregates and views, against sums made in Python."""
import random
from collections import defaultdict
from datetime import datetime, timedelta, timezone

import pytest

import otlp
from clients import http_export
from daemon import wait_until
from stores import count

PRICES = {"acme-large": {"input": 10, "output": 50}, "acme-small": {"input": 1, "output": 2}}
PROVIDERS = {"acme-large": "openai", "acme-small": "anthropic"}
SPANS = 400
BUDGET_USD = 5.0


class Calls:
    """Calls over the last hours, as sent, with what they cost."""

    def __init__(self):
        generator = random.Random(7)
        now = datetime.now(timezone.utc)
        self.now, self.calls = now, []
        for _ in range(SPANS):
            model = generator.choice(list(PRICES))
            prompt, completion = generator.randrange(1, 5_000), generator.randrange(1, 2_000)
            cost = (prompt * PRICES[model]["input"] + completion * PRICES[model]["output"]) / 1e6
            self.calls.append({
                "model": model, "prompt": prompt, "completion": completion, "cost": cost, "user": f"user-{generator.randrange(5)}",
                "session": f"session-{generator.randrange(20)}", "start": now - timedelta(seconds=generator.randrange(60, 30 * 3600)),
                "milliseconds": generator.randrange(50, 9_000), "failed": generator.random() < 0.2,
                "trace": generator.randrange(1, 50).to_bytes(16, "big")})

    def message(self):
        message = otlp.request()
        scope = message.resource_spans[0].scope_spans[0]
        for call in self.calls:
            start = int(call["start"].timestamp() * 1e6) * 1_000
            otlp.add_span(
                scope, name="chat", trace_id=call["trace"], start_time_unix_nano=start,
                end_time_unix_nano=start + call["milliseconds"] * 1_000_000, status=(2, "") if call["failed"] else None, attributes=[
                    ("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", PROVIDERS[call["model"]]),
                    ("gen_ai.request.model", call["model"]), ("gen_ai.usage.input_tokens", call["prompt"]),
                    ("gen_ai.usage.output_tokens", call["completion"]), ("user.id", call["user"]), ("session.id", call["session"])])
        # Spans that are no calls must not show in any of the queries.
        for _ in range(20):
            otlp.add_span(scope, name="agent", attributes=[
                ("gen_ai.operation.name", "invoke_agent"), ("gen_ai.request.model", "acme-large")])
        return message

    def sums(self, key, value):
        sums = defaultdict(float)
        for call in self.calls:
            sums[key(call)] += value(call)
        return dict(sums)


@pytest.fixture
def calls(store, start):
    calls = Calls()
    daemon = start(store, processors__genai={"prices": PRICES}, service__pipelines__traces__processors=["genai", "batch"])
    assert http_export(daemon.ports.http, calls.message()).status == 200
    wait_until(lambda: count(store) >= SPANS + 20, 20, "all rows")
    return calls


def day_of(store, column):
    return f"to_char({column} at time zone 'UTC', 'YYYY-MM-DD')" if store.name == "postgres" else f"substr({column}, 1, 10)"


def keyed(rows):
    return {row[:-1] if len(row) > 2 else row[0]: float(row[-1]) for row in rows}


def test_cost_per_model_per_day(store, calls):
    expected = calls.sums(lambda c: (c["start"].strftime("%Y-%m-%d"), c["model"]), lambda c: c["cost"])
    plain = store.query(f"select {day_of(store, 'ts')}, model, sum(total_cost_usd * adjusted_count) from traces "
                        "where model is not null group by 1, 2")
    hours = store.query(f"select {day_of(store, 'bucket')}, model, sum(total_cost_usd) from traces_1hour "
                        "where model is not null group by 1, 2")
    events = store.query(f"select {day_of(store, 'timestamp')}, model_name, sum(cost_usd) from llm_events group by 1, 2")
    for found in (plain, hours, events):
        assert keyed(found) == pytest.approx(expected)


def test_p95_latency_per_provider(store, calls):
    for provider in PROVIDERS.values():
        latencies = sorted(c["milliseconds"] for c in calls.calls if PROVIDERS[c["model"]] == provider)
        exact = latencies[int(0.95 * len(latencies))]
        if store.name == "postgres":
            plain = store.query("select percentile_cont(0.95) within group (order by duration_ms) from traces where provider = ?", provider)
            assert plain[0][0] == pytest.approx(exact, rel=0.05)
            sums = "array(select sum(v) from traces_1hour t, unnest(duration_histogram) with ordinality u(v, i) " \
                   "where t.provider = ? group by i order by i)"
            hours = store.query(f"select traces_quantile({sums}, 0.95, max(max_duration_ms)) from traces_1hour where provider = ?",
                                provider, provider)
            # The histogram's buckets: 7,000 to 10,000 ms is the widest here.
            assert hours[0][0] == pytest.approx(exact, rel=0.25)
        else:
            plain = store.query(
                "select duration_ms from traces where provider = ? order by duration_ms limit 1 offset "
                "(select cast(0.95 * count(*) as integer) from traces where provider = ?)", provider, provider)
            assert plain[0][0] == exact
            [(lowest, highest)] = store.query("select min(p95_ms), max(p95_ms) from traces_1hour where provider = ?", provider)
            assert lowest <= exact <= highest


def test_tokens_per_user(store, calls):
    expected = calls.sums(lambda c: c["user"], lambda c: c["prompt"] + c["completion"])
    plain = store.query("select user_id, sum(total_tokens * adjusted_count) from traces where model is not null group by 1")
    events = store.query("select user_id, sum(tokens_total) from llm_events group by 1")
    assert keyed(plain) == keyed(events) == expected


def test_error_rate_per_model(store, calls):
    all_calls = calls.sums(lambda c: c["model"], lambda c: 1)
    failed = calls.sums(lambda c: c["model"], lambda c: c["failed"])
    expected = {model: failed[model] / all_calls[model] for model in all_calls}
    plain = store.query("select model, sum(case when status_code = 'ERROR' then adjusted_count else 0.0 end) / sum(adjusted_count) "
                        "from traces where model is not null group by 1")
    hours = store.query("select model, sum(error_count) / sum(trace_count) from traces_1hour where model is not null group by 1")
    events = store.query("select model_name, avg(case when status_code >= 500 then 1.0 else 0.0 end) from llm_events group by 1")
    for found in (plain, hours, events):
        assert keyed(found) == pytest.approx(expected)


def test_top_sessions_by_cost(store, calls):
    sums = calls.sums(lambda c: c["session"], lambda c: c["cost"])
    expected = sorted(sums.items(), key=lambda item: -item[1])[:5]
    for table, cost in (("traces", "total_cost_usd"), ("llm_events", "cost_usd")):
        found = store.query(f"select session_id, sum({cost}) from {table} where session_id is not null group by 1 order by 2 desc limit 5")
        assert [session for session, _ in found] == [session for session, _ in expected]
        assert [cost for _, cost in found] == pytest.approx([cost for _, cost in expected])


def test_cost_of_one_trace(store, calls):
    trace, expected = next(iter(calls.sums(lambda c: c["trace"].hex(), lambda c: c["cost"]).items()))
    assert store.query("select sum(total_cost_usd) from traces where trace_id = ?", trace)[0][0] == pytest.approx(expected)
    assert store.query("select sum(total_cost_usd) from spans where trace_id = ?", trace)[0][0] == pytest.approx(expected)


def test_month_to_date_spend_against_a_budget(store, calls):
    month = calls.now.strftime("%Y-%m-01 00:00:00")
    expected = sum(c["cost"] for c in calls.calls if c["start"].strftime("%Y-%m") == calls.now.strftime("%Y-%m"))
    since = f"timestamptz '{month}+00'" if store.name == "postgres" else f"'{month}'"
    for table, cost, column in (("traces", "total_cost_usd", "ts"), ("traces_1hour", "total_cost_usd", "bucket"),
                                ("llm_events", "cost_usd", "timestamp")):
        [(spent, part)] = store.query(
            f"select coalesce(sum({cost}), 0), coalesce(sum({cost}), 0) / {BUDGET_USD} from {table} where {column} >= {since}")
        assert spent == pytest.approx(expected) and part == pytest.approx(expected / BUDGET_USD)


def test_hourly_events_of_older_dashboards(store, calls):
    expected = calls.sums(lambda c: c["model"], lambda c: 1)
    tokens = calls.sums(lambda c: c["model"], lambda c: c["prompt"] + c["completion"])
    assert keyed(store.query("select model_name, sum(event_count) from llm_events_hourly group by 1")) == expected
    assert keyed(store.query("select model_name, sum(total_tokens) from llm_events_hourly group by 1")) == tokens
    [(longest,)] = store.query("select max(max_latency) from llm_events_hourly")
    assert longest == max(c["milliseconds"] for c in calls.calls)
