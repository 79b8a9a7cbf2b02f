"""Receive and decode, then drop: CPU per span of two collectors on the same load.

The collector has core 0, h2load core 1. Both run the same pipeline: without batching, which is what the bars are about, and with each
one's default batching. Each round runs them all, one after the other, so that drift of the machine hits all alike; figures are
medians over the rounds.
"""
import dataclasses
import itertools
import re
import statistics
import subprocess
import time

import grpc

from processes import counter, cpu_seconds, resident_mib

CONNECTIONS = 8
STREAMS = 8
ACCEPTED = "otelcol_receiver_accepted_spans_total"
SETTLE_SECONDS = 0.5  # after a load, for what was batched to come out: both batch for 200 ms


@dataclasses.dataclass(frozen=True)
class Load:
    """A request repeated; `bar` is how many times less CPU than Rotel we want to need, without batching."""
    name: str
    protocol: str
    spans: int
    requests: int
    bar: float
    with_batching: bool = True


# So many requests that the 10 ms in which the kernel counts CPU time are under 2 % of what the cheaper collector takes.
LOADS = [
    Load("gRPC, 512 spans", "grpc", 512, 1600, 3.0),
    Load("HTTP, 512 spans", "http", 512, 1600, 3.0),
    Load("gRPC gzip, 512 spans", "grpc-gzip", 512, 1000, 2.5, with_batching=False),
    Load("HTTP JSON, 512 spans", "json", 512, 800, 2.0, with_batching=False),
    Load("gRPC, 1 span", "grpc", 1, 150_000, 5.0),
    Load("HTTP, 1 span", "http", 1, 80_000, 1.2),
]

HEADERS = {
    "grpc": ["content-type: application/grpc", "te: trailers"],
    "grpc-gzip": ["content-type: application/grpc", "te: trailers", "grpc-encoding: gzip"],
    "http": ["content-type: application/x-protobuf"],
    "json": ["content-type: application/json"],
}
SUFFIX = {"grpc": "grpc", "grpc-gzip": "grpc.gz", "http": "pb", "json": "json"}


def send(collector, load, payloads, requests):
    """Sends the load; seconds it took. Every answer must be 2xx: an overloaded or failing collector has no figure."""
    is_grpc = load.protocol.startswith("grpc")
    command = ["taskset", "-c", "1", "h2load", "-n", str(requests), "-c", str(CONNECTIONS),
               "-d", f"{payloads}/traces-{load.spans}.{SUFFIX[load.protocol]}"]
    command += ["-m", str(STREAMS)] if is_grpc else ["--h1"]
    for header in HEADERS[load.protocol]:
        command += ["-H", header]
    path = "opentelemetry.proto.collector.trace.v1.TraceService/Export" if is_grpc else "v1/traces"
    command.append(f"http://127.0.0.1:{collector.grpc if is_grpc else collector.http}/{path}")
    output = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    took = re.search(r"finished in ([\d.]+)(us|ms|s)", output)
    succeeded = int(re.search(r"status codes: (\d+) 2xx", output).group(1))
    if succeeded != requests:
        raise SystemExit(f"{collector.name}, {load.name}: {requests - succeeded} of {requests} requests failed")
    return float(took.group(1)) * {"us": 1e-6, "ms": 1e-3, "s": 1}[took.group(2)]


def probe(collector, payloads, spans):
    """One request by an independent gRPC client: h2load sees HTTP's 200, which a refusal in gRPC's trailers has as well."""
    with open(f"{payloads}/traces-{spans}.pb", "rb") as file, grpc.insecure_channel(f"127.0.0.1:{collector.grpc}") as channel:
        channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(file.read(), timeout=10)


def measure(collector, load, payloads):
    """(CPU microseconds per span, spans per second, peak MiB so far)."""
    warm_up = max(200, load.requests // 10)
    accepted = counter(collector, ACCEPTED) if collector.metrics else None
    send(collector, load, payloads, warm_up)
    time.sleep(SETTLE_SECONDS)
    before = cpu_seconds(collector.pid)
    took = send(collector, load, payloads, load.requests)
    time.sleep(SETTLE_SECONDS)
    used = cpu_seconds(collector.pid) - before
    if accepted is not None and counter(collector, ACCEPTED) - accepted != (warm_up + load.requests) * load.spans:
        raise SystemExit(f"{collector.name}, {load.name}: spans were refused")
    spans = load.requests * load.spans
    return used / spans * 1e6, spans / took, resident_mib(collector.pid, peak=True)


def run(starters, payloads, rounds):
    """Medians by (load, batching, collector's name). `starters` start a collector: `start(cores, batch=...)`."""
    figures = {}
    for number in range(rounds):
        for batch, start in itertools.product((False, True), starters):
            with start("0", batch=batch) as collector:
                probe(collector, payloads, LOADS[0].spans)
                for load in LOADS:
                    if load.with_batching or not batch:
                        figures.setdefault((load, batch, collector.name), []).append(measure(collector, load, payloads))
        print(f"  round {number + 1} of {rounds}", flush=True)
    return {key: tuple(statistics.median(column) for column in zip(*rows)) for key, rows in figures.items()}
