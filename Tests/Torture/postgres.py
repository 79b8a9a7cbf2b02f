"""A PostgreSQL server of the suite's own, to be killed and restarted. It keeps every commit over a `kill -9`: nothing is relaxed but the
disk, which is memory where there is enough, so that syncs cost nothing."""
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psycopg

from ports import quiet_port

MEMORY = Path("/dev/shm")
MEMORY_FREE_BYTES_MIN = 2 << 30
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 5
SETTINGS = {
    "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "max_connections": "60", "shared_buffers": "32MB",
    "max_wal_size": "256MB", "listen_addresses": "127.0.0.1", "log_min_messages": "fatal", "autovacuum": "off",
    "restart_after_crash": "on", "jit": "off"}


def programs():
    """The directory of the newest installed server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    server = shutil.which("postgres")
    assert server, "no PostgreSQL server found; run `make deps-test`"
    return Path(server).resolve().parent


def place():
    """Where the server's files go: memory if there is room."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_FREE_BYTES_MIN:
        return MEMORY
    return Path(tempfile.gettempdir())


class Server:
    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="torture-pg.", dir=place()))
        self.bin = programs()
        self.port = quiet_port()
        self.process = None
        self.identity = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.home, user.pw_uid, user.pw_gid)
            self.identity = ["--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        # Trust: a throw-away server on a loopback port.
        self._run("initdb", "-D", self.home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8", "-N")

    def _run(self, program, *arguments):
        done = subprocess.run(["setpriv", *self.identity, self.bin / program, *arguments], cwd=self.home, capture_output=True, text=True)
        assert done.returncode == 0, f"{program}: {done.stderr}"

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def dsn(self, database, port=None):
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}?sslmode=disable"

    def start(self):
        """Also after a kill: backends of the killed server hold its memory until they notice, and nobody can start so long."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.is_running:
            self._launch()
            while self.is_running and not self._answers():
                assert time.monotonic() < deadline, f"the server does not start:\n{self.log()}"
                time.sleep(0.02)
            assert self.is_running or time.monotonic() < deadline, f"the server does not start:\n{self.log()}"

    def _launch(self):
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        # Dies with the suite, even when that is killed.
        command = ["setpriv", *self.identity, "--pdeathsig", "QUIT", self.bin / "postgres", "-D", self.home / "data", "-p", str(self.port),
                   "-c", f"unix_socket_directories={self.home}", *settings]
        with open(self.home / "server.log", "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.home, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _answers(self):
        try:
            psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
            return True
        except psycopg.Error:
            return False

    def log(self):
        path = self.home / "server.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def kill(self):
        if self.is_running:
            self.process.kill()
            self.process.wait()

    def kill_a_backend(self, database):
        """One of the database's sessions, by `kill -9`: the server takes all others down with it and recovers. False if there is none."""
        try:
            with psycopg.connect(self.dsn("postgres"), connect_timeout=5) as connection:
                rows = connection.execute("select pid from pg_stat_activity where datname = %s order by pid", [database]).fetchall()
        except psycopg.Error:
            return False
        try:
            os.kill(rows[0][0], signal.SIGKILL)
            return True
        except (IndexError, ProcessLookupError):
            return False

    def stop(self, mode="fast"):
        """`fast` breaks sessions off in order, `immediate` does not write anything any more and follows if `fast` takes too long (the
        server is recovering from a crash, say)."""
        signals = {"fast": [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL], "immediate": [signal.SIGQUIT, signal.SIGKILL]}[mode]
        for number in signals:
            if not self.is_running:
                return
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                pass

    def create(self):
        name = "torture_" + uuid.uuid4().hex[:12]
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return name

    def drop(self, name):
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"drop database if exists {name} with (force)")

    def close(self):
        try:
            self.stop("immediate")
        finally:
            self.kill()
            shutil.rmtree(self.home, ignore_errors=True)
