import OTLPWire
import Testing

@testable import Sampling

/// Each policy by itself: both sides of its thresholds, what is missing, what has another type, and the opposite.
@Suite struct TailPolicyTests {
    /// A policy in YAML, and single spans of which it keeps the first and not the others.
    struct Case: CustomTestStringConvertible, Sendable {
        let policy: String
        let kept: @Sendable () -> [TestSpan]
        let dropped: @Sendable () -> [TestSpan]
        var testDescription: String { policy }

        init(_ policy: String, kept: @escaping @Sendable () -> [TestSpan], dropped: @escaping @Sendable () -> [TestSpan]) {
            self.policy = policy
            self.kept = kept
            self.dropped = dropped
        }
    }

    static let attributes: [Case] = [
        Case("type: string_attribute, string_attribute: {key: k, values: [a, bc, '']}") {
            [.with(("k", .string("a"))), .with(("x", .int(1)), ("k", .string("bc")))]
        } dropped: {
            [
                .with(), .with(("k", .string("b"))), .with(("k", .string("ab"))), .with(("k", .string(""))), .with(("k", .int(1))),
                .with(("kk", .string("a"))), .with(("k", .list([.string("a")]))), .with(("K", .string("a"))),
            ]
        },
        Case("type: string_attribute, string_attribute: {key: k, values: ['1', 'true']}") {
            [.with(("k", .string("1")))]
        } dropped: {
            // Only texts are texts, as in the Go collector.
            [.with(("k", .int(1))), .with(("k", .bool(true)))]
        },
        Case("type: string_attribute, string_attribute: {key: k, values: [a], invert_match: true}") {
            [.with(), .with(("k", .string("b"))), .with(("k", .int(3)))]
        } dropped: {
            [.with(("k", .string("a")))]
        },
        Case("type: string_attribute, string_attribute: {key: http.url, values: ['^/api/v\\d+', 'x.z$'], enabled_regex_matching: true}") {
            [.with(("http.url", .string("/api/v12/users"))), .with(("http.url", .string("--xyz")))]
        } dropped: {
            [.with(), .with(("http.url", .string("/app/v1"))), .with(("http.url", .string("")))]
        },
        Case("type: numeric_attribute, numeric_attribute: {key: n, min_value: 5, max_value: 9.5}") {
            [.with(("n", .int(5))), .with(("n", .int(9))), .with(("n", .double(9.5)))]
        } dropped: {
            [
                .with(), .with(("n", .int(4))), .with(("n", .int(10))), .with(("n", .double(9.51))), .with(("n", .double(.nan))),
                .with(("n", .string("7"))), .with(("n", .bool(true))),
            ]
        },
        Case("type: numeric_attribute, numeric_attribute: {key: n, min_value: 5}") {
            [.with(("n", .int(.max))), .with(("n", .double(.infinity)))]
        } dropped: {
            [.with(("n", .double(4.999)))]
        },
        Case("type: numeric_attribute, numeric_attribute: {key: n, max_value: -1, invert_match: true}") {
            [.with(), .with(("n", .int(0)))]
        } dropped: {
            [.with(("n", .int(-1)))]
        },
        Case("type: boolean_attribute, boolean_attribute: {key: b, value: true}") {
            [.with(("b", .bool(true)))]
        } dropped: {
            [.with(), .with(("b", .bool(false))), .with(("b", .string("true"))), .with(("b", .int(1)))]
        },
        Case("type: boolean_attribute, boolean_attribute: {key: b, value: false, invert_match: true}") {
            [.with(), .with(("b", .bool(true)))]
        } dropped: {
            [.with(("b", .bool(false)))]
        },
    ]

    static let others: [Case] = [
        Case("type: always_sample") {
            [TestSpan()]
        } dropped: {
            []
        },
        Case("type: status_code, status_code: {status_codes: [ERROR]}") {
            [TestSpan(status: 2)]
        } dropped: {
            [TestSpan(), TestSpan(status: 1), TestSpan(status: 66)]
        },
        Case("type: status_code, status_code: {status_codes: [ok, UNSET]}") {
            [TestSpan(), TestSpan(status: 1)]
        } dropped: {
            [TestSpan(status: 2)]
        },
        Case("type: trace_state, trace_state: {key: vendor, values: [a, b]}") {
            [TestSpan(traceState: "vendor=a"), TestSpan(traceState: "x=y ,\tvendor=b , z=1")]
        } dropped: {
            [TestSpan(), TestSpan(traceState: "vendor=ab"), TestSpan(traceState: "xvendor=a"), TestSpan(traceState: ",,=a,vendor")]
        },
        Case("type: trace_flags") {
            [TestSpan(flags: 1), TestSpan(flags: 0x101)]
        } dropped: {
            [TestSpan(), TestSpan(flags: 0x102)]
        },
        Case("type: latency, latency: {threshold_ms: 100}") {
            [.lasting(100), .lasting(101)]
        } dropped: {
            [.lasting(99)]
        },
        Case("type: latency, latency: {threshold_ms: 100, upper_threshold_ms: 200}") {
            [.lasting(101), .lasting(200)]
        } dropped: {
            [.lasting(100), .lasting(201)]
        },
        Case("type: ottl_condition, ottl_condition: {span: ['attributes[\"a\"] == 1', 'name == \"x\"'], spanevent: ['name == \"e\"']}") {
            [.with(("a", .int(1))), TestSpan(name: "x"), TestSpan(events: [("d", []), ("e", [])])]
        } dropped: {
            [TestSpan(), .with(("a", .int(2))), TestSpan(events: [("d", [])])]
        },
        Case("type: ottl_condition, ottl_condition: {span: ['Len(attributes[\"a\"]) > 1', 'name == \"x\"']}") {
            // The first condition cannot be evaluated without the attribute; the second still counts.
            [TestSpan(name: "x"), .with(("a", .string("ab")))]
        } dropped: {
            [TestSpan()]
        },
        Case("type: ottl_condition, ottl_condition: {error_mode: propagate, span: ['Len(attributes[\"a\"]) > 1', 'name == \"x\"']}") {
            [.with(("a", .string("ab")))]
        } dropped: {
            [TestSpan(name: "x"), TestSpan()]
        },
        Case("type: not, not: {not_sub_policy: {type: status_code, status_code: {status_codes: [ERROR]}}}") {
            [TestSpan(status: 1)]
        } dropped: {
            [TestSpan(status: 2)]
        },
        Case(
            """
            type: priority, priority: {rules: [{match: {service: 'shop*', name: 'GET *', attributes: {tier: gold}}, \
            sampling_percentage: 100}]}
            """
        ) {
            []
        } dropped: {
            [TestSpan(name: "GET /"), .with(("tier", .string("gold")))]
        },
    ]

    @Test("keeps the spans that it is for and no others", arguments: attributes + others)
    func keeps(_ item: Case) throws {
        var sampler = try TestSampler("- {name: p, \(item.policy)}")
        for span in item.kept() {
            #expect(try sampler.keeps(span), "\(span)")
            // One span among others is enough, unless the policy says otherwise.
            if !item.policy.contains("invert"), !item.policy.contains("not_sub"), !item.policy.contains("upper"),
                !item.policy.contains("propagate")
            {
                #expect(try sampler.decide([TestSpan(), span, TestSpan()]).isKept, "\(span) among others")
            }
        }
        for span in item.dropped() { #expect(try !sampler.keeps(span), "\(span)") }
    }

    @Test("attributes of the resource count like the span's", arguments: attributes)
    func resource(_ item: Case) throws {
        var sampler = try TestSampler("- {name: p, \(item.policy)}")
        for span in item.kept() { #expect(try sampler.keeps(TestSpan(), resource: span.attributes), "\(span)") }
        for span in item.dropped() { #expect(try !sampler.keeps(TestSpan(), resource: span.attributes), "\(span)") }
    }

    @Test("a pattern sees an empty text in a resource's attribute, on a span it does not; it never sees what is no text")
    func emptyTexts() throws {
        var sampler = try TestSampler(
            "- {name: p, type: string_attribute, string_attribute: {key: k, values: ['^$'], enabled_regex_matching: true}}")
        for value in [TestValue.string(""), .int(1), .list([])] {
            #expect(try !sampler.keeps(.with(("k", value))))
        }
        #expect(try sampler.keeps(TestSpan(), resource: [("k", .string(""))]))
        for value in [TestValue.int(1), .list([])] {
            #expect(try !sampler.keeps(TestSpan(), resource: [("k", value)]))
        }
        #expect(try !sampler.keeps(TestSpan(), resource: [("k", .string("a"))]))
    }

    @Test("latency is from the trace's first start to its last end, in whole milliseconds")
    func latencyOfTraces() throws {
        var sampler = try TestSampler("- {name: p, type: latency, latency: {threshold_ms: 150}}")
        #expect(try sampler.decide([.lasting(10), .lasting(10, from: 140)]).isKept)
        #expect(try !sampler.decide([.lasting(10), .lasting(10, from: 139)]).isKept)
        var almost = TestSpan.lasting(150)
        almost.end -= 1
        #expect(try !sampler.keeps(almost))
    }

    @Test("span_count has both bounds, and 0 is none")
    func spanCount() throws {
        var bounded = try TestSampler("- {name: p, type: span_count, span_count: {min_spans: 2, max_spans: 3}}")
        var open = try TestSampler("- {name: p, type: span_count, span_count: {min_spans: 2}}")
        for count in 1...5 {
            let spans = (0..<count).map { _ in TestSpan() }
            #expect(try bounded.decide(spans).isKept == (2...3).contains(count))
            #expect(try open.decide(spans).isKept == (count >= 2))
        }
    }

    @Test("cost is over the trace or of one span, and what has no cost costs nothing")
    func cost() throws {
        var whole = try TestSampler("- {name: p, type: cost, cost: {min_usd: 0.5}}")
        var single = try TestSampler("- {name: p, type: cost, cost: {min_usd: 0.5, per: span}}")
        let halves = [SpanSpend(costUSD: 0.25), nil, SpanSpend(costUSD: 0.25)]
        let spans = [TestSpan(), TestSpan(), TestSpan()]
        #expect(try whole.decide(spans, spend: halves).isKept)
        #expect(try !single.decide(spans, spend: halves).isKept)
        #expect(try single.decide(spans, spend: [SpanSpend(costUSD: 0.5)]).isKept)
        #expect(try !whole.decide(spans, spend: [SpanSpend(costUSD: 0.4999)]).isKept)
        #expect(try !whole.decide(spans).isKept)
        #expect(try !whole.decide(spans, spend: [SpanSpend(costUSD: nil, totalTokens: 9)]).isKept)
    }

    @Test("tokens: all bounds that are given must hold, over the trace")
    func tokens() throws {
        var sampler = try TestSampler("- {name: p, type: tokens, tokens: {min_total: 100, min_prompt: 60, min_completion: 10}}")
        func decide(_ prompt: Int64, _ completion: Int64, _ total: Int64) throws -> Bool {
            let half = SpanSpend(promptTokens: prompt / 2, completionTokens: completion / 2, totalTokens: total / 2)
            return try sampler.decide([TestSpan(), TestSpan()], spend: [half, half]).isKept
        }
        #expect(try decide(60, 10, 100))
        #expect(try !decide(58, 10, 100))
        #expect(try !decide(60, 8, 100))
        #expect(try !decide(60, 10, 98))
        #expect(try !sampler.keeps(TestSpan()))
    }

    @Test("priority: the first rule that some span meets decides, all parts of a rule being met by the same span")
    func priority() throws {
        var sampler = try TestSampler(
            """
            - name: p
              type: priority
              priority:
                rules:
                  - {match: {name: '/health*'}, sampling_percentage: 0}
                  - {match: {service: shop, name: 'POST *', attributes: {tier: gold, retries: '3'}}, sampling_percentage: 100}
                  - {sampling_percentage: 25}
            """)
        var gold = TestSpan.with(("tier", .string("gold")), ("retries", .int(3)))
        gold.name = "POST /pay"
        let shop: [(String, TestValue)] = [("service.name", .string("shop"))]
        let kept = try sampler.decide([TestSpan(), gold], resource: shop)
        #expect(kept == TailDecision(isKept: true, policy: 0, adjustedCount: 1))
        #expect(try !sampler.decide([gold, TestSpan(name: "/healthz")], resource: shop).isKept)
        // A resource of another service, a name on another span than the attributes, a service only claimed by a span's attribute.
        let rest = try (0..<400).map { id in
            var split = gold
            split.name = "GET"
            var claimed = gold
            claimed.attributes.append(("service.name", .string("shop")))
            let spans = id % 2 == 0 ? [claimed] : [split, TestSpan(name: "POST /pay")]
            return try sampler.decide(spans, resource: id % 2 == 0 ? [] : shop, id: UInt64(id))
        }
        #expect((60...140).contains(rest.count(where: \.isKept)))
        #expect(rest.allSatisfy { !$0.isKept || $0.adjustedCount == 4 })
        // The resource may have the attributes.
        let bare = TestSpan(name: "POST /pay")
        #expect(try sampler.decide([bare], resource: shop + gold.attributes).adjustedCount == 1)
    }

    @Test("probabilistic hashes salt and trace id by FNV-1a as the Go collector does")
    func fnv() {
        // Published vectors of FNV-1a with 64 bits.
        #expect(FNV1a.of("".utf8) == 0xCBF2_9CE4_8422_2325)
        #expect(FNV1a.of("a".utf8) == 0xAF63_DC4C_8601_EC8C)
        #expect(FNV1a.of("foobar".utf8) == 0x8594_4171_F739_67E8)
        let id = TraceID(high: 0x6162_6364_6566_6768, low: 0x696A_6B6C_6D6E_6F70)
        #expect(FNV1a.of(id, after: FNV1a.of("salt".utf8)) == FNV1a.of("saltabcdefghijklmnop".utf8))
    }

    @Test("probabilistic keeps its percentage, and the same traces for the same salt")
    func probabilistic() throws {
        let policy = "- {name: p, type: probabilistic, probabilistic: {sampling_percentage: 30"
        var plain = try TestSampler("\(policy)}}", seed: 1)
        var named = try TestSampler("\(policy), hash_salt: default-hash-seed}}", seed: 2)
        var salted = try TestSampler("\(policy), hash_salt: x}}", seed: 1)
        var random = SplitMix64(seed: 5)
        var kept = 0
        var both = 0
        for _ in 0..<4000 {
            let id = TraceID(high: random.next(), low: random.next())
            let decision = plain.judge.decide(TraceFacts(), id, now: .zero)
            #expect(decision == named.judge.decide(TraceFacts(), id, now: .zero))
            if decision.isKept {
                #expect(abs(decision.adjustedCount - 1 / 0.3) < 1e-12)
                kept += 1
                if salted.judge.decide(TraceFacts(), id, now: .zero).isKept { both += 1 }
            }
        }
        // 4 sigma of binomials with p = 0.3.
        #expect(abs(kept - 1200) < 116)
        #expect(abs(Double(both) - 0.3 * Double(kept)) < 64)
    }

    @Test("probabilistic of 0 keeps nothing, of 100 everything")
    func bounds() throws {
        var none = try TestSampler("- {name: p, type: probabilistic, probabilistic: {sampling_percentage: 0}}")
        var all = try TestSampler("- {name: p, type: probabilistic, probabilistic: {sampling_percentage: 100}}")
        for id in 0..<100 {
            #expect(try !none.decide([TestSpan()], id: UInt64(id)).isKept)
            #expect(try all.decide([TestSpan()], id: UInt64(id)) == TailDecision(isKept: true, policy: 0, adjustedCount: 1))
        }
    }
}
