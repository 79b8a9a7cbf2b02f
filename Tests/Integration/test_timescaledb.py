"""What only a server with TimescaleDB has; skipped, and said so, where there is none."""
import pytest

import otlp
from clients import http_export
from daemon import wait_until
from stores import count

pytestmark = pytest.mark.usefixtures("timescaledb")
DAY = 86_400 * otlp.SECOND


def test_traces_is_a_hypertable_with_policies_and_continuous_aggregates(postgres, start):
    daemon = start(postgres)
    http_export(daemon.ports.http, otlp.request([{}]))
    wait_until(lambda: count(postgres) == 1, what="the row")
    assert postgres.query("select hypertable_name from timescaledb_information.hypertables where hypertable_name = 'traces'")
    views = {row[0] for row in postgres.query("select view_name from timescaledb_information.continuous_aggregates")}
    assert {"traces_1min", "traces_1hour", "traces_1day"} <= views
    jobs = [row[0] for row in postgres.query("select proc_name from timescaledb_information.jobs")]
    assert jobs.count("policy_refresh_continuous_aggregate") == 3
    assert any("retention" in job for job in jobs) and any("compression" in job or "columnstore" in job for job in jobs)


def test_spans_on_10000_days_do_not_make_10000_chunks(postgres, start):
    daemon = start(postgres)
    now = otlp.now_nano()
    spans = [{"start_time_unix_nano": now - day * DAY} for day in range(10_000)]
    assert http_export(daemon.ports.http, otlp.request(spans)).status == 200
    wait_until(lambda: count(postgres) == 10_000, 60, "the rows")
    chunks, = postgres.query("select count(*) from timescaledb_information.chunks where hypertable_name = 'traces'")
    assert chunks[0] <= 92
