"""What each policy says of the spans of a trace, written from the OpenTelemetry Collector's documentation of `tail_sampling` and from
the project's contract for the policies of its own. A policy is a function from `Trace` to a formula of `chances`.

Where the Go collector reads an attribute of another type as zero, false or empty, no type but the right one matches here.
"""
import math
import re

from chances import all_of, any_of, coin, opposite
from ottl_by_hand import EVENT_CONDITIONS, SPAN_CONDITIONS

STATUS = {"UNSET": 0, "OK": 1, "ERROR": 2}
# Dollars per million tokens: input, output, input from a cache.
PRICES = {"gpt-4o-2024-08-06": (2.5, 10, 1.25), "gpt-4o-mini": (0.15, 0.6, 0.075), "claude-3-5-sonnet-20241022": (3, 15, 0.3),
          "text-embedding-3-small": (0.02, 0, 0.02)}


class Trace:
    """The spans that came until the decision, duplicates and all."""

    def __init__(self, spans, resources):
        self.spans, self.all_resources = spans, resources

    @property
    def resources(self):
        return [self.all_resources[index] for index in {span.resource for span in self.spans}]

    def resource_of(self, span):
        return self.all_resources[span.resource]

    def attribute_matches(self, key, matches):
        return (any(key in found and matches(found[key]) for found in self.resources)
                or any(key in span.attributes and matches(span.attributes[key]) for span in self.spans))

    def calls(self):
        return [span for span in self.spans if "gen_ai.operation.name" in span.attributes]


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def inverted(settings, says):
    return (lambda trace: not says(trace)) if settings.get("invert_match") else says


def latency(settings):
    low, high = settings["threshold_ms"], settings.get("upper_threshold_ms", 0)

    def says(trace):
        # Go cuts durations to whole milliseconds, towards zero.
        nanoseconds = max(span.end for span in trace.spans) - min(span.start for span in trace.spans)
        milliseconds = int(math.copysign(abs(nanoseconds) // 1_000_000, nanoseconds))
        return low < milliseconds <= high if high else milliseconds >= low
    return says


def numeric_attribute(settings):
    low, high = settings.get("min_value", -math.inf), settings.get("max_value", math.inf)
    return inverted(settings, lambda trace: trace.attribute_matches(settings["key"], lambda v: is_number(v) and low <= v <= high))


def string_attribute(settings):
    values = settings["values"]

    def matches(value):
        # An empty text is as good as none.
        if not isinstance(value, str) or value == "":
            return False
        return any(re.search(pattern, value) for pattern in values) if settings.get("enabled_regex_matching") else value in values
    return inverted(settings, lambda trace: trace.attribute_matches(settings["key"], matches))


def boolean_attribute(settings):
    return inverted(settings, lambda trace: trace.attribute_matches(settings["key"], lambda v: v is settings["value"]))


def trace_state(settings):
    def value_of(state):
        members = [member.strip().split("=", 1) for member in state.split(",")] if state else []
        if any(len(member) != 2 or "=" in member[1] for member in members):
            return None
        return dict(members).get(settings["key"])
    return lambda trace: any(value_of(span.state) in settings["values"] for span in trace.spans)


def span_count(settings):
    low, high = settings.get("min_spans", 0), settings.get("max_spans") or math.inf
    return lambda trace: low <= len(trace.spans) <= high


def ottl_condition(settings):
    on_spans = [SPAN_CONDITIONS[text] for text in settings.get("span", [])]
    on_events = [EVENT_CONDITIONS[text] for text in settings.get("spanevent", [])]

    def says(trace):
        return any(any(condition(span, trace.resource_of(span)) for condition in on_spans)
                   or any(condition(event, span) for event in span.events for condition in on_events) for span in trace.spans)
    return says


def tokens_of(span):
    """(prompt, completion, from a cache); None where the span does not say."""
    def number(key):
        value = span.attributes.get(key)
        return None if value is None else int(value)
    return (number("gen_ai.usage.input_tokens"), number("gen_ai.usage.output_tokens"),
            number("gen_ai.usage.cache_read.input_tokens") or 0)


def cost_of(span):
    """Dollars; 0 where nobody knows."""
    if "gen_ai.usage.cost" in span.attributes:
        return span.attributes["gen_ai.usage.cost"]
    prompt, completion, cached = tokens_of(span)
    price = PRICES.get(span.attributes["gen_ai.request.model"])
    if price is None or prompt is None:
        return 0
    return ((prompt - cached) * price[0] + (completion or 0) * price[1] + cached * price[2]) / 1e6


def cost(settings):
    def says(trace):
        costs = [cost_of(span) for span in trace.calls()]
        return (max(costs, default=0) if settings.get("per", "trace") == "span" else sum(costs)) >= settings["min_usd"]
    return says


def tokens(settings):
    def says(trace):
        told = [tokens_of(span) for span in trace.calls()]
        prompt, completion = sum(t[0] or 0 for t in told), sum(t[1] or 0 for t in told)
        sums = {"min_total": prompt + completion, "min_prompt": prompt, "min_completion": completion}
        return all(sums[key] >= least for key, least in settings.items())
    return says


def text_of(value):
    """As users write it: rules compare numbers and bools by their text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def priority(settings):
    def matches(match, span, resource):
        return (match.get("service", resource["service.name"]) == resource["service.name"] and match.get("name", span.name) == span.name
                and all(any(key in found and text_of(found[key]) == value for found in (span.attributes, resource))
                        for key, value in match.get("attributes", {}).items()))

    def says(trace):
        for rule in settings["rules"]:
            if any(matches(rule["match"], span, trace.resource_of(span)) for span in trace.spans):
                # Other percentages are drawn by a hash of our own, which is not this model's business.
                assert rule["sampling_percentage"] in (0, 100)
                return rule["sampling_percentage"] == 100
        return False
    return says


def combined(settings, key):
    return [policy(part) for part in settings[key]]


def policy(configuration):
    """The policy of a configuration's entry."""
    kind = configuration["type"]
    settings = configuration.get(kind, {})
    match kind:
        case "always_sample":
            return lambda trace: True
        case "trace_flags":
            return lambda trace: any(span.flags & 1 for span in trace.spans)
        case "status_code":
            wanted = {STATUS[name] for name in settings["status_codes"]}
            return lambda trace: any(span.status in wanted for span in trace.spans)
        case "probabilistic":
            chance = coin(settings.get("hash_salt", ""), settings["sampling_percentage"])
            return lambda trace: chance
        case "and":
            parts = combined(settings, "and_sub_policy")
            return lambda trace: all_of([part(trace) for part in parts])
        case "drop":
            parts = combined(settings, "drop_sub_policy")
            return lambda trace: all_of([part(trace) for part in parts])
        case "not":
            part = policy(settings["not_sub_policy"])
            return lambda trace: opposite(part(trace))
        case "composite":
            # As long as no rate is exceeded.
            parts = combined(settings, "composite_sub_policy")
            return lambda trace: any_of([part(trace) for part in parts])
    return {"latency": latency, "numeric_attribute": numeric_attribute, "string_attribute": string_attribute,
            "boolean_attribute": boolean_attribute, "trace_state": trace_state, "span_count": span_count,
            "ottl_condition": ottl_condition, "cost": cost, "tokens": tokens, "priority": priority}[kind](settings)
