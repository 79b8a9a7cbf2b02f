"""Head sampling against a model of its own: written from the specifications (W3C Trace Context; OpenTelemetry, "TraceState:
Probability Sampling"; FNV-1a), in whole numbers and fractions, with nothing of the collector's in it."""
import math
import random
import re
import sqlite3
import struct
from contextlib import closing
from fractions import Fraction

import pytest

import otlp
from clients import http_export
from daemon import wait_until
from stores import SQLite, count, rows

RANGE = 2**56
PRIORITY = "sampling.priority"
MODES = ("hash_seed", "proportional", "equalizing")

# The model.

MEMBER = re.compile(r"([a-z0-9][a-z0-9_\-*/@]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])")
OT = re.compile(r"[a-z][a-z0-9]*:[a-zA-Z0-9._\-]*(;[a-z][a-z0-9]*:[a-zA-Z0-9._\-]*)*")
DIGITS = re.compile(r"[0-9a-fA-F]{1,14}")


class TraceState:
    """A tracestate taken apart: `others` are its members besides `ot`, `pairs` what stands in `ot`. ValueError when malformed."""

    def __init__(self, text):
        members = [m for m in (part.strip(" \t") for part in text.split(",")) if m]
        parsed = [MEMBER.fullmatch(m) for m in members]
        if len(members) > 32 or not all(parsed):
            raise ValueError("no tracestate")
        own = [m for m in parsed if m[1] == "ot"]
        self.others = [m[0] for m in parsed if m[1] != "ot"]
        self.pairs = {}
        if len(own) > 1 or own and not OT.fullmatch(own[0][2]):
            raise ValueError("no ot member")
        if own:
            self.pairs = dict(pair.split(":") for pair in own[0][2].split(";"))
        th, rv = self.pairs.get("th"), self.pairs.get("rv")
        if th is not None and not DIGITS.fullmatch(th) or rv is not None and not (DIGITS.fullmatch(rv) and len(rv) == 14):
            raise ValueError("no th or rv")
        self.threshold = None if th is None else int(th.ljust(14, "0"), 16)
        self.randomness = None if rv is None else int(rv, 16)

    def text(self, threshold, randomness=None):
        pairs = dict(self.pairs)
        rv = pairs.pop("rv", None) if randomness is None else f"{randomness:014x}"
        pairs.pop("th", None)
        front = ([("rv", rv)] if rv else []) + [("th", f"{threshold:014x}".rstrip("0") or "0")]
        return ",".join(["ot=" + ";".join(f"{k}:{v}" for k, v in [*front, *pairs.items()])] + self.others)


def threshold_of(probability, precision):
    """Rounded to `precision` hexadecimal digits after those that only say that it is near 0 or 1."""
    p = Fraction(probability)
    if p == 1:
        return 0
    exact = RANGE - math.floor(p * RANGE + Fraction(1, 2))
    leading = 0
    while min(p, 1 - p) * 16 ** (leading + 1) < 1:
        leading += 1
    unit = 16 ** (14 - min(14, precision + leading))
    return (exact + unit // 2) // unit * unit


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def fnv1a(data):
    state = 0x811C9DC5
    for byte in data:
        state = (state ^ byte) * 0x01000193 % 2**32
    return state


def count_of(threshold):
    return 1 / (float(RANGE - threshold) / RANGE)


def priority_of(attributes):
    value = attributes.get(PRIORITY)
    if isinstance(value, str):
        try:
            value = float(value) if value == value.strip() and "_" not in value else None
        except ValueError:
            return None
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return "drop" if value == 0 else "keep" if value > 0 else None


class Sampler:
    def __init__(self, name, sampling_percentage, mode="hash_seed", hash_seed=0, fail_closed=True, sampling_precision=4):
        self.name, self.mode, self.seed, self.fail_closed = name, mode, hash_seed, fail_closed
        self.percentage, self.precision = min(float32(sampling_percentage), 100.0), sampling_precision
        self.buckets = int(float32(self.percentage * float32(163.84)))
        self.ratio = self.percentage / 100

    @property
    def settings(self):
        return {"sampling_percentage": self.percentage, "mode": self.mode, "hash_seed": self.seed, "fail_closed": self.fail_closed,
                "sampling_precision": self.precision}

    def decide(self, span):
        """(adjusted count, reason, tracestate) of a span that is kept; None when it is dropped."""
        text = span["trace_state"]
        priority = priority_of(span["attributes"])
        try:
            state = TraceState(text)
            keeps, threshold, before, randomness = self.sample(span["trace_id"], state)
            problem = False
        except ValueError:
            keeps, state, problem = False, None, True
        except LookupError as error:
            # A usable tracestate that this mode cannot work with.
            keeps, problem = False, True
            if error.args == ("inconsistent",):
                threshold = before = 0
                randomness = None
            else:
                told = TraceState(text).threshold or 0
                state = None
        if problem:
            keeps = not self.fail_closed
        if priority:
            keeps = priority == "keep"
        if not keeps:
            return None
        reason = PRIORITY if priority else f"{self.name}: fail open" if problem else self.name
        if state is None:
            return (1.0 if not is_tracestate(text) else count_of(told)), reason, text or None
        if problem or priority:
            threshold = before
        return count_of(threshold), reason, state.text(threshold, randomness)

    def sample(self, trace_id, state):
        """(keeps, threshold, threshold before, rv to write)."""
        before = state.threshold or 0
        if self.percentage == 0 or self.mode == "hash_seed" and self.buckets == 0:
            return False, before, before, None
        if self.mode == "hash_seed":
            if state.threshold is not None or state.randomness is not None:
                raise LookupError("in use")
            hashed = fnv1a(struct.pack("<I", self.seed) + trace_id)
            low, high = hashed % 2**14, hashed >> 18
            rv = (2**14 - 1 - low) << 42 | (high ^ high << 10) << 14 | low
            return low < self.buckets, (2**14 - self.buckets) << 42, 0, rv
        randomness = int.from_bytes(trace_id[9:], "big") if state.randomness is None else state.randomness
        if randomness < before:
            raise LookupError("inconsistent")
        if self.mode == "equalizing":
            threshold = max(before, threshold_of(self.ratio, self.precision))
        else:
            product = float(RANGE - before) / RANGE * self.ratio
            threshold = RANGE if product < 1 / RANGE else threshold_of(product, self.precision)
        return randomness >= threshold, max(before, threshold), before, None


def is_tracestate(text):
    try:
        TraceState(text)
        return True
    except ValueError:
        return False


# The workload.

MALFORMED = ["ot=rv:1", "ot=th:", "ot=th:0123456789abcdef", "ot=TH:8", "ot", "vendor", "ot=th:8,ot=th:8", "ot=th:8;;a:b", "A=1",
             "a==", "ot=", "ot=x:" + "y" * 260, ",".join(f"k{n}=v" for n in range(33))]


def trace_state(rng, trace_id):
    """A tracestate of any kind, mostly one that a sane client might have written."""
    own = int.from_bytes(trace_id[9:], "big")
    explicit = rng.getrandbits(56)
    rv = f"rv:{explicit:014x}"
    kind = rng.randrange(12)
    if kind < 3:
        return ""
    if kind == 3:
        return rng.choice(["vendor=1", "a=1, b=2 ,\tc=x y", ",,a=1,", "tenant@system=x", "ot=x:y;z:1,a=b"])
    if kind == 4:
        return rng.choice(["ot=" + rv, "ot=" + rv.upper().replace("RV", "rv"), f"a=1,ot=x:y;{rv};z:"])
    if kind < 8:
        randomness, prefix = (own, "") if kind < 7 else (explicit, rv + ";")
        # Probabilities by which the span is here, or for once is not.
        fitting = [t for t in ("0", "8", "c", "e", "e666", "fd70a4", "8" + "0" * 13) if int(t.ljust(14, "0"), 16) <= randomness]
        th = rng.choice(fitting) if rng.random() < 0.9 else rng.choice(["8", "fff", "ffffffffffffff"])
        return rng.choice([f"ot={prefix}th:{th}", f"v=1, ot=a:b;{prefix}th:{th};c:d"])
    if kind == 8:
        return rng.choice(MALFORMED)
    return ""


def workload(seed, traces):
    """Requests of spans: traces of one to four spans with the same tracestate, some with a priority of their own."""
    rng = random.Random(seed)
    priorities = [0, 1, 5, -1, 0.0, 0.25, -0.5, "0", "1", "0.0", "1e3", "-2", "many", "", True, False, [1]]
    spans = []
    for number in range(traces):
        trace_id = rng.randbytes(16)
        state = trace_state(rng, trace_id)
        for part in range(rng.randint(1, 4)):
            attributes = {"n": part, "text": "x" * rng.randrange(40)}
            if rng.random() < 0.06:
                attributes[PRIORITY] = rng.choice(priorities)
            spans.append({"trace_id": trace_id, "span_id": struct.pack(">II", number + 1, part + 1), "trace_state": state,
                          "attributes": attributes, "name": f"{number}/{part}"})
    cuts = list(range(0, len(spans), 500))
    return [spans[cut:cut + 500] for cut in cuts]


def stored(row):
    return row["adjusted_count"], row["sampling_reason"], row["trace_state"]


def expected(sampler, requests):
    decisions = ((span["name"], sampler.decide(span)) for spans in requests for span in spans)
    return {name: decision for name, decision in decisions if decision}


def assert_same(found, wanted, what):
    differing = [(name, found.get(name), wanted.get(name)) for name in sorted({*found, *wanted}) if found.get(name) != wanted.get(name)]
    assert not differing, f"{what}: {len(differing)} of {len(wanted)} differ, (name, found, expected): {differing[:5]}"


SAMPLERS = [
    Sampler(f"probabilistic_sampler/{index}", percentage, mode, **more) for index, (mode, percentage, more) in enumerate([
        ("hash_seed", 0, {}), ("hash_seed", 0.1, {}), ("hash_seed", 50, {"hash_seed": 22}), ("hash_seed", 100, {}),
        ("hash_seed", 33.3, {"hash_seed": 2**32 - 1, "fail_closed": False}),
        ("proportional", 0, {}), ("proportional", 0.1, {"fail_closed": False}), ("proportional", 50, {}), ("proportional", 100, {}),
        ("proportional", 33.3, {"sampling_precision": 1}), ("proportional", 10, {"sampling_precision": 14, "fail_closed": False}),
        ("equalizing", 0, {"fail_closed": False}), ("equalizing", 0.1, {}), ("equalizing", 50, {}), ("equalizing", 100, {}),
        ("equalizing", 66.6, {"sampling_precision": 3, "fail_closed": False}), ("equalizing", 250, {"sampling_precision": 2}),
    ])]


def test_many_samplers_on_one_receiver_each_decide_as_the_model_does(tmp_path, sqlite, start):
    """Seventeen pipelines share the same requests; each has a sampler and a file of its own."""
    requests = workload(20, 1500)
    stores = {sampler.name: SQLite(tmp_path / f"file-{index}") for index, sampler in enumerate(SAMPLERS)}
    names = list(stores)
    daemon = start(
        sqlite,
        processors={"batch": {"timeout": "50ms"}, **{s.name: s.settings for s in SAMPLERS}},
        exporters={f"sqlite/{index}": stores[name].settings() for index, name in enumerate(names)},
        service__pipelines={f"traces/{index}": {"receivers": ["otlp"], "processors": [name, "batch"], "exporters": [f"sqlite/{index}"]}
                            for index, name in enumerate(names)})
    for spans in requests:
        assert http_export(daemon.ports.http, otlp.request(spans)).status == 200
    wanted = {sampler.name: expected(sampler, requests) for sampler in SAMPLERS}
    total = sum(map(len, requests))
    for name, store in stores.items():
        wait_until(lambda store=store, name=name: count(store) >= len(wanted[name]), 30, f"the rows of {name}")
        seen = sum(daemon.metric("otelcol_processor_probabilistic_sampler_count_spans_processed", processor=name, sampled=s)
                   for s in ("true", "false"))
        assert seen == total
        kept = daemon.metric("otelcol_processor_probabilistic_sampler_count_traces_sampled", processor=name, sampled="true")
        assert kept == len(wanted[name])
    daemon.stop()
    daemon.ended = True
    for sampler in SAMPLERS:
        found = {row["name"]: stored(row) for row in rows(stores[sampler.name])}
        assert_same(found, wanted[sampler.name], f"{sampler.settings}")
    # The workload says something: all fates occur.
    reasons = {reason for decisions in wanted.values() for _, reason, _ in decisions.values()}
    assert PRIORITY in reasons and any("fail open" in reason for reason in reasons)
    assert all(wanted[s.name] for s in SAMPLERS if s.percentage >= 10)


@pytest.mark.parametrize("mode", MODES)
def test_the_kept_set_and_its_columns_are_the_models(store, start, mode):
    requests = workload(21, 500)
    sampler = Sampler("probabilistic_sampler", 40, mode, hash_seed=5, fail_closed=False)
    daemon = start(store, processors={"batch": {"timeout": "50ms"}, sampler.name: sampler.settings},
                   service__pipelines__traces__processors=[sampler.name, "batch"])
    for spans in requests:
        assert http_export(daemon.ports.http, otlp.request(spans)).status == 200
    wanted = expected(sampler, requests)
    wait_until(lambda: count(store) >= len(wanted), 30, "the rows")
    daemon.stop()
    daemon.ended = True
    assert_same({row["name"]: stored(row) for row in rows(store)}, wanted, mode)


def test_without_a_sampler_the_rows_count_what_clients_have_sampled(store, start):
    requests = workload(22, 400)
    daemon = start(store)
    for spans in requests:
        assert http_export(daemon.ports.http, otlp.request(spans)).status == 200
    wanted = {}
    for span in (span for spans in requests for span in spans):
        text = span["trace_state"]
        threshold = TraceState(text).threshold if is_tracestate(text) else None
        wanted[span["name"]] = (1.0 if threshold is None else count_of(threshold), None, text or None)
    wait_until(lambda: count(store) >= len(wanted), 30, "the rows")
    assert_same({row["name"]: stored(row) for row in rows(store)}, wanted, "told counts")
    assert len({adjusted for adjusted, _, _ in wanted.values()}) > 3


def test_two_samplers_of_a_pipeline_keep_what_their_product_keeps(sqlite, start):
    requests = [[{**span, "attributes": {}, "trace_state": ""} for span in spans] for spans in workload(23, 800)]
    first, second = (Sampler(name, p, "proportional") for name, p in (("probabilistic_sampler/a", 50), ("probabilistic_sampler/b", 25)))
    daemon = start(sqlite, processors={"batch": {"timeout": "50ms"}, first.name: first.settings, second.name: second.settings},
                   service__pipelines__traces__processors=[first.name, second.name, "batch"])
    for spans in requests:
        assert http_export(daemon.ports.http, otlp.request(spans)).status == 200
    wanted = expected(Sampler(second.name, 12.5, "proportional"), requests)
    wait_until(lambda: count(sqlite) >= len(wanted), 30, "the rows")
    daemon.stop()
    daemon.ended = True
    assert_same({row["name"]: stored(row) for row in rows(sqlite)}, wanted, "the product")
    assert {adjusted for adjusted, _, _ in wanted.values()} == {8.0}


def test_what_is_dropped_leaves_nothing_in_the_log(sqlite, start, tmp_path):
    """All spans of a request dropped: it is done with, and its segment goes when the log is closed."""
    requests = workload(24, 300)
    drop = {"sampling_percentage": 0}
    daemon = start(sqlite, processors={"batch": {"timeout": "50ms"}, "probabilistic_sampler": drop},
                   service__write_ahead_log={"directory": str(tmp_path / "log")},
                   service__pipelines__traces__processors=["probabilistic_sampler", "batch"])
    kept = expected(Sampler("probabilistic_sampler", 0), requests)
    for spans in requests:
        assert http_export(daemon.ports.http, otlp.request(spans)).status == 200
    wait_until(lambda: count(sqlite) >= len(kept), 30, "those with a priority")
    daemon.stop()
    daemon.ended = True
    again = start(sqlite, processors={"batch": {"timeout": "50ms"}, "probabilistic_sampler": drop},
                  service__write_ahead_log={"directory": str(tmp_path / "log")},
                  service__pipelines__traces__processors=["probabilistic_sampler", "batch"])
    assert again.metric("collector_pipeline_fed_spans_total") == 0
    again.stop()
    again.ended = True
    assert count(sqlite) == len(kept)
