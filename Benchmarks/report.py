"""The results as Markdown, each with its bar and whether it is met."""
import datetime
import os
import platform
import re
import subprocess

RSS_IDLE_MIB_MAX = 40
RSS_LOAD_MIB_MAX = 200
# Growth over a long load that is still none: what the allocator's and kernel's own ups and downs amount to.
RSS_GROWTH_MIB_MAX = 5
ROWS_RATIO_MIN = 0.75
SERVER_RATIO_MAX = 1.1
COLLECTOR_US_MAX = 3.0
LOG_US_MAX = 0.4
LOG_RATE_MIN = 0.7
LOG_P99_MS_MAX = 25
REPLAY_RATE_MIN = 500_000
GENAI_US_MAX = 0.25
REDACTION_NS_MAX = 1.0
RECALL_MIN, PRECISION_MIN = 0.97, 0.98
SAMPLING_US_MAX, SAMPLING_BYTES_MAX, SAMPLING_SECONDS_MAX = 1.0, 64, 1.0
# Measured elsewhere, on its own corpus: the Go collector's `redaction` with 35 patterns, its `tail_sampling`.
GO_REDACTION_NS, GO_SAMPLING_US = 556, "5.1 to 7.6"


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


class Report:
    def __init__(self):
        self.parts, self.missed, self.met = [], [], 0

    def _bar(self, what, text, is_met):
        """`text` with the verdict after it; counts and remembers it."""
        if is_met:
            self.met += 1
            return text
        self.missed.append(f"{what}: {text}")
        return f"**{text}: missed**"

    def ingest(self, figures, rounds):
        tables = {False: [], True: []}
        for (load, batch, name), ours in figures.items():
            if name != "collector":
                continue
            rotel = figures[(load, batch, "rotel")]
            ratio = rotel[0] / ours[0]
            verdict = f"{ratio:.2f}x" if batch else self._bar(load.name, f"{ratio:.2f}x (bar {load.bar}x)", ratio >= load.bar)
            tables[batch].append([load.name, f"{ours[0]:.2f}", f"{rotel[0]:.2f}", verdict, f"{ours[1]:,.0f}", f"{rotel[1]:,.0f}",
                                  f"{ours[2]:.0f}", f"{rotel[2]:.0f}"])
        head = ["load", "ours, µs", "Rotel, µs", "Rotel needs", "ours, spans/s", "Rotel, spans/s", "ours, MiB", "Rotel, MiB"]
        self.parts.append(
            "## Receive, decode, drop\n\n"
            "CPU time of the collector's process (user and system) per span; it has core 0, the load driver h2load core 1. Requests of "
            "realistic LLM traces, 750 bytes per span. "
            f"Medians of {rounds} interleaved rounds; spans/s is what one core took, or what h2load could send; peak RSS so far.\n\n"
            "Neither collector batches (`nop` without the batch processor; Rotel's `blackhole` with `--disable-batching`):\n\n"
            + _table(head, tables[False])
            + "\nBoth batch as they do by default (8,192 spans, 200 ms); no bar:\n\n" + _table(head, tables[True]))

    def database(self, figures, database, rows, rounds):
        ours, copy = figures["collector"], figures["COPY from a file"]
        speed = ours["rows_per_second"] / copy["rows_per_second"]
        server = ours["server_us"] / copy["server_us"]
        table = [[name, f"{run['rows_per_second']:,.0f}", f"{run['server_us']:.2f}", f"{run['collector_us']:.2f}" if "collector_us" in run
                  else "-"] for name, run in figures.items()]
        verdicts = [
            ["rows/s, of COPY's", self._bar("rows/s of COPY's", f"{speed:.2f} (bar {ROWS_RATIO_MIN})", speed >= ROWS_RATIO_MIN)],
            ["server CPU per row, of COPY's",
             self._bar("server CPU per row of COPY's", f"{server:.2f} (bar {SERVER_RATIO_MAX})", server <= SERVER_RATIO_MAX)],
            ["collector CPU per span", self._bar("collector CPU per span", f"{ours['collector_us']:.2f} µs (bar {COLLECTOR_US_MAX:.0f} µs)",
                                                 ours["collector_us"] <= COLLECTOR_US_MAX)],
        ]
        self.parts.append(
            f"## Receive to PostgreSQL {database.version}\n\n"
            "OTLP/HTTP requests of 512 spans over 8 connections, to committed rows in the contract's `traces` table with its standard "
            f"indexes, {rows:,} rows a run. Load driver ({ours['sender_us']:.2f} µs per span), collector and server share the two cores. "
            "Beside it `COPY traces FROM 'file' (FORMAT binary)` of those rows, read by the server itself over 4 connections at once, "
            "and psql's `\\copy`, which sends the same files through connections as any client must. Server: "
            "`fsync` off, 256 MB of shared buffers, no checkpoint or autovacuum within a run, for all three alike. "
            f"Medians of {rounds} interleaved rounds. {database.row_bytes(rows):,.0f} bytes of COPY data per row; "
            f"{ours['refused']:.0f} requests had to be sent again.\n\n"
            + _table(["way", "rows/s", "server CPU per row, µs", "collector CPU per span, µs"], table) + "\n"
            + _table(["bar", "result"], verdicts))

    def log(self, figures, rounds):
        plain, logged, disk, latency = figures["without"], figures["with"], figures["disk"]["bytes"], figures["latency"]
        added, ratio = logged["us"] - plain["us"], logged["rate"] / plain["rate"]
        # The log can write no faster than the disk: the bar is on what the disk allows.
        allowed = min(plain["bytes"], disk)
        mib = 1 << 20
        table = [[name, f"{row['us']:.2f}", f"{row['rate']:,.0f}", f"{row['bytes'] / mib:,.0f}", f"{row['group']:.1f}",
                  f"{row['sender_us']:.2f}"]
                 for name, row in (("without the log", plain), ("with the log, `sync: always`", logged))]
        rate = f"{ratio:.2f} (bar {LOG_RATE_MIN}); {logged['bytes'] / disk:.2f} of what the disk writes"
        verdicts = [
            ["CPU added per span",
             self._bar("CPU added by the log per span", f"{added:.2f} µs (bar {LOG_US_MAX} µs)", added <= LOG_US_MAX)],
            ["spans/s, of those without the log", self._bar("spans/s with the log", rate, logged["bytes"] >= LOG_RATE_MIN * allowed)],
            ["acknowledged at 50 % load, 99th percentile", self._bar(
                "acknowledgement at 50 % load", f"{latency['p99_ms']:.1f} ms (bar {LOG_P99_MS_MAX} ms), median {latency['p50_ms']:.1f} ms",
                latency["p99_ms"] <= LOG_P99_MS_MAX)],
            ["replay into `nop`, spans per CPU second", self._bar(
                "replay", f"{figures['replay']['rate']:,.0f} (bar {REPLAY_RATE_MIN:,})", figures["replay"]["rate"] >= REPLAY_RATE_MIN)],
        ]
        self.parts.append(
            "## Write-ahead log\n\n"
            "OTLP/HTTP requests of 512 spans, no two alike, over 32 connections into `nop` without batching; the collector has core 0, the "
            f"load driver core 1. The disk wrote {disk / mib:,.0f} MiB/s in the same run (8 MiB at a time, each followed by "
            "`fdatasync`, into a file whose blocks were there). The bar on spans/s is met when the log reaches it, or as much of what the "
            f"disk allows. Medians of {rounds} rounds taken in turns. Replay counts all CPU of a collector from its start until its log, "
            f"which a killed one had left with {figures['replay']['spans']:,.0f} spans, is empty.\n\n"
            + _table(["pipeline", "CPU per span, µs", "spans/s", "MiB/s", "requests per sync", "load driver per span, µs"], table) + "\n"
            + _table(["bar", "result"], verdicts))

    def processors(self, figures):
        def row(what, value, unit, bar):
            return [what, self._bar(what, f"{value:g}{unit} (bar {bar:g}{unit})", value <= bar)]

        def share(what, value, bar):
            return [what, self._bar(what, f"{value:.4f} (bar {bar:g})", value >= bar)]
        rows = [
            row("`genai`, CPU per span", figures["genai_us"], " µs", GENAI_US_MAX),
            ["`genai`, CPU per LLM call", f"{figures['genai_calls_us']:g} µs"],
            row("`pii_redaction`, default detectors, CPU per byte of text", figures["redaction_ns"], " ns", REDACTION_NS_MAX),
            share("`pii_redaction`, recall on the labelled corpus", figures["recall"], RECALL_MIN),
            share("`pii_redaction`, precision on it", figures["precision"], PRECISION_MIN),
            row("`tail_sampling`, CPU per span", figures["sampling_us"], " µs", SAMPLING_US_MAX),
            row("`tail_sampling`, bookkeeping per held span", figures["sampling_bytes"], " bytes", SAMPLING_BYTES_MAX),
            row("`tail_sampling`, deciding about 1,000,000 pending spans", figures["sampling_seconds"], " s", SAMPLING_SECONDS_MAX),
        ]
        self.parts.append(
            "## Processors\n\nEach by itself, in a program that runs it in a loop on one core; the fastest of several rounds. `genai` and "
            "`pii_redaction` on the payload above; `tail_sampling` with the ten policies of `Benchmarks/tail-sampling.yaml` on traces of "
            "eight spans. For comparison, measured outside of this run: the Go collector's `redaction` with 35 patterns took "
            f"{GO_REDACTION_NS} ns per byte, its `tail_sampling` {GO_SAMPLING_US} µs per span.\n\n"
            + _table(["processor", "result"], rows) + "\nWhat the programs print:\n\n```\n" + figures["output"] + "\n```\n")

    def memory(self, idle, load_peaks, soak):
        rows = [[f"idle, {name}", self._bar(f"idle RSS, {name}", f"{mib:.1f} MiB (bar {RSS_IDLE_MIB_MAX})", mib < RSS_IDLE_MIB_MAX)]
                for name, mib in idle.items()]
        rows += [[f"peak, {name}", self._bar(f"peak RSS, {name}", f"{mib:.1f} MiB (bar {RSS_LOAD_MIB_MAX})", mib < RSS_LOAD_MIB_MAX)]
                 for name, mib in load_peaks.items()]
        if soak:
            growth = soak["end_mib"] - soak["start_mib"]
            text = f"{soak['start_mib']:.1f} to {soak['end_mib']:.1f} MiB (bar +{RSS_GROWTH_MIB_MAX})"
            rows.append([f"{soak['seconds']:.0f} s of full load into PostgreSQL, {soak['spans']:,.0f} spans",
                         self._bar("RSS growth", text, growth <= RSS_GROWTH_MIB_MAX)])
            rows.append(["peak in that time", self._bar("peak RSS in the long load", f"{soak['peak_mib']:.1f} MiB (bar {RSS_LOAD_MIB_MAX})",
                                                        soak["peak_mib"] < RSS_LOAD_MIB_MAX)])
        else:
            rows.append(["growth", "not measured (SOAK=0)"])
        self.parts.append(
            "## Resident memory\n\nGrowth compares the medians of the second and of the last tenth of a long load.\n\n"
            + _table(["state", "RSS"], rows))

    def text(self, command, versions, load_averages):
        verdict = (f"All {self.met} bars are met." if not self.missed else
                   f"{len(self.missed)} of {self.met + len(self.missed)} bars are missed:\n\n" +
                   "\n".join(f"- {line}" for line in self.missed))
        return (f"# Benchmark results\n\nWritten by `{command}` on {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC. "
                f"{machine()}; load average {load_averages[0]} before, {load_averages[1]} after. {versions}\n\n"
                "Compare ratios, not absolute figures: they come from the same minutes on the same machine.\n\n"
                + verdict + "\n\n" + "\n".join(self.parts))


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    with open("/proc/meminfo") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1)) / 1024**2
    return f"{os.cpu_count()} cores, {model.group(1) if model else platform.machine()}, {memory:.0f} GiB, Linux {platform.release()}"


def commit():
    """The commit that was measured, marked when files differ from it."""
    try:
        found = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
