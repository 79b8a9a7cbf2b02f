#!/usr/bin/env python3
"""Measures the collector against Rotel and against plain COPY and writes RESULTS.md. `make bench` is the way to start it: it builds
first and gives us a private PostgreSQL.

Environment: ROUNDS (5) of the comparison with Rotel, DATABASE_ROUNDS (5), LOG_ROUNDS (5), SOAK (600) seconds of load for memory
growth, 0 = none.
Exit status 0 when all was measured, whether or not the bars are met.
"""
import functools
import os
import sys
import time

import database as to_database
import ingest
import log as write_ahead_log
import memory
import payload
import processes
import processors
import report

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
REQUESTS = 512
SPANS_PER_REQUEST = 512
DAY_NANOSECONDS = 86_400 * 10**9


def load_average():
    return f"{os.getloadavg()[0]:.1f}"


def main():
    rounds, database_rounds = int(os.environ.get("ROUNDS", "5")), int(os.environ.get("DATABASE_ROUNDS", "5"))
    log_rounds = int(os.environ.get("LOG_ROUNDS", "5"))
    soak_seconds = float(os.environ.get("SOAK", "600"))
    if min(rounds, database_rounds, log_rounds) < 1 or (os.cpu_count() or 1) < 2:
        raise SystemExit("at least one round of each, and two cores, are needed")
    work = os.path.join(HERE, ".work")
    os.makedirs(work, exist_ok=True)
    binary, rotel = os.path.join(ROOT, ".build", "release", "collector"), os.environ["ROTEL_BINARY"]
    ours = functools.partial(processes.start_ours, binary, work)
    before = load_average()

    # Yesterday: the exporter keeps such times as they are, and the day's files are made once.
    yesterday = time.time_ns() // DAY_NANOSECONDS * DAY_NANOSECONDS - DAY_NANOSECONDS
    print("payloads", flush=True)
    for spans in sorted({load.spans for load in ingest.LOADS}):
        payload.write(work, spans, yesterday)
    requests = os.path.join(work, time.strftime("requests-%Y-%m-%d.bin", time.gmtime()))
    payload.write_distinct(requests, REQUESTS, SPANS_PER_REQUEST, yesterday)

    result = report.Report()
    print("receive, decode, drop: against Rotel", flush=True)
    figures = ingest.run([ours, functools.partial(processes.start_rotel, rotel, work)], work, rounds)
    result.ingest(figures, rounds)
    peaks = {"receive and drop": max(row[2] for (_, _, name), row in figures.items() if name == "collector")}

    print("receive to PostgreSQL: against COPY", flush=True)
    database = to_database.Database(binary, work)
    rows = REQUESTS * SPANS_PER_REQUEST * to_database.PASSES
    figures = to_database.run(ours, database, requests, rows, database_rounds)
    result.database(figures, database, rows, database_rounds)
    peaks["receive to PostgreSQL"] = figures["collector"]["peak_mib"]

    print("write-ahead log: against the same without it", flush=True)
    result.log(write_ahead_log.run(ours, work, requests, log_rounds), log_rounds)

    print("processors by themselves", flush=True)
    result.processors(processors.run(work))

    print(f"memory: idle, then {soak_seconds:.0f} s of load", flush=True)
    sqlite = "sqlite: {path: " + os.path.join(work, "idle.db") + "}"
    idle = {"sqlite": memory.idle(ours, sqlite), "timescaledb": memory.idle(ours, database.exporter)}
    soak = memory.soak(ours, database, requests, soak_seconds, work) if soak_seconds else None
    result.memory(idle, peaks, soak)

    command = f"make bench ROUNDS={rounds} DATABASE_ROUNDS={database_rounds} LOG_ROUNDS={log_rounds} SOAK={soak_seconds:.0f}"
    versions = f"Collector {report.commit()}, {os.environ['ROTEL_VERSION']}."
    text = result.text(command, versions, (before, load_average()))
    with open(os.path.join(HERE, "RESULTS.md"), "w") as file:
        file.write(text)
    print("\n" + text + "\nwritten to Benchmarks/RESULTS.md", flush=True)


if __name__ == "__main__":
    sys.exit(main())
