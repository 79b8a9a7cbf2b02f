"""Costs against an independent calculation over LiteLLM's own price table, which the `litellm` package brings along.

The table is not in this repository: `make test-genai` installs the package. Without it these tests are skipped.
"""
import json
import os
import random
import re
from pathlib import Path

import pytest

import otlp
from clients import http_export
from daemon import ROOT, wait_until
from stores import count, rows

import golden

TABLE = "model_prices_and_context_window_backup.json"
RELATIVE_ERROR = 1e-9
MODES = {"chat", "responses", "completion", "embedding", "rerank", "moderation", None}
KINDS = {"in": "input_cost_per_token", "out": "output_cost_per_token", "read": "cache_read_input_token_cost",
         "write": "cache_creation_input_token_cost", "reasoning": "output_cost_per_reasoning_token"}


@pytest.fixture(scope="session")
def table_path():
    packages = sorted((ROOT / ".venv-genai/lib").glob("python3*/site-packages/litellm"))
    path = Path(os.environ.get("COLLECTOR_TEST_LITELLM_PRICES") or (packages[0] if packages else ROOT) / TABLE)
    if not path.is_file():
        pytest.skip("LITELLM IS NOT INSTALLED: costs were not compared with its price table; `make test-genai` does it")
    return path


def prices_for(entry, prompt):
    """The price of each kind for a prompt of that many tokens, from the documentation of the format."""
    prices = {kind: None if entry.get(key) is None else float(entry[key]) for kind, key in KINDS.items()}
    passed = 0
    for key in entry:
        found = re.fullmatch(r"input_cost_per_token_above_(\d+)k_tokens|output_cost_per_token_above_(\d+)k_tokens", key)
        if found and passed < int(found[1] or found[2]) * 1000 < prompt:
            passed = int(found[1] or found[2]) * 1000
    if passed:
        for kind, key in KINDS.items():
            price = entry.get(f"{key}_above_{passed // 1000}k_tokens")
            prices[kind] = prices[kind] if price is None else float(price)
    elif entry.get("tiered_pricing") and not any("_above_" in k and k.endswith("k_tokens") and "cost_per_token_above" in k for k in entry):
        tiers = sorted(entry["tiered_pricing"], key=lambda tier: tier["range"][0])
        chosen = next((t for t in reversed(tiers) if prompt > t["range"][0]), tiers[0])
        for kind, key in KINDS.items():
            own, first = chosen.get(key), tiers[0].get(key)
            prices[kind] = float(own) if own is not None else float(first) if first is not None else prices[kind]
    return prices


def expected_cost(entry, usage):
    prompt, completion, cached, write, reasoning = usage
    excluded = cached + write > prompt
    prices = prices_for(entry, prompt + cached + write if excluded else prompt)
    if (prices["in"] is None and prompt + cached + write) or (prices["out"] is None and completion):
        return None
    base = prices["in"] or 0.0
    plain = prompt if excluded else prompt - cached - write
    total = base * plain
    total += (base if prices["read"] is None else prices["read"]) * cached
    total += (base if prices["write"] is None else prices["write"]) * write
    if prices["reasoning"] is not None and reasoning <= completion:
        total += (prices["out"] or 0.0) * (completion - reasoning) + prices["reasoning"] * reasoning
    else:
        total += (prices["out"] or 0.0) * completion
    return total


def is_priced(entry):
    has_tokens = entry.get("input_cost_per_token") is not None or entry.get("output_cost_per_token") is not None
    return entry.get("mode") in MODES and (has_tokens or entry.get("tiered_pricing"))


def span(scope, name, model, usage, provider=None):
    prompt, completion, cached, write, reasoning = usage
    attributes = [("gen_ai.operation.name", "chat"), ("gen_ai.request.model", model), ("gen_ai.usage.input_tokens", prompt),
                  ("gen_ai.usage.output_tokens", completion), ("gen_ai.usage.cache_read.input_tokens", cached),
                  ("gen_ai.usage.cache_creation.input_tokens", write), ("gen_ai.usage.reasoning.output_tokens", reasoning)]
    if provider:
        attributes.append(("gen_ai.provider.name", provider))
    otlp.add_span(scope, name=name, attributes=attributes)


def costs(store, daemon, message):
    assert http_export(daemon.ports.http, message).status == 200
    spans = sum(1 for _ in otlp.spans_of(message))
    wait_until(lambda: count(store) >= spans, 60, "all rows")
    return {row["name"]: row["total_cost_usd"] for row in rows(store)}


def with_prices(path):
    return {"processors__genai": {"price_file": str(path)}, "service__pipelines__traces__processors": ["genai", "batch"]}


def test_costs_equal_an_independent_calculation(sqlite, start, table_path):
    table = {name: entry for name, entry in json.loads(table_path.read_text()).items() if name != "sample_spec" and is_priced(entry)}
    seed = random.randrange(2**32)
    print("seed", seed)
    generator = random.Random(seed)
    tiered = [n for n, e in table.items() if "tiered_pricing" in e or any(re.search(r"_above_\d+k_tokens$", k) for k in e)]
    models = generator.sample(sorted(set(table) - set(tiered)), 300) + generator.sample(tiered, 60)
    message = otlp.request()
    scope = message.resource_spans[0].scope_spans[0]
    expected = {}
    for model in models:
        for number in range(4):
            prompt = generator.choice([0, 1, 1_000, 31_999, 32_000, 32_001, 128_000, 128_001, 200_000, 200_001, 272_000, 272_001, 900_000])
            completion = generator.choice([0, 7, 5_000])
            usage = (prompt, completion, generator.choice([0, prompt // 2, prompt + 5]), generator.choice([0, 0, prompt // 3]),
                     generator.choice([0, completion // 2, completion + 1]))
            name = f"{model} #{number}"
            expected[name] = (expected_cost(table[model], usage), usage)
            span(scope, name, model, usage)
    found = costs(sqlite, start(sqlite, **with_prices(table_path)), message)
    wrong = [f"{name} {usage}: expected {cost}, found {found[name]}" for name, (cost, usage) in expected.items()
             if (cost is None) != (found[name] is None) or cost is not None and abs(found[name] - cost) > RELATIVE_ERROR * cost]
    assert not wrong, f"{len(wrong)} of {len(expected)}\n" + "\n".join(wrong[:30])
    assert sum(1 for cost, _ in expected.values() if cost) >= 300
    print(f"{len(expected)} pairs of model and usage, {len(models)} models")


@pytest.mark.parametrize("provider, model, key", [
    ("azure_openai", "gpt-4o", "azure/gpt-4o"),
    ("azure.ai.openai", "gpt-4.1-2025-04-14", "azure/gpt-4.1-2025-04-14"),
    ("openai", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
    ("openai", "gpt-4o-2031-01-01", "gpt-4o"),
    ("gcp.gemini", "gemini-2.5-pro", "gemini/gemini-2.5-pro"),
    ("mistral_ai", "mistral-large-latest", "mistral/mistral-large-latest"),
    ("groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
    ("anthropic", "claude-sonnet-4-5-20991231", "claude-sonnet-4-5"),
    ("aws.bedrock", "amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
    ("perplexity", "sonar-pro", "perplexity/sonar-pro"),
])
def test_the_price_is_that_of_the_longest_name_as_the_provider_sells_it(sqlite, start, table_path, provider, model, key):
    entry = json.loads(table_path.read_text())[key]
    message = otlp.request()
    usage = (1_000, 100, 0, 0, 0)
    span(message.resource_spans[0].scope_spans[0], "call", model, usage, provider)
    found = costs(sqlite, start(sqlite, **with_prices(table_path)), message)
    assert found["call"] == pytest.approx(expected_cost(entry, usage), rel=RELATIVE_ERROR)


@pytest.mark.parametrize("text, message", [
    (None, "cannot be read: No such file or directory"),
    ('{"gpt-4o": {"input_cost_per_token": -1e-06}}', "'gpt-4o': input_cost_per_token is negative"),
    ('{"gpt-4o": {"input_cost_per_token": "much"}}', "'gpt-4o': input_cost_per_token is no number"),
    ('{"gpt-4o": ', "invalid JSON at byte 11"), ("models: {gpt-4o: {input: -1}}", "models.gpt-4o.input: must be from 0.0"),
], ids=["missing", "negative", "type", "cut", "yaml"])
def test_a_bad_price_file_is_refused_at_the_start_with_file_and_key(tmp_path, text, message):
    import daemon
    path = tmp_path / "prices"
    if text is not None:
        path.write_text(text)
    config = tmp_path / "c.yaml"
    config.write_text(daemon.configuration(daemon.Ports(), "nop", None, **with_prices(path)))
    done = daemon.run_cli("run", "--config", config)
    assert done.returncode == 1
    assert f"{path}" in done.stdout + done.stderr and message in done.stdout + done.stderr


def test_a_changed_price_file_is_taken_over_while_running(sqlite, start, tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text("models: {acme: {input: 1, output: 1}}")
    daemon = start(sqlite, **with_prices(path))
    scope_of = lambda message: message.resource_spans[0].scope_spans[0]  # noqa: E731

    def cost(name):
        message = otlp.request()
        span(scope_of(message), name, "acme", (1_000_000, 0, 0, 0, 0))
        assert http_export(daemon.ports.http, message).status == 200
        wait_until(lambda: any(row["name"] == name for row in rows(sqlite)), 20, name)
        return next(row["total_cost_usd"] for row in rows(sqlite) if row["name"] == name)
    assert cost("before") == 1
    path.write_text("models: {acme: {input: -25, output: 1}}")
    wait_until(lambda: "price file refused" in daemon.log(), 30, "the bad file is refused")
    assert cost("refused") == 1
    path.write_text("models: {acme: {input: 2.5, output: 1}}")
    wait_until(lambda: "price file taken over" in daemon.log(), 30, "the new file is taken over")
    assert cost("after") == 2.5
