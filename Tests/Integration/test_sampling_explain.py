"""`collector sampling explain`: what each policy says about a trace, and why."""
import json
import os
import subprocess

BINARY = os.environ["COLLECTOR_BINARY"]
CONFIG = """
receivers: {otlp: {protocols: {grpc: {}}}}
processors:
  genai: {}
  tail_sampling:
    policies:
      - {name: health, type: drop, drop: {drop_sub_policy: [{name: h, type: string_attribute,
          string_attribute: {key: http.route, values: [/health]}}]}}
      - {name: slow, type: latency, latency: {threshold_ms: 500}}
      - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
      - {name: dear, type: cost, cost: {min_usd: 0.01}}
      - {name: base, type: probabilistic, probabilistic: {sampling_percentage: 100}}
exporters: {nop: {}}
service: {pipelines: {traces: {receivers: [otlp], processors: [genai, tail_sampling], exporters: [nop]}}}
"""
START = 1_767_225_600_000_000_000


def span(trace, number, milliseconds=10, **rest):
    return {"traceId": f"{trace:032x}", "spanId": f"{number:016x}", "name": f"span {number}", "startTimeUnixNano": str(START),
            "endTimeUnixNano": str(START + milliseconds * 1_000_000), **rest}


def attributes(**values):
    return [{"key": key.replace("__", "."), "value": {"intValue": value} if isinstance(value, int) else {"stringValue": value}}
            for key, value in values.items()]


def explain(tmp_path, text, *arguments, config=CONFIG):
    path = tmp_path / "c.yaml"
    path.write_text(config)
    command = [BINARY, "sampling", "explain", "--config", path, *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


def request(*spans):
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})


def test_each_policy_says_whether_it_holds_and_why(tmp_path):
    spans = [span(1, 1, 600), span(1, 2, status={"code": 2}), span(2, 3, attributes=attributes(http__route="/health")), span(3, 4),
             span(4, 5, attributes=attributes(gen_ai__system="openai", gen_ai__request__model="gpt-4o", gen_ai__usage__input_tokens=100_000,
                                              gen_ai__usage__output_tokens=10_000))]
    result = explain(tmp_path, request(*spans), "--output", "json")
    assert result.returncode == 0, result.stderr
    traces = [json.loads(line) for line in result.stdout.splitlines()]
    told = [(trace["kept"], trace["policy"], [p["name"] for p in trace["policies"] if p["holds"]]) for trace in traces]
    assert told == [
        (True, "slow", ["slow", "errors", "base"]), (False, "health", ["health", "base"]), (True, "base", ["base"]),
        (True, "dear", ["dear", "base"])]
    reasons = {p["name"]: p["reasons"] for p in traces[0]["policies"]}
    assert reasons["slow"] == ["took 600 ms; at least 500 ms are asked for"]
    assert reasons["errors"] == ['status is ERROR: span "span 2" 0000000000000002']
    assert reasons["health"] == ['no span: http.route is "/health"']
    assert traces[3]["costUsd"] > 0.01 and traces[3]["totalTokens"] == 110_000


def test_text_names_the_decision_and_escapes_what_could_drive_a_terminal(tmp_path):
    result = explain(tmp_path, request(span(1, 1, name="\x1b[31mred", status={"code": 2})))
    assert "=> kept by errors, adjusted count 1" in result.stdout
    assert "\x1b" not in result.stdout and "\\u001b" in result.stdout


def test_faults_are_told_with_their_place_and_exit_code(tmp_path):
    bad = explain(tmp_path, request(span(1, 1)) + "\n{")
    assert bad.returncode == 2 and "standard input:2" in bad.stderr
    unsampled = CONFIG.split("  tail_sampling:")[0] + """exporters: {nop: {}}
service: {pipelines: {traces: {receivers: [otlp], processors: [genai], exporters: [nop]}}}
"""
    none = explain(tmp_path, "", config=unsampled)
    assert none.returncode == 1 and "nothing to explain" in none.stderr
    wrong = explain(tmp_path, "", "--processor", "tail_sampling/x")
    assert wrong.returncode == 1 and "--processor tail_sampling" in wrong.stderr
