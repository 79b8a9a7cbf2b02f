"""`attributes`, `resource` and `redaction` with the configurations that the Go collector's contrib documents, fed by the real SDK."""
import hashlib
import json

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from daemon import Daemon, run_cli, wait_until
from stores import count, rows

# From the processors' README files.
ATTRIBUTES = r"""
attributes/example:
  actions:
    - key: db.table
      action: delete
    - key: redacted_span
      value: true
      action: upsert
    - key: copy_key
      from_attribute: key_original
      action: update
    - key: account_id
      value: 2245
      action: insert
    - key: account_password
      action: delete
    - key: account_email
      action: hash
    - key: http.status_code
      action: convert
      converted_type: int
    # Use default_value when source attribute doesn't exist
    - key: region
      from_attribute: cloud.region
      default_value: "us-east-1"
      action: insert
attributes/regex_insert:
  actions:
    - key: "http.url"
      pattern: ^(?P<http_protocol>.*):\/\/(?P<http_domain>.*)\/(?P<http_path>.*)(?:\?|\&)(?P<http_query_params>.*)
      action: extract
attributes/selectiveprocessing:
  include:
    match_type: strict
    services: ["svcA", "svcB"]
  exclude:
    match_type: strict
    attributes:
      - { key: redact_trace, value: false}
  actions:
    - key: credit_card
      action: delete
    - key: duplicate_key
      action: delete
resource:
  attributes:
  - key: cloud.availability_zone
    value: "zone-1"
    action: upsert
  - key: k8s.cluster.name
    from_attribute: k8s-cluster
    action: insert
  - key: redundant-attribute
    action: delete
"""
REDACTION = r"""
redaction:
  # allow_all_keys is a flag that disables the allowed_keys list when set to true.
  allow_all_keys: false
  allowed_keys:
    - description
    - group
    - id
    - name
  # Any keys in this list are allowed so they don't need to be in both lists.
  ignored_keys:
    - safe_attribute
  redact_all_types: true
  blocked_key_patterns:
    - ".*token.*"
    - ".*api_key.*"
  blocked_values:
    - "4[0-9]{12}(?:[0-9]{3})?" ## Visa credit card number
    - "(5[1-5][0-9]{14})"       ## MasterCard number
  allowed_values:
    - ".+@mycompany.com"
  hash_function: md5
  summary: debug
"""
NAMES = ["attributes/example", "attributes/regex_insert", "attributes/selectiveprocessing", "resource"]


@pytest.fixture
def started(tmp_path, sqlite):
    """started(names, yaml): a daemon that runs the named processors before `batch`; their YAML is a file of its own, unchanged."""
    running = []

    def started(names, processors):
        extra = tmp_path / "processors.yaml"
        extra.write_text("processors:\n" + "".join(f"  {line}\n" for line in processors.splitlines()))
        daemon = Daemon.with_config(
            tmp_path, sqlite.exporter, sqlite.settings(), service__pipelines__traces__processors=[*names, "batch"])
        daemon.arguments += ["--config", str(extra)]
        running.append(daemon)
        return daemon.start()

    yield started
    try:
        for daemon in running:
            daemon.stop()
    finally:
        for daemon in running:
            daemon.kill()
            print(daemon.log()[-6000:])


def send(daemon, spans, resource):
    """Ends one span of the SDK for each dictionary of attributes."""
    provider = TracerProvider(resource=Resource(resource))
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{daemon.ports.grpc}", insecure=True)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("app", "2.1")
    for number, attributes in enumerate(spans):
        with tracer.start_as_current_span(f"span {number}", kind=trace.SpanKind.CLIENT, attributes=attributes) as span:
            span.add_event("event", {key: attributes[key] for key in ("notes", "description") if key in attributes})
    provider.shutdown()


def stored(sqlite, total):
    """Rows by the names of their spans."""
    wait_until(lambda: count(sqlite) == total, 20, f"{total} rows")
    return {row["name"]: row for row in rows(sqlite)}


def test_documented_actions_do_what_they_say(sqlite, started):
    daemon = started(NAMES, ATTRIBUTES)
    spans = [
        {"db.table": "users", "copy_key": "old", "key_original": "new", "account_password": "hunter2",
         "account_email": "jane@example.com", "http.status_code": "404", "credit_card": "4111111111111111",
         "http.url": "http://example.com/path?queryParam1=value1,queryParam2=value2"},
        {"account_id": 7, "redacted_span": "was a text", "http.status_code": "12abc", "cloud.region": "eu-central-1",
         "redact_trace": False, "credit_card": "kept, for the span is excluded"},
        {"key_original": "alone"}]
    send(daemon, spans, {"service.name": "svcA", "k8s-cluster": "c1", "redundant-attribute": "x"})
    found = stored(sqlite, 3)
    assert json.loads(found["span 0"]["attributes"]) == {
        "copy_key": "new", "key_original": "new", "account_email": hashlib.sha256(b"jane@example.com").hexdigest(),
        "http.status_code": 404, "redacted_span": True, "account_id": 2245, "region": "us-east-1",
        "http.url": "http://example.com/path?queryParam1=value1,queryParam2=value2", "http_protocol": "http",
        "http_domain": "example.com", "http_path": "path", "http_query_params": "queryParam1=value1,queryParam2=value2"}
    assert json.loads(found["span 1"]["attributes"]) == {
        "account_id": 7, "redacted_span": True, "http.status_code": "12abc", "cloud.region": "eu-central-1", "region": "eu-central-1",
        "redact_trace": False, "credit_card": "kept, for the span is excluded"}
    assert json.loads(found["span 2"]["attributes"]) == {
        "key_original": "alone", "redacted_span": True, "account_id": 2245, "region": "us-east-1"}
    for row in found.values():
        assert json.loads(row["resource_attributes"]) == {
            "service.name": "svcA", "k8s-cluster": "c1", "cloud.availability_zone": "zone-1", "k8s.cluster.name": "c1"}
    assert daemon.metric("collector_attribute_actions_changed_total", processor="attributes/example") == 3
    assert daemon.metric("collector_attribute_actions_changed_total", processor="attributes/selectiveprocessing") == 1


def test_a_service_that_is_not_included_is_left_alone(sqlite, started):
    daemon = started(NAMES, ATTRIBUTES)
    send(daemon, [{"credit_card": "4111111111111111"}], {"service.name": "svcC"})
    assert json.loads(stored(sqlite, 1)["span 0"]["attributes"])["credit_card"] == "4111111111111111"


def test_documented_redaction_keeps_what_is_allowed(sqlite, started):
    daemon = started(["redaction"], REDACTION)
    card = "4111111111111111"
    hashed = hashlib.md5(card.encode()).hexdigest()
    send(daemon, [{"id": 5, "name": int(card), "description": f"paid with {card}", "group": f"{card}, jane@mycompany.com",
                   "notes": "gone", "access_token": "gone too", "safe_attribute": card}],
         {"service.name": "shop", "id": "the resource's"})
    row = stored(sqlite, 1)["span 0"]
    assert json.loads(row["attributes"]) == {
        "id": 5, "name": hashed, "description": f"paid with {hashed}", "group": f"{card}, jane@mycompany.com", "safe_attribute": card,
        "redaction.redacted.keys": "access_token,notes", "redaction.redacted.count": 2, "redaction.masked.keys": "description,name",
        "redaction.masked.count": 2, "redaction.allowed.keys": "group", "redaction.allowed.count": 1, "redaction.ignored.count": 1}
    [event] = json.loads(row["events"])
    assert event["attributes"] == {
        "description": f"paid with {hashed}", "redaction.redacted.keys": "notes", "redaction.redacted.count": 1,
        "redaction.masked.keys": "description", "redaction.masked.count": 1}
    resource = json.loads(row["resource_attributes"])
    assert resource.pop("redaction.redacted.count") == len(resource.pop("redaction.redacted.keys").split(","))
    assert resource == {"id": "the resource's"}
    assert daemon.metric("collector_redaction_attributes_total", processor="redaction", fate="masked") == 3


def test_mistakes_are_problems_with_their_places(tmp_path):
    (tmp_path / "collector.yaml").write_text(
        "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {nop: }\nprocessors:\n  attributes:\n    actions:\n"
        "      - key: a\n        action: upset\n      - key: b\n        action: extract\n        pattern: 'x(y'\n"
        "  resource:\n    attributes:\n      - key: c\n        action: insert\n        from_context: metadata.tenant\n"
        "service: {pipelines: {traces: {receivers: [otlp], processors: [attributes, resource], exporters: [nop]}}}\n")
    result = run_cli("validate", "--config", str(tmp_path / "collector.yaml"))
    text = result.stdout + result.stderr
    assert result.returncode == 1
    assert "collector.yaml:7:9: processors.attributes.actions[0].action: 'upset' is not one of insert, update, upsert" in text
    assert "collector.yaml:10:9: processors.attributes.actions[1].pattern: not a regular expression, at offset" in text
    assert "collector.yaml:15:9: processors.resource.attributes[0].from_context: is not supported" in text
