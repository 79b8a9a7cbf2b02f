"""Receive to PostgreSQL, beside the fastest way to load the same rows: `COPY traces FROM 'file' (FORMAT binary)`.

Load driver, collector and server share both cores. Each round runs the collector, then COPY of the very rows that it wrote (taken
from the table, as many files and connections as the collector has), each time into an emptied table with all its indexes. Server
CPU is that of the postmaster and all its children, so it includes what WAL writer and checkpointer do.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time

import psycopg

from processes import counter, cpu_seconds, family_cpu_seconds, resident_mib

CONNECTIONS = 4  # the exporter's default num_consumers
SENDERS = 8
PASSES = 2
CORES = "0,1"
TIMEOUT_SECONDS = 300
POLL_SECONDS = 0.02


class Database:
    """The benchmark's database on the private server that scripts/with-postgres made."""

    def __init__(self, binary, directory):
        self.postmaster = int(os.environ["COLLECTOR_TEST_POSTGRES_PID"])
        server = os.environ["COLLECTOR_TEST_DATABASE_URL"]
        self.dsn = re.sub(r"/[^/]*$", "/bench", server)
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("drop database if exists bench")
            connection.execute("create database bench")
            self.home = os.path.dirname(connection.execute("show data_directory").fetchone()[0])
            self.version = connection.execute("show server_version").fetchone()[0].split()[0]
        self.exporter = "timescaledb: {dsn: \"" + self.dsn + "\"}"
        path = os.path.join(directory, "migrate.yaml")
        with open(path, "w") as file:
            file.write("receivers: {otlp: {protocols: {grpc: }}}\nexporters: {" + self.exporter + "}\n"
                       "service: {pipelines: {traces: {receivers: [otlp], exporters: [timescaledb]}}}\n")
        subprocess.run([binary, "migrate", "--config", path], check=True, stdout=subprocess.DEVNULL)
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        self.columns = ", ".join(row[0] for row in self.connection.execute(
            "select column_name from information_schema.columns where table_name = 'traces' and table_schema = 'public' "
            "order by ordinal_position"))
        self.files = []

    def empty(self):
        self.connection.execute("truncate traces, resources")
        self.connection.execute("checkpoint")

    def expect(self, rows):
        found = self.connection.execute("select count(*) from traces").fetchone()[0]
        if found != rows:
            raise SystemExit(f"PostgreSQL has {found} rows instead of {rows}")

    def save(self):
        """Writes the table to one file per connection, each a contiguous part of it."""
        if self.files:
            return
        pages = self.connection.execute("select pg_relation_size('traces') / current_setting('block_size')::bigint").fetchone()[0]
        bounds = [pages * part // CONNECTIONS for part in range(CONNECTIONS)] + [2**32 - 1]
        for first, last in zip(bounds, bounds[1:]):
            path = os.path.join(self.home, f"rows-{first}.bin")
            self.connection.execute(f"copy (select {self.columns} from traces where ctid >= '({first},0)' and ctid < '({last},0)') "
                                    f"to '{path}' (format binary)")
            self.files.append(path)

    def row_bytes(self, rows):
        return sum(os.path.getsize(path) for path in self.files) / rows


def sent_spans(collector):
    return counter(collector, "otelcol_exporter_sent_spans_total")


def sender(collector, requests, *more):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sender.py")
    return subprocess.Popen(["taskset", "-c", CORES, sys.executable, script, str(collector.http), requests, str(SENDERS), *map(str, more)],
                            stdout=subprocess.PIPE, text=True)


def through_collector(start, database, requests, rows):
    """One run: rows per second from the first request sent to the last row committed, and CPU microseconds per row."""
    database.empty()
    with start(CORES, database.exporter) as collector:
        time.sleep(1)  # connections are made, the schema is checked
        server, own = family_cpu_seconds(database.postmaster), cpu_seconds(collector.pid)
        began = time.monotonic()
        process = sender(collector, requests, PASSES)
        while sent_spans(collector) < rows:
            if time.monotonic() - began > TIMEOUT_SECONDS:
                process.kill()
                raise SystemExit(f"only {sent_spans(collector):.0f} of {rows} rows after {TIMEOUT_SECONDS} s; see {collector.log}")
            time.sleep(POLL_SECONDS)
        took = time.monotonic() - began
        told = json.loads(process.communicate()[0])
        result = {
            "rows_per_second": rows / took,
            "server_us": (family_cpu_seconds(database.postmaster) - server) / rows * 1e6,
            "collector_us": (cpu_seconds(collector.pid) - own) / rows * 1e6,
            "sender_us": told["cpu_seconds"] / rows * 1e6,
            "refused": told["refused"],
            "peak_mib": resident_mib(collector.pid, peak=True),
        }
    database.expect(rows)
    database.save()
    return result


def _in_parallel(tasks):
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _measure_copy(database, rows, run):
    server, began = family_cpu_seconds(database.postmaster), time.monotonic()
    run()
    took = time.monotonic() - began
    used = family_cpu_seconds(database.postmaster) - server
    database.expect(rows)
    return {"rows_per_second": rows / took, "server_us": used / rows * 1e6}


def through_copy(database, rows):
    """The server reads the files itself: nobody can be faster with these statements."""
    database.empty()
    connections = [psycopg.connect(database.dsn, autocommit=True) for _ in database.files]
    tasks = [lambda c=c, path=path: c.execute(f"copy traces ({database.columns}) from '{path}' (format binary)")
             for c, path in zip(connections, database.files)]
    result = _measure_copy(database, rows, lambda: _in_parallel(tasks))
    for connection in connections:
        connection.close()
    return result


def through_psql(database, rows):
    """The same through connections, as every client has to: psql's \\copy."""
    database.empty()

    def run():
        clients = [subprocess.Popen(["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-c",
                                     f"\\copy traces ({database.columns}) from '{path}' with (format binary)", database.dsn])
                   for path in database.files]
        for client in clients:
            if client.wait() != 0:
                raise SystemExit("psql failed")

    return _measure_copy(database, rows, run)


def run(start, database, requests, rows, rounds):
    """Medians of each way, by its name."""
    ways = {"collector": lambda: through_collector(start, database, requests, rows),
            "COPY from a file": lambda: through_copy(database, rows),
            "psql \\copy": lambda: through_psql(database, rows)}
    figures = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            figures[name].append(way())
        print(f"  round {number + 1} of {rounds}: " + ", ".join(f"{name} {runs[-1]['rows_per_second']:,.0f} rows/s"
                                                                 for name, runs in figures.items()), flush=True)
    return {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in figures.items()}
