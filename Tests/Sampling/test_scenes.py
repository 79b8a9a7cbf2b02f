"""Single traces, made to stand on an edge: what the sampler does with them, by its own clock."""
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "Integration")]

import otlp  # noqa: E402
from configurations import ALL, DEAR, ERRORS, SLOW, chance, drop, entry, processor  # noqa: E402
from replay import replay, write_script  # noqa: E402
from workload import EPOCH, MILLISECOND, SECOND  # noqa: E402

TRACE, OTHER = b"t" * 16, b"o" * 16
DUE = 10 * SECOND + 100 * MILLISECOND
# A call that costs four cents.
CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10_000,
        "gen_ai.usage.output_tokens": 1_500}


def span(id, trace=TRACE, parent=b"parent  ", **fields):
    return {"trace_id": trace, "span_id": id.to_bytes(8, "big"), "parent_span_id": parent, "start_time_unix_nano": EPOCH, **fields}


@pytest.fixture
def play(tmp_path):
    """play(section, (seconds, spans) ...): the lines, as (kept, reason, spans, cause, time)."""
    def play(section, *requests):
        script = write_script([(int(at * SECOND), None, otlp.request(spans).SerializeToString()) for at, spans in requests],
                              tmp_path / "script")
        return [(line.is_kept, line.reason, line.spans, line.why, line.time) for line in replay(script, section, tmp_path)[0]]
    return play


def patient(*policies, **more):
    return processor(list(policies), decide_early=False, **more)


KEPT, LEFT = [(True, "slow", 1, "due", DUE)], [(False, None, 1, "due", DUE)]


@pytest.mark.parametrize("nanoseconds, expected", [(5 * SECOND, KEPT), (5 * SECOND - 1, LEFT), (-6 * SECOND, LEFT)])
def test_latency_counts_whole_milliseconds_from_its_threshold_on(play, nanoseconds, expected):
    assert play(patient(SLOW), (0, [span(1, end_time_unix_nano=EPOCH + nanoseconds)])) == expected


def test_a_span_without_a_start_does_not_make_its_trace_slow(play):
    spans = [span(1, start_time_unix_nano=0, end_time_unix_nano=0), span(2, end_time_unix_nano=EPOCH + SECOND)]
    assert play(patient(SLOW), (0, spans)) == [(False, None, 2, "due", DUE)]


def test_a_call_that_a_request_tells_twice_costs_once(play):
    twice = [span(1, attributes={**CALL, "gen_ai.response.id": "one"}), span(2, attributes={**CALL, "gen_ai.response.id": "one"})]
    assert play(patient(DEAR), (0, twice)) == [(False, None, 2, "due", DUE)]
    two = [span(1, attributes={**CALL, "gen_ai.response.id": "one"}), span(2, attributes={**CALL, "gen_ai.response.id": "two"})]
    assert play(patient(DEAR), (0, two)) == [(True, "dear", 2, "due", DUE)]


def test_a_span_at_the_very_moment_of_the_decision_is_late(play):
    error = span(2, status=(2, ""))
    at = DUE / SECOND
    assert play(patient(ERRORS), (0, [span(1)]), (at, [error])) == [(False, None, 1, "due", DUE), (False, None, 1, "late", DUE)]
    before = (DUE - 1) / SECOND
    assert play(patient(ERRORS), (0, [span(1)]), (before, [error])) == [(True, "errors", 2, "due", DUE)]


def test_an_early_decision_is_made_with_the_span_that_settles_it(play):
    lines = play(processor([ERRORS]), (0, [span(1)]), (1, [span(2, status=(2, ""))]), (2, [span(3)]))
    assert lines == [(True, "errors", 2, "early", SECOND), (True, "errors", 1, "late", 2 * SECOND)]
    # A drop may still come: nothing is settled.
    lines = play(processor([ERRORS, drop("no", SLOW)]), (0, [span(1, status=(2, ""))]))
    assert lines == [(True, "errors", 1, "due", DUE)]


def test_a_reason_that_may_still_change_is_waited_for(play):
    lines = play(processor([SLOW, ERRORS]), (0, [span(1, status=(2, ""))]), (1, [span(2, end_time_unix_nano=EPOCH + 9 * SECOND)]))
    assert lines == [(True, "slow", 2, "early", SECOND)]


def test_a_trace_that_is_too_large_is_decided_at_once_and_others_are_not(play):
    section = patient(ERRORS, maximum_trace_size_bytes=2_000)
    large = [span(number, attributes={"text": "x" * 300}) for number in range(1, 11)]
    lines = play(section, (0, [span(100, OTHER), *large]), (1, [span(20, status=(2, ""))]))
    decided = [line for line in lines if line[3] == "tooLarge"]
    assert len(decided) == 1 and decided[0][4] == 0
    assert sum(count for *_, count, why, _ in lines if why == "late") + decided[0][2] == 11
    assert lines[-1] == (False, None, 1, "due", DUE)


@pytest.mark.parametrize("is_early", [False, True], ids=["due", "early"])
def test_a_trace_of_very_many_spans_with_one_id_is_one_trace(play, is_early):
    count, part = 30_000, 5_000
    requests = [(number, [span(1, name="x")] * part) for number in range(count // part)]
    section = processor([entry("many", "span_count", min_spans=count), ERRORS], decide_early=is_early)
    assert play(section, *requests) == [(True, "many", count, "early" if is_early else "due", 5 * SECOND if is_early else DUE)]


def test_clocks_far_away_from_ours_change_nothing(play):
    spans = [span(number, trace=bytes([number]) * 16, start_time_unix_nano=start, end_time_unix_nano=(start + SECOND) % 2**64)
             for number, start in enumerate([1, EPOCH * 2, 2**63, 2**64 - 1 - SECOND], 1)]
    assert [line[:1] + line[3:] for line in play(patient(SLOW, chance(0)), (0, spans))] == [(False, "due", DUE)] * 4


def test_everything_at_once_is_kept_at_once(play):
    assert play(processor([ALL]), (0, [span(1), span(2)]), (1, [span(3)])) == [
        (True, "all", 2, "early", 0), (True, "all", 1, "late", SECOND)]
