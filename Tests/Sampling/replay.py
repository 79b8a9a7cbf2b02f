"""Runs the collector's tail sampler over a script, with a clock of its own (`sampling-bench replay`), and compares it with the model."""
import json
import os
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from model import Fate, Model

ROOT = Path(__file__).resolve().parents[2]
COLLECTOR = Path(os.environ.get("COLLECTOR_BINARY") or ROOT / ".build/debug/collector")
BENCH = Path(os.environ.get("SAMPLING_BENCH") or COLLECTOR.with_name("sampling-bench"))
# A decision may come so much later than it is due: the step of the timers.
TIMER_STEP = 100_000_000
RUN_SECONDS_MAX = 600
LISTED_MAX = 8
DECIDED = ("due", "early", "overflow", "tooLarge", "shutdown")


@dataclass
class Line:
    """What happened to some spans of a trace at once."""
    trace: bytes
    spans: int
    is_kept: bool
    reason: str | None
    adjusted: float
    time: int
    why: str
    ids: list


def write_script(requests, path):
    with open(path, "wb") as file:
        for time, _, raw in requests:
            file.write(time.to_bytes(8, "little") + len(raw).to_bytes(4, "little") + raw)
    return path


def replay(script, section, directory, shards=1):
    """(lines, counters) of a script under this section of `tail_sampling`."""
    config = Path(directory) / "sampling.yaml"
    processors = {"genai": None, "tail_sampling": section}
    config.write_text(json.dumps({
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}}, "processors": processors, "exporters": {"nop": None},
        "service": {"pipelines": {"traces": {"receivers": ["otlp"], "processors": list(processors), "exporters": ["nop"]}}}}))
    with open(script, "rb") as file:
        done = subprocess.run([BENCH, "replay", "--config", config, "--shards", str(shards)], stdin=file, capture_output=True, text=True,
                              timeout=RUN_SECONDS_MAX)
    assert done.returncode == 0, (done.returncode, done.stderr[-2_000:])
    *lines, last = done.stdout.splitlines()
    assert last.startswith("# "), last
    return [parse(line) for line in lines], json.loads(last[2:])


def parse(line):
    trace, spans, fate, reason, adjusted, time, why, *ids = line.split("\t")
    assert fate in ("kept", "dropped") and why in (*DECIDED, "late"), line
    found = Line(bytes.fromhex(trace), int(spans), fate == "kept", None if reason == "-" else reason, float(adjusted), int(time), why,
                 [bytes.fromhex(id) for id in ids[0].split(",")] if ids else [])
    assert not found.is_kept or len(found.ids) == found.spans, line
    return found


def fates_of(lines):
    """{trace: Fate}, and what is wrong with the lines by themselves."""
    fates, wrong, last = defaultdict(Fate), [], {}
    for line in lines:
        fate = fates[line.trace]
        if line.is_kept:
            fate.kept.update(line.ids)
        else:
            fate.dropped += line.spans
        # Of a dropped trace nothing but that is remembered.
        said = (line.is_kept, line.reason, line.adjusted) if line.is_kept else (False,)
        if line.why == "late":
            if last.get(line.trace) != said:
                wrong.append(f"{line.trace.hex()}: late spans got {said}, the trace {last.get(line.trace)}")
        else:
            last[line.trace] = said
            fate.decisions.append((line.time, line.reason, line.adjusted if line.is_kept else None, line.spans, line.why))
    return fates, wrong


def differences(script_requests, resources, section, lines, is_early=False):
    """How the collector's lines differ from the model's: sentences. `is_early`: times and the share that was late are its own choice."""
    expected = Model(section, resources).run(script_requests)
    fates, wrong = fates_of(lines)
    if expected.keys() != fates.keys():
        wrong.append(f"{len(expected.keys() - fates.keys())} traces are missing, {len(fates.keys() - expected.keys())} were never sent")
    for trace in expected.keys() & fates.keys():
        if problem := difference(expected[trace], fates[trace], is_early):
            wrong.append(f"{trace.hex()}: {problem}")
    return wrong


def difference(expected, found, is_early):
    if expected.kept != found.kept or expected.dropped != found.dropped:
        return (f"kept {sum(found.kept.values())} and dropped {found.dropped} spans instead of {sum(expected.kept.values())} and "
                f"{expected.dropped}; decisions {found.decisions} instead of {expected.decisions}")
    if len(expected.decisions) != len(found.decisions):
        return f"decisions {found.decisions} instead of {expected.decisions}"
    for (due, reason, adjusted, spans, why), (time, reason_found, adjusted_found, spans_found, why_found) in zip(
            expected.decisions, found.decisions):
        if reason != reason_found:
            return f"reason {reason_found} instead of {reason}"
        if adjusted is not None and abs(adjusted - adjusted_found) > 1e-9 * adjusted:
            return f"adjusted count {adjusted_found} instead of {adjusted}, reason {reason}"
        if not is_early and (why_found != why or spans != spans_found or not due <= time <= due + TIMER_STEP):
            return f"{why_found} at {time} with {spans_found} spans instead of {why} at {due} with {spans}"
        if is_early and (why_found not in ("early", "due") or time > due + TIMER_STEP):
            return f"{why_found} at {time}, due at {due}"
    return None


def report(wrong):
    """For an assertion's message."""
    return "\n".join([f"{len(wrong)} differences", *wrong[:LISTED_MAX]])


def kept_spans(lines):
    return {trace: fate.kept for trace, fate in fates_of(lines)[0].items() if fate.kept}


def reasons(lines):
    return Counter(line.reason for line in lines if line.why != "late")
