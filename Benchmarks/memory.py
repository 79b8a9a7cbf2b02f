"""Resident memory: idle, and over a long load into PostgreSQL."""
import json
import os
import statistics
import time

import database as to_database
from processes import counter, resident_mib

IDLE_SECONDS = 3
EMPTY_EVERY_SECONDS = 5  # the load writes some 100 MB a second; without this the disk would decide how long it can last
SAMPLE_SECONDS = 0.5


def idle(start, exporter):
    """MiB of a collector that nobody talks to."""
    with start("0,1", exporter) as collector:
        time.sleep(IDLE_SECONDS)
        return resident_mib(collector.pid)


def soak(start, database, requests, seconds, directory):
    """MiB after a tenth of the time and at its end (medians over a tenth each), the peak, and how many spans went through.
    The samples are left in the work directory."""
    samples = []
    database.empty()
    with start("0,1", database.exporter) as collector:
        began = emptied = time.monotonic()
        process = to_database.sender(collector, requests, 1, seconds)
        while process.poll() is None:
            samples.append((time.monotonic() - began, resident_mib(collector.pid)))
            if time.monotonic() - emptied > EMPTY_EVERY_SECONDS:
                database.connection.execute("truncate traces")
                emptied = time.monotonic()
            time.sleep(SAMPLE_SECONDS)
        peak, spans = resident_mib(collector.pid, peak=True), counter(collector, "otelcol_exporter_sent_spans_total")
        told = json.loads(process.communicate()[0])
    with open(os.path.join(directory, "soak.tsv"), "w") as file:
        file.writelines(f"{at:.1f}\t{mib:.1f}\n" for at, mib in samples)

    def median(first, last):
        return statistics.median(mib for at, mib in samples if first * seconds <= at < last * seconds)

    return {"seconds": seconds, "start_mib": median(0.1, 0.2), "end_mib": median(0.9, 1.0), "peak_mib": peak, "spans": spans,
            "refused": told["refused"]}
