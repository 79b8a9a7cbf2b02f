"""Real instrumentations make calls to a fake of their providers; each call's row must say what happened.

They are installed into an environment of their own by `make test-genai`; without it these tests are skipped.
"""
import os
import subprocess
from pathlib import Path

import pytest

from daemon import ROOT, wait_until
from stores import rows

from real import fake_providers

PYTHON = Path(os.environ.get("COLLECTOR_TEST_GENAI_PYTHON") or ROOT / ".venv-genai/bin/python")
CALLS = Path(__file__).parent / "real/calls.py"
MILLION = 1e6
# Prices of the shipped table, dollars per million tokens, and the fake's token counts.
GPT_4O = 80 * 2.5 / MILLION + 40 * 1.25 / MILLION + 30 * 10 / MILLION
GPT_4O_WITHOUT_CACHE = 120 * 2.5 / MILLION + 30 * 10 / MILLION
CLAUDE = 80 * 3 / MILLION + 40 * 0.3 / MILLION + 20 * 3.75 / MILLION + 30 * 15 / MILLION
EMBEDDING = 8 * 0.02 / MILLION


def openai_chat(finish="stop", cost=GPT_4O, cached=40, reasoning=10, **more):
    return {"provider": "openai", "model": "gpt-4o-2024-08-06", "prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150,
            "cached_tokens": cached, "reasoning_tokens": reasoning, "total_cost_usd": cost, "finish_reason": finish, **more}


def embedding(**more):
    return {"provider": "openai", "model": "text-embedding-3-small", "prompt_tokens": 8, "total_tokens": 8,
            "total_cost_usd": EMBEDDING, **more}


def claude(finish="end_turn", **more):
    return {"provider": "anthropic", "model": "claude-sonnet-4-5", "prompt_tokens": 140, "completion_tokens": 30, "total_tokens": 170,
            "cached_tokens": 40, "cache_write_tokens": 20, "total_cost_usd": CLAUDE, "finish_reason": finish, **more}


FAILED = {"model": "failing", "status_code": "ERROR", "prompt_tokens": None, "completion_tokens": None}
WHO = {"user_id": "user-1", "session_id": "session-1"}
NO_DETAILS = {"cached": None, "reasoning": None, "cost": GPT_4O_WITHOUT_CACHE}

# Per instrumentation and call: what its row says; and a piece of input and output where the instrumentation sends them.
EXPECTED = {
    "openai_v2": {
        "chat": (openai_chat(**NO_DETAILS), "How are you?", "All is well."),
        "stream": (openai_chat(**NO_DETAILS, finish=...), "Be brief.", "well."),
        "tool": (openai_chat("tool_calls", **NO_DETAILS), "How are you?", "weather"), "embeddings": (embedding(), None, None),
        "error": (FAILED, "How are you?", None)},
    "openinference_openai": {
        "chat": (openai_chat(**WHO), "How are you?", "All is well."), "stream": (openai_chat(**WHO, ttft_ms=...), "Be brief.", "well."),
        "tool": (openai_chat("tool_calls", **WHO), "How are you?", "weather"), "embeddings": (embedding(**WHO), "one text", None),
        "error": ({**FAILED, **WHO}, "How are you?", None)},
    "openinference_anthropic": {
        "chat": (claude(**WHO), "How are you?", "All is well."), "stream": (claude(**WHO), "Be brief.", "well."),
        "tool": (claude("tool_use", **WHO), "How are you?", "weather"), "error": ({**FAILED, **WHO}, "How are you?", None)},
    "openllmetry_openai": {
        "chat": (openai_chat(user_id="user-1"), "How are you?", "All is well."),
        "stream": (openai_chat(reasoning=None, ttft_ms=...), "Be brief.", "well."),
        "tool": (openai_chat("tool_call"), "How are you?", "weather"), "embeddings": (embedding(), "one text", None),
        "error": (FAILED, "How are you?", None)},
    "anthropic_sdk": {
        "chat": (claude(), None, None), "stream": (claude(ttft_ms=...), None, None), "tool": (claude("tool_use"), None, None),
        "error": (FAILED, None, None)},
    "langfuse": {
        "chat": (openai_chat(None, **WHO), "How are you?", "All is well."),
        "stream": (openai_chat(None, **WHO, ttft_ms=...), "Be brief.", "well."),
        "tool": (openai_chat(None, **WHO), "How are you?", "weather"), "embeddings": (embedding(**WHO), "one text", None),
        "error": ({**FAILED, **WHO}, "How are you?", None)},
    "pydantic_ai": {
        "chat": (openai_chat(session_id="session-1"), "How are you?", "All is well."),
        # Two spans tell of this call, its own and the SDK's.
        "chat anthropic": (claude("stop"), "Be brief.", "All is well.")},
}


@pytest.mark.parametrize("instrumentation", EXPECTED)
def test_each_call_of_a_real_instrumentation_has_the_right_row(sqlite, start, instrumentation):
    if not PYTHON.exists():
        pytest.skip("THE INSTRUMENTATIONS ARE NOT INSTALLED: `make test-genai` does it")
    daemon = start(sqlite, processors__genai=None, service__pipelines__traces__processors=["genai", "batch"])
    with fake_providers.running() as provider:
        done = subprocess.run([PYTHON, CALLS, instrumentation, provider, f"http://127.0.0.1:{daemon.ports.http}"], timeout=120,
                              capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    steps = EXPECTED[instrumentation]
    wait_until(lambda: sum(row["name"].startswith("step ") for row in rows(sqlite)) == len(steps), 20, "all steps")
    found = rows(sqlite)
    traces = {row["name"].removeprefix("step "): row["trace_id"] for row in found if row["name"].startswith("step ")}
    for step, (expected, asked, answered) in steps.items():
        calls = [row for row in found if row["trace_id"] == traces[step] and row["model"] is not None]
        counted = [row for row in calls if row["total_tokens"] is not None]
        assert len(counted) == (0 if step == "error" else 1), f"{step}: one call, one row that counts"
        row = counted[0] if counted else next((c for c in calls if c["input"]), calls[0])
        for column, value in expected.items():
            if value is ...:
                assert column == "finish_reason" or row[column] is not None and row[column] >= 0, (step, column)
            elif column == "total_cost_usd":
                assert row[column] == pytest.approx(value, rel=1e-9), (step, column)
            else:
                assert row[column] == value, (step, column, row[column])
        for column, text in (("input", asked), ("output", answered)):
            assert text is None or text in (row[column] or ""), (step, column, row[column])
