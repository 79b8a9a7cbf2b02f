"""What a round is going to do, all of it chosen by its seed; when exactly it meets which request is up to the machine."""
import random
from dataclasses import dataclass, field

from faults import KINDS
from proxy import TRAPS
from sampling import Sampling

EVENTS_MIN, EVENTS_MAX = 4, 9
SECONDS_MIN, SECONDS_MAX = 2.0, 4.5
SQLITE_SHARE = 0.2
GROUPING_SHARE = 0.3
# Weights of the samplers in a round's pipeline.
SAMPLERS = {(): 4, ("head",): 1, ("tail",): 4, ("head", "tail"): 1}
# Events that may destroy decisions in the log: a trace of which it tells nothing any more is decided about anew.
DAMAGE = {"flip a bit in a record", "flip bits anywhere but in records", "tear the last record", "garbage after the last record"}

# name: (weight, what it needs)
EVENTS = {
    "kill collector": (5, None),
    "kill collector twice": (2, None),
    "terminate collector": (2, None),
    "reload": (2, None),
    "flip a bit in a record": (2, "log"),
    "flip bits anywhere but in records": (1, "log"),
    "tear the last record": (1, "log"),
    "garbage after the last record": (1, "log"),
    "power cut": (4, "synced log"),
    "log faults": (5, "log"),
    "disk full": (2, "disk"),
    "kill postgres": (3, "postgres"),
    "kill a backend": (2, "postgres"),
    "stop postgres": (2, "postgres"),
    "restart postgres": (1, "postgres"),
    "cut connections": (2, "postgres"),
    "refuse connections": (2, "postgres"),
    "stall connections": (2, "postgres"),
    "trap commits": (6, "postgres"),
    "trap commits and kill collector": (3, "postgres"),
    "lock database": (4, "sqlite"),
}


@dataclass
class Event:
    at: float
    name: str
    details: dict = field(default_factory=dict)

    def __str__(self):
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.details.items())])


@dataclass
class Plan:
    store: str
    grouping: bool
    sampling: Sampling
    with_log: bool
    seconds: float
    events: list
    settings: dict

    @property
    def damages_decisions(self):
        return any(event.name in DAMAGE for event in self.events)

    def __str__(self):
        return (f"{self.store}{', groupbytrace' if self.grouping else ''}{self.sampling}{'' if self.with_log else ', no log'}, "
                f"{self.seconds:.1f} s, {self.settings}")


def round_random(seed, number):
    return random.Random(f"{seed}/{number}")


def make_plan(rng, with_log=True, has_disk=True, only=None, samplers=None):
    """`only`: names of the events to choose from; `samplers`: instead of drawn ones."""
    store = "sqlite" if rng.random() < SQLITE_SHARE else "postgres"
    if only and any(EVENTS[name][1] in ("postgres", "sqlite") for name in only):
        store = next(EVENTS[name][1] for name in only if EVENTS[name][1] in ("postgres", "sqlite"))
    settings = make_settings(rng)
    possible = {None, store} | ({"log"} if with_log else set()) | ({"disk"} if with_log and has_disk else set())
    if with_log and settings["sync"] == "always":
        possible.add("synced log")
    weights = {name: weight for name, (weight, need) in EVENTS.items() if need in possible and (not only or name in only)}
    seconds = rng.uniform(SECONDS_MIN, SECONDS_MAX)
    times = sorted(rng.uniform(0.1, seconds) for _ in range(rng.randint(EVENTS_MIN, EVENTS_MAX)))
    names = rng.choices(list(weights), list(weights.values()), k=len(times))
    events = [Event(at, name, details(rng, name)) for at, name in zip(times, names)]
    grouping, kinds = rng.random() < GROUPING_SHARE, rng.choices(list(SAMPLERS), list(SAMPLERS.values()))[0]
    return Plan(store, grouping, Sampling(kinds if samplers is None else samplers), with_log, seconds, events, settings)


def pause(rng, longest):
    """Seconds; mostly short."""
    return round(longest * rng.random() ** 2, 3)


def details(rng, name):
    if name == "log faults":
        return {"kind": rng.choice(list(KINDS)), "calls": rng.choice([1, 2, 5, -1, -1]), "seconds": pause(rng, 1.5)}
    if name.startswith("trap commits"):
        chosen = {"traps": [(rng.choice(TRAPS), pause(rng, 1.5)) for _ in range(rng.randint(1, 4))]}
        return chosen if name == "trap commits" else {**chosen, "after": pause(rng, 0.5), "down": pause(rng, 0.5)}
    if name == "stop postgres":
        return {"mode": rng.choice(["fast", "immediate"]), "seconds": pause(rng, 1.5)}
    if name == "restart postgres":
        return {"mode": rng.choice(["fast", "immediate"])}
    if name == "kill collector twice":
        return {"down": pause(rng, 0.3), "after": pause(rng, 0.5)}
    if name == "terminate collector" or name.startswith(("kill collector", "power", "flip", "tear", "garbage")):
        return {"down": pause(rng, 0.8)}
    return {} if name in ("reload", "kill a backend", "cut connections") else {"seconds": pause(rng, 1.5)}


def make_settings(rng):
    """What the configuration varies."""
    return {
        "timeout": rng.choice(["1ms", "20ms", "200ms"]), "batch": rng.choice([64, 512, 8192]), "consumers": rng.randint(1, 4),
        "queue": rng.choice([2, 20, 1000]), "wait": rng.choice(["100ms", "500ms", "1s"]), "traces": rng.choice([20, 100_000]),
        "shards": rng.choice([1, 2, 4]), "early": rng.random() < 0.5, "after_root": rng.choice(["0s", "0s", "50ms"]),
        "sync": rng.choice(["always", "always", "always", "interval"]), "log_mib": rng.choice([4, 8, 16])}


def change_settings(rng, settings):
    """One or two of those that a running collector can change."""
    changed = settings
    while changed == settings:
        fresh = make_settings(rng)
        names = rng.sample(["timeout", "batch", "consumers", "queue", "wait", "traces", "shards", "early"], rng.randint(1, 2))
        changed = {**settings, **{name: fresh[name] for name in names}}
    return changed
