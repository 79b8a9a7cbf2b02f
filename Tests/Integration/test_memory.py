"""Memory under overload: what the process takes stays near the limit, whatever clients send while nothing can be exported."""
import os
import re
import subprocess
import time

import pytest

import otlp
from clients import EXPORT, JSON, frame, http_export, json_export
from compress import COMPRESS
from daemon import wait_until
from stores import count

MIB = 1 << 20
LIMIT_MIB = 64
# What the process may have besides what is bounded: code, libraries, connections, the allocator's slack.
PROCESS_MIB = 64
HAMMER_SECONDS = 8
SAMPLE_SECONDS = 0.02


class ResidentMemory:
    """Samples a daemon's resident memory; the kernel's own high-water mark counts as well."""

    def __init__(self, daemon):
        self.status = f"/proc/{daemon.process.pid}/status"

    def peak_mib(self):
        with open(self.status) as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) / 1024


def h2load(daemon, path, connections, kind, streams=10):
    """A program that repeats one request over many connections as fast as it is answered, for HAMMER_SECONDS."""
    is_grpc = kind == "grpc"
    port = daemon.ports.grpc if is_grpc else daemon.ports.http
    command = ["h2load", "-D", str(HAMMER_SECONDS), "-c", str(connections), "-d", str(path)]
    command += ["-m", str(streams), "-H", "content-type: application/grpc", "-H", "te: trailers"] if is_grpc else [
        "--h1", "-H", f"content-type: {JSON if kind == 'json' else 'application/x-protobuf'}"]
    if kind == "gzip":
        command += ["-H", "content-encoding: gzip"]
    url = f"http://127.0.0.1:{port}{EXPORT if is_grpc else '/v1/traces'}"
    return subprocess.Popen([*command, url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def payloads(tmp_path):
    """Files with one request each: small, large, gzip bombs (16 MiB of valid and of invalid protobuf in a few KB), dense JSON."""
    def llm(spans, size):
        return otlp.request([{"attributes": {"prompt": f"{i} " + "why? " * (size // 5)}} for i in range(spans)])
    small, large = llm(5, 100).SerializeToString(), llm(500, 8_000).SerializeToString()
    bomb = COMPRESS["gzip"](otlp.request([{"attributes": {"bomb": "x" * 16 * MIB}}]).SerializeToString())
    contents = {
        "small": frame(small), "large": frame(large), "post": large, "bomb": bomb, "zeros": COMPRESS["gzip"](bytes(16 * MIB)),
        "dense": b'{"resourceSpans":[' + b"[],[]," * 100_000 + b"0]}"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_resident_memory_stays_near_the_limit_while_nothing_is_exported(postgres, relay, start, payloads):
    relay.open()
    daemon = start(
        postgres, processors={"memory_limiter": {"check_interval": "1s", "limit_mib": LIMIT_MIB}, "batch": {"timeout": "50ms"}},
        service__pipelines__traces__processors=["memory_limiter", "batch"],
        settings={"retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms"}})
    assert http_export(daemon.ports.http, otlp.request([{"name": "before"}])).status == 200
    wait_until(lambda: count(postgres) == 1, what="the database is in use")
    relay.close()
    memory = ResidentMemory(daemon)
    clients = [h2load(daemon, payloads / name, connections, kind) for name, connections, kind in [
        ("small", 200, "grpc"), ("large", 50, "grpc"), ("post", 50, "http"), ("bomb", 20, "gzip"), ("zeros", 10, "gzip"),
        ("dense", 10, "json")]]
    deadline = time.monotonic() + HAMMER_SECONDS + 10
    try:
        while any(client.poll() is None for client in clients) and time.monotonic() < deadline:
            assert memory.peak_mib() < LIMIT_MIB + PROCESS_MIB
            time.sleep(SAMPLE_SECONDS)
    finally:
        for client in clients:
            client.kill()
            client.wait()
    peak = memory.peak_mib()
    assert peak < LIMIT_MIB + PROCESS_MIB
    # It was an overload: most was refused, and what was taken is within the limit.
    accepted = daemon.metric("otelcol_receiver_accepted_spans")
    refused = daemon.metric("collector_http_requests", code="503") + daemon.metric("collector_http_requests", code="14")
    print(f"peak {peak:.0f} MiB, {accepted:.0f} spans accepted, {refused:.0f} requests refused")
    assert accepted > 1 and refused > 10 * accepted / 500
    assert daemon.metric("collector_memory_used_bytes") <= daemon.metric("collector_memory_limit_bytes") <= LIMIT_MIB * MIB
    answer = http_export(daemon.ports.http, otlp.request([{}]))
    assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
    # And it recovers by itself, with all it had taken.
    relay.open()
    wait_until(lambda: http_export(daemon.ports.http, otlp.request([{"name": "afterwards"}])).status == 200, 60, "requests are taken")
    # Requests that were cut off may have been taken after `accepted` was read.
    wait_until(lambda: count(postgres) == daemon.metric("otelcol_receiver_accepted_spans") > accepted, 60, "what was accepted is stored")
    wait_until(lambda: daemon.metric("collector_memory_used_bytes") < MIB, 20, "the budget is free again")


def test_the_sum_is_printed_at_start_and_a_limit_beyond_the_memory_is_warned_of(sqlite, start):
    daemon = start(sqlite, processors={"memory_limiter": {"limit_mib": LIMIT_MIB}, "batch": None},
                   service__pipelines__traces__processors=["memory_limiter", "batch"])
    line = next(line for line in daemon.log().splitlines() if "memory: " in line)
    parts = [float(number) for number in re.findall(r"[a-z_]+ ([\d.]+)(?= [+=])", line.split("memory: ")[1])]
    total = float(re.search(r"= ([\d.]+) MiB", line).group(1))
    assert len(parts) >= 6 and abs(sum(parts) - total) < 0.5 and total <= LIMIT_MIB + PROCESS_MIB + 0.5
    assert "the memory's sum" not in daemon.log() and "beyond" not in daemon.log()

    machine_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB
    daemon = start(sqlite, processors={"memory_limiter": {"limit_mib": machine_mib * 2}},
                   service__pipelines__traces__processors=["memory_limiter"])
    assert "error" in next(line for line in daemon.log().splitlines() if "the memory limit is beyond" in line)


def test_messages_that_can_never_fit_are_refused_for_good(start, sqlite):
    daemon = start(sqlite, processors={"memory_limiter": {"limit_mib": LIMIT_MIB}, "batch": None},
                   service__pipelines__traces__processors=["memory_limiter", "batch"])
    request = otlp.request([{"attributes": {"text": "x" * 40 * MIB}}])
    assert http_export(daemon.ports.http, request).status == 413
    assert http_export(daemon.ports.http, request, "gzip").status == 413
    assert json_export(daemon.ports.http, request).status == 413
    fits = otlp.request([{"attributes": {"text": "x" * 6 * MIB}}])
    assert http_export(daemon.ports.http, fits).status == 200
    assert http_export(daemon.ports.http, fits, "gzip").status == 200
