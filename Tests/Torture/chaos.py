"""Carries out a plan's events, at their times, while the writer writes."""
import heapq
import sqlite3
import time

import segments
from faults import cut_power
from plan import change_settings

STOP_SECONDS_MAX = 20


class Chaos:
    def __init__(self, world, writer, rng):
        self.world, self.writer, self.rng = world, writer, rng
        # (time, number, what is undone then): outages end while other events go on.
        self.ends, self.number = [], 0
        # Requests whose record was destroyed on purpose.
        self.excused = []

    def run(self):
        for event in self.world.plan.events:
            self._wait_until(event.at)
            note = getattr(self, "_" + event.name.replace(" ", "_"))(**event.details)
            self.world.note(f"{event}{': ' + note if note else ''}")
        self._wait_until(self.world.plan.seconds)
        while self.ends:
            self._wait_until(self.ends[0][0])

    # Times are seconds since the world began.

    def _now(self):
        return time.monotonic() - self.world.begin

    def _wait_until(self, at):
        while self.ends and self.ends[0][0] <= max(at, self._now()):
            end, _, undo, name = heapq.heappop(self.ends)
            time.sleep(max(end - self._now(), 0))
            undo()
            self.world.note(f"end of {name}")
        time.sleep(max(at - self._now(), 0))

    def _pause(self, seconds):
        self._wait_until(self._now() + seconds)

    def _later(self, seconds, name, undo):
        self.number += 1
        heapq.heappush(self.ends, (self._now() + seconds, self.number, undo, name))

    # The collector. It is started at once after its time down; that it answers again is not waited for.

    def _down(self, seconds, between=None):
        """Killed, `between` is done, and started again after `seconds`; what `between` has to say."""
        self.world.collector.kill()
        note = between() if between else None
        self._pause(seconds)
        self.world.collector.launch()
        return note

    def _kill_collector(self, down):
        self._down(down)

    def _kill_collector_twice(self, down, after):
        self._down(down)
        self._pause(after)
        self._down(0)

    def _terminate_collector(self, down):
        collector = self.world.collector
        if collector.is_running and collector.health()[0] is not None:
            collector.process.terminate()
            began = self._now()
            while collector.is_running and self._now() < began + STOP_SECONDS_MAX:
                self._pause(0.01)
            code = collector.wait(0.1)
            assert code == 0, f"SIGTERM in mid-load: exit code {code} after {self._now() - began:.2f} s"
            note = f"ended after {self._now() - began:.2f} s"
        else:
            note = "it was not up yet: killed"
        self._down(down)
        return note

    def _reload(self):
        world = self.world
        world.settings = change_settings(self.rng, world.settings)
        world.write_configuration()
        # Before its handler is there the signal would end the process: an operator's mistake, not ours to make.
        if world.collector.is_running and world.collector.health()[0] is not None:
            world.collector.reload()
        return str({name: value for name, value in world.settings.items() if value != world.plan.settings[name]})

    # The log's files.

    def _damaged(self, down, damage):
        """Killed; `damage` is done to the log's files, for which a full disk has to have room."""
        def between():
            self.world.disk.free()
            return damage()
        return self._down(down, between)

    def _power_cut(self, down):
        """For the machine of the collector: what its log has not synced may be gone."""
        return self._damaged(down, lambda: f"{cut_power(self.rng, self.world.log_directory, self.world.shadow)} unsynced pages lost")

    def _excuse(self, request):
        if request is None:
            return "no such record"
        self.excused.append(request)
        return f"spans {request.numbers[0]} to {request.numbers[-1]}"

    def _flip_a_bit_in_a_record(self, down):
        return self._damaged(down, lambda: self._excuse(segments.flip_in_record(
            self.rng, self.world.log_directory, self.writer.acknowledged(closed=True))))

    def _flip_bits_anywhere_but_in_records(self, down):
        return self._damaged(down, lambda: f"{segments.flip_elsewhere(self.rng, self.world.log_directory)} flipped")

    def _tear_the_last_record(self, down):
        return self._damaged(down, lambda: self._excuse(segments.tear_last(
            self.rng, self.world.log_directory, self.writer.acknowledged(closed=True))))

    def _garbage_after_the_last_record(self, down):
        return self._damaged(down, lambda: f"{segments.garbage_at_end(self.rng, self.world.log_directory)} bytes")

    def _log_faults(self, kind, calls, seconds):
        self.world.shim.set(kind, calls)
        self._later(seconds, "log faults", self.world.shim.clear)

    def _disk_full(self, seconds):
        self.world.disk.fill()
        self._later(seconds, "disk full", self.world.disk.free)

    # PostgreSQL, and the way there.

    def _kill_postgres(self, seconds):
        self.world.server.kill()
        self._later(seconds, "killed postgres", self.world.server.start)

    def _kill_a_backend(self):
        return None if self.world.server.kill_a_backend(self.world.store.database) else "there was none"

    def _stop_postgres(self, mode, seconds):
        self.world.server.stop(mode)
        self._later(seconds, "stopped postgres", self.world.server.start)

    def _restart_postgres(self, mode):
        self.world.server.stop(mode)
        self.world.server.start()

    def _cut_connections(self):
        return f"{self.world.store.proxy.cut()} cut"

    def _refuse_connections(self, seconds):
        proxy = self.world.store.proxy
        self._later(seconds, "refused connections", lambda: setattr(proxy, "refusing", False))
        return f"{proxy.refuse()} cut"

    def _stall_connections(self, seconds):
        proxy = self.world.store.proxy
        proxy.stall()
        self._later(seconds, "stalled connections", proxy.flowing.set)

    def _trap_commits(self, traps):
        self.world.store.proxy.arm(*traps)

    def _trap_commits_and_kill_collector(self, traps, after, down):
        self.world.store.proxy.arm(*traps)
        self._pause(after)
        self._down(down)

    def _lock_database(self, seconds):
        """Somebody else writes to the SQLite file for that long."""
        if not self.world.store.path.exists():
            return "it is not there yet"
        connection = sqlite3.connect(self.world.store.path, timeout=0.5, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("begin immediate")
        except sqlite3.OperationalError:
            connection.close()
            return "could not lock it"
        self._later(seconds, "locked database", connection.close)
        return None
