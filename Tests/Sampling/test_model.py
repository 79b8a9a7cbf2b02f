"""The model by itself: numbers that others publish, and scenes small enough to be worked out by hand."""
import itertools
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chances import AllOf, AnyOf, Coin, Opposite, coin, fnv1a, holds_for, probability, threshold  # noqa: E402
from configurations import chance, drop, entry  # noqa: E402
from model import Decider, Model, nanoseconds  # noqa: E402
from policies import Trace  # noqa: E402
from workload import SECOND, TICK, Span, Workload  # noqa: E402

RESOURCES = [{"service.name": "a"}]


def span(trace=b"t" * 16, id=b"1", parent=b"p", **fields):
    values = {"name": "x", "kind": 1, "start": 0, "end": 1_000_000, "attributes": {}, "events": [], "status": 0, "state": "", "flags": 0,
              "resource": 0}
    return Span(trace=trace, id=id, parent=parent, **{**values, **fields})


def test_fnv_is_the_published_one():
    # Landon Curt Noll's test vectors for 64 bits.
    assert fnv1a(b"") == 0xCBF29CE484222325
    assert fnv1a(b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a(b"foobar") == 0x85944171F73967E8


def test_threshold_is_the_ratio_of_64_bits():
    assert threshold(0.5) == 2**63 - 1 or threshold(0.5) == 2**63
    assert abs(threshold(0.1) - 2**64 // 10) < 2**11
    assert threshold(1e-18) == 18


def test_share_of_random_ids_is_the_ratio():
    # Random ones: FNV-1a hardly mixes the last byte into the upper bits.
    random = Random(3)
    traces = [random.randbytes(16) for _ in range(20_000)]
    kept = sum(holds_for(coin("", 10), trace) for trace in traces)
    assert abs(kept - 2_000) < 4 * (20_000 * 0.1 * 0.9) ** 0.5


def test_probabilities_of_combinations():
    ten, forty, other = Coin("s", 0.1), Coin("s", 0.4), Coin("t", 0.5)
    assert probability(AnyOf((ten, forty))) == pytest.approx(0.4)
    assert probability(AllOf((ten, forty))) == pytest.approx(0.1)
    assert probability(AllOf((forty, Opposite(ten)))) == pytest.approx(0.3)
    assert probability(AnyOf((ten, other))) == pytest.approx(0.55)
    assert probability(AllOf((Opposite(other), AnyOf((ten, forty))))) == pytest.approx(0.2)
    assert probability(True) == 1 and probability(False) == 0


def decisions(section, *arrivals):
    """(kept ids, dropped, decisions) of arrivals as (seconds, span)."""
    fates = Model(section, RESOURCES).run([(int(at * SECOND), [one], b"") for at, one in arrivals])
    return {trace: (sorted(fate.kept), fate.dropped, fate.decisions) for trace, fate in fates.items()}


ERRORS = entry("errors", "status_code", status_codes=["ERROR"])
SECTION = {"decision_wait": "10s", "policies": [ERRORS]}
DUE = 10 * SECOND


def test_a_decision_looks_at_what_came_until_then_and_late_spans_obey():
    found = decisions(SECTION, (0, span(id=b"1")), (9, span(id=b"2", status=2)), (11, span(id=b"3")))
    assert found[b"t" * 16] == ([b"1", b"2", b"3"], 0, [(DUE, "errors", 1.0, 2, "due")])
    found = decisions(SECTION, (0, span(id=b"1")), (11, span(id=b"2", status=2)))
    assert found[b"t" * 16] == ([], 2, [(DUE, None, None, 1, "due")])


def test_a_root_brings_the_decision_forward_and_never_back():
    section = {**SECTION, "decision_wait_after_root_received": "2s"}
    trace = decisions(section, (0, span()), (1, span(parent=b"", id=b"2")), (4, span(id=b"3", status=2)))[b"t" * 16]
    assert trace == ([], 3, [(3 * SECOND, None, None, 2, "due")])
    trace = decisions(section, (0, span()), (9, span(parent=b"", id=b"2")))[b"t" * 16]
    assert trace[2] == [(DUE, None, None, 2, "due")]


def test_more_traces_than_allowed_decide_the_first_at_once():
    first, second = b"a" * 16, b"b" * 16
    found = decisions({**SECTION, "num_traces": 1}, (0, span(first, status=2)), (1, span(second)), (2, span(first, id=b"2")))
    assert found[first] == ([b"1", b"2"], 0, [(SECOND, "errors", 1.0, 1, "overflow")])
    assert found[second][2] == [(11 * SECOND, None, None, 1, "due")]


def test_a_forgotten_trace_starts_anew():
    first, second = b"a" * 16, b"b" * 16
    section = {**SECTION, "decision_cache": {"sampled_cache_size": 1}}
    found = decisions(section, (0, span(first, status=2)), (1, span(second, status=2)), (20, span(first, id=b"2")))
    assert found[first] == ([b"1"], 1, [(DUE, "errors", 1.0, 1, "due"), (30 * SECOND, None, None, 1, "due")])


def decided(policies, *spans, trace=b"t" * 16):
    return Decider(policies).decide(trace, Trace(list(spans), RESOURCES))


def test_drop_beats_keep_and_the_first_keep_is_the_reason():
    always = entry("always", "always_sample")
    assert decided([always, ERRORS], span(status=2)) == ("always", 1.0)
    assert decided([ERRORS, always], span(status=2)) == ("errors", 1.0)
    assert decided([ERRORS, always, drop("no", ERRORS)], span(status=2)) == ("no", None)
    assert decided([ERRORS, always, drop("no", ERRORS)], span()) == ("always", 1.0)


def test_adjusted_count_is_one_over_the_chance_of_the_whole():
    kept = next(t for t in (n.to_bytes(16, "big") for n in itertools.count()) if holds_for(coin("", 10), t) and holds_for(coin("", 50), t))
    assert decided([chance(10)], span(), trace=kept) == ("chance-10-None", 10.0)
    assert decided([chance(10), ERRORS], span(status=2), trace=kept) == ("chance-10-None", 1.0)
    assert decided([chance(10), chance(50)], span(), trace=kept) == ("chance-10-None", 2.0)
    assert decided([ERRORS, drop("d", entry("n", "not", not_sub_policy=chance(50)))], span(status=2), trace=kept) == ("errors", 2.0)


def test_durations():
    assert nanoseconds("10.1s") == 10_100_000_000 and nanoseconds("250ms") == TICK


def test_workload_is_repeatable_and_has_all_it_is_meant_to_have():
    first, again, other = Workload(1, 800), Workload(1, 800), Workload(2, 800)
    assert [raw for *_, raw in first.requests] == [raw for *_, raw in again.requests] != [raw for *_, raw in other.requests]
    spans = first.spans
    sizes = Counter(one.trace for one in spans)
    assert len(sizes) == 800 and max(sizes.values()) >= 30 and Counter(sizes.values())[1] > 20
    assert max(Counter((one.trace, one.id) for one in spans).values()) > 1
    assert max(len({one.trace for one in members}) for _, members, _ in first.requests) > 20
    times = [time for time, *_ in first.requests]
    assert times == sorted(times) and all(time % TICK == 0 for time in times)
