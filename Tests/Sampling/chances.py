"""Yes, no, or a matter of chance: what a policy says of a trace, as a formula over hashes of the trace id.

A formula is a bool, or `Coin`, `AllOf`, `AnyOf` and `Opposite` over formulas. Its probability is exact also where the same hash
appears twice: per salt, the hash is uniform in [0, 1), and between the ratios that appear the formula does not change.
"""
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

DEFAULT_SALT = "default-hash-seed"
HASH_MAX = 2**64 - 1


@dataclass(frozen=True)
class Coin:
    """Yes for this share of trace ids, by the hash with this salt."""
    salt: str
    ratio: float


@dataclass(frozen=True)
class AllOf:
    parts: tuple


@dataclass(frozen=True)
class AnyOf:
    parts: tuple


@dataclass(frozen=True)
class Opposite:
    part: object


def coin(salt, percentage):
    ratio = percentage / 100
    return ratio >= 1 if ratio >= 1 or ratio <= 0 else Coin(salt or DEFAULT_SALT, ratio)


def all_of(parts):
    parts = tuple(part for part in parts if part is not True)
    return False if False in parts else AllOf(parts) if len(parts) > 1 else parts[0] if parts else True


def any_of(parts):
    parts = tuple(part for part in parts if part is not False)
    return True if True in parts else AnyOf(parts) if len(parts) > 1 else parts[0] if parts else False


def opposite(part):
    return not part if isinstance(part, bool) else Opposite(part)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & HASH_MAX
    return value


def threshold(ratio):
    """The largest hash that is kept: ratio x (2^64 - 1) in arithmetic of 64 bits, as Go's big.Float does it, cut to an integer."""
    exact = Fraction(ratio) * HASH_MAX
    shift = 64 - math.floor(exact).bit_length()
    return math.floor(round(exact * 2**shift) / Fraction(2**shift))


def holds(formula, is_yes):
    """Its value where `is_yes` tells the value of a coin."""
    match formula:
        case bool():
            return formula
        case Coin():
            return is_yes(formula)
        case AllOf(parts):
            return all(holds(part, is_yes) for part in parts)
        case AnyOf(parts):
            return any(holds(part, is_yes) for part in parts)
        case Opposite(part):
            return not holds(part, is_yes)


def holds_for(formula, trace):
    return holds(formula, lambda coin: fnv1a(coin.salt.encode() + trace) <= threshold(coin.ratio))


def coins(formula):
    match formula:
        case Coin():
            return {formula}
        case AllOf(parts) | AnyOf(parts):
            return set().union(*map(coins, parts))
        case Opposite(part):
            return coins(part)
    return set()


def probability(formula):
    """Of a yes, over all trace ids."""
    if isinstance(formula, bool):
        return float(formula)
    ratios = {}
    for found in coins(formula):
        ratios.setdefault(found.salt, set()).add(found.ratio)
    cells = []
    for salt, cuts in ratios.items():
        edges = [0.0, *sorted(cuts), 1.0]
        cells.append([(salt, low, high - low) for low, high in itertools.pairwise(edges)])
    total = 0.0
    for chosen in itertools.product(*cells):
        place = {salt: low for salt, low, _ in chosen}
        if holds(formula, lambda coin: place[coin.salt] < coin.ratio):
            total += math.prod(width for _, _, width in chosen)
    return total
