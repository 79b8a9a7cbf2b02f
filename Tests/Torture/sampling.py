"""Rounds with samplers in the pipeline: what they are configured to keep, as a function of the trace alone, so that it does not matter
which of its spans came when, and which of them a crash came between.

All spans of a trace have the same traits, told by the bytes of its id; but those of a *wavering* trace differ, and its decision hangs on
what came first. Of such a trace either all spans are kept or none.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "Sampling"))

from chances import coin, holds_for  # noqa: E402

TAIL_PERCENTAGE, HEAD_PERCENTAGE = 30, 50
# Of 256: so many traces are errors, are dropped by a policy, waver.
ERRORS, UNWANTED, WAVERING = 40, 40, 60
WANTED_SPANS = 0.15
# So many that no decision is forgotten within a round.
REMEMBERED = 200_000
LOW_56_BITS = 2**56 - 1


def is_error(trace):
    return trace[0] < ERRORS


def is_unwanted(trace):
    return trace[1] < UNWANTED


def is_wavering(trace):
    return trace[2] < WAVERING


def mark(rng, span, trace):
    """Gives a span the traits of its trace."""
    if is_error(trace):
        span.status.code = 2
    if is_unwanted(trace):
        span.attributes.add(key="http.route").value.string_value = "/health"
    if is_wavering(trace):
        span.attributes.add(key="app.keep").value.bool_value = rng.random() < WANTED_SPANS


POLICIES = [
    {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
    {"name": "some", "type": "probabilistic", "probabilistic": {"sampling_percentage": TAIL_PERCENTAGE}},
    {"name": "wanted", "type": "boolean_attribute", "boolean_attribute": {"key": "app.keep", "value": True}},
    {"name": "unwanted", "type": "drop", "drop": {"drop_sub_policy": [
        {"name": "health", "type": "string_attribute", "string_attribute": {"key": "http.route", "values": ["/health"]}}]}}]


class Sampling:
    """The samplers of a round: `head`, `tail`, both, or none."""

    def __init__(self, kinds=()):
        self.kinds = kinds

    def __str__(self):
        return "".join(f", {kind} sampling" for kind in self.kinds)

    def processors(self, chosen):
        """Sections by name, in the order of the pipeline."""
        sections = {}
        if "head" in self.kinds:
            sections["probabilistic_sampler"] = {"mode": "proportional", "sampling_percentage": HEAD_PERCENTAGE}
        if "tail" in self.kinds:
            sections["tail_sampling"] = {
                "decision_wait": chosen["wait"], "num_traces": chosen["traces"], "num_shards": chosen["shards"],
                "decide_early": chosen["early"], "decision_wait_after_root_received": chosen["after_root"], "policies": POLICIES,
                "decision_cache": {"sampled_cache_size": REMEMBERED, "non_sampled_cache_size": REMEMBERED}}
        return sections

    def keeps(self, trace):
        """Whether the trace is kept; None when that hangs on when its spans came."""
        if "head" in self.kinds and int.from_bytes(trace, "big") & LOW_56_BITS < 2**56 * (1 - HEAD_PERCENTAGE / 100):
            return False
        if "tail" not in self.kinds:
            return True
        if is_unwanted(trace):
            return False
        if is_error(trace) or holds_for(coin("", TAIL_PERCENTAGE), trace):
            return True
        return None if is_wavering(trace) else False

    def columns(self, trace):
        """(sampling_reason, adjusted_count) of a trace that is kept; None when that hangs on when its spans came."""
        before = 100 / HEAD_PERCENTAGE if "head" in self.kinds else 1.0
        if "tail" not in self.kinds:
            return self.head_reason(), before
        if is_error(trace):
            return "errors", before
        return None if is_wavering(trace) else ("some", before * 100 / TAIL_PERCENTAGE)

    def head_reason(self):
        return "probabilistic_sampler" if "head" in self.kinds else None
