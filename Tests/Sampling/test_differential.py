"""The collector's tail sampler and the model, asked about the same traces, say the same: kept spans, reasons, adjusted counts, times.

SAMPLING_TRACES: how many traces the largest runs have; SAMPLING_SEED: of the workload.
"""
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import random_configurations  # noqa: E402
from configurations import ALONE, COMBINED, ERRORS, SLOW, chance, entry, processor  # noqa: E402
from replay import DECIDED, differences, fates_of, kept_spans, reasons, replay, report, write_script  # noqa: E402
from workload import Workload  # noqa: E402

# With an optimised collector all of it takes 50,000; the default suits one built for debugging.
TRACES = int(os.environ.get("SAMPLING_TRACES") or 3_000)
SEED = int(os.environ.get("SAMPLING_SEED") or 1)
ALONE_SHARE = 4
# Policies that say the same of all traces, as they should.
ONE_SIDED = {"all", "chance-0-None", "chance-100-None", "false"}


class Script:
    """A workload and the file that it is replayed from."""

    def __init__(self, directory, seed, traces, mixed=True):
        self.workload = Workload(seed, traces, mixed)
        self.directory, self.path = directory, write_script(self.workload.requests, directory / "script")

    def replay(self, section, shards=1):
        return replay(self.path, section, self.directory, shards)

    def differences(self, section, lines, is_early):
        return differences(self.workload.requests, self.workload.resources, section, lines, is_early)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    return Script(tmp_path_factory.mktemp("large"), SEED, TRACES)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return Script(tmp_path_factory.mktemp("short"), SEED + 1, max(TRACES // ALONE_SHARE, 500))


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory):
    """Requests of one trace each: what crowds out what then does not depend on the order within a request."""
    return Script(tmp_path_factory.mktemp("single"), SEED + 2, max(TRACES // ALONE_SHARE, 500), mixed=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return Script(tmp_path_factory.mktemp("small"), SEED + 3, 400)


def assert_as_the_model(script, section, shards=1):
    lines, counters = script.replay(section, shards)
    sent, kept = len(script.workload.spans), sum(line.spans for line in lines if line.is_kept)
    assert (counters["spans"], counters["kept_spans"], counters["undecided"]) == (sent, kept, 0)
    wrong = script.differences(section, lines, section.get("decide_early", True))
    assert not wrong, report(wrong)
    return lines


@pytest.mark.parametrize("is_early", [False, True], ids=["due", "early"])
@pytest.mark.parametrize("policy", ALONE, ids=lambda policy: policy["name"])
def test_each_policy_alone_decides_as_the_model(short, policy, is_early):
    lines = assert_as_the_model(short, processor([policy], decide_early=is_early))
    # A policy that no trace of the workload puts to the test proves nothing.
    assert len(reasons(lines)) > 1 or policy["name"] in ONE_SIDED


@pytest.mark.parametrize("name", COMBINED)
def test_policies_together_decide_as_the_model(short, name):
    assert_as_the_model(short, processor(COMBINED[name], decide_early=False))


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("is_early", [False, True], ids=["due", "early"])
def test_ten_policies_decide_as_the_model(script, shards, is_early):
    lines = assert_as_the_model(script, processor(COMBINED["ten"], decide_early=is_early), shards)
    assert len(reasons(lines)) > 8
    assert ("early" in {line.why for line in lines}) == is_early


@pytest.mark.parametrize("name", [name for name in COMBINED if name != "ten"])
def test_deciding_early_changes_nothing_but_the_time(short, name):
    lines = assert_as_the_model(short, processor(COMBINED[name], decide_early=True), shards=4)
    patient, _ = short.replay(processor(COMBINED[name], decide_early=False))
    assert kept_spans(lines) == kept_spans(patient) and reasons(lines) == reasons(patient)


def test_a_root_brings_the_decision_forward(short):
    section = processor(COMBINED["ten"], decide_early=False, decision_wait_after_root_received="2.1s")
    lines = assert_as_the_model(short, section, shards=2)
    patient, _ = short.replay(processor(COMBINED["ten"], decide_early=False))
    assert kept_spans(lines) != kept_spans(patient), "no trace of this workload waits for its root"


def test_the_first_match_alone_keeps_the_same_traces(short):
    lines, _ = short.replay(processor(COMBINED["ten"], sample_on_first_match=True))
    assert kept_spans(lines) == kept_spans(short.replay(processor(COMBINED["ten"]))[0])


def test_more_traces_than_allowed_decide_the_oldest(one_by_one):
    cache = {"sampled_cache_size": 1_000_000, "non_sampled_cache_size": 1_000_000}
    section = processor([ERRORS, SLOW, chance(10)], decide_early=False, num_traces=300, decision_cache=cache)
    lines = assert_as_the_model(one_by_one, section)
    assert Counter(line.why for line in lines)["overflow"] > 50


def test_a_kept_trace_that_is_forgotten_starts_anew(one_by_one):
    cache = {"sampled_cache_size": 20, "non_sampled_cache_size": 1_000_000}
    section = processor([ERRORS, chance(40)], decide_early=False, decision_cache=cache)
    lines = assert_as_the_model(one_by_one, section)
    assert max(len(fate.decisions) for fate in fates_of(lines)[0].values()) > 1


def test_every_span_has_one_fate_also_when_memory_is_short(script):
    """No model says which traces are crowded out by bytes, over several shards; that each span is accounted for must hold all the same."""
    section = processor([ERRORS, SLOW, chance(10)], max_memory_mib=1, num_traces=400)
    lines, _ = script.replay(section, shards=4)
    fates, wrong = fates_of(lines)
    assert not wrong, report(wrong)
    sent = Counter(span.trace for span in script.workload.spans)
    assert {trace: fate.kept.total() + fate.dropped for trace, fate in fates.items()} == sent
    assert all(line.why in (*DECIDED, "late") for line in lines) and any(line.why == "overflow" for line in lines)


def test_a_model_that_is_wrong_is_noticed(short):
    """The comparison is able to fail: by a policy's threshold, by a reason, by a chance, and by a wait."""
    section = processor([entry("slow", "latency", threshold_ms=1_000), chance(10)], decide_early=False)
    lines, _ = short.replay(section)
    for other in ([entry("slow", "latency", threshold_ms=1_100), chance(10)], [entry("other", "latency", threshold_ms=1_000), chance(10)],
                  [entry("slow", "latency", threshold_ms=1_000), chance(10.5) | {"name": "chance-10-None"}]):
        assert short.differences(processor(other), lines, False)
    assert short.differences(section | {"decision_wait": "9.1s"}, lines, False)


@pytest.mark.parametrize("number", range(int(os.environ.get("SAMPLING_CONFIGURATIONS") or 25)))
def test_random_configurations_decide_as_the_model(small, number):
    """Which ones: SAMPLING_SEED."""
    section, shards = random_configurations.section(random.Random(f"{SEED}/{number}"))
    assert_as_the_model(small, section, shards)
