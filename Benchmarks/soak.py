#!/usr/bin/env python3
"""A long load into PostgreSQL with an outage in its middle third: nothing is refused as long as the log has room, memory and log stay
within their limits, and everything is in the database once. Writes SOAK.md; exit status 1 when a promise is broken.

usage: soak.py [--minutes 30] [--rate 8000]     `make soak MINUTES=30 RATE=8000` builds first and gives it a private PostgreSQL

The log is made large enough for the outage at this rate, with half as much again to spare.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from urllib.parse import urlsplit

import database as to_database
import payload
import processes
import report

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "Tests", "Integration"))
from relay import Relay  # noqa: E402  (the outage: nobody listens, and every connection is reset)

LIMIT_MIB = 128
PROCESS_MIB = 64  # what the process may have on top of the limit
SPANS = 64
REQUESTS = 512
CONNECTIONS = 16
SPARE = 1.5
SEGMENT_MIB = 64
SAMPLE_SECONDS = 1
MIB = 1 << 20
DAY_NANOSECONDS = 86_400 * 10**9


class Watch:
    """What the collector says of itself, every second, until the load is over and the log is empty."""

    def __init__(self, collector):
        self.collector, self.samples, self.began = collector, [], time.monotonic()

    def elapsed(self):
        return time.monotonic() - self.began

    def look(self):
        sample = {name: processes.counter(self.collector, metric) for name, metric in {
            "wal_bytes": "collector_wal_size_bytes", "waiting": "collector_wal_unreleased_requests",
            "sent": "otelcol_exporter_sent_spans_total", "budget_bytes": "collector_memory_used_bytes",
            "refused": "otelcol_receiver_refused_spans_total"}.items()}
        sample["rss_mib"] = processes.resident_mib(self.collector.pid)
        sample["at"] = self.elapsed()
        self.samples.append(sample)
        return sample

    def most(self, name, first=0.0, last=float("inf")):
        return max((sample[name] for sample in self.samples if first <= sample["at"] <= last), default=0)


def drive(arguments, collector, relay, requests):
    """The load with its outage; what the sender told, the watch, and the seconds from the end of the outage to an empty log."""
    script, seconds = os.path.join(HERE, "sender.py"), arguments.minutes * 60
    sender = subprocess.Popen([sys.executable, script, str(collector.http), requests, str(CONNECTIONS), "1", str(seconds), "--rate",
                               str(arguments.rate / SPANS), "--number", "all"], stdout=subprocess.PIPE, text=True)
    watch, is_down, said, empty_after = Watch(collector), False, 0, None
    deadline = 2 * seconds + 120
    try:
        while watch.elapsed() < deadline:
            sample = watch.look()
            now = sample["at"]
            if not is_down and seconds / 3 <= now < seconds * 2 / 3:
                relay.close()
                is_down = True
            elif is_down and now >= seconds * 2 / 3:
                relay.open()
                is_down = False
            if now - said > 30:
                said = now
                print("  " + ", ".join(f"{name} {value:,.0f}" for name, value in sample.items()), flush=True)
            if now > seconds * 2 / 3 and not is_down and empty_after is None and sample["waiting"] < arguments.rate / SPANS * 5:
                empty_after = now - seconds * 2 / 3
            if sender.poll() is not None and sample["waiting"] == 0:
                break
            time.sleep(SAMPLE_SECONDS)
    finally:
        sender.kill()
    return json.loads(sender.communicate()[0] or "{}"), watch, empty_after


def verdicts(arguments, told, watch, stored, distinct, wal_bytes_max):
    """(what, measured, kept?) of each promise."""
    sent = told["accepted"] * SPANS
    return [
        ("refused requests", f"{told['refused']}", told["refused"] == 0),
        ("acknowledged and not stored", f"{sent - distinct:,} of {sent:,} spans", sent == distinct),
        ("stored twice", f"{stored - distinct:,} spans", stored == distinct),
        ("peak RSS", f"{watch.most('rss_mib'):.0f} MiB (limit {LIMIT_MIB} + {PROCESS_MIB})",
         watch.most("rss_mib") < LIMIT_MIB + PROCESS_MIB),
        ("largest log", f"{watch.most('wal_bytes') / MIB:,.0f} MiB (limit {wal_bytes_max / MIB:,.0f})",
         watch.most("wal_bytes") <= wal_bytes_max),
    ]


def text(arguments, results, told, watch, empty_after):
    third = arguments.minutes * 20
    rss = ", ".join(f"{name} {watch.most('rss_mib', first, last):.0f} MiB" for name, first, last in [
        ("before the outage", 0, third), ("in it", third, 2 * third), ("after it", 2 * third, float("inf"))])
    rows = "\n".join(f"| {what} | {measured if kept else f'**{measured}: broken**'} |" for what, measured, kept in results)
    caught_up = f"{empty_after:.0f} s" if empty_after is not None else "not within the time"
    return (f"# Soak\n\nWritten by `make soak MINUTES={arguments.minutes:g} RATE={arguments.rate:g}` on "
            f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC. {report.machine()}. Collector {report.commit()}.\n\n"
            f"{arguments.rate:,.0f} spans/s in requests of {SPANS} into PostgreSQL for {arguments.minutes:g} minutes; the database is out "
            f"of reach in the middle third. `memory_limiter` {LIMIT_MIB} MiB, write-ahead log with `sync: always`.\n\n"
            f"| promise | measured |\n| --- | ---: |\n{rows}\n\n"
            f"Peak RSS {rss}. Acknowledged within {told['p50_ms']:.1f} ms (median) and {told['p99_ms']:.1f} ms (99th percentile). "
            f"The backlog of the outage was in the database {caught_up} after its end.\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=8000, help="spans per second")
    arguments = parser.parse_args()
    work = os.path.join(HERE, ".work")
    os.makedirs(work, exist_ok=True)
    binary = os.environ.get("COLLECTOR_BINARY") or os.path.join(ROOT, ".build", "release", "collector")
    requests = os.path.join(work, time.strftime("soak-%Y-%m-%d.bin", time.gmtime()))
    payload.write_distinct(requests, REQUESTS, SPANS, time.time_ns() // DAY_NANOSECONDS * DAY_NANOSECONDS - DAY_NANOSECONDS)

    bytes_per_span = os.path.getsize(requests) / REQUESTS / SPANS
    size_mib = int(arguments.rate * arguments.minutes * 20 * bytes_per_span * SPARE / MIB) + 4 * SEGMENT_MIB
    directory = os.path.join(work, "soak-wal")
    shutil.rmtree(directory, ignore_errors=True)
    database = to_database.Database(binary, work)
    relay = Relay(database.dsn)
    relay.open()
    exporter = database.exporter.replace(f":{urlsplit(database.dsn).port}/", f":{relay.port}/")
    log = f"{{directory: {directory}, max_size_mib: {size_mib}, segment_mib: {SEGMENT_MIB}, sync: always}}"
    with processes.start_ours(binary, work, "0,1", exporter, log=log, limit_mib=LIMIT_MIB) as collector:
        told, watch, empty_after = drive(arguments, collector, relay, requests)
    relay.close()
    print("counting", flush=True)
    database.connection.execute("set work_mem = '512MB'")
    stored, distinct = (database.connection.execute(query).fetchone()[0] for query in (
        "select count(*) from traces", "select count(*) from (select distinct trace_id, span_id from traces) as each"))
    results = verdicts(arguments, told, watch, stored, distinct, size_mib * MIB)
    written = text(arguments, results, told, watch, empty_after)
    with open(os.path.join(HERE, "SOAK.md"), "w") as file:
        file.write(written)
    print(written)
    shutil.rmtree(directory, ignore_errors=True)
    return 0 if all(kept for *_, kept in results) else 1


if __name__ == "__main__":
    sys.exit(main())
