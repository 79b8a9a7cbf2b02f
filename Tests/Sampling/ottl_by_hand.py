"""A handful of OTTL conditions, each translated to Python by hand. Values of different types are never equal, and never in order."""
import re


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def starts_with_get(span, _):
    return span.name.startswith("GET ")


# Of a span and its resource's attributes.
SPAN_CONDITIONS = {
    'attributes["http.response.status_code"] >= 500':
        lambda span, _: is_number(value := span.attributes.get("http.response.status_code")) and value >= 500,
    'attributes["tenant"] == "paid" and resource.attributes["deployment.environment.name"] != "staging"':
        lambda span, resource: span.attributes.get("tenant") == "paid" and resource.get("deployment.environment.name") != "staging",
    'attributes["cache.hit"] == nil and name == "SELECT orders" and kind == SPAN_KIND_CLIENT':
        lambda span, _: "cache.hit" not in span.attributes and span.name == "SELECT orders" and span.kind == 3,
    'end_time_unix_nano - start_time_unix_nano > 3000000000':
        lambda span, _: span.end - span.start > 3_000_000_000,
    'IsMatch(name, "^(GET|POST) /api/v[0-9]+/") and status.code == STATUS_CODE_ERROR':
        lambda span, _: re.search("^(GET|POST) /api/v[0-9]+/", span.name) is not None and span.status == 2,
    'not HasPrefix(name, "GET ") and (attributes["queue.depth"] > 90.5 or attributes["http.route"] == "")':
        lambda span, _: not starts_with_get(span, _) and (
            (is_number(depth := span.attributes.get("queue.depth")) and depth > 90.5) or span.attributes.get("http.route") == ""),
    'IsString(attributes["cache.hit"]) or HasSuffix(name, "er")':
        lambda span, _: isinstance(span.attributes.get("cache.hit"), str) or span.name.endswith("er"),
    'instrumentation_scope.name == "no such scope" or attributes["app.force_sample"] == true':
        lambda span, _: span.attributes.get("app.force_sample") is True,
}

# Of an event, as (name, attributes), and its span.
EVENT_CONDITIONS = {
    'name == "exception" and IsMatch(attributes["exception.type"], "Time")':
        lambda event, _: event[0] == "exception" and "Time" in event[1]["exception.type"],
    'attributes["attempt"] > 2':
        lambda event, _: is_number(attempt := event[1].get("attempt")) and attempt > 2,
}
