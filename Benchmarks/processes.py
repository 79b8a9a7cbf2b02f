"""Starting, measuring and stopping the programs that are compared."""
import contextlib
import os
import re
import socket
import subprocess
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 20
STOP_SECONDS = 20


def free_ports(count):
    """Ports of the loopback interface that nobody has now. Another program may take one before the collector does; the run
    then ends with the collector's own message."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


def _stat(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()


def cpu_seconds(pid):
    """User and system time of a process so far, all its threads."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS


def family_cpu_seconds(pid):
    """The same for a process, its living children, and all children that ended: PostgreSQL is a postmaster and its children,
    so this is what the whole server used (sessions, WAL writer, checkpointer, background writer)."""
    fields = _stat(pid)
    total = sum(int(field) for field in fields[11:15])
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        for child in file.read().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int(_stat(child)[11]) + int(_stat(child)[12])
    return total / TICKS


def resident_mib(pid, peak=False):
    with open(f"/proc/{pid}/status") as file:
        kib = re.search(("VmHWM" if peak else "VmRSS") + r":\s+(\d+)", file.read()).group(1)
    return int(kib) / 1024


class Collector:
    """A running collector; `with` stops it. Logs go to a file in the work directory."""

    def __init__(self, name, command, ports, directory, cores):
        self.name, self.grpc, self.http = name, ports[0], ports[1]
        self.metrics = ports[2] if len(ports) > 2 else None
        self.log = os.path.join(directory, name + ".log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(["taskset", "-c", cores] + command, stdout=log, stderr=log, cwd=directory)
        self.pid = self.process.pid
        try:
            for port in ports:
                self._wait(port)
        except BaseException:
            self._stop()
            raise

    def _wait(self, port):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        with open(self.log) as log:
            raise SystemExit(f"{self.name} does not open port {port}:\n{log.read()[-2000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop()

    def _stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def counter(collector, name):
    """The sum over all labels of one of our collector's metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{collector.metrics}/metrics", timeout=10) as answer:
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)", answer.read().decode(), re.MULTILINE)
    return sum(float(number) for number in found)


OURS = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: 127.0.0.1:{grpc}}}
      http: {{endpoint: 127.0.0.1:{http}}}
{processors}
exporters:
  {exporter}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [{batch}], exporters: [{name}]}}
  telemetry:
    logs: {{level: warn}}
    metrics: {{address: 127.0.0.1:{metrics}}}
{log}
"""


def start_ours(binary, directory, cores, exporter="nop:", batch=True, log=None, limit_mib=None):
    """Our collector with one exporter (YAML, one line), with or without the batch processor, the write-ahead log (its settings, one
    line) and a memory limit, everything else at its default."""
    ports = free_ports(3)
    path = os.path.join(directory, "collector.yaml")
    processors = {"memory_limiter": f"{{limit_mib: {limit_mib}}}"} if limit_mib else {}
    if batch:
        processors["batch"] = ""
    listed = ", ".join(f"{name}: {settings}" for name, settings in processors.items())
    with open(path, "w") as file:
        file.write(OURS.format(
            grpc=ports[0], http=ports[1], metrics=ports[2], exporter=exporter, name=exporter.split(":")[0],
            processors=f"processors: {{{listed}}}" if processors else "", batch=", ".join(processors),
            log=f"  write_ahead_log: {log}" if log else ""))
    return Collector("collector", [binary, "run", "--config", path], ports, directory, cores)


def start_rotel(binary, directory, cores, batch=True):
    """Rotel with its blackhole exporter, with its default batching or without.

    Its limit of 4 MiB per gRPC message is above our largest request.
    """
    ports = free_ports(2)
    command = [binary, "start", "--exporter", "blackhole", "--otlp-grpc-endpoint", f"127.0.0.1:{ports[0]}",
               "--otlp-http-endpoint", f"127.0.0.1:{ports[1]}", "--pid-file", os.path.join(directory, "rotel.pid"),
               "--log-file", os.path.join(directory, "rotel.log")]
    if not batch:
        command.append("--disable-batching")
    return Collector("rotel", command, ports, directory, cores)
