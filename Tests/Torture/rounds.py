"""One round: start, write and torture, calm down, wait until all is drained, reckon."""
import time

from chaos import Chaos
from daemon import wait_until
from reckoning import numbers_of, reckon
from world import World
from writer import Writer

# Draining ends without success when nothing more is stored or released for so long: with a log, doubts about a COMMIT are waited out.
STILL_SECONDS_MAX = 20
STILL_SECONDS_MAX_WITHOUT_LOG = 3
POLL_SECONDS = 0.05
# What the collector logs when its log takes no decisions: it goes on without.
UNWRITTEN = "decisions could not be written to the write-ahead log"


def is_close(found, expected):
    """Of (reason, adjusted count)."""
    return found[0] == expected[0] and abs(found[1] - expected[1]) < 1e-9 * expected[1]


class Round:
    def __init__(self, plan, rng, directory, server, disk, library):
        self.plan, self.rng = plan, rng
        self.world = World(plan, directory, server, disk, library)
        self.log_directory = self.world.log_directory
        self.writer, self.chaos = None, None
        self.stored = []

    def run(self):
        """The broken promises; none is good."""
        try:
            return self._run()
        finally:
            if self.writer:
                self.writer.stopping.set()
            self.world.close()

    def _run(self):
        world = self.world
        world.collector.launch().wait_until_it_answers()
        world.begin = time.monotonic()
        ports = world.collector.ports
        self.writer = Writer(self.rng, ports.grpc, ports.http, repeats=self.plan.with_log).start()
        self.chaos = Chaos(world, self.writer, self.rng)
        self.chaos.run()
        world.calm()
        world.note("calm")
        self.writer.stop()
        broken = list(self.writer.failures)
        self._drain()
        broken += self._bounded()
        world.collector.stop()
        world.note("stopped")
        broken += self._nothing_left()
        self.stored = world.store.span_numbers()
        broken += reckon(self.writer.requests, self.writer.acknowledged(), self.stored, self.chaos.excused, self.plan.sampling.keeps,
                         self._remembers_decisions())
        broken += self._columns()
        if broken:
            for line in world.store.evidence():
                world.note(f"doubled: {line}")
        return broken

    def _drain(self):
        """Until everything acknowledged is stored and the log is empty, or nothing moves any more; the reckoning tells which."""
        needed = {number for request in self.writer.acknowledged() for number, trace in zip(request.numbers, request.traces)
                  if self.plan.sampling.keeps(trace)} - numbers_of(self.chaos.excused)
        patience = STILL_SECONDS_MAX if self.plan.with_log else STILL_SECONDS_MAX_WITHOUT_LOG
        last, since = None, time.monotonic()
        while time.monotonic() - since < patience:
            state = (len(needed - set(self.world.store.span_numbers())), self._unreleased() if self.plan.with_log else 0)
            if state == (0, 0):
                return self.world.note("drained")
            if state != last:
                last, since = state, time.monotonic()
            time.sleep(POLL_SECONDS)
        self.world.note(f"NOT DRAINED: {last[0]} spans missing, {last[1]:.0f} requests in the log")

    def _unreleased(self):
        return self.world.collector.metric("collector_wal_unreleased_requests")

    def _bounded(self):
        """The log's files are within `max_size_mib` and hold nothing that is not stored; the collector is well."""
        if not self.plan.with_log:
            return []
        broken = []
        if self.world.collector.metric("collector_config_last_reload_successful") == 0:
            broken.append("the last reload of a valid configuration failed")
        size = sum(path.stat().st_size for path in self.log_directory.glob("*.wal"))
        if size > self.plan.settings["log_mib"] << 20:
            broken.append(f"the log has {size} bytes, more than max_size_mib")
        if left := self._unreleased():
            broken.append(f"{left:.0f} requests are in the log and are not released although everything is up")
        try:
            wait_until(lambda: self.world.collector.health()[1]["status"] == "ok", 10, "health")
        except AssertionError:
            broken.append(f"the collector is not well again: {self.world.collector.health()}")
        return broken

    def _remembers_decisions(self):
        """Whether each decision was in the log before it was carried out, and is there still."""
        return self.plan.with_log and not self.plan.damages_decisions and UNWRITTEN not in self.world.collector.log()

    def _columns(self):
        """Reason and adjusted count of each row are the trace's."""
        if not self.stored:
            return []
        found, sampling = self.world.store.span_columns(), self.plan.sampling
        wrong = [f"span {number}: {found[number]} instead of {expected}" for request in self.writer.requests
                 for number, trace in zip(request.numbers, request.traces)
                 if number in found and (expected := sampling.columns(trace)) and not is_close(found[number], expected)]
        return [f"wrong reason or adjusted count: {len(wrong)} spans, {'; '.join(wrong[:3])}"] if wrong else []

    def _nothing_left(self):
        """After an orderly stop the next run finds nothing to replay."""
        if not self.plan.with_log:
            return []
        collector = self.world.collector
        collector.launch().wait_until_it_answers()
        replayed = collector.metric("collector_wal_replayed_requests")
        collector.stop()
        return [f"after an orderly stop {replayed:.0f} requests were replayed"] if replayed else []

    def history(self):
        return self.world.history

    def summary(self):
        if not self.writer:
            return "nothing sent"
        acknowledged = self.writer.acknowledged()
        proxy = self.world.store.proxy
        return (f"{len(self.writer.requests)} requests, {len(acknowledged)} acknowledged, {len(numbers_of(acknowledged))} spans, "
                f"{len(self.stored)} rows, {self.world.collector.runs} runs, {self.world.hits} log faults, "
                f"{proxy.sprung if proxy else 0} commits trapped, {self.writer.hung} hung up on, {len(self.chaos.excused)} excused")
