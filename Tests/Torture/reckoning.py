"""What was sent, acknowledged and stored, held against each other."""
from collections import Counter

LISTED_MAX = 20


def listed(numbers):
    """`3 spans: 1, 2, 9`, with long lists cut."""
    shown = ", ".join(str(number) for number in sorted(numbers)[:LISTED_MAX])
    return f"{len(numbers)} spans: {shown}{' ...' if len(numbers) > LISTED_MAX else ''}"


def numbers_of(requests):
    return {number for request in requests for number in request.numbers}


def reckon(sent, acknowledged, stored, excused=()):
    """The broken promises, as sentences.

    `sent`, `acknowledged`: requests; `stored`: the span number of every row; `excused`: requests whose record in the log the suite
    itself destroyed after they were acknowledged. They may be missing, but not be there twice.
    """
    rows = Counter(stored)
    missing = numbers_of(acknowledged) - numbers_of(excused) - rows.keys()
    doubled = {number for number, count in rows.items() if count > 1}
    strangers = rows.keys() - numbers_of(sent)
    answered = {id(request) for request in acknowledged}
    torn = [r for r in sent if id(r) not in answered and 0 < sum(number in rows for number in r.numbers) < len(r.numbers)]
    broken = []
    if missing:
        broken.append(f"acknowledged and not stored: {listed(missing)}")
    if doubled:
        broken.append(f"stored more than once: {listed(doubled)}")
    if strangers:
        broken.append(f"stored and never sent: {listed(strangers)}")
    if torn:
        broken.append(f"requests that were not acknowledged and are stored in part: {len(torn)}, {listed(numbers_of(torn))}")
    return broken
