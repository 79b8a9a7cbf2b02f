import Configuration
import Testing

@testable import Sampling

@Suite struct TailConfigTests {
    static func read(_ yaml: String) throws -> (config: TailSamplingConfig, problems: [String]) {
        let section = try ConfigSection(yaml: yaml, path: "t")
        let config = TailSamplingConfig(from: section)
        return (config, section.problemMessages)
    }

    @Test("defaults are the contract's; the caches follow num_traces")
    func defaults() throws {
        let policies = "policies: [{name: a, type: always_sample}]"
        let (config, problems) = try Self.read(policies)
        #expect(problems == [])
        #expect(config.decisionWait == .seconds(30) && config.decisionWaitAfterRootReceived == .zero)
        #expect(config.numTraces == 50_000 && config.expectedNewTracesPerSec == 0 && !config.blockOnOverflow)
        #expect(config.sampledCacheSize == 500_000 && config.nonSampledCacheSize == 500_000)
        #expect(!config.sampleOnFirstMatch && config.maximumTraceSizeBytes == 0 && !config.dropPendingTracesOnShutdown)
        #expect(config.numShards == 0 && config.maxMemoryMiB == nil && config.decideEarly)
        #expect(config.policies.policies.map(\.name) == ["a"] && !config.policies.stopsAtFirstMatch)
        #expect(try Self.read("num_traces: 7\n\(policies)").config.sampledCacheSize == 70)
    }

    @Test("every key is read")
    func keys() throws {
        let (config, problems) = try Self.read(
            """
            decision_wait: 10s
            decision_wait_after_root_received: 500ms
            num_traces: 100
            expected_new_traces_per_sec: 10
            block_on_overflow: true
            decision_cache: {sampled_cache_size: 5, non_sampled_cache_size: 0}
            sample_on_first_match: true
            maximum_trace_size_bytes: 1000000
            drop_pending_traces_on_shutdown: true
            num_shards: 4
            max_memory_mib: 512
            decide_early: false
            policies: [{name: a, type: always_sample}]
            """)
        #expect(problems == [])
        #expect(config.decisionWait == .seconds(10) && config.decisionWaitAfterRootReceived == .milliseconds(500))
        #expect(config.numTraces == 100 && config.expectedNewTracesPerSec == 10 && config.blockOnOverflow)
        #expect(config.sampledCacheSize == 5 && config.nonSampledCacheSize == 0)
        #expect(config.sampleOnFirstMatch && config.policies.stopsAtFirstMatch && config.maximumTraceSizeBytes == 1_000_000)
        #expect(config.dropPendingTracesOnShutdown && config.numShards == 4 && config.maxMemoryMiB == 512 && !config.decideEarly)
    }

    @Test("each kind of policy is read with all of its keys")
    func everyKind() throws {
        let kinds = [
            "type: always_sample", "type: trace_flags", "type: latency, latency: {threshold_ms: 1, upper_threshold_ms: 2}",
            "type: numeric_attribute, numeric_attribute: {key: k, min_value: 1, max_value: 2.5, invert_match: false}",
            "type: probabilistic, probabilistic: {hash_salt: s, sampling_percentage: 10}",
            "type: status_code, status_code: {status_codes: [OK, ERROR, UNSET]}",
            """
            type: string_attribute, string_attribute: {key: k, values: [v], enabled_regex_matching: true, cache_max_size: \
            10, invert_match: true}
            """,
            "type: boolean_attribute, boolean_attribute: {key: k, value: true, invert_match: false}",
            "type: trace_state, trace_state: {key: k, values: [v]}",
            "type: rate_limiting, rate_limiting: {spans_per_second: 35, burst_capacity: 70}",
            "type: bytes_limiting, bytes_limiting: {bytes_per_second: 35, burst_capacity: 70}",
            "type: span_count, span_count: {min_spans: 2, max_spans: 20}",
            """
            type: and, and: {and_sub_policy: [{name: x, type: trace_flags}, {name: y, type: rate_limiting, rate_limiting: \
            {spans_per_second: 3}}]}
            """,
            "type: not, not: {not_sub_policy: {name: x, type: trace_flags}}",
            "type: drop, drop: {drop_sub_policy: [{name: x, type: trace_flags}]}",
            """
            type: composite, composite: {max_total_spans_per_second: 9, policy_order: [x], composite_sub_policy: [{name: \
            x, type: trace_flags}], rate_allocation: [{policy: x, percent: 100}]}
            """,
            "type: ottl_condition, ottl_condition: {error_mode: propagate, span: ['name == \"x\"'], spanevent: ['name == \"y\"']}",
            "type: cost, cost: {min_usd: 0.1, per: span}", "type: tokens, tokens: {min_total: 1, min_prompt: 2, min_completion: 3}",
            """
            type: priority, priority: {rules: [{match: {service: s, name: n, attributes: {k: v}}, sampling_percentage: \
            100}, {sampling_percentage: 1.5}]}
            """,
            "type: cost_budget, cost_budget: {spans_per_second: 10, weight: tokens}",
            "type: dynamic, dynamic: {goal_spans_per_second: 10, key: [k], max_keys: 10}",
            "type: dynamic, dynamic: {goal_sample_rate: 10, key: [k]}",
        ]
        for kind in PolicyCompiler.Kind.allCases { #expect(kinds.contains { $0.hasPrefix("type: \(kind.rawValue)") }) }
        let all = kinds.enumerated().map { "  - {name: p\($0.offset), \($0.element)}" }.joined(separator: "\n")
        let (config, problems) = try Self.read("policies:\n\(all)")
        #expect(problems == [])
        #expect(config.policies.policies.count == kinds.count)
        #expect(config.policies.policies.count(where: \.isDrop) == 1)
    }

    /// What is written after `name: a` and what must be said about it.
    static let problems: [(policy: String, message: String)] = [
        ("type: probabilistc", "2:15: t.policies[0].type: 'probabilistc' is not one of always_sample"),
        ("type: probabilistc", "did you mean 'probabilistic'?"), ("x: 1", "t.policies[0].type: is required"),
        ("type: latency", "t.policies[0].latency: is required"), ("type: always_sample, y: 1", "unknown key 'y'"),
        ("type: latency, latency: {treshold_ms: 1}", "unknown key 'treshold_ms'; did you mean 'threshold_ms'?"),
        ("type: latency, latency: {threshold_ms: -1}", "threshold_ms: must be from 0 to"),
        ("type: latency, latency: {threshold_ms: 5, upper_threshold_ms: 5}", "upper_threshold_ms: must be more than threshold_ms"),
        (
            "type: probabilistic, probabilistic: {sampling_percentage: 100.5}",
            "2:52: t.policies[0].probabilistic.sampling_percentage: must be from 0.0 to 100.0"
        ),
        ("type: probabilistic, probabilistic: {sampling_percentage: -1}", "must be from 0.0 to 100.0"),
        ("type: probabilistic, probabilistic: {}", "sampling_percentage: is required"),
        ("type: status_code, status_code: {status_codes: [ERR]}", "status_codes: 'ERR' is not one of OK, ERROR, UNSET"),
        ("type: status_code, status_code: {}", "at least one status code is needed"),
        ("type: string_attribute, string_attribute: {values: [a]}", "key: is required"),
        ("type: string_attribute, string_attribute: {key: a}", "at least one value is needed"),
        (
            "type: string_attribute, string_attribute: {key: a, values: ['a(b'], enabled_regex_matching: true}",
            "values: not a regular expression, at offset"
        ),
        ("type: numeric_attribute, numeric_attribute: {key: a}", "min_value or max_value is needed"),
        ("type: numeric_attribute, numeric_attribute: {key: a, min_value: 2, max_value: 1}", "max_value: must be at least min_value"),
        ("type: numeric_attribute, numeric_attribute: {key: a, min_value: x}", "min_value: expected a number"),
        ("type: boolean_attribute, boolean_attribute: {key: '', value: true}", "key: must not be empty"),
        ("type: trace_state, trace_state: {key: a}", "at least one value is needed"),
        ("type: rate_limiting, rate_limiting: {}", "spans_per_second: is required"),
        ("type: rate_limiting, rate_limiting: {spans_per_second: 0}", "spans_per_second: must be from 1"),
        ("type: span_count, span_count: {min_spans: 3, max_spans: 2}", "max_spans: must be at least min_spans"),
        ("type: ottl_condition, ottl_condition: {span: ['true', 'name === 1']}", "span: condition 2, column 8"),
        ("type: ottl_condition, ottl_condition: {spanevent: ['nme == 1']}", "spanevent[0]: column 1"),
        ("type: ottl_condition, ottl_condition: {error_mode: loud}", "'loud' is not one of ignore, silent, propagate"),
        ("type: ottl_condition, ottl_condition: {}", "a condition under span or spanevent is needed"),
        ("type: and, and: {}", "and_sub_policy: at least one policy is needed"),
        ("type: and, and: {and_sub_policy: [{name: x, type: trce_flags}]}", "'trce_flags' is not one of"),
        ("type: not, not: {}", "not_sub_policy: is required"),
        ("type: drop, drop: {drop_sub_policy: []}", "drop_sub_policy: at least one policy is needed"),
        (
            "type: not, not: {not_sub_policy: {type: rate_limiting, rate_limiting: {spans_per_second: 1}}}",
            "rate_limiting shares out a rate of what is kept"
        ),
        (
            "type: drop, drop: {drop_sub_policy: [{type: cost_budget, cost_budget: {spans_per_second: 1}}]}",
            "can stand alone or in and, not in drop"
        ),
        (
            "type: and, and: {and_sub_policy: [{type: drop, drop: {drop_sub_policy: [{type: trace_flags}]}}]}",
            "drop is a policy by itself, not a part of and"
        ),
        ("type: and, and: {and_sub_policy: [{type: composite, composite: {}}]}", "composite is a policy by itself"),
        ("type: composite, composite: {composite_sub_policy: [{name: x, type: trace_flags}]}", "max_total_spans_per_second: is required"),
        ("type: composite, composite: {max_total_spans_per_second: 9}", "composite_sub_policy: at least one policy is needed"),
        (
            """
            type: composite, composite: {max_total_spans_per_second: 9, composite_sub_policy: [{name: x, type: \
            trace_flags}, {name: x, type: trace_flags}]}
            """,
            "another policy has this name"
        ),
        (
            """
            type: composite, composite: {max_total_spans_per_second: 9, policy_order: [y], composite_sub_policy: [{name: \
            x, type: trace_flags}]}
            """,
            "policy_order: there is no sub-policy 'y'"
        ),
        (
            """
            type: composite, composite: {max_total_spans_per_second: 9, policy_order: [x, x], composite_sub_policy: \
            [{name: x, type: trace_flags}]}
            """,
            "policy_order: 'x' is named twice"
        ),
        (
            """
            type: composite, composite: {max_total_spans_per_second: 9, composite_sub_policy: [{name: x, type: \
            trace_flags}], rate_allocation: [{policy: y, percent: 5}]}
            """,
            "there is no sub-policy 'y'"
        ),
        (
            """
            type: composite, composite: {max_total_spans_per_second: 9, composite_sub_policy: [{name: x, type: \
            trace_flags}, {name: y, type: always_sample}], rate_allocation: [{policy: x, percent: 60}, {policy: y, \
            percent: 41}]}
            """,
            "rate_allocation: the shares add up to 101.0 %"
        ),
        (
            """
            type: composite, composite: {max_total_spans_per_second: 9, composite_sub_policy: [{name: x, type: \
            trace_flags}, {name: y, type: always_sample}], rate_allocation: [{policy: x, percent: 100}]}
            """,
            "nothing is left for 'y'"
        ),
        ("type: cost, cost: {}", "min_usd: is required"), ("type: cost, cost: {min_usd: 1, per: call}", "'call' is not one of trace, span"),
        ("type: tokens, tokens: {}", "one of min_total, min_prompt, min_completion is needed"),
        ("type: priority, priority: {}", "rules: at least one rule is needed"),
        ("type: priority, priority: {rules: [{match: {svc: a}, sampling_percentage: 1}]}", "unknown key 'svc'"),
        ("type: priority, priority: {rules: [{match: {service: a}, sampling_percentage: 101}]}", "must be from 0.0 to 100.0"),
        ("type: cost_budget, cost_budget: {weight: price, spans_per_second: 1}", "'price' is not one of cost, tokens, duration"),
        ("type: dynamic, dynamic: {key: [a]}", "one of goal_spans_per_second and goal_sample_rate is needed"),
        (
            "type: dynamic, dynamic: {key: [a], goal_sample_rate: 1, goal_spans_per_second: 2}",
            "one of goal_spans_per_second and goal_sample_rate is needed"
        ),
        ("type: dynamic, dynamic: {goal_sample_rate: 2}", "key: at least one attribute is needed"),
    ]

    @Test("a policy's problem is told at its place", arguments: problems.indices)
    func problem(_ index: Int) throws {
        let (policy, message) = Self.problems[index]
        let found = try Self.read("policies:\n  - {name: a, \(policy)}\n").problems
        #expect(found.contains { $0.contains(message) }, "\(found)")
    }

    @Test("problems of the whole are told")
    func wholes() throws {
        func expect(_ yaml: String, _ message: String, sourceLocation: Testing.SourceLocation = #_sourceLocation) throws {
            let found = try Self.read(yaml).problems
            #expect(found.contains { $0.contains(message) }, "\(found)", sourceLocation: sourceLocation)
        }
        try expect("num_traces: 5", "t.policies: at least one policy is needed")
        try expect("policies: []", "t.policies: at least one policy is needed")
        try expect("policies: [{type: always_sample}]", "t.policies[0].name: is required")
        try expect(
            "policies: [{name: a, type: always_sample}, {name: a, type: trace_flags}]", "t.policies[1].name: another policy has this name")
        try expect("num_trace: 5", "unknown key 'num_trace'; did you mean 'num_traces'?")
        try expect("decision_cache: {sampled: 1}", "unknown key 'sampled'")
        try expect("decision_wait: soon", "decision_wait: expected a duration")
        try expect("num_shards: -1", "num_shards: must be from 0")
        let dynamic = "{name: a, type: dynamic, dynamic: {goal_sample_rate: 2, key: [a]}}"
        try expect(
            "policies: [\(dynamic), {name: b, type: dynamic, dynamic: {goal_sample_rate: 2, key: [b]}}]",
            "all dynamic policies of a sampler have the same key")
        let text = "string_attribute: {key: k, values: [a]}"
        let many = (0...CriteriaSet.capacity).map { "{name: p\($0), type: string_attribute, \(text)}" }.joined(separator: ", ")
        try expect("policies: [\(many)]", "ask more than 256 things of a span")
        var deep = "{type: trace_flags}"
        for _ in 0...PolicyCompiler.nestingMax { deep = "{type: not, not: {not_sub_policy: \(deep)}}" }
        try expect("policies: [{name: a, type: not, not: {not_sub_policy: \(deep)}}]", "nested more than 8 deep")
        let salted = (0..<13).map { "{type: probabilistic, probabilistic: {sampling_percentage: 50, hash_salt: s\($0)}}" }
        try expect(
            "policies: [{name: a, type: and, and: {and_sub_policy: [\(salted.joined(separator: ", "))]}}]",
            "combines too many random policies")
    }

    @Test("all problems of a configuration are told at once")
    func allAtOnce() throws {
        let found = try Self.read(
            """
            num_traces: 0
            policies:
              - {name: a, type: nothing, nothing: {x: 1}}
              - {name: b, type: and, and: {and_sub_policy: [{type: latency}, {type: cost, cost: {min_usd: -1}}]}}
            """
        ).problems
        #expect(found.count == 4, "\(found)")
    }

    @Test("twelve random policies with salts of their own side by side are no problem, nor a hundred")
    func manySources() throws {
        let salted = (0..<100).map { "{name: p\($0), type: probabilistic, probabilistic: {sampling_percentage: 1, hash_salt: s\($0)}}" }
        #expect(try Self.read("policies: [\(salted.joined(separator: ", "))]").problems == [])
    }
}
