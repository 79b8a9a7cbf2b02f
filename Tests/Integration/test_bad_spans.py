"""Spans that are odd but valid: all are stored, repaired as spec/otlp-server.md and spec/database.md say, none is lost."""
import random

import pytest

import otlp
from clients import JSON, http_export, http_post
from daemon import wait_until
from stores import count, rows
from test_equality import timestamp_micros

DAY = 86_400 * otlp.SECOND
YEAR_2554 = 2**64 - 1


def stored(start, store, request, expected):
    """Sends, waits for the rows, returns them by span name, with the time just before and after sending."""
    # The window of believed times follows the retention, which the embedded store has none of unless told.
    daemon = start(store, settings={"retention": "2160h"})
    before = otlp.now_nano()
    answer = http_export(daemon.ports.http, request)
    after = otlp.now_nano()
    assert answer.status == 200 and answer.body == b"", "all spans are taken"
    wait_until(lambda: count(store) >= expected, 30, f"{expected} rows")
    found = rows(store)
    assert len(found) == expected
    return {row["name"]: row for row in found}, before // 1000, -(-after // 1000)


def test_odd_times_are_repaired_and_kept(store, start):
    now = otlp.now_nano()
    spans = {
        "no start": (0, now), "end before start": (now, now - DAY), "year 2554": (YEAR_2554, YEAR_2554), "1970": (1, 5_000_001),
        "tomorrow": (now + DAY, now + DAY + 1000), "no times": (0, 0), "good": (now - 1_234_567, now),
    }
    request = otlp.request([{"name": name, "start_time_unix_nano": s, "end_time_unix_nano": e} for name, (s, e) in spans.items()])
    found, before, after = stored(start, store, request, len(spans))
    for name, (begin, _) in spans.items():
        row = found[name]
        assert row["start_unix_nano"] % 2**64 == begin, name
        if name in ("good", "end before start"):
            assert timestamp_micros(row["ts"]) == begin // 1000
        else:
            assert before <= timestamp_micros(row["ts"]) <= after, f"{name}: the receive time"
    assert found["end before start"]["duration_ms"] == 0 and found["end before start"]["duration_nano"] == -DAY
    assert found["good"]["duration_nano"] == 1_234_567
    assert found["no times"]["duration_ms"] == 0


def test_spans_on_10000_days_do_not_make_10000_chunks(store, start):
    now = otlp.now_nano()
    spans = [{"name": f"day {day}", "start_time_unix_nano": now - day * DAY} for day in range(10_000)]
    found, before, after = stored(start, store, otlp.request(spans), 10_000)
    days = {timestamp_micros(row["ts"]) // (DAY // 1000) for row in found.values()}
    assert len(days) <= 92, "retention is 90 days"
    assert before <= timestamp_micros(found["day 5000"]["ts"]) <= after


def test_texts_with_nul_invalid_utf8_and_lone_surrogates_are_sanitised(store, start):
    odd = {"nul": b"a\0b", "invalid": b"a\xff\xfeb", "cut": b"a\xf0\x9f\xa6", "surrogate": b"a\xed\xa0\x80b", "overlong": b"a\xc0\x80b",
           "beyond": b"a\xf4\x90\x80\x80b"}
    placeholder = {name: "PLACE" + name for name in odd}
    raw = otlp.request([{"name": p, "attributes": {"k" + p: [p, {"in": p}]}, "events": [{"name": p}], "status": (2, p),
                         "trace_state": p} for p in placeholder.values()], resource={"service.name": "PLACEnul", "x": "PLACEcut"})
    request = raw.SerializeToString()
    for name, marker in placeholder.items():
        # Of the same length, so that the lengths around it hold.
        request = request.replace(marker.encode(), odd[name].ljust(len(marker), b"_"))
    daemon = start(store)
    assert http_export(daemon.ports.http, request).status == 200
    wait_until(lambda: count(store) == len(odd), 20, "the rows")
    expected = {otlp.clean(odd[n].ljust(len(p), b"_").decode("utf-8", "replace")): n for n, p in placeholder.items()}
    for row in rows(store):
        span = otlp.from_row(row)
        text = otlp.clean(span["name"])
        assert text in expected, text
        (key, (kind, values)), = span["attributes"][1]
        assert key == "k" + text and kind == "array" and values[0] == ("string", text)
        assert values[1] == ("kvlist", (("in", ("string", text)),))
        assert span["status_message"] == text and otlp.clean(span["trace_state"]) == text and span["events"][0][0] == text
        assert "\ufffd" in row["service_name"]


def test_json_with_lone_surrogates_and_nul_is_sanitised(store, start):
    body = ('{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","name":"a\\ud800b\\u0000c\\udc00",'
            '"startTimeUnixNano":"%d"}]}]}]}' % (7, 9, otlp.now_nano()))
    daemon = start(store)
    answer = http_post(daemon.ports.http, body.encode(), content_type=JSON)
    assert answer.status == 200, answer.body
    wait_until(lambda: count(store) == 1, 20, "the row")
    assert otlp.clean(rows(store)[0]["name"]) == "a\ufffdb\ufffdc\ufffd"


def test_not_a_number_and_infinities_are_kept(store, start):
    values = {"nan": float("nan"), "up": float("inf"), "down": float("-inf"), "zero": -0.0, "huge": 1.7976931348623157e308}
    request = otlp.request([{"name": "n", "attributes": values}])
    found, _, _ = stored(start, store, request, 1)
    (group, scope, span), = otlp.spans_of(request)
    assert otlp.from_row(found["n"])["attributes"] == otlp.from_message(group, scope, span)["attributes"]


def test_megabyte_value_and_long_keys_are_kept_whole(store, start):
    request = otlp.request([{"name": "big", "attributes": {"text": "é" * 500_000, "k" * 3000: "v"}}])
    found, _, _ = stored(start, store, request, 1)
    (group, scope, span), = otlp.spans_of(request)
    assert otlp.from_row(found["big"])["attributes"] == otlp.from_message(group, scope, span)["attributes"]


def test_long_indexed_texts_are_stored(store, start):
    """Index rows are limited to about 2,700 bytes; incompressible texts, because the server compresses before it measures."""
    def text(size):
        return random.Random(size).randbytes(size // 2).hex()
    resource = {"service.name": text(3000), "project.id": text(3000)}
    request = otlp.request([{"name": text(4000), "attributes": {"user.id": text(3000), "session.id": text(3002)}}], resource=resource)
    found, _, _ = stored(start, store, request, 1)
    row = found[text(4000)]
    assert row["project_id"] == text(3000)[:256]
    assert row["service_name"] == text(3000)[:len(row["service_name"])] and len(row["service_name"]) >= 2600


def test_duplicate_spans_and_keys_are_kept(store, start):
    request = otlp.request([{"name": "d", "attributes": [("k", 1), ("k", 2)],
                             "events": [{"name": "e", "attributes": [("x", 1), ("x", "2")]}]}])
    found, _, _ = stored(start, store, request, 1)
    (group, scope, span), = otlp.spans_of(request)
    assert otlp.from_row(found["d"]) == otlp.from_message(group, scope, span)


@pytest.mark.parametrize("attributes", [1024, 1025, 5000])
def test_at_most_1024_attributes_of_a_span_are_kept_and_the_rest_is_counted(store, start, attributes):
    request = otlp.request([{"name": "many", "attributes": {f"k{i}": i for i in range(attributes)}}])
    found, _, _ = stored(start, store, request, 1)
    span = otlp.from_row(found["many"])
    assert len(span["attributes"][1]) == min(attributes, 1024)
    assert span["dropped_attributes"] == max(0, attributes - 1024)
