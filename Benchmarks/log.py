"""The write-ahead log: what it costs over the same pipeline without it (`nop`, no batching), how fast it answers, how fast it is read.

The collector has core 0, the load driver core 1. Requests of 512 spans over HTTP, all different, since the log knows repeats. Rounds
with and without the log take turns; figures are medians.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

from processes import counter, cpu_seconds

SPANS = 512
CONNECTIONS = 32
PASSES = 4
LATENCY_SECONDS = 15
LATENCY_CONNECTIONS = 64
PROBE_BYTES = 1 << 30
PROBE_PIECE_BYTES = 8 << 20  # what a group commit of the load writes at a time
REPLAY_SECONDS_MAX = 120
POLL_SECONDS = 0.05
# Nobody listens on the port that TCP reserves: a store that is down.
DOWN = 'timescaledb: {dsn: "postgresql://nobody@127.0.0.1:1/nothing"}'


def _settings(directory):
    return "{directory: " + directory + ", max_size_mib: 4096, sync: always}"


def _send(collector, requests, connections, *more):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sender.py")
    command = ["taskset", "-c", "1", sys.executable, script, str(collector.http), requests, str(connections), *map(str, more)]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(told)


def _load(start, requests, log):
    """CPU microseconds per span and spans per second."""
    with start("0", batch=False, log=log) as collector:
        _send(collector, requests, CONNECTIONS, 1, "--number", "first")
        before = cpu_seconds(collector.pid)
        told = _send(collector, requests, CONNECTIONS, PASSES, "--number", "first", "--first", 1 << 32)
        used = cpu_seconds(collector.pid) - before
        syncs, appended = (counter(collector, f"collector_wal_{name}_total") for name in ("syncs", "appended_requests"))
    if told["refused"] or (log and not appended):
        raise SystemExit(f"{told['refused']} requests were refused, {appended:.0f} are in the log")
    spans = told["accepted"] * SPANS
    return {"us": used / spans * 1e6, "rate": spans / told["seconds"], "bytes": told["bytes"] / told["seconds"],
            "sender_us": told["cpu_seconds"] / spans * 1e6, "group": appended / max(1, syncs)}


def _latency(start, requests, directory, rate):
    """Milliseconds from when a request was due until it was acknowledged, at so many spans per second."""
    with start("0", batch=False, log=_settings(directory)) as collector:
        return _send(collector, requests, LATENCY_CONNECTIONS, 1, LATENCY_SECONDS, "--rate", rate / SPANS, "--number", "first")


def disk_rate(directory):
    """Bytes per second of plain sequential writing into a file whose blocks are there, synced piece by piece, as the log does."""
    path = os.path.join(directory, "disk-rate")
    piece = os.urandom(PROBE_PIECE_BYTES)
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        os.posix_fallocate(file, 0, PROBE_BYTES)
        os.fsync(file)
        began = time.monotonic()
        for offset in range(0, PROBE_BYTES, PROBE_PIECE_BYTES):
            os.pwrite(file, piece, offset)
            os.fdatasync(file)
        return PROBE_BYTES / (time.monotonic() - began)
    finally:
        os.close(file)
        os.unlink(path)


def _replay(start, requests, directory):
    """Spans per CPU second from the start of a collector whose log is full of spans until it is empty."""
    log = _settings(directory)
    with start("0", DOWN, batch=False, log=log) as collector:
        told = _send(collector, requests, CONNECTIONS, 2, "--number", "first")
        collector.process.kill()  # as a crash: an orderly stop would wait for the store
        collector.process.wait()
    with start("0", batch=False, log=log) as collector:
        deadline = time.monotonic() + REPLAY_SECONDS_MAX
        replayed = 0
        while replayed < told["accepted"] or counter(collector, "collector_wal_unreleased_requests") > 0:
            if time.monotonic() > deadline:
                raise SystemExit(f"{replayed:.0f} of {told['accepted']} requests were replayed in time")
            time.sleep(POLL_SECONDS)
            replayed = counter(collector, "collector_wal_replayed_requests_total")
        used = cpu_seconds(collector.pid)
    return {"spans": replayed * SPANS, "rate": replayed * SPANS / used}


def run(start, work, requests, rounds):
    """All figures of the log. `start(cores, exporter, batch=, log=)` starts a collector."""
    directory = os.path.join(work, "wal")

    def fresh():
        shutil.rmtree(directory, ignore_errors=True)
        return directory

    runs = {"without": [], "with": [], "replay": [], "disk": []}
    for number in range(rounds):
        runs["without"].append(_load(start, requests, None))
        runs["with"].append(_load(start, requests, _settings(fresh())))
        runs["disk"].append({"bytes": disk_rate(work)})
        runs["replay"].append(_replay(start, requests, fresh()))
        print(f"  round {number + 1} of {rounds}", flush=True)
    result = {name: {key: statistics.median(run[key] for run in rows) for key in rows[0]} for name, rows in runs.items()}
    result["latency"] = _latency(start, requests, fresh(), result["with"]["rate"] / 2)
    fresh()
    return result
