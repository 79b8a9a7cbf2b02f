"""The commands, the health check and the metrics, as an operator meets them."""
import json
import re
import socket
import sqlite3
import threading

import psycopg
import pytest

import otlp
from clients import grpc_export, http_export
from daemon import ROOT, Ports, configuration, fetch, run_cli, wait_until
from stores import count


@pytest.fixture
def config(tmp_path):
    """config(exporter, settings, **changes): the path of a configuration file."""
    def write(exporter="nop", settings=None, **changes):
        path = tmp_path / "collector.yaml"
        path.write_text(configuration(Ports(), exporter, settings, **changes))
        return path
    return write


def test_validate_is_silent_about_a_good_file(config):
    result = run_cli("validate", "--config", config())
    assert result.returncode == 0, result.stderr


def test_validate_reports_every_problem_with_its_place(config):
    path = config("nop", None, receivers__otlp__protocols__grpc__endpiont="x", processors__batch={"timeout": "soon"},
                  service__pipelines__traces__exporters=["nop", "missing"], exporters__sqlite={"path": 3})
    result = run_cli("validate", "--config", path)
    places = re.findall(r"collector\.yaml:\d+:\d+: ", result.stderr + result.stdout)
    text = result.stderr + result.stdout
    assert result.returncode == 1 and len(places) >= 4, text
    for word in ("endpiont", "soon", "missing", "sqlite"):
        assert word in text


@pytest.mark.parametrize("file", ["collector.yaml", "deploy/timescaledb.yaml"])
def test_shipped_configurations_are_valid(file):
    result = run_cli("validate", "--config", ROOT / file, env={"DATABASE_URL": "postgresql://u:p@localhost/db"})
    assert result.returncode == 0, result.stderr


def test_print_config_hides_secrets_and_shows_the_rest(config):
    path = config("timescaledb", {"dsn": "postgresql://writer:s3cr3t@db.example:5432/telemetry", "batch_rows": 1234})
    result = run_cli("print-config", "--config", path)
    assert result.returncode == 0, result.stderr
    assert "s3cr3t" not in result.stdout and "1234" in result.stdout


def test_set_and_environment_reach_the_configuration(config):
    path = config("sqlite", {"path": "${env:STORE_PATH}"}, processors__batch={"timeout": "${env:NOT_SET:-3s}"})
    result = run_cli("print-config", "--config", path, "--set", "processors.batch.send_batch_size=77", env={"STORE_PATH": "/tmp/x.db"})
    assert result.returncode == 0, result.stderr
    for text in ("/tmp/x.db", "3s", "77"):
        assert text in result.stdout


def test_components_lists_what_is_built_in():
    result = run_cli("components")
    assert result.returncode == 0
    for name in ("otlp", "batch", "timescaledb", "sqlite", "debug", "nop", "health_check"):
        assert re.search(rf"\b{name}\b", result.stdout), result.stdout


def test_version_and_help_answer():
    assert re.search(r"\d+\.\d+", run_cli("version").stdout)
    text = run_cli("--help").stdout
    for command in ("run", "validate", "print-config", "components", "migrate", "healthcheck", "version"):
        assert command in text


def test_unknown_file_and_command_fail():
    assert run_cli("validate", "--config", "/nonexistent.yaml").returncode == 1
    assert run_cli("frobnicate").returncode != 0


def test_migrate_prepares_a_store_and_may_run_again_and_by_many_at_once(store, config):
    path = config(store.exporter, store.settings())
    results = []
    threads = [threading.Thread(target=lambda: results.append(run_cli("migrate", "--config", path))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.returncode for r in results] == [0] * 10, [r.stderr for r in results if r.returncode]
    assert run_cli("migrate", "--config", path).returncode == 0
    assert store.query("select count(*) from traces") == [(0,)]
    versions = [row[0] for row in store.query("select version from collector_schema_migrations order by 1")]
    assert versions == sorted(set(versions)) and versions


def test_newer_schema_is_an_error_that_says_so(store, config):
    path = config(store.exporter, store.settings())
    assert run_cli("migrate", "--config", path).returncode == 0
    pretend_newer_schema(store)
    result = run_cli("migrate", "--config", path)
    text = result.stderr + result.stdout
    assert result.returncode == 1 and "9999" in text and re.search("newer|update the collector", text)


def pretend_newer_schema(store):
    columns = [c[0] for c in store.query(
        "select column_name from information_schema.columns where table_name = 'collector_schema_migrations' order by ordinal_position"
        if store.name == "postgres" else "select name from pragma_table_info('collector_schema_migrations')")]
    values = ", ".join("9999" if c == "version" else c for c in columns)
    sql = f"insert into collector_schema_migrations select {values} from collector_schema_migrations limit 1"
    if store.name == "postgres":
        with psycopg.connect(store.dsn) as connection:
            connection.execute(sql)
    else:
        with sqlite3.connect(store.path) as connection:
            connection.execute(sql)


def test_healthcheck_command_follows_the_daemon(sqlite, start):
    daemon = start(sqlite)
    path = daemon.directory / "collector.yaml"
    assert run_cli("healthcheck", "--config", path).returncode == 0
    daemon.stop()
    assert run_cli("healthcheck", "--config", path).returncode == 1


def test_health_tells_status_uptime_and_components(sqlite, start):
    status, report = start(sqlite).health()
    assert status == 200 and report["status"] == "ok" and report["uptime_seconds"] >= 0
    assert any("otlp" in c["id"] for c in report["components"]) and any("sqlite" in c["id"] for c in report["components"])


def test_first_log_lines_tell_where_to_point_an_sdk(sqlite, start):
    daemon = start(sqlite)
    wait_until(lambda: "data goes to" in daemon.log(), what="the last of the first lines")
    lines = daemon.log()
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{daemon.ports.grpc}" in lines
    assert f"http://127.0.0.1:{daemon.ports.http}" in lines and str(sqlite.path) in lines


METRICS = """otelcol_receiver_accepted_spans otelcol_receiver_refused_spans otelcol_receiver_failed_spans
    otelcol_processor_incoming_items otelcol_processor_outgoing_items otelcol_processor_batch_batch_send_size
    otelcol_processor_batch_batch_size_trigger_send otelcol_processor_batch_timeout_trigger_send otelcol_exporter_sent_spans
    otelcol_exporter_send_failed_spans otelcol_exporter_enqueue_failed_spans otelcol_exporter_queue_size
    otelcol_exporter_queue_capacity otelcol_exporter_in_flight_requests otelcol_process_uptime otelcol_process_cpu_seconds
    otelcol_process_memory_rss collector_http_requests_total collector_request_duration_seconds
    collector_export_duration_seconds collector_limit_hits_total""".split()


def test_metrics_have_the_names_of_the_go_collector_and_count_spans(store, start):
    daemon = start(store)
    assert http_export(daemon.ports.http, otlp.request([{}] * 30)).status == 200
    grpc_export(daemon.ports.grpc, otlp.request([{}] * 12 + [{"trace_id": b"short"}]))
    wait_until(lambda: count(store) == 42, what="42 rows")
    wait_until(lambda: daemon.metric("otelcol_exporter_sent_spans", exporter=store.exporter) == 42, what="42 spans counted as sent")
    assert daemon.metric("otelcol_receiver_accepted_spans", receiver="otlp", transport="http") == 30
    assert daemon.metric("otelcol_receiver_accepted_spans", receiver="otlp", transport="grpc") == 12
    assert daemon.metric("otelcol_receiver_refused_spans", receiver="otlp", transport="grpc") == 1
    families = set(re.findall(r"^# TYPE (\w+) ", fetch(f"http://127.0.0.1:{daemon.ports.metrics}/metrics")[1], re.M))
    missing = [name for name in METRICS if not {name, name + "_total", name + "_seconds", name + "_bytes"} & families
               and not any(family.startswith(name + "_") for family in families)]
    assert not missing, sorted(families)


def test_prometheus_text_is_well_formed(sqlite, start):
    status, text = fetch(f"http://127.0.0.1:{start(sqlite).ports.metrics}/metrics")
    assert status == 200 and text.endswith("\n")
    typed, sample = {}, re.compile(r'^([a-z_:][a-z0-9_:]*)(\{[a-z_]+="(?:[^"\\]|\\.)*"(?:,[a-z_]+="(?:[^"\\]|\\.)*")*\})? (\S+)$')
    for line in text.splitlines():
        if found := re.match(r"# TYPE (\w+) (counter|gauge|histogram)$", line):
            assert found[1] not in typed, f"{line} comes twice"
            typed[found[1]] = found[2]
        elif not line.startswith("# HELP "):
            name, _, value = sample.match(line).groups()
            float(value)
            assert name in typed or re.sub(r"_(bucket|sum|count)$", "", name) in typed, line


def test_json_logs_are_json(sqlite, start):
    daemon = start(sqlite, service__telemetry__logs={"level": "info", "encoding": "json"})
    daemon.stop()
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    assert lines and all({"level", "msg"} <= set(line) or {"level", "message"} <= set(line) for line in lines), lines[:2]


def test_logs_never_hold_what_spans_say(store, start):
    daemon = start(store, service__telemetry__logs={"level": "debug", "encoding": "console"})
    marker = "MARKER-8f3a"
    http_export(daemon.ports.http, otlp.request([{"name": marker, "attributes": {marker: marker}}, {"name": marker, "trace_id": b"x"}]))
    wait_until(lambda: count(store) == 1, what="the row")
    with socket.create_connection(("127.0.0.1", daemon.ports.http)) as connection:
        connection.sendall(f"POST /{marker} HTTP/9.9\r\n\r\n".encode())
        connection.recv(1000)
    daemon.stop()
    assert marker not in daemon.log()
