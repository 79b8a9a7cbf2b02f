"""The golden table: attribute sets of all vocabularies, end to end, and back again."""
import otlp
from clients import http_export
from daemon import wait_until
from stores import LLM_COLUMNS, count, rows

import golden

MILLION = 1_000_000
PRICES = {"priced-1": {"input": 1, "output": 2, "cache_read": 0.5}, "free-1": {"input": 0, "output": 0}}


def genai(**settings):
    return {"processors__genai": settings, "service__pipelines__traces__processors": ["genai", "batch"]}


def by_name(store, message, daemon):
    assert http_export(daemon.ports.http, message).status == 200
    spans = sum(1 for _ in otlp.spans_of(message))
    wait_until(lambda: count(store) >= spans, 20, "all rows")
    return {row["name"]: row for row in rows(store)}


def test_each_attribute_set_gives_its_columns(store, start):
    cases = golden.cases()
    assert len(cases) >= 120 and len({case.name for case in cases}) == len(cases)
    message = golden.request(cases)
    found = by_name(store, message, start(store, **genai(prices=PRICES)))
    wrong = []
    for case in cases:
        row = found[case.name]
        got = {column: row[column] for column in LLM_COLUMNS if row[column] is not None}
        for column in [c for c in got if c.endswith("_usd") and isinstance(case.expected.get(c), float)]:
            if abs(got[column] - case.expected[column]) <= 1e-12:
                got[column] = case.expected[column]
        if got != case.expected:
            wrong.append(f"{case.name}\n  expected {case.expected}\n  found    {got}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_otlp_rebuilt_from_the_rows_equals_what_came_in(store, start):
    """Also where texts were moved to the columns."""
    message = golden.request(golden.cases())
    long = "läng " * 100
    group = message.resource_spans[0].scope_spans[0]
    for number, attributes in enumerate([
            [("gen_ai.prompt.0.role", "user"), ("gen_ai.prompt.0.content", long), ("gen_ai.completion.0.content", long + '"\\')],
            [("gen_ai.prompt.0.content", long), ("gen_ai.prompt.0.content", long + "2"), ("gen_ai.prompt.3.content", long + "3")],
            [("llm.prompts.1.prompt.text", long), ("llm.prompts.0.prompt.text", long + "0")],
            [("gen_ai.input.messages", [{"content": long, "n": 1.5, "raw": b"\x00\xff"}]), ("gen_ai.output.messages", {"column": "input"})],
            [("gen_ai.system_instructions", f'[ {{"content": "{long}"}}]'), ("gen_ai.input.messages", '[ {"a": "ü" }, 2]')],
            [("gen_ai.system_instructions", [long]), ("gen_ai.input.messages", ["ü", 1, 2.0])],
            [("gen_ai.system_instructions", long), ("gen_ai.input.messages", [])],
            [("input.value", "first"), ("input.value", "second"), ("output.value", "a\0b")],
            [("output.value", {"column": "output"}), ("other", {"column": ["input", 0]})]]):
        otlp.add_span(group, name=f"moved {number}", start_time_unix_nano=golden.START,
                      attributes=[("gen_ai.operation.name", "chat"), *attributes])
    found = by_name(store, message, start(store, **genai()))
    for group, scope, span in otlp.spans_of(message):
        assert otlp.from_row(found[span.name]) == otlp.from_message(group, scope, span)
    assert found["moved 0"]["attributes"].count("läng") == 0
    assert found["moved 5"]["input"].startswith('[{"role":"system","parts":["läng ')


def test_content_that_is_not_to_be_kept_is_nowhere(store, start):
    message = golden.request(golden.cases())
    secret = "s3cret"
    scope = message.resource_spans[0].scope_spans[0]
    for key in ["gen_ai.input.messages", "input.value", "gen_ai.prompt.0.content", "traceloop.entity.output", "ai.prompt"]:
        otlp.add_span(scope, name=f"{key}", attributes=[(key, secret), ("gen_ai.operation.name", "chat"), ("kept", 1)],
                      events=[{"name": "gen_ai.user.message", "attributes": [("content", secret)]}])
    found = by_name(store, message, start(store, **genai(capture_content=False)))
    assert secret not in repr(found)
    assert all(row["input"] is None and row["output"] is None for row in found.values())
    assert '"kept"' in found["input.value"]["attributes"] and found["input.value"]["dropped_attributes"] == 1
    assert found["input.value"]["dropped_events"] == 1 and found["input.value"]["events"] is None


def test_long_content_is_cut_at_a_character_with_a_marker(store, start):
    cases = golden.cases()[:1]
    message = golden.request(cases)
    scope = message.resource_spans[0].scope_spans[0]
    otlp.add_span(scope, name="whole", attributes=[("gen_ai.operation.name", "chat"), ("input.value", "ab" + "ü" * 100)])
    otlp.add_span(scope, name="gathered", attributes=[("gen_ai.operation.name", "chat"), ("gen_ai.prompt.0.content", "ü" * 100)])
    otlp.add_span(scope, name="short", attributes=[("gen_ai.operation.name", "chat"), ("input.value", "x" * 15)])
    found = by_name(store, message, start(store, **genai(content_max_bytes=15)))
    assert found["whole"]["input"] == "ab" + "ü" * 6 + "…[188 bytes cut]"
    assert found["gathered"]["input"].startswith('[{"content":"ü…[')
    assert found["short"]["input"] == "x" * 15


def test_a_prompt_of_10_megabytes_arrives_whole(store, start):
    prompt = "word " * (2 * MILLION)
    message = golden.request(golden.cases()[:1])
    otlp.add_span(message.resource_spans[0].scope_spans[0], name="large", attributes=[
        ("gen_ai.operation.name", "chat"), ("gen_ai.input.messages", prompt), ("gen_ai.output.messages", "x")])
    found = by_name(store, message, start(store, **genai()))
    assert found["large"]["input"] == prompt and '"word ' not in found["large"]["attributes"]
