"""Reads `Fixtures/golden.txt`: attribute sets, and the columns that they must give."""
import ast
import json
import re
from pathlib import Path

import otlp

FIXTURE = Path(__file__).parent / "Fixtures/golden.txt"
START = 1_767_268_800_000_000_000
MILLISECOND = 1_000_000
COLUMNS = {"prompt": "prompt_tokens", "completion": "completion_tokens", "total": "total_tokens", "cached": "cached_tokens",
           "cache_write": "cache_write_tokens", "reasoning": "reasoning_tokens", "cost": "total_cost_usd", "finish": "finish_reason",
           "prompt_cost": "prompt_cost_usd", "completion_cost": "completion_cost_usd", "user": "user_id", "session": "session_id"}


class Case:
    def __init__(self, name):
        self.name, self.scope, self.attributes, self.events, self.expected = name, "tests", [], [], None


def cases():
    found = []
    for number, line in enumerate(FIXTURE.read_text().split("\n"), 1):
        try:
            _read(line, found)
        except (ValueError, SyntaxError, IndexError, AttributeError) as error:
            raise AssertionError(f"{FIXTURE}:{number}: {error}") from error
    assert all(case.expected is not None for case in found)
    return found


def _read(line, found):
    if not line or line.startswith("#"):
        return
    if line.startswith("== "):
        found.append(Case(line[3:]))
        return
    case = found[-1]
    if line.startswith("@scope "):
        case.scope = line[7:]
    elif line.startswith("@event "):
        name, delay, rest = re.fullmatch(r"@event (.+) \+(\d+)ms ?(.*)", line).groups()
        case.events.append({"name": name, "time_unix_nano": START + int(delay) * MILLISECOND,
                            "attributes": [tuple(pair.split("=", 1)) for pair in rest.split()]})
    elif line.startswith(">"):
        call = ast.parse(f"dict({line[1:]})", mode="eval").body
        case.expected = {COLUMNS.get(word.arg, word.arg): ast.literal_eval(word.value) for word in call.keywords}
    else:
        key, sign, value = re.fullmatch(r"(\S+?)(:| =) (.*)", line).groups()
        case.attributes.append((key, json.loads(value) if sign == " =" else value))


def request(cases):
    """One request; the spans' names are the cases', each in a trace of its own."""
    message = otlp.request()
    group = message.resource_spans[0]
    del group.scope_spans[:]
    for case in cases:
        scope_spans = group.scope_spans.add()
        scope_spans.scope.name = case.scope
        otlp.add_span(scope_spans, name=case.name, start_time_unix_nano=START, end_time_unix_nano=START + 1000 * MILLISECOND,
                      attributes=case.attributes, events=case.events)
    return message
