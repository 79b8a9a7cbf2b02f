"""Configurations drawn at random: any policies in any combination, with any waits."""
from configurations import ALONE, chance, composite, conjunction, drop, negation

PARTS_MAX, POLICIES_MAX, DEPTH_MAX = 3, 6, 3
# The ones that stand on top alone: the collector, as Go's, takes no composite as a part of another policy.
LEAVES = [policy for policy in ALONE if policy["type"] not in ("and", "not", "composite", "drop")]


def leaf(rng):
    if rng.random() < 0.25:
        return chance(rng.choice([0, 1, 7.5, 25, 50, 90, 100]), rng.choice([None, None, "a", "b"]))
    return rng.choice(LEAVES)


def part(rng, depth):
    """A policy inside another one."""
    kind = rng.random()
    if depth >= DEPTH_MAX or kind < 0.6:
        return leaf(rng)
    if kind < 0.8:
        return negation(f"not-{rng.getrandbits(32)}", part(rng, depth + 1))
    return conjunction(f"and-{rng.getrandbits(32)}", *parts(rng, depth + 1))


def parts(rng, depth):
    found = [part(rng, depth) for _ in range(rng.randint(1, PARTS_MAX))]
    return [one | {"name": f"{number}-{one['name']}"} for number, one in enumerate(found)]


def policy(rng, number):
    kind, name = rng.random(), f"policy-{number}"
    if kind < 0.45:
        return leaf(rng) | {"name": name}
    if kind < 0.6:
        return drop(name, *parts(rng, 1))
    if kind < 0.8:
        return conjunction(name, *parts(rng, 1))
    if kind < 0.9:
        return negation(name, part(rng, 1))
    return composite(name, *parts(rng, 1))


def section(rng):
    """A section of `tail_sampling`, and a number of shards."""
    found = {"decision_wait": rng.choice(["3.1s", "10.1s", "10.1s"]), "decide_early": rng.random() < 0.6,
             "policies": [policy(rng, number) for number in range(rng.randint(1, POLICIES_MAX))]}
    if rng.random() < 0.3:
        found["decision_wait_after_root_received"] = rng.choice(["0.6s", "2.1s"])
    return found, rng.choice([1, 1, 2, 5])
