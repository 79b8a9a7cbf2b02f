"""What README.md tells people to type does what it says there, with the shipped configurations."""
import re
import subprocess
import sys

import psycopg
import pytest

from daemon import ROOT, Daemon, Ports, run_cli, wait_until
from stores import count

README = (ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else None
pytestmark = pytest.mark.skipif(README is None, reason="THERE IS NO README.md: its snippets are not tested")


def blocks(language):
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README or "", re.M | re.S)


def commands(program):
    """The command lines of the `sh` blocks that begin with a program's name."""
    return [line for block in blocks("sh") for line in block.splitlines() if line.startswith(program + " ")]


@pytest.fixture
def shipped(tmp_path):
    """shipped(file, **env): a running daemon with a shipped configuration in an empty directory; only the ports are other ones."""
    running = []

    def start(file, **env):
        ports = Ports()
        places = {"receivers.otlp.protocols.grpc.endpoint": ports.grpc, "receivers.otlp.protocols.http.endpoint": ports.http,
                  "extensions.health_check.endpoint": ports.health, "service.telemetry.metrics.address": ports.metrics}
        overrides = [word for key, port in places.items() for word in ("--set", f"{key}=127.0.0.1:{port}")]
        running.append(Daemon(tmp_path, ["run", "--config", str(ROOT / file), *overrides], ports, env))
        return running[-1].start()

    yield start
    for daemon in running:
        daemon.stop()


def run_snippet(daemon):
    """Runs the Python block with the daemon's port in place of the default one."""
    snippet, = blocks("python")
    lines = [line for line in snippet.splitlines() if line.strip()]
    assert len(lines) <= 12, "ten lines or so"
    assert ":4318" in snippet or ":4317" in snippet
    code = snippet.replace(":4318", f":{daemon.ports.http}").replace(":4317", f":{daemon.ports.grpc}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    name = re.search(r'start_as_current_span\("([^"]+)"', snippet)
    return name[1]


def run_command(line, cwd, **env):
    done = subprocess.run(["bash", "-ec", line], cwd=cwd, env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PAGER": "cat", **env},
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), (line, done.stderr)
    return done.stdout


def test_snippet_shows_its_span_with_the_printed_sqlite3_query(shipped, tmp_path):
    daemon = shipped("collector.yaml")
    name = run_snippet(daemon)
    query, = commands("sqlite3")
    wait_until(lambda: (tmp_path / "data/telemetry.db").exists() and name in run_command(query, tmp_path), what="the query shows the span")


def test_snippet_shows_its_span_with_the_printed_psql_query(shipped, tmp_path, postgres):
    daemon = shipped("deploy/timescaledb.yaml", DATABASE_URL=postgres.dsn)
    name = run_snippet(daemon)
    wait_until(lambda: count(postgres) == 1, what="the row")
    query, = commands("psql")
    assert name in run_command(query, tmp_path, DATABASE_URL=postgres.dsn)


def test_printed_queries_run_and_find_the_span(shipped, postgres):
    daemon = shipped("deploy/timescaledb.yaml", DATABASE_URL=postgres.dsn)
    run_snippet(daemon)
    wait_until(lambda: count(postgres) == 1, what="the row")
    assert blocks("sql")
    with psycopg.connect(postgres.dsn) as connection:
        for query in blocks("sql"):
            assert connection.execute(query).fetchall(), query


def test_printed_configurations_are_valid(tmp_path):
    assert blocks("yaml")
    for number, text in enumerate(blocks("yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        result = run_cli("validate", "--config", path, env={"DATABASE_URL": "postgresql://u:p@localhost/db"})
        assert result.returncode == 0, result.stderr


def test_named_make_targets_and_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"`make ([a-z-]+)", README)) | {line.split()[1] for line in commands("make")}
    assert targets and all(re.search(rf"^{target}:", makefile, re.M) for target in targets), targets
    text = run_cli("--help").stdout
    for command in set(re.findall(r"`collector ([a-z-]+)", README)):
        assert re.search(rf"^\s+{command}\b", text, re.M), command
