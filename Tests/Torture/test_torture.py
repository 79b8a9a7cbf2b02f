"""The suite is able to fail: what it must report is reported, by the reckoning, by a collector without a log, by its own tools."""
import errno
import os
import random
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "Integration")]

import faults  # noqa: E402
import plan  # noqa: E402
import segments  # noqa: E402
from proxy import TRAPS, Proxy  # noqa: E402
from reckoning import reckon  # noqa: E402

HERE = Path(__file__).parent


class Sent:
    """Each span is a trace of its own, called by its number, but for those of `trace`."""

    def __init__(self, *numbers, trace=None):
        self.numbers, self.traces = numbers, [trace or number for number in numbers]


class TestReckoning:
    first, second, third = Sent(1, 2), Sent(3), Sent(4, 5)
    sent = [first, second, third]

    def test_kept_promises_are_not_reported(self):
        assert reckon(self.sent, [self.first, self.second], [1, 2, 3]) == []
        assert reckon(self.sent, [self.first], [1, 2, 4, 5]) == []

    def test_a_lost_row_is_reported_with_its_number(self):
        broken, = reckon(self.sent, [self.first, self.second], [1, 3])
        assert broken == "acknowledged and not stored: 1 spans: 2"

    def test_an_acknowledgement_of_what_never_was_sent_on_is_reported(self):
        assert reckon(self.sent, self.sent, [1, 2, 3]) == ["acknowledged and not stored: 2 spans: 4, 5"]

    def test_a_doubled_row_is_reported_also_of_what_was_not_acknowledged(self):
        assert reckon(self.sent, [self.first], [1, 2, 2]) == ["stored more than once: 1 spans: 2"]
        assert reckon(self.sent, [], [3, 3, 3]) == ["stored more than once: 1 spans: 3"]

    def test_a_destroyed_record_excuses_loss_and_not_doubling(self):
        assert reckon(self.sent, [self.first], [], excused=[self.first]) == []
        assert reckon(self.sent, [self.first], [1, 2, 2], excused=[self.first]) == ["stored more than once: 1 spans: 2"]

    def test_strangers_and_halves_are_reported(self):
        assert reckon(self.sent, [], [9]) == ["stored and never sent: 1 spans: 9"]
        assert len(reckon(self.sent, [], [4])) == 1

    def test_rows_that_sampling_drops_are_reported_and_not_missed(self):
        def keeps(trace):
            return trace in (1, 3)
        assert reckon(self.sent, [self.first, self.second], [1, 3], keeps=keeps) == []
        assert reckon(self.sent, [self.first], [1, 2], keeps=keeps) == ["stored though sampling drops them: 1 spans: 2"]
        assert reckon(self.sent, [self.first, self.second], [1], keeps=keeps) == ["acknowledged and not stored: 1 spans: 3"]
        assert reckon(self.sent, [], [1], keeps=keeps) == [], "all of an unacknowledged request that is kept"

    def test_a_trace_in_part_is_reported(self):
        sent = [Sent(1, 2, trace="t"), Sent(3, trace="t"), Sent(4, trace="t")]
        for stored in ([], [1, 2, 3]):
            assert reckon(sent, sent[:2], stored, keeps=lambda _: None) == []
        assert reckon(sent, sent[:2], [1, 2], keeps=lambda _: None) == ["traces that are kept in part: 1, 1 spans: 3"]
        assert reckon(sent, sent[:2], [3], keeps=lambda _: None) == ["traces that are kept in part: 1, 2 spans: 1, 2"]
        assert reckon(sent, sent[:2], [3], keeps=lambda _: None, is_consistent=False) == []
        assert reckon(sent, sent, [1, 2, 3], excused=sent[2:], keeps=lambda _: None) == []


def test_a_collector_without_a_log_is_caught_losing_spans(tmp_path):
    """The whole suite, on a promise that is broken for certain: killed often, with batches that wait for seconds."""
    command = [sys.executable, HERE / "torture.py", "--without-log", "--only", "kill collector", "--rounds", "2", "--seed", "7",
               "--keep", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout
    assert "acknowledged and not stored" in done.stdout and "seed 7 round" in done.stdout and "kill collector" in done.stdout


def test_the_same_seed_makes_the_same_plan_and_all_events_occur():
    def texts(seed):
        return [[str(p := plan.make_plan(plan.round_random(seed, n))), *map(str, p.events)] for n in range(100)]
    assert texts(1) == texts(1) != texts(2)
    drawn = {event.name for n in range(300) for event in plan.make_plan(plan.round_random(3, n)).events}
    assert drawn == set(plan.EVENTS)
    assert {plan.make_plan(plan.round_random(3, n)).sampling.kinds for n in range(100)} == set(plan.SAMPLERS)


class Shimmed:
    """Calls made in a process under the shim."""

    def __init__(self, tmp_path, shadow=None):
        self.log, self.other = tmp_path / "log", tmp_path / "other"
        self.log.mkdir()
        self.other.mkdir()
        self.shim = faults.Shim(faults.build_shim(tmp_path), tmp_path / "control", self.log, shadow)

    def run(self, body):
        """The errno that Python code in a child fails with, 0 if it does not; `log` and `other` are directories."""
        code = (f"import os, sys\nlog, other = {str(self.log)!r}, {str(self.other)!r}\n"
                f"def new(d): return os.open(d + '/f', os.O_CREAT | os.O_RDWR)\n"
                f"try:\n    {body}\nexcept OSError as error:\n    sys.exit(error.errno)")
        return subprocess.run([sys.executable, "-c", code], env={**os.environ, **self.shim.environment}).returncode


@pytest.fixture
def shimmed(tmp_path):
    return Shimmed(tmp_path)


CALLS = {
    "write": "os.write(new(D), b'1234')", "pwrite": "os.pwrite(new(D), b'1234', 0)", "writev": "os.writev(new(D), [b'12', b'34'])",
    "pwritev": "os.pwritev(new(D), [b'12', b'34'], 0)", "fsync": "os.fsync(new(D))", "fdatasync": "os.fdatasync(new(D))",
    "posix_fallocate": "os.posix_fallocate(new(D), 0, 10)", "ftruncate": "os.ftruncate(new(D), 10)"}


@pytest.mark.parametrize("call", CALLS)
def test_shim_fails_calls_below_its_directory_and_no_others(shimmed, call):
    kind = {"w": "writes fail", "p": "writes fail", "f": "syncs fail"}[call[0]]
    kind = "no space for segments" if call in ("posix_fallocate", "ftruncate") else kind
    expected = faults.KINDS[kind][1]
    assert shimmed.run(CALLS[call].replace("D", "log")) == 0
    shimmed.shim.set(kind)
    assert shimmed.run(CALLS[call].replace("new(D)", "os.open(log + '/f', os.O_RDWR)")) == expected
    assert shimmed.run(CALLS[call].replace("D", "other")) == 0
    assert shimmed.shim.hits == 1
    shimmed.shim.clear()
    assert shimmed.run(CALLS[call].replace("D", "log")) == 0


def test_shim_fails_new_files_writes_shortly_and_counts_down(shimmed):
    shimmed.shim.set("no space for segments")
    assert shimmed.run("new(log)") == errno.ENOSPC and shimmed.run("new(other)") == 0
    shimmed.shim.clear()
    shimmed.shim.set("short writes")
    assert shimmed.run("f = new(log); assert os.pwritev(f, [b'123', b'456'], 0) == 3; assert os.write(f, b'12') == 1") == 0
    shimmed.shim.set("short writes, then none")
    shimmed.shim.clear()
    shimmed.shim.set("syncs fail", calls=1)
    assert shimmed.run("f = new(log)\n    try: os.fsync(f)\n    except OSError: os.fsync(f)\n    else: sys.exit(99)") == 0


def test_shadow_keeps_what_was_synced_under_names_that_were_synced(tmp_path):
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    shimmed = Shimmed(tmp_path, shadow)
    write, sync = "f = os.open(log + '/a.wal', os.O_CREAT | os.O_RDWR); os.pwrite(f, b'one', 0); os.fsync(f)", "os.fsync(os.open(log, 0))"
    assert shimmed.run(write) == 0
    assert [path.name for path in shadow.iterdir()] == ["a.wal.new"]
    assert shimmed.run(sync) == 0
    assert shimmed.run("f = os.open(log + '/a.wal', os.O_RDWR); os.pwrite(f, b'two', 4); os.fdatasync(f); os.pwrite(f, b'three', 0)") == 0
    assert [(path.name, path.read_bytes()) for path in shadow.iterdir()] == [("a.wal", b"one\0two")]
    shimmed.shim.set("syncs fail", calls=1)
    twice = "os.pwrite(f, b'T', 4)\n    try: os.fsync(f)\n    except OSError: os.fsync(f)"
    assert shimmed.run("f = os.open(log + '/a.wal', os.O_RDWR); " + twice) == 0
    assert (shadow / "a.wal").read_bytes() == b"one\0two", "the kernel does not write again what it could not write"
    assert shimmed.run(f"os.unlink(log + '/a.wal'); assert os.path.exists({str(shadow)!r} + '/a.wal'); {sync}") == 0
    assert not list(shadow.iterdir())


def test_power_cut_keeps_what_was_synced(tmp_path):
    page = faults.mmap.PAGESIZE
    outcomes = set()
    for seed in range(60):
        log, shadow = tmp_path / f"log{seed}", tmp_path / f"shadow{seed}"
        log.mkdir(), shadow.mkdir()
        (log / "a.wal").write_bytes(b"A" * page + b"B" * page + b"C" * page)
        (shadow / "a.wal").write_bytes(b"A" * page)
        (log / "new.wal").write_bytes(b"N")
        (shadow / "new.wal.new").write_bytes(b"N")
        (shadow / "gone.wal").write_bytes(b"G")
        faults.cut_power(random.Random(seed), log, shadow)
        files = {path.name: path.read_bytes() for path in log.iterdir()}
        assert files == {path.name: path.read_bytes() for path in shadow.iterdir()}
        data = files["a.wal"]
        assert data[:page] == b"A" * page and len(data) == 3 * page
        outcomes.add((data[page:page + 1], data[-1:], files.get("new.wal"), files.get("gone.wal")))
    assert {b for b, _, _, _ in outcomes} == {b"B", b"\0"} and {n for _, _, n, _ in outcomes} == {None, b"N", b"\0"}
    assert {g for _, _, _, g in outcomes} == {None, b"G"}


class Server:
    """Speaks as much PostgreSQL as the proxy looks at; keeps what it gets."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.got, self.closed = b"", threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        connection, _ = self.listener.accept()
        try:
            while data := connection.recv(1000):
                self.got += data
                if b"commit" in data:
                    connection.sendall(b"C committed")
        except OSError:
            pass
        self.closed.set()


def query(text):
    return b"Q" + struct.pack(">I", len(text) + 5) + text + b"\0"


@pytest.mark.parametrize("trap", TRAPS)
def test_proxy_does_to_a_commit_what_it_is_told(trap):
    server = Server()
    proxy = Proxy(server.listener.getsockname())
    proxy.arm((trap, 0.05))
    client = socket.create_connection(("127.0.0.1", proxy.port), 5)
    client.sendall(struct.pack(">II", 8, 196608) + query(b"begin") + query(b"COMMIT; ".strip().lower()))
    answer = client.recv(100)
    client.close()
    assert server.closed.wait(5)
    assert (b"commit" in server.got) == (trap != "before") and b"begin" in server.got
    assert (answer == b"C committed") == (trap in ("delayed", "answer late")) and (answer or trap not in ("delayed", "answer late"))
    assert proxy.sprung == 1
    proxy.close()
    server.listener.close()


def segment(*bodies):
    data = b"header".ljust(segments.SEGMENT_HEADER_BYTES, b"\0") * 2
    for kind, body in bodies:
        data += segments.RECORD_HEADER.pack(segments.MARKER, 0, kind, 1, 1, 0, len(body), 1, 2, 3, 4, 5, 0, 6)
        data += body + bytes(-len(body) % 8)
    return data + bytes(1000)


class Closed:
    def __init__(self, raw):
        self.raw = raw


def test_damage_hits_what_it_says(tmp_path):
    bodies = [(segments.REQUEST, b"first request"), (segments.RELEASES, b"release"), (segments.REQUEST, b"second request")]
    path, whole = tmp_path / f"{1:016x}.wal", segment(*bodies)
    first, second = Closed(b"first request"), Closed(b"second request")
    spans = {}
    path.write_bytes(whole)
    for record, name in zip(segments.records(path), ("first", "release", "second")):
        spans[name] = record.span()

    def changed():
        data = path.read_bytes().ljust(len(whole), b"\0")
        return [at for at in range(len(whole)) if data[at] != whole[at]]
    for seed in range(50):
        rng = random.Random(seed)
        path.write_bytes(whole)
        hit = segments.flip_in_record(rng, tmp_path, [second, Closed(b"not in the log")])
        assert hit is second and len(changed()) == 1 and changed()[0] in spans["second"]
        path.write_bytes(whole)
        assert segments.tear_last(rng, tmp_path, [first]) is None and not changed()
        assert segments.tear_last(rng, tmp_path, [first, second]) is second
        assert all(at in spans["second"] for at in changed())
        path.write_bytes(whole)
        segments.flip_elsewhere(rng, tmp_path)
        assert not any(at in spans["first"] or at in spans["second"] for at in changed())
        path.write_bytes(whole)
        count = segments.garbage_at_end(rng, tmp_path)
        assert count and all(at >= spans["second"].stop for at in changed())
        if path.read_bytes()[spans["second"].stop:].strip(b"\0"):
            assert segments.garbage_at_end(rng, tmp_path) == 0 or len(list(segments.records(path))) > 3
