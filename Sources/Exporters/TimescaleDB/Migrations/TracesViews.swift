/// Migration 2: the aggregates, the function that reads quantiles from them, and the views.
enum TracesViews {
    static func statements(_ settings: SchemaSettings) -> [String] {
        functions(settings.schema) + Aggregate.allCases.map { aggregate($0, settings) } + views(settings.schema)
    }

    private static func aggregate(_ aggregate: Aggregate, _ settings: SchemaSettings) -> String {
        let name = "\(settings.schema).\(aggregate.rawValue)"
        guard let timescale = settings.timescale, timescale.isCommunity else {
            let bucket = "date_bin(\(aggregate.bucket.sqlInterval), ts, timestamptz '2000-01-01 00:00:00+00')"
            return "create or replace view \(name) as \(aggregate.select(from: settings.schema, bucketExpression: bucket))"
        }
        let bucket = "\(timescale.functions).time_bucket(\(aggregate.bucket.sqlInterval), ts)"
        return """
            create materialized view if not exists \(name) \
            with (timescaledb.continuous, timescaledb.materialized_only = false) as \
            \(aggregate.select(from: settings.schema, bucketExpression: bucket)) with no data
            """
    }

    private static func functions(_ schema: SQLIdentifier) -> [String] {
        let bounds = DurationHistogram.boundsMilliseconds.map(String.init).joined(separator: ", ")
        return [
            """
            create or replace function \(schema).traces_duration_bounds() returns double precision[]
            language sql immutable parallel safe
            return array[\(bounds)]::double precision[]
            """,
            quantile(schema, bounds),
        ]
    }

    /// Linear interpolation within the bucket that holds the quantile; `max` bounds the last one, and every answer.
    private static func quantile(_ schema: SQLIdentifier, _ bounds: String) -> String {
        """
        create or replace function \(schema).traces_quantile(histogram double precision[], q double precision, max double precision)
        returns double precision language plpgsql immutable parallel safe as $body$
        declare
          bounds constant double precision[] := array[\(bounds)];
          total double precision := 0;
          target double precision;
          below double precision := 0;
          lower_bound double precision := 0;
          upper_bound double precision;
        begin
          if histogram is null or q is null or q <> q then return null; end if;
          for i in 1 .. cardinality(histogram) loop
            total := total + coalesce(histogram[i], 0);
          end loop;
          if total <= 0 then return null; end if;
          target := least(greatest(q, 0), 1) * total;
          for i in 1 .. cardinality(histogram) loop
            if histogram[i] > 0 then
              lower_bound := case when i = 1 then 0 else bounds[i - 1] end;
              upper_bound := coalesce(bounds[i], max, lower_bound);
              if below + histogram[i] >= target then
                upper_bound := least(upper_bound, coalesce(max, upper_bound));
                return least(
                  lower_bound + greatest(upper_bound - lower_bound, 0) * (target - below) / histogram[i],
                  coalesce(max, 'Infinity'));
              end if;
              below := below + histogram[i];
            end if;
          end loop;
          return coalesce(max, upper_bound);
        end
        $body$
        """
    }

    private static func views(_ schema: SQLIdentifier) -> [String] {
        [
            """
            create or replace view \(schema).spans as
            select t.ts, encode(uuid_send(t.trace_id), 'hex') as trace_id, encode(t.span_id, 'hex') as span_id,
              encode(t.parent_span_id, 'hex') as parent_span_id, t.trace_id as trace_uuid, t.project_id, t.service_name, t.name,
              t.kind, t.status_code, t.status_message, t.duration_ms, t.provider, t.model, t.operation, t.user_id, t.session_id,
              t.prompt_tokens, t.completion_tokens, t.total_tokens, t.cached_tokens, t.cache_write_tokens, t.reasoning_tokens,
              t.prompt_cost_usd, t.completion_cost_usd, t.total_cost_usd, t.ttft_ms, t.finish_reason, t.input, t.output,
              t.adjusted_count, t.sampling_reason, t.resource_id, t.scope_name, t.scope_version, t.attributes, t.events, t.links,
              t.trace_state, t.flags, t.dropped_attributes, t.dropped_events, t.dropped_links, t.start_unix_nano, t.duration_nano,
              r.attributes as resource_attributes, r.schema_url as resource_schema_url
            from \(schema).traces t left join \(schema).resources r on r.resource_id = t.resource_id
            """,
            """
            create or replace view \(schema).llm_events as
            select ts as "timestamp", project_id as tenant_id,
              encode(uuid_send(trace_id), 'hex') || encode(span_id, 'hex') as event_id, model as model_name, provider,
              duration_ms as latency_ms, total_tokens as tokens_total, prompt_tokens, completion_tokens,
              total_cost_usd as cost_usd, case when status_code = 'ERROR' then 500 else 200 end as status_code, user_id, session_id
            from \(schema).traces
            where provider is not null or model is not null or operation is not null
            """,
            """
            create or replace view \(schema).llm_events_hourly as
            select bucket as hour, project_id as tenant_id, model as model_name, sum(trace_count) as event_count,
              sum(avg_duration_ms * trace_count) / nullif(sum(trace_count), 0) as avg_latency, max(max_duration_ms) as max_latency,
              sum(total_tokens) as total_tokens
            from \(schema).traces_1hour
            where provider is not null or model is not null
            group by 1, 2, 3
            """,
        ]
    }
}
