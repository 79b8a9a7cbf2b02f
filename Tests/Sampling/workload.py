"""A seeded script of OTLP requests: traces of all kinds, mixed in each request, with times at which the requests arrive.

The spans are told twice: as `Span` objects for the model, and as protobuf for the collector; neither is read back from the other.
Arrivals lie on a grid of `TICK`, so that a wait that does not end on the grid leaves no doubt about who came first.
"""
import random
from collections import defaultdict

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MILLISECOND, SECOND = 1_000_000, 1_000_000_000
TICK = 250 * MILLISECOND
# When the script begins, as the applications' clocks see it.
EPOCH = 1_790_000_000 * SECOND
TRACES_PER_SECOND = 100
SPANS_PER_REQUEST = 120
SPANS_MAX = 40
ERROR_SHARE, SLOW_SHARE, LLM_SHARE, LATE_SHARE, DUPLICATE_SHARE, STRAY_CLOCK_SHARE = 0.04, 0.05, 0.25, 0.06, 0.04, 0.02
# How long a trace's spans take to arrive: most come within a decision_wait of ten seconds, late ones after it.
ARRIVAL_SECONDS, LATE_SECONDS = 8, (13, 60)
# Spans whose clock is wrong.
STRAY_SECONDS = [-86_400 * 3, -3_600, 3_600, 86_400 * 2]

MODELS = [("openai", "gpt-4o-2024-08-06"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-3-5-sonnet-20241022"),
          ("openai", "text-embedding-3-small"), ("acme", "a-model-nobody-has-a-price-for")]
NAMES = ["GET /api/v1/orders", "POST /api/v2/orders", "GET /health", "SELECT orders", "publish", "GET /api/vX/orders", "retrieve", "render"]
ROUTES = ["/health", "/api/v1/orders", "/api/v2/orders/{id}", "/admin/users", "", 7]
STATES = ["vendor=gold", "a=1,vendor=gold", "vendor=silver,b=2", "vendorx=gold", "a=vendor", "vendor=golden"]
DEPTHS = [0, 5, 20, 89, 90, 100, 101, -3, 89.99, 90.01, float("nan"), float("inf"), "95", True, 2**53 + 1]
EXCEPTIONS = ["TimeoutError", "ValueError", "ReadTimeoutException"]


class Span:
    __slots__ = ("trace", "id", "parent", "name", "kind", "start", "end", "attributes", "events", "status", "state", "flags", "resource")

    def __init__(self, **fields):
        for name, value in fields.items():
            setattr(self, name, value)


class Workload:
    """`requests`: (arrival in ns since the script's start, [Span in the order of the bytes], bytes), in the order of arrival."""

    def __init__(self, seed, traces, mixed=True, stray_clocks=True):
        """`mixed`: several traces' spans in each request; else each request has spans of one trace and one resource.
        `stray_clocks`: some spans lie days away."""
        self.random = random.Random(seed)
        self.mixed, self.stray_share = mixed, STRAY_CLOCK_SHARE if stray_clocks else 0
        self.resources = [self._resource(index) for index in range(24)]
        self.schedule = defaultdict(list)
        earlier = b""
        for number in range(traces):
            earlier = self._trace(number, earlier)
        self.requests = [request for tick in sorted(self.schedule) for request in self._requests(tick)]

    @property
    def spans(self):
        return [span for _, spans, _ in self.requests for span in spans]

    def _resource(self, index):
        r = self.random
        attributes = {"service.name": f"service-{index % 10}", "deployment.environment.name": r.choice(["production", "staging"])}
        if index % 3 == 0:
            attributes["tenant"] = r.choice(["free", "paid", 3])
        if index % 5 == 0:
            attributes["queue.depth"] = r.choice([90, 10, "95", 91.5])
        if index % 11 == 0:
            attributes["app.canary"] = r.choice([True, "true"])
        return attributes

    def _trace(self, number, earlier):
        r = self.random
        trace = r.randbytes(16)
        # Ids that differ in the first bytes alone: a hash or a map of half an id confuses them.
        if earlier and r.random() < 0.02:
            trace = r.randbytes(4) + earlier[4:]
        count = min(SPANS_MAX, 1 + int(r.expovariate(1 / 5)))
        begin = number * SECOND // TRACES_PER_SECOND // TICK * TICK
        traits = {"errors": r.random() < ERROR_SHARE, "slow": r.random() < SLOW_SHARE, "llm": r.random() < LLM_SHARE,
                  "state": r.choice(STATES) if r.random() < 0.1 else "", "flags": r.choice([0, 1, 0x100, 0x101, 0x101, 0x300]),
                  "resources": r.sample(range(len(self.resources)), r.choice([1, 1, 2, 3]))}
        root = r.randbytes(8)
        for index in range(count):
            arrival = begin + int(ARRIVAL_SECONDS * r.random() ** 2 * SECOND) // TICK * TICK
            if index == 0:
                arrival = begin
            if count > 1 and r.random() < LATE_SHARE:
                arrival = begin + r.randrange(*LATE_SECONDS) * SECOND
            # The first to arrive is not always the root, and some traces have none.
            is_root = index == count // 2 and number % 9 != 0
            span = self._span(trace, b"" if is_root else root, root if is_root else r.randbytes(8), EPOCH + begin, traits)
            self.schedule[arrival].append(span)
            while r.random() < DUPLICATE_SHARE and "gen_ai.operation.name" not in span.attributes:
                self.schedule[arrival + r.choice([0, 0, 1, 4, 80]) * TICK].append(span)
        return trace

    def _span(self, trace, parent, id, begin, traits):
        r = self.random
        start = begin + r.randrange(2_000) * MILLISECOND + r.randrange(MILLISECOND)
        if r.random() < self.stray_share:
            start += r.choice(STRAY_SECONDS) * SECOND
        duration = int(r.expovariate(1 / 100)) * MILLISECOND + r.randrange(MILLISECOND)
        if traits["slow"] and r.random() < 0.5:
            duration += r.randrange(4_000, 30_000) * MILLISECOND
        if r.random() < 0.01:
            duration = -r.randrange(100) * MILLISECOND
        status = 2 if traits["errors"] and r.random() < 0.4 else r.choice([0, 0, 0, 0, 1])
        events = []
        if status == 2 and r.random() < 0.6:
            events.append(("exception", {"exception.type": r.choice(EXCEPTIONS), "exception.escaped": r.random() < 0.5}))
        if r.random() < 0.05:
            events.append(("retry", {"attempt": r.choice([1, 2, 3, "3"])} if r.random() < 0.7 else {}))
        is_call = traits["llm"] and parent and r.random() < 0.3
        return Span(trace=trace, id=id, parent=parent, name="chat" if is_call else r.choice(NAMES), kind=r.randrange(6), start=start,
                    end=0 if r.random() < 0.005 else start + duration, attributes=self._call() if is_call else self._attributes(),
                    events=events, status=status, state=traits["state"], flags=traits["flags"], resource=r.choice(traits["resources"]))

    def _attributes(self):
        """Each present or missing, mostly of the type one expects."""
        r = self.random
        found = {}
        if r.random() < 0.6:
            found["http.response.status_code"] = r.choice([200] * 12 + [404, 500, 503, "500", 502.0])
        if r.random() < 0.6:
            found["http.route"] = r.choice(ROUTES)
        if r.random() < 0.1:
            found["tenant"] = r.choice(["free", "paid", "trial", 5, True])
        if r.random() < 0.3:
            found["cache.hit"] = r.choice([True, False, False, False, "true", 1])
        if r.random() < 0.2:
            found["queue.depth"] = r.choice(DEPTHS)
        if r.random() < 0.02:
            found["app.force_sample"] = r.choice([True, True, False, "true"])
        if r.random() < 0.03:
            found["app.do_not_sample"] = r.choice([True, True, False, 1])
        if r.random() < 0.2:
            found["request.id"] = r.randbytes(6).hex()
        return found

    def _call(self):
        """The attributes of a call to a model; numbers come as texts and doubles too, as some instrumentations send them."""
        r = self.random
        provider, model = r.choice(MODELS)
        is_embedding = "embedding" in model
        found = {"gen_ai.operation.name": "embeddings" if is_embedding else "chat", "gen_ai.provider.name": provider,
                 "gen_ai.request.model": model}
        if r.random() < 0.9:
            prompt = r.randrange(50, 20_000)
            found["gen_ai.usage.input_tokens"] = r.choice([prompt, prompt, prompt, str(prompt), float(prompt)])
            if not is_embedding:
                found["gen_ai.usage.output_tokens"] = r.randrange(5, 4_000)
                if r.random() < 0.2:
                    found["gen_ai.usage.cache_read.input_tokens"] = r.randrange(50)
        if r.random() < 0.05:
            found["gen_ai.usage.cost"] = r.choice([0.25, 0.031, 1.5])
        if r.random() < 0.5:
            found["gen_ai.response.id"] = "chatcmpl-" + r.randbytes(8).hex()
        if r.random() < 0.2:
            found["http.response.status_code"] = r.choice([200, 429, 500])
        return found

    def _requests(self, tick):
        spans = self.schedule[tick]
        if self.mixed:
            self.random.shuffle(spans)
            parts = [spans[at:at + SPANS_PER_REQUEST] for at in range(0, len(spans), SPANS_PER_REQUEST)]
        else:
            groups = defaultdict(list)
            for span in spans:
                groups[span.trace, span.resource].append(span)
            parts = list(groups.values())
        for part in parts:
            ordered, message = self._message(part)
            yield tick, ordered, message.SerializeToString()

    def _message(self, spans):
        groups = defaultdict(list)
        for span in spans:
            groups[span.resource].append(span)
        message = ExportTraceServiceRequest()
        for resource, members in groups.items():
            group = message.resource_spans.add()
            add_attributes(group.resource.attributes, self.resources[resource])
            scope = group.scope_spans.add()
            scope.scope.name = "workload"
            for span in members:
                add_span(scope, span)
        return [span for members in groups.values() for span in members], message


def add_span(scope, span):
    encoded = scope.spans.add(trace_id=span.trace, span_id=span.id, parent_span_id=span.parent, name=span.name, kind=span.kind,
                              start_time_unix_nano=span.start, end_time_unix_nano=span.end, trace_state=span.state, flags=span.flags)
    add_attributes(encoded.attributes, span.attributes)
    if span.status:
        encoded.status.code = span.status
    for name, attributes in span.events:
        add_attributes(encoded.events.add(name=name, time_unix_nano=span.start).attributes, attributes)


def add_attributes(target, attributes):
    for key, value in attributes.items():
        encoded = target.add(key=key).value
        if isinstance(value, bool):
            encoded.bool_value = value
        elif isinstance(value, int):
            encoded.int_value = value
        elif isinstance(value, float):
            encoded.double_value = value
        else:
            encoded.string_value = value
