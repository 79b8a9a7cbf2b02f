"""The policies that the collector and the model are both asked about."""
from ottl_by_hand import EVENT_CONDITIONS, SPAN_CONDITIONS

WAIT = "10.1s"


def entry(name, kind, **settings):
    return {"name": name, "type": kind, **({kind: settings} if settings else {})}


def string(key, *values, **more):
    return {"key": key, "values": list(values), **more}


def chance(percentage, salt=None):
    return entry(f"chance-{percentage}-{salt}", "probabilistic", sampling_percentage=percentage, **({"hash_salt": salt} if salt else {}))


def conjunction(name, *parts):
    return entry(name, "and", and_sub_policy=list(parts))


def drop(name, *parts):
    return entry(name, "drop", drop_sub_policy=list(parts))


def negation(name, part):
    return entry(name, "not", not_sub_policy=part)


def composite(name, *parts):
    """With more room than the workload ever takes."""
    names = [part["name"] for part in parts]
    return entry(name, "composite", max_total_spans_per_second=100_000_000, policy_order=names, composite_sub_policy=list(parts),
                 rate_allocation=[{"policy": name, "percent": 100 // len(parts)} for name in names])


ERRORS = entry("errors", "status_code", status_codes=["ERROR"])
SLOW = entry("slow", "latency", threshold_ms=5_000)
FORCED = entry("forced", "boolean_attribute", key="app.force_sample", value=True)
UNWANTED = entry("unwanted", "boolean_attribute", key="app.do_not_sample", value=True)
DEAR = entry("dear", "cost", min_usd=0.06)
PAID = entry("paid", "string_attribute", **string("tenant", "paid"))
HEALTH = entry("health", "string_attribute", **string("http.route", "^/health$", enabled_regex_matching=True))
ALL = entry("all", "always_sample")

# Each of them is run alone.
ALONE = [
    ALL, ERRORS, SLOW, FORCED, DEAR, PAID, HEALTH,
    entry("status-ok-or-unset", "status_code", status_codes=["OK", "UNSET"]),
    entry("status-ok", "status_code", status_codes=["OK"]),
    entry("latency-between", "latency", threshold_ms=200, upper_threshold_ms=2_000),
    entry("latency-any", "latency", threshold_ms=1),
    entry("number-from", "numeric_attribute", key="queue.depth", min_value=90),
    entry("number-to", "numeric_attribute", key="queue.depth", max_value=-1),
    entry("number-between", "numeric_attribute", key="queue.depth", min_value=89.5, max_value=90.005),
    entry("number-inverted", "numeric_attribute", key="queue.depth", min_value=5, max_value=95, invert_match=True),
    entry("number-status", "numeric_attribute", key="http.response.status_code", min_value=500, max_value=599),
    entry("text", "string_attribute", **string("http.route", "/admin/users", "/api/v1/orders")),
    entry("text-inverted", "string_attribute", **string("tenant", "free", "trial", invert_match=True)),
    entry("pattern", "string_attribute", **string("http.route", "v[0-9]/", "^/adm", enabled_regex_matching=True, cache_max_size=2)),
    entry("pattern-any", "string_attribute", **string("tenant", ".*", enabled_regex_matching=True)),
    entry("text-and-no-number", "string_attribute", **string("http.response.status_code", "500", "404")),
    entry("pattern-inverted", "string_attribute", **string("service.name", "[0-7]$", enabled_regex_matching=True, invert_match=True)),
    entry("true", "boolean_attribute", key="cache.hit", value=True),
    entry("false", "boolean_attribute", key="app.canary", value=False),
    entry("false-of-span", "boolean_attribute", key="app.force_sample", value=False),
    entry("true-inverted", "boolean_attribute", key="cache.hit", value=True, invert_match=True),
    entry("state", "trace_state", key="vendor", values=["gold", "platinum"]),
    entry("flags", "trace_flags"),
    entry("count-from", "span_count", min_spans=8),
    entry("count-between", "span_count", min_spans=2, max_spans=4),
    entry("cost-of-span", "cost", min_usd=0.04, per="span"),
    entry("tokens-total", "tokens", min_total=20_000),
    entry("tokens-both", "tokens", min_prompt=10_000, min_completion=3_000),
    entry("priority", "priority", rules=[
        {"match": {"service": "service-4"}, "sampling_percentage": 100},
        {"match": {"name": "GET /health"}, "sampling_percentage": 0},
        {"match": {"attributes": {"tenant": "paid"}}, "sampling_percentage": 100},
        {"match": {"attributes": {"cache.hit": "1"}}, "sampling_percentage": 100}]),
    chance(0), chance(100), chance(10), chance(33.3, "another salt"), chance(0.5),
    conjunction("errors-of-paid", ERRORS, PAID),
    conjunction("some-errors", ERRORS, chance(50)),
    negation("no-error", ERRORS),
    negation("not-ten", chance(10)),
    composite("several", ERRORS, PAID),
    *[entry(f"ottl-span-{index}", "ottl_condition", error_mode="ignore", span=[text]) for index, text in enumerate(SPAN_CONDITIONS)],
    *[entry(f"ottl-event-{index}", "ottl_condition", error_mode="ignore", spanevent=[text])
      for index, text in enumerate(EVENT_CONDITIONS)],
    entry("ottl-all", "ottl_condition", error_mode="ignore", span=list(SPAN_CONDITIONS)[:2], spanevent=list(EVENT_CONDITIONS)),
]

# The ones the benchmark measures with.
TEN = [
    entry("base", "always_sample") | {"type": "probabilistic", "probabilistic": {"sampling_percentage": 0}},
    entry("slow", "latency", threshold_ms=10_000), ERRORS,
    entry("route", "string_attribute", **string("http.route", "/admin/users")),
    entry("tenant", "string_attribute", **string("tenant", "trial")),
    entry("version", "string_attribute", **string("http.route", "^/api/v[2-9]/", enabled_regex_matching=True)),
    entry("depth", "numeric_attribute", key="queue.depth", min_value=101), chance(5), DEAR,
    conjunction("hits-in-staging", entry("hit", "boolean_attribute", key="cache.hit", value=True),
                entry("staging", "string_attribute", **string("deployment.environment.name", "staging")))]

COMBINED = {
    "ten": TEN,
    "rates-of-several": [chance(10), ERRORS, chance(25), chance(40, "second"), conjunction("paid-half", PAID, chance(50, "third"))],
    "drops-beat-keeps": [ERRORS, drop("no-health", HEALTH), ALL, drop("unwanted", UNWANTED, negation("no-error", ERRORS))],
    "drops-by-chance": [drop("half-of-health", HEALTH, chance(50)), chance(20), ERRORS, drop("few", chance(5, "few"))],
    "order-gives-the-reason": [SLOW, ERRORS, DEAR, FORCED, chance(10), ALL],
    "nested": [composite("a", conjunction("b", ERRORS, negation("c", PAID)), SLOW),
               conjunction("f", chance(30), negation("g", chance(10)), entry("h", "span_count", min_spans=3)),
               drop("i", negation("j", HEALTH), chance(10, "salt"))],
    "nothing": [drop("everything", ALL), ALL],
}


def processor(policies, **more):
    """The section of `tail_sampling`."""
    return {"decision_wait": WAIT, **more, "policies": policies}
