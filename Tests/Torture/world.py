"""What a round runs in: a collector, its store with a proxy before it, its log on a small disk with a shim before it."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import stores
from daemon import BINARY, Daemon, wait_until
from faults import Shim
from ports import CollectorPorts
from proxy import Proxy

START_SECONDS_MAX = 30


class Collector(Daemon):
    """Ends with the suite, however that ends; its files are below `directory`."""

    def __init__(self, directory, ports, environment):
        super().__init__(directory, ["run", "--config", str(directory / "collector.yaml")], ports, environment)
        self.runs = 0

    def launch(self):
        self.runs += 1
        with open(self.log_path, "ab") as log:
            log.write(f"--- run {self.runs}\n".encode())
            log.flush()
            command = ["setpriv", "--pdeathsig", "KILL", "env", *(f"{key}={value}" for key, value in self.env.items()), str(BINARY)]
            self.process = subprocess.Popen([*command, *self.arguments], cwd=self.directory, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=os.environ)
        return self

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def wait_until_it_answers(self):
        wait_until(self._answers, START_SECONDS_MAX, "the collector's health check and receivers answer")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


class PostgresStore:
    exporter = "timescaledb"
    fields = "encode(span_id, 'hex')"

    def __init__(self, server):
        self.server, self.database = server, server.create()
        self.proxy = Proxy(("127.0.0.1", server.port))

    def settings(self, chosen):
        return {"dsn": self.server.dsn(self.database, self.proxy.port), "flush_interval": "20ms", "num_consumers": chosen["consumers"],
                "connect_timeout": "3s", "batch_rows": 1_000}

    def span_numbers(self):
        import psycopg
        try:
            with psycopg.connect(self.server.dsn(self.database), connect_timeout=10) as connection:
                return [int(row[0], 16) for row in connection.execute(f"select {self.fields} from traces")]
        except psycopg.errors.UndefinedTable:
            return []

    def span_columns(self):
        """{span number: (sampling_reason, adjusted_count)}."""
        import psycopg
        with psycopg.connect(self.server.dsn(self.database), connect_timeout=10) as connection:
            found = connection.execute(f"select {self.fields}, sampling_reason, adjusted_count from traces")
            return {int(span, 16): tuple(columns) for span, *columns in found}

    def evidence(self):
        """Which transactions wrote the spans that are there twice."""
        import psycopg
        with psycopg.connect(self.server.dsn(self.database), connect_timeout=10) as connection:
            return [" ".join(map(str, row)) for row in connection.execute(
                f"select min({self.fields}), max({self.fields}), count(*), xmin, min(ts), max(ts) from traces where span_id in "
                "(select span_id from traces group by span_id having count(*) > 1) group by xmin order by xmin::text::int")]

    def close(self):
        self.proxy.close()
        self.server.start()
        self.server.drop(self.database)


class SQLiteStore(stores.SQLite):
    proxy = None

    def evidence(self):
        return []

    def settings(self, chosen):
        return {"path": str(self.path)}

    def span_numbers(self):
        return [int(row[0].hex() if isinstance(row[0], bytes) else row[0], 16) for row in self.query("select span_id from traces")]

    def span_columns(self):
        return {int(span.hex() if isinstance(span, bytes) else span, 16): tuple(columns)
                for span, *columns in self.query("select span_id, sampling_reason, adjusted_count from traces")}

    def close(self):
        pass


class World:
    def __init__(self, plan, directory, server, disk, library):
        self.plan, self.directory, self.server, self.disk = plan, Path(directory), server, disk
        self.begin = time.monotonic()
        self.history, self.hits = [], 0
        self.settings = plan.settings
        self.store = PostgresStore(server) if plan.store == "postgres" else SQLiteStore(self.directory)
        self.log_directory = disk.directory / self.directory.name
        self.log_directory.mkdir()
        self.shadow = self.directory / "shadow"
        self.shadow.mkdir()
        self.shim = Shim(library, self.directory / "faults", self.log_directory, self.shadow)
        self.collector = Collector(self.directory, CollectorPorts(), self.shim.environment if plan.with_log else {})
        self.write_configuration()

    def note(self, text):
        self.history.append(f"{time.monotonic() - self.begin:7.3f} {text}")

    def write_configuration(self):
        path = self.directory / "collector.yaml"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(self.configuration(), indent=1))
        fresh.rename(path)

    def configuration(self):
        chosen, ports = self.settings, self.collector.ports
        exporter = self.store.settings(chosen)
        if self.plan.store == "postgres":
            exporter["sending_queue"] = {"queue_size": chosen["queue"]}
            exporter["retry_on_failure"] = {"initial_interval": "20ms", "max_interval": "200ms", "max_elapsed_time": "0s"}
        # In the order of the pipeline.
        processors = {"groupbytrace": {"wait_duration": chosen["wait"], "num_traces": chosen["traces"]}} if self.plan.grouping else {}
        processors |= self.plan.sampling.processors(chosen)
        processors["batch"] = {"timeout": chosen["timeout"], "send_batch_size": chosen["batch"]}
        service = {
            "extensions": ["health_check"], "shutdown_timeout": "8s",
            "telemetry": {"logs": {"level": "info", "encoding": "console"}, "metrics": {"address": f"127.0.0.1:{ports.metrics}"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "processors": list(processors), "exporters": [self.store.exporter]}}}
        if self.plan.with_log:
            service["write_ahead_log"] = {"directory": str(self.log_directory), "segment_mib": 1, "max_size_mib": chosen["log_mib"],
                                          "sync": chosen["sync"]}
        return {
            "receivers": {"otlp": {"protocols": {
                "grpc": {"endpoint": f"127.0.0.1:{ports.grpc}"}, "http": {"endpoint": f"127.0.0.1:{ports.http}"}}}},
            "processors": processors, "exporters": {self.store.exporter: exporter},
            "extensions": {"health_check": {"endpoint": f"127.0.0.1:{ports.health}"}}, "service": service}

    def calm(self):
        """All faults off, everything up."""
        self.shim.clear()
        self.disk.free()
        if self.store.proxy:
            self.store.proxy.calm()
            self.server.start()
        if not self.collector.is_running:
            self.collector.launch()
        self.collector.wait_until_it_answers()

    def close(self):
        self.collector.kill()
        self.hits = self.shim.hits
        self.shim.close()
        self.disk.free()
        self.store.close()
