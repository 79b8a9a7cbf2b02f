import os

import pytest

import daemon as collector
from relay import Relay
from stores import Postgres, SQLite


def pytest_configure(config):
    if not collector.BINARY.exists():
        raise pytest.UsageError(f"{collector.BINARY} does not exist: `swift build` first, or set COLLECTOR_BINARY")


def pytest_terminal_summary(terminalreporter):
    if os.environ.get("COLLECTOR_TEST_TIMESCALEDB") == "0":
        terminalreporter.write_line("NO TIMESCALEDB ON THIS MACHINE: tests that need it were skipped; plain PostgreSQL was tested",
                                    yellow=True)


@pytest.fixture(params=["postgres", "sqlite"])
def store(request, tmp_path):
    """An empty store of each kind, gone afterwards."""
    store = (Postgres() if request.param == "postgres" else SQLite(tmp_path)).create()
    yield store
    store.drop()


@pytest.fixture
def postgres():
    store = Postgres().create()
    yield store
    store.drop()


@pytest.fixture
def sqlite(tmp_path):
    return SQLite(tmp_path)


@pytest.fixture
def relay(postgres):
    """Between `postgres` and whoever connects with its settings; closed at first."""
    relay = Relay(postgres.dsn)
    postgres.settings_of_store = postgres.settings
    postgres.settings = lambda **more: postgres.settings_of_store(**{"dsn": relay.dsn, **more})
    yield relay
    relay.close()


@pytest.fixture
def start(tmp_path):
    """start(store, **changes): a running daemon that writes to the store; stopped (exit code 0 asserted) at the end of the test."""
    running = []

    def start(store, ports=None, settings=None, **changes):
        directory = tmp_path / f"run-{len(running)}"
        directory.mkdir()
        daemon = collector.Daemon.with_config(directory, store.exporter, store.settings(**(settings or {})), ports, **changes)
        running.append(daemon)
        return daemon.start()

    yield start
    try:
        for daemon in running:
            if daemon.process is not None and not getattr(daemon, "ended", False):
                daemon.stop()
    finally:
        for daemon in running:
            daemon.kill()
            print(f"--- the daemon's log:\n{daemon.log()[-6000:]}")


@pytest.fixture
def timescaledb():
    if os.environ.get("COLLECTOR_TEST_TIMESCALEDB") != "1":
        pytest.skip("NO TIMESCALEDB ON THIS MACHINE")
