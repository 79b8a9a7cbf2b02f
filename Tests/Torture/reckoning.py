"""What was sent, acknowledged and stored, held against each other."""
from collections import Counter

LISTED_MAX = 20


def listed(numbers):
    """`3 spans: 1, 2, 9`, with long lists cut."""
    shown = ", ".join(str(number) for number in sorted(numbers)[:LISTED_MAX])
    return f"{len(numbers)} spans: {shown}{' ...' if len(numbers) > LISTED_MAX else ''}"


def numbers_of(requests):
    return {number for request in requests for number in request.numbers}


def always(_):
    return True


def reckon(sent, acknowledged, stored, excused=(), keeps=always, is_consistent=True):
    """The broken promises, as sentences.

    `sent`, `acknowledged`: requests; `stored`: the span number of every row; `excused`: requests whose record in the log the suite
    itself destroyed after they were acknowledged. They may be missing, but not be there twice. `keeps`: whether sampling keeps a trace,
    None where that is open; `is_consistent`: then it must be the same for all its spans.
    """
    rows = Counter(stored)
    trace_of = {number: trace for request in sent for number, trace in zip(request.numbers, request.traces)}
    kept = {number for number, trace in trace_of.items() if keeps(trace)}
    needed = numbers_of(acknowledged) - numbers_of(excused)
    missing = needed & kept - rows.keys()
    doubled = {number for number, count in rows.items() if count > 1}
    strangers = rows.keys() - trace_of.keys()
    unwanted = {number for number in rows.keys() & trace_of.keys() if keeps(trace_of[number]) is False}
    answered = {id(request) for request in acknowledged}
    torn = [request for request in sent if id(request) not in answered
            and 0 < len(rows.keys() & kept.intersection(request.numbers)) < len(kept.intersection(request.numbers))]
    broken = []
    if missing:
        broken.append(f"acknowledged and not stored: {listed(missing)}")
    if doubled:
        broken.append(f"stored more than once: {listed(doubled)}")
    if strangers:
        broken.append(f"stored and never sent: {listed(strangers)}")
    if unwanted:
        broken.append(f"stored though sampling drops them: {listed(unwanted)}")
    if torn:
        broken.append(f"requests that were not acknowledged and are stored in part: {len(torn)}, {listed(numbers_of(torn))}")
    open_ones = {number: trace_of[number] for number in needed if keeps(trace_of[number]) is None}
    if is_consistent and (split := split_traces(open_ones, rows)):
        broken.append(f"traces that are kept in part: {len(split)}, {listed(set().union(*split))}")
    return broken


def split_traces(trace_of, rows):
    """Of traces that are kept in part, the spans that are missing."""
    members = {}
    for number, trace in trace_of.items():
        members.setdefault(trace, set()).add(number)
    return [numbers - rows.keys() for numbers in members.values() if numbers & rows.keys() and numbers - rows.keys()]
