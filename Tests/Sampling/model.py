"""A model of tail sampling, written from the contract: slow, plain, and by nobody who wrote the processor.

A trace's time begins with the first span of it that arrives. It is decided `decision_wait` later, or
`decision_wait_after_root_received` after its root came, whichever is earlier, by the spans that are there then. More pending traces than
`num_traces`: the one that came first is decided at once. A decision is remembered, and what comes late obeys it: kept ones in a cache that
forgets the one that was not asked for the longest, dropped ones as long as this model runs.
"""
import heapq
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from chances import all_of, any_of, holds_for, opposite, probability
from policies import Trace, policy
from workload import SECOND

UNITS = {"ms": 1_000_000, "s": SECOND}


def nanoseconds(text):
    unit = "ms" if text.endswith("ms") else "s"
    return int(float(text.removesuffix(unit)) * UNITS[unit])


class Decider:
    """The configured policies together: drop beats keep, the first that keeps is the reason."""

    def __init__(self, policies):
        self.drops = [(entry["name"], policy(entry)) for entry in policies if entry["type"] == "drop"]
        self.keeps = [(entry["name"], policy(entry)) for entry in policies if entry["type"] != "drop"]

    def decide(self, trace_id, trace):
        """(reason, adjusted count): the policy that dropped or kept it, None if none did; and None for a trace that is dropped."""
        drops = [(name, says(trace)) for name, says in self.drops]
        keeps = [(name, says(trace)) for name, says in self.keeps]
        for name, formula in drops:
            if holds_for(formula, trace_id):
                return name, None
        for name, formula in keeps:
            if holds_for(formula, trace_id):
                is_kept = all_of([opposite(any_of([formula for _, formula in drops])), any_of([formula for _, formula in keeps])])
                return name, 1 / probability(is_kept)
        return None, None


@dataclass
class Fate:
    """What became of all the spans of one trace."""
    kept: Counter = field(default_factory=Counter)
    dropped: int = 0
    # Of each decision on the trace, in order: (time, reason, adjusted count or None, spans, due or overflow).
    decisions: list = field(default_factory=list)


@dataclass
class Pending:
    order: int
    due: int
    spans: list = field(default_factory=list)


class Model:
    def __init__(self, config, resources):
        self.decider, self.resources = Decider(config["policies"]), resources
        self.wait = nanoseconds(config["decision_wait"])
        self.wait_after_root = nanoseconds(config.get("decision_wait_after_root_received", "0s"))
        self.traces_max = config.get("num_traces", 50_000)
        self.kept_max = config.get("decision_cache", {}).get("sampled_cache_size", 10 * self.traces_max)
        self.pending, self.timers, self.order = OrderedDict(), [], 0
        self.kept, self.dropped = OrderedDict(), set()
        self.fates = {}

    def run(self, requests):
        """{trace id: Fate}."""
        for now, spans, _ in requests:
            self.advance(now)
            for span in spans:
                self.arrive(now, span)
        self.advance(float("inf"))
        return self.fates

    def advance(self, now):
        while self.timers and self.timers[0][0] <= now:
            due, order, trace = heapq.heappop(self.timers)
            pending = self.pending.get(trace)
            # Timers of traces that were decided earlier, and those that were brought forward, are left behind.
            if pending and (pending.order, pending.due) == (order, due):
                self.decide(trace, due, "due")

    def arrive(self, now, span):
        fate = self.fates.setdefault(span.trace, Fate())
        if span.trace in self.kept:
            self.kept.move_to_end(span.trace)
            fate.kept[span.id] += 1
        elif span.trace in self.dropped:
            fate.dropped += 1
        else:
            self.gather(now, span)

    def gather(self, now, span):
        pending = self.pending.get(span.trace)
        if pending is None:
            if len(self.pending) == self.traces_max:
                self.decide(next(iter(self.pending)), now, "overflow")
            self.order += 1
            pending = self.pending[span.trace] = Pending(self.order, now + self.wait)
            heapq.heappush(self.timers, (pending.due, pending.order, span.trace))
        pending.spans.append(span)
        if self.wait_after_root and not span.parent and now + self.wait_after_root < pending.due:
            pending.due = now + self.wait_after_root
            heapq.heappush(self.timers, (pending.due, pending.order, span.trace))

    def decide(self, trace, now, why):
        spans = self.pending.pop(trace).spans
        reason, adjusted = self.decider.decide(trace, Trace(spans, self.resources))
        fate = self.fates[trace]
        fate.decisions.append((now, reason, adjusted, len(spans), why))
        if adjusted:
            fate.kept.update(span.id for span in spans)
            self.kept[trace] = True
            if len(self.kept) > self.kept_max:
                self.kept.popitem(last=False)
        else:
            fate.dropped += len(spans)
            self.dropped.add(trace)
