"""`collector redact`: people who write rules see what would be changed, before anything runs."""
import json
import subprocess

import pytest

import otlp
from clients import otlp_samples
from daemon import BINARY, run_cli

BASE = {"receivers": {"otlp": {"protocols": {"grpc": None}}}, "exporters": {"nop": None}}
KEY = "0123456789abcdef-test"
SECRET = "jane.doe@example.com"


def config(tmp_path, processors, pipelines):
    """A configuration with these processors, and a pipeline for each list of them."""
    path = tmp_path / "collector.yaml"
    path.write_text(json.dumps({
        **BASE, "processors": processors,
        "service": {"pipelines": {name: {"receivers": ["otlp"], "processors": used, "exporters": ["nop"]}
                                  for name, used in pipelines.items()}}}))
    return path


@pytest.fixture
def one(tmp_path):
    settings = {"strategy": "replace", "scan": ["attributes", "events", "name", "status_message", "resource"],
                "fields": ["span.attributes.user.name"], "rules": [{"detect": ["phone"], "strategy": "remove"}]}
    return config(tmp_path, {"pii_redaction": settings}, {"traces": ["pii_redaction"]})


def redact(path, text, *arguments):
    command = [str(BINARY), "redact", "--config", str(path), *arguments]
    return subprocess.run(command, input=text.encode(), capture_output=True, timeout=60)


def request(**fields):
    span = {"trace_id": b"\1" * 16, "span_id": b"\2" * 8, **fields}
    return json.loads(otlp_samples.otlp_json(otlp.request([span], resource={"owner": SECRET})))


def everywhere():
    return request(
        name=f"mail {SECRET}", status=(2, f"no such user: {SECRET}"),
        attributes={"user.name": "Jane", "list": ["x", f"to {SECRET}"], "map": {"inner": {"mail": SECRET}}, "phone": "+1 212-555-0187",
                    "prompt": json.dumps({"messages": [{"content": f"I am {SECRET}"}]})},
        events=[{"name": "first"}, {"name": "second", "attributes": {"message": f"from {SECRET}"}}])


def lines_of(result):
    return [line.split() for line in result.stdout.decode().splitlines() if line.startswith("  ")]


def test_each_value_is_listed_with_its_place_kind_strategy_and_what_takes_its_place(one):
    result = redact(one, json.dumps(everywhere()))
    assert result.returncode == 0, result.stderr
    text = result.stdout.decode()
    assert SECRET not in text and "Jane" not in text
    words = ("email", "phone", "field", "replace", "remove")
    found = {(line[0], *[word for word in line if word in words], line[-1]) for line in lines_of(result)}
    assert found == {
        ("resource.attributes.owner", "email", "replace", '"<EMAIL>"'),
        ("span.attributes.user.name", "field", "replace", '"<REDACTED>"'),
        ("span.attributes.list[1]", "email", "replace", '"<EMAIL>"'),
        ("span.attributes.map.inner.mail", "email", "replace", '"<EMAIL>"'),
        ("span.attributes.phone", "phone", "remove", "removed"),
        ("span.attributes.prompt", "email", "replace", '"<EMAIL>"'),
        ("event.attributes.message", "email", "replace", '"<EMAIL>"'),
        ("span.name", "email", "replace", '"<EMAIL>"'),
        ("span.status.message", "email", "replace", '"<EMAIL>"')}
    assert "event.attributes.message (event 2) at byte 5" in text
    assert f'span "mail <EMAIL>" trace_id={"01" * 16} span_id={"02" * 8}' in text
    assert text.splitlines()[-1] == "1 of 1 spans changed; 9 values: 7 email, 1 field, 1 phone"


def test_values_are_printed_when_asked_for(one):
    result = redact(one, json.dumps(request(attributes={"to": SECRET, "tel": "+1 212-555-0187"})), "--show-values")
    assert f'"{SECRET}" -> "<EMAIL>"' in result.stdout.decode()
    assert '"+1 212-555-0187" removed' in result.stdout.decode()


def test_json_output_is_the_spans_as_they_come_out_and_changes_nothing_when_read_again(one):
    plain = request(attributes={"n": 3, "d": 0.1, "list": [True, "x"], "empty": ""},
                    links=[{"trace_id": b"\3" * 16, "span_id": b"\4" * 8}])
    text = json.dumps(everywhere()) + "\n" + json.dumps(plain)
    result = redact(one, text, "--output", "json")
    assert result.returncode == 0, result.stderr
    first, second = map(json.loads, result.stdout.splitlines())
    assert SECRET not in result.stdout.decode()
    attributes = first["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    assert [a["key"] for a in attributes] == ["user.name", "list", "map", "prompt"]
    unredacted = json.loads(json.dumps(first).replace("<EMAIL>", SECRET))
    assert unredacted["resourceSpans"][0]["resource"] == everywhere()["resourceSpans"][0]["resource"]
    assert b"2 spans changed; 10 values: " in result.stderr
    # `user.name` is taken whole again; the rest is as it was.
    again = redact(one, result.stdout.decode(), "--output", "json")
    assert again.stdout == result.stdout
    assert [span["attributes"] for span in second["resourceSpans"][0]["scopeSpans"][0]["spans"]] == [
        span["attributes"] for span in plain["resourceSpans"][0]["scopeSpans"][0]["spans"]]


def test_spans_in_which_nothing_is_found_come_out_as_they_went_in(one):
    tree = request(attributes={"n": 3}, events=[{"name": "e", "attributes": {"b": b"\0\xff"}}])
    tree["resourceSpans"][0]["resource"] = {"attributes": []}
    result = redact(one, json.dumps(tree), "--output", "json")
    out = json.loads(result.stdout)
    assert tree["resourceSpans"][0]["scopeSpans"] == out["resourceSpans"][0]["scopeSpans"]
    assert redact(one, json.dumps(tree)).stdout.decode() == "1 spans, nothing found\n"


def test_requests_may_be_one_per_line_or_spread_over_lines_and_come_from_a_file(one, tmp_path):
    spread = json.dumps(request(attributes={"to": SECRET}), indent=2)
    (tmp_path / "spans.json").write_text(f"\n{spread}\n\n{json.dumps(request(attributes={'a': 1}))}\n{spread}")
    result = redact(one, "", str(tmp_path / "spans.json"))
    assert result.returncode == 0
    assert result.stdout.decode().splitlines()[-1] == "2 of 3 spans changed; 5 values: 5 email"


@pytest.mark.parametrize("text, message", [
    ("{}\n\n[]", "standard input:3: a request begins with {"),
    ('{}\n{"resourceSpans": [\n', "standard input:2: the request that begins here does not end"),
    ('{}\n{"resourceSpans": 7}', "standard input:2: resourceSpans must be an array"),
    ('{"resourceSpans" 7}', "standard input:1: the document is not JSON"),
])
def test_bad_input_is_exit_code_2_with_the_line(one, text, message):
    result = redact(one, text)
    assert (result.returncode, result.stderr.decode().strip().splitlines()[-1]) == (2, message)


def test_a_file_that_is_not_there_is_bad_input(one, tmp_path):
    result = redact(one, "", str(tmp_path / "nowhere.json"))
    assert result.returncode == 2
    assert "nowhere.json: cannot be read: No such file or directory" in result.stderr.decode()


def test_spans_without_ids_are_said_to_be_left_out(one):
    tree = request(attributes={"to": SECRET})
    tree["resourceSpans"][0]["scopeSpans"][0]["spans"].append({"name": "no ids"})
    result = redact(one, "\n" + json.dumps(tree))
    assert result.returncode == 0
    assert "standard input:2: 1 spans without valid ids are left out" in result.stderr.decode()


def test_a_name_cannot_drive_the_terminal_or_begin_a_line(one):
    result = redact(one, json.dumps(request(name="a\x1b[31m\n  span.name", attributes={"to\n  x": SECRET})))
    assert b"\x1b" not in result.stdout
    assert [line for line in result.stdout.decode().splitlines() if line.startswith("  x")] == []


def test_a_configuration_at_fault_is_exit_code_1(tmp_path):
    path = config(tmp_path, {"pii_redaction": {"strategy": "hide"}}, {"traces": ["pii_redaction"]})
    result = redact(path, "{}")
    assert result.returncode == 1 and b"processors.pii_redaction.strategy" in result.stderr
    result = redact(config(tmp_path, {"batch": {}}, {"traces": ["batch"]}), "{}")
    assert result.returncode == 1 and b"no pipeline has a pii_redaction processor" in result.stderr


@pytest.fixture
def several(tmp_path):
    masks, replaces = {"strategy": "mask"}, {"strategy": "replace", "detect": ["phone"]}
    pipelines = {"traces": ["pii_redaction", "batch"], "traces/both": ["pii_redaction", "pii_redaction/phones"], "traces/none": ["batch"]}
    return config(tmp_path, {"pii_redaction": masks, "pii_redaction/phones": replaces, "batch": {}}, pipelines)


def test_with_several_pipelines_the_choices_are_listed(several):
    result = redact(several, "{}")
    assert result.returncode == 1
    assert "--pipeline traces   (pii_redaction)\n" in result.stderr.decode()
    assert "--pipeline traces/both   (pii_redaction, pii_redaction/phones)" in result.stderr.decode()
    result = redact(several, "{}", "--pipeline", "traces/none")
    assert result.returncode == 1 and b"'traces/none' does not redact; choose from: traces, traces/both" in result.stderr
    result = redact(several, "{}", "--processor", "batch")
    assert result.returncode == 1 and b"choose from: pii_redaction, pii_redaction/phones" in result.stderr


def test_the_processors_of_a_pipeline_run_in_their_order(several):
    text = json.dumps(request(attributes={"to": "+1 212-555-0187"}))
    result = redact(several, text, "--pipeline", "traces/both", "--output", "json")
    assert b'"***************"' in result.stdout
    assert b'"<PHONE>"' in redact(several, text, "--processor", "pii_redaction/phones", "--output", "json").stdout
    assert b"by pii_redaction" in redact(several, text, "--pipeline", "traces/both").stdout


def test_it_says_that_hashes_of_a_random_key_differ(tmp_path):
    text = json.dumps(request(attributes={"to": SECRET}))
    random = config(tmp_path, {"pii_redaction": {"strategy": "hash"}}, {"traces": ["pii_redaction"]})
    assert b"without hash_key" in redact(random, text).stderr
    fixed = config(tmp_path, {"pii_redaction": {"strategy": "hash", "hash_key": KEY}}, {"traces": ["pii_redaction"]})
    assert b"hash_key" not in redact(fixed, text).stderr
    assert redact(fixed, text).stdout == redact(fixed, text).stdout


def test_help_names_it():
    assert "redact " in run_cli("--help").stdout
