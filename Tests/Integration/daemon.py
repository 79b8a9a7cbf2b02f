"""Starts the built collector with a configuration, waits for its health check, stops it and judges how it ended."""
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("COLLECTOR_BINARY") or ROOT / ".build/debug/collector").resolve()
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20
ADDRESS_CLASHES_MAX = 5


def free_ports(count):
    """Loopback ports that were free a moment ago; all distinct."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def wait_until(condition, seconds=20, what="condition"):
    """Polls until the condition gives something true, and returns it; fails loudly after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def fetch(url, seconds=5):
    """(status, text) of a GET, also for error statuses; (None, reason) when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return None, str(error)


def run_cli(*arguments, cwd=None, env=None, seconds=60):
    """Runs `collector ARGUMENTS` to its end."""
    return subprocess.run([str(BINARY), *map(str, arguments)], cwd=cwd, env={**os.environ, **(env or {})},
                          capture_output=True, text=True, timeout=seconds)


class Ports:
    def __init__(self):
        self.grpc, self.http, self.health, self.metrics = free_ports(4)


def configuration(ports, exporter, settings=None, **changes):
    """The text of a configuration with one traces pipeline: otlp -> batch -> exporter. JSON is YAML.

    `changes` replace settings by path, with `__` between the keys: receivers__otlp__protocols__grpc__max_recv_msg_size_mib=1.
    """
    config = {
        "receivers": {"otlp": {"protocols": {
            "grpc": {"endpoint": f"127.0.0.1:{ports.grpc}"}, "http": {"endpoint": f"127.0.0.1:{ports.http}"}}}},
        "processors": {"batch": {"timeout": "50ms"}},
        "exporters": {exporter: settings},
        "extensions": {"health_check": {"endpoint": f"127.0.0.1:{ports.health}"}},
        "service": {
            "extensions": ["health_check"],
            "telemetry": {"logs": {"level": "info", "encoding": "console"}, "metrics": {"address": f"127.0.0.1:{ports.metrics}"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "processors": ["batch"], "exporters": [exporter]}}}}
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = config
        for key in parents:
            target = target.setdefault(key, {})
        target[last] = value
    return json.dumps(config, indent=2)


class Daemon:
    """One run of the collector. Its log goes to a file, so that a full pipe cannot stop it."""

    def __init__(self, directory, arguments, ports, env=None):
        self.directory, self.arguments, self.ports, self.env = Path(directory), arguments, ports, env or {}
        self.choose_other_ports = None
        self.log_path = self.directory / "collector.log"
        self.process = None

    @classmethod
    def with_config(cls, directory, exporter, settings=None, ports=None, env=None, **changes):
        path = Path(directory) / "collector.yaml"
        daemon = cls(directory, ["run", "--config", str(path)], ports or Ports(), env)

        def write(fresh):
            daemon.ports = fresh
            path.write_text(configuration(fresh, exporter, settings, **changes))
        write(daemon.ports)
        daemon.choose_other_ports = None if ports else lambda: write(Ports())
        return daemon

    def launch(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(BINARY), *self.arguments], cwd=self.directory, env={**os.environ, **self.env},
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return self

    def start(self):
        """Launches and waits until the health check answers and both OTLP ports take connections.

        Another process may take a port after it was found free; then it is tried again with others.
        """
        for attempt in range(ADDRESS_CLASHES_MAX):
            self.launch()
            try:
                wait_until(self._answers, START_SECONDS_MAX, "the daemon's health check answers")
                return self
            except AssertionError:
                clashed = self.process.poll() is not None and "in use" in self.log()
                if not clashed or self.choose_other_ports is None or attempt == ADDRESS_CLASHES_MAX - 1:
                    self.kill()
                    raise
                self.log_path.unlink()
                self.choose_other_ports()
        raise AssertionError("unreachable")

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode} at start:\n{self.log()}")
        if self.health()[0] is None:
            return False
        try:
            for port in (self.ports.grpc, self.ports.http):
                socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def health(self):
        """(HTTP status, decoded JSON) of the health check; (None, reason) when it does not answer."""
        status, text = fetch(f"http://127.0.0.1:{self.ports.health}/")
        return (status, json.loads(text)) if status else (status, text)

    def metrics(self):
        """{name{labels}: value} of every sample on the Prometheus endpoint."""
        status, text = fetch(f"http://127.0.0.1:{self.ports.metrics}/metrics")
        assert status == 200, (status, text)
        samples = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in samples}

    def metric(self, name, **labels):
        """Sum of the samples of that name (with or without `_total`) whose labels include the given ones."""
        total = 0.0
        for sample, value in self.metrics().items():
            base = sample.split("{")[0]
            if base in (name, name + "_total") and all(f'{k}="{v}"' in sample for k, v in labels.items()):
                total += value
        return total

    def rss_mib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")

    def stop(self, expect=0, seconds=STOP_SECONDS_MAX):
        """SIGTERM; asserts the exit code and that no crash is in the log."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.wait(seconds)
        assert code == expect, f"exit code {code}, expected {expect}; the end of the log:\n{self.log()[-4000:]}"

    def wait(self, seconds=STOP_SECONDS_MAX):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s; the end of the log:\n{self.log()[-4000:]}") from None

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
        finally:
            self.kill()
            if kind is not None and self.log():
                print(f"--- the daemon's log:\n{self.log()[-6000:]}")
