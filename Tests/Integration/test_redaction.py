"""The daemon with `pii_redaction`: nothing that the corpus labels reaches a store, a log or the debug exporter's output."""
import importlib.util
import json
from pathlib import Path

from clients import grpc_export
from daemon import fetch, run_cli, wait_until
from stores import count, rows

import otlp

CORPUS = Path(__file__).resolve().parents[1] / "RedactionTests" / "corpus.py"
KINDS = ["email", "phone", "credit_card", "us_ssn", "iban", "ip_address", "mac_address", "url_credentials", "us_itin", "uk_nhs",
         "uk_nino", "ca_sin", "au_tfn", "in_aadhaar", "crypto_wallet", "date_of_birth", "secrets"]
# Shorter ones occur by chance in ids and hashes.
VALUE_BYTES_MIN = 8


def corpus(seed, size):
    """Texts with their labelled values."""
    spec = importlib.util.spec_from_file_location("corpus", CORPUS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for line in module.lines(seed, size):
        text, *labels = line.rstrip(b"\n").split(module.SEPARATOR.encode())
        places = zip(map(int, labels[1::3]), map(int, labels[2::3]))
        yield text.decode(), [text[start:end].decode() for start, end in places]


def spans_with(texts):
    """Each text in another place of a span."""
    for number, text in enumerate(texts):
        place = number % 8
        if place == 0:
            yield {"attributes": {"text": text}}
        elif place == 1:
            yield {"attributes": {"list": ["x", text]}}
        elif place == 2:
            yield {"attributes": {"prompt": json.dumps({"messages": [{"content": text}]})}}
        elif place == 3:
            yield {"events": [{"name": "event", "attributes": {"message": text}}]}
        elif place == 4:
            yield {"status": (2, text)}
        elif place == 5:
            yield {"links": [{"trace_id": b"\1" * 16, "span_id": b"\2" * 8, "attributes": {"reason": {"inner": text}}}]}
        elif place == 6:
            # Moved to columns of their own.
            content = json.dumps([{"role": "user", "parts": [{"type": "text", "content": text}]}])
            yield {"attributes": {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o", "gen_ai.operation.name": "chat",
                                  "gen_ai.input.messages": content, "gen_ai.output.messages": content, "user.id": text}}
        else:
            yield {"name": text}


def settings(**more):
    return {"strategy": "hash", "hash_key": "0123456789abcdef-test", "detect": KINDS,
            "scan": ["attributes", "events", "name", "status_message", "resource"], **more}


RELATIONS = {"postgres": "select table_name from information_schema.tables where table_schema = 'public'",
             "sqlite": "select name from sqlite_master where type in ('table', 'view')"}


def stored_text(store):
    """Everything that the store's tables and views hold in any column, as one text."""
    names = [name for name, in store.query(RELATIONS[store.name])]
    assert {"traces", "resources", "llm_events"} <= set(names), names
    return "\n".join(repr(row) for name in names for row in store.query(f'select * from "{name}"'))


def test_no_labelled_value_is_found_anywhere(store, start):
    texts = list(corpus(11, 480))
    values = {value for _, labelled in texts for value in labelled if len(value) >= VALUE_BYTES_MIN}
    assert len(values) > 300
    daemon = start(
        store, processors__pii_redaction=settings(), processors__genai={}, exporters__debug={"verbosity": "detailed"},
        service__telemetry__logs={"level": "debug", "encoding": "console"},
        service__pipelines__traces__processors=["genai", "pii_redaction", "batch"],
        service__pipelines__traces__exporters=[store.exporter, "debug"])
    request = otlp.request(spans_with(text for text, _ in texts), resource={"owner": "jane.doe@example.com"})
    grpc_export(daemon.ports.grpc, request)
    wait_until(lambda: count(store) == len(texts), 30, f"{len(texts)} rows")
    found = stored_text(store)
    log = daemon.log()
    shown = fetch(f"http://127.0.0.1:{daemon.ports.metrics}/metrics")[1] + str(daemon.health())
    assert "sha256:" in found and "sha256:" in log and "gpt-4o" in found and "link" in log.lower()
    assert any("sha256:" in (row["input"] or "") and "sha256:" in (row["output"] or "") for row in rows(store))
    everywhere = found + log + shown
    assert "jane.doe" not in everywhere
    assert [value for value in sorted(values) if value in everywhere] == []
    assert daemon.metric("collector_redaction_values_total", processor="pii_redaction", kind="email") > 0


def test_a_pipeline_beside_it_gets_the_spans_as_they_came(store, start):
    daemon = start(
        store, processors__pii_redaction=settings(strategy="replace"), exporters__debug={"verbosity": "detailed"},
        service__pipelines__traces={"receivers": ["otlp"], "processors": ["pii_redaction", "batch"], "exporters": [store.exporter]},
        **{"service__pipelines__traces/plain": {"receivers": ["otlp"], "exporters": ["debug"]}})
    grpc_export(daemon.ports.grpc, otlp.request([{"attributes": {"to": "jane.doe@example.com"}}] * 20))
    wait_until(lambda: count(store) == 20, 20, "20 rows")
    assert "jane.doe" not in stored_text(store)
    assert daemon.log().count("jane.doe@example.com") == 20


def test_a_key_that_is_too_short_is_a_problem_with_its_place(tmp_path):
    (tmp_path / "collector.yaml").write_text(
        "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {nop: }\nprocessors:\n  pii_redaction:\n    hash_key: k7-tiny\n"
        "service: {pipelines: {traces: {receivers: [otlp], processors: [pii_redaction], exporters: [nop]}}}\n")
    result = run_cli("validate", "--config", str(tmp_path / "collector.yaml"))
    assert result.returncode == 1
    assert "collector.yaml:5:5: processors.pii_redaction.hash_key: must have at least 16 bytes" in result.stdout + result.stderr
    assert "k7-tiny" not in result.stdout + result.stderr
