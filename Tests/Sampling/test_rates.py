"""Policies whose choice is the collector's own: their rates, and that totals computed from what they keep are right."""
import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from configurations import ERRORS, chance, entry, processor  # noqa: E402
from policies import cost_of, tokens_of  # noqa: E402
from replay import replay, write_script  # noqa: E402
from workload import SECOND, TRACES_PER_SECOND, Workload  # noqa: E402

TRACES = int(os.environ.get("SAMPLING_TRACES") or 6_000)
SIGMAS = 4
# What a rate may differ from its goal by.
GOAL_TOLERANCE = 0.15
# A budget's, which is counted in whole traces, over less than a minute.
BUDGET_TOLERANCE = 0.2
# Nothing is decided before `decision_wait`, and the first windows after it know nothing of the load yet.
STEADY_FROM_SECONDS = 20


class Sampled:
    """What a run kept, held against the truth."""

    def __init__(self, workload, lines):
        self.lines, self.spans = lines, workload.spans
        self.adjusted = {line.trace: line.adjusted for line in lines if line.is_kept}
        self.traces = {span.trace for span in self.spans}

    def assert_total(self, value):
        """The estimate of the sum of `value` over all spans is within four standard errors of it. A trace is kept or dropped as one,
        so its spans' values are added up first."""
        sums = defaultdict(float)
        for span in self.spans:
            sums[span.trace] += value(span)
        truth, estimate = sum(sums.values()), sum(self.adjusted[trace] * sums[trace] for trace in self.adjusted)
        error = sum(count * (count - 1) * sums[trace] ** 2 for trace, count in self.adjusted.items()) ** 0.5
        assert abs(estimate - truth) <= SIGMAS * error + 1e-9 * truth, f"{estimate} instead of {truth}, standard error {error}"

    def assert_totals(self, *names):
        for name in names or TOTALS:
            self.assert_total(TOTALS[name])


# What is added up, of each span.
TOTALS = {
    "spans": lambda span: 1,
    "cost": lambda span: cost_of(span) if "gen_ai.operation.name" in span.attributes else 0,
    "tokens": lambda span: sum(number or 0 for number in tokens_of(span)[:2]),
    "calls": lambda span: span.attributes.get("gen_ai.request.model") == "gpt-4o-mini"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    # Without durations of days, which would be all that a budget of durations is spent on.
    directory, workload = tmp_path_factory.mktemp("rates"), Workload(11, TRACES, stray_clocks=False)
    script = write_script(workload.requests, directory / "script")

    def run(policies, shards=1, **more):
        return Sampled(workload, replay(script, processor(policies, **more), directory, shards)[0])
    return run


def steady(sampled):
    """Decisions made while the load was steady, and for how many seconds."""
    last = TRACES / TRACES_PER_SECOND + 5
    return ([line for line in sampled.lines if line.why != "late" and STEADY_FROM_SECONDS <= line.time / SECOND < last],
            last - STEADY_FROM_SECONDS)


def rate(sampled):
    """Spans kept per second."""
    lines, seconds = steady(sampled)
    return sum(line.spans for line in lines if line.is_kept) / seconds


def assert_share(kept, of, ratio):
    assert abs(kept - of * ratio) <= SIGMAS * (of * ratio * (1 - ratio)) ** 0.5, f"{kept} of {of} at {ratio}"


def test_chances_give_true_totals(run):
    for percentage in (1, 10, 50):
        sampled = run([chance(percentage)])
        assert_share(len(sampled.adjusted), len(sampled.traces), percentage / 100)
        assert all(count == pytest.approx(100 / percentage) for count in sampled.adjusted.values())
        sampled.assert_totals()


def test_priority_keeps_its_percentage_of_each_rule(run):
    rules = [{"match": {"service": "service-1"}, "sampling_percentage": 100},
             {"match": {"service": "service-2"}, "sampling_percentage": 30}, {"match": {}, "sampling_percentage": 5}]
    sampled = run([entry("paths", "priority", rules=rules)])
    counts = Counter(round(count, 6) for count in sampled.adjusted.values())
    assert set(counts) == {1.0, round(1 / 0.3, 6), 20.0}
    assert_share(counts[20.0], len(sampled.traces) - counts[1.0] - round(counts[round(1 / 0.3, 6)] / 0.3), 0.05)
    sampled.assert_totals()


# The totals that a budget is good for: of what is almost never kept, the few that are count for so many that a run tells little.
@pytest.mark.parametrize("weight, totals", [("cost", ["cost", "tokens"]), ("tokens", ["cost", "tokens"]), ("duration", [])])
def test_cost_budget_keeps_its_rate_and_true_totals(run, weight, totals):
    goal = 60
    sampled = run([entry("budget", "cost_budget", spans_per_second=goal, weight=weight)])
    assert rate(sampled) == pytest.approx(goal, rel=BUDGET_TOLERANCE)
    assert all(count >= 1 for count in sampled.adjusted.values())
    sampled.assert_totals(*totals)


def test_cost_budget_keeps_the_dearest(run):
    sampled = run([entry("budget", "cost_budget", spans_per_second=60, weight="cost")])
    costs = defaultdict(float)
    for span in sampled.spans:
        if "gen_ai.operation.name" in span.attributes:
            costs[span.trace] += cost_of(span)
    dearest = sorted(costs, key=costs.get)[-len(costs) // 50:]
    assert sum(trace in sampled.adjusted for trace in dearest) > 0.9 * len(dearest)


def test_dynamic_keeps_its_goal_and_rare_keys_more_often(run):
    sampled = run([entry("dynamic", "dynamic", goal_sample_rate=10, key=["http.response.status_code"])])
    lines, _ = steady(sampled)
    assert sum(line.is_kept for line in lines) == pytest.approx(len(lines) / 10, rel=GOAL_TOLERANCE)
    assert max(sampled.adjusted.values()) > 2 * min(sampled.adjusted.values())
    sampled.assert_totals()


def test_dynamic_keeps_its_spans_per_second(run):
    sampled = run([entry("dynamic", "dynamic", goal_spans_per_second=80, key=["service.name"])])
    assert rate(sampled) == pytest.approx(80, rel=GOAL_TOLERANCE)
    sampled.assert_totals()


def test_a_limit_of_spans_holds_and_adds_to_what_others_keep(run):
    limit = entry("limit", "rate_limiting", spans_per_second=50)
    sampled = run([limit], decide_early=False)
    _, seconds = steady(sampled)
    # It may begin with a burst of two seconds.
    assert 0.8 * 50 < rate(sampled) <= 50 * (1 + 2 / seconds)
    with_errors = run([ERRORS, limit], decide_early=False)
    assert sum(line.reason == "errors" for line in with_errors.lines if line.is_kept) > 100
    errors = {span.trace for span in with_errors.spans if span.status == 2}
    assert {line.trace for line in with_errors.lines if line.reason == "errors"} <= errors
