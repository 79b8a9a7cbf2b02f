"""The two stores behind one face: what the exporter needs in its configuration, and plain SQL to look at the tables."""
import os
import sqlite3
import uuid
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit

import psycopg

COLUMNS = """ts trace_id span_id parent_span_id project_id service_name name kind status_code status_message duration_ms
    provider model operation user_id session_id prompt_tokens completion_tokens total_tokens cached_tokens cache_write_tokens
    reasoning_tokens prompt_cost_usd completion_cost_usd total_cost_usd ttft_ms finish_reason input output adjusted_count
    sampling_reason resource_id scope_name scope_version attributes events links trace_state flags dropped_attributes
    dropped_events dropped_links start_unix_nano duration_nano""".split()
LLM_COLUMNS = COLUMNS[COLUMNS.index("provider"):COLUMNS.index("adjusted_count")]


class Postgres:
    """A database of its own on the test server."""
    name, exporter = "postgres", "timescaledb"

    def __init__(self):
        server = os.environ.get("COLLECTOR_TEST_DATABASE_URL")
        assert server, "COLLECTOR_TEST_DATABASE_URL is not set: run under scripts/with-postgres"
        self.server = server
        self.database = "t_" + uuid.uuid4().hex[:12]
        self.dsn = urlunsplit(urlsplit(server)._replace(path="/" + self.database))

    def create(self):
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f'create database "{self.database}"')
        return self

    def drop(self):
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(f'drop database if exists "{self.database}" with (force)')

    def settings(self, **more):
        return {"dsn": self.dsn, "flush_interval": "50ms", **more}

    def query(self, sql, *parameters):
        """Rows as tuples; [] while the table does not exist yet."""
        try:
            with psycopg.connect(self.dsn) as connection:
                return connection.execute(sql.replace("?", "%s") if parameters else sql, parameters or None).fetchall()
        except psycopg.errors.UndefinedTable:
            return []

    # Expressions over a column that give the same Python values on both stores.
    selected = {"ts": "to_char({} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')", "trace_id": "replace({}::text, '-', '')",
                "span_id": "encode({}, 'hex')", "parent_span_id": "encode({}, 'hex')",
                "attributes": "{}::text", "events": "{}::text", "links": "{}::text"}


class SQLite:
    name, exporter = "sqlite", "sqlite"

    def __init__(self, directory):
        self.path = directory / "data" / "telemetry.db"

    def create(self):
        return self

    def drop(self):
        pass

    def settings(self, **more):
        return {"path": str(self.path), **more}

    def query(self, sql, *parameters):
        if not self.path.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=20)) as connection:
            try:
                return connection.execute(sql, parameters).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    selected = {}


def rows(store, where="true"):
    """Every row of `traces` as a dictionary, with the attributes and schema URL of its resource."""
    fields = [store.selected.get(c, "{}").format("t." + c) for c in COLUMNS]
    fields += [store.selected.get("attributes", "{}").format("r.attributes"), "r.schema_url"]
    found = store.query(f"select {', '.join(fields)} from traces t join resources r on r.resource_id = t.resource_id where {where}")
    return [dict(zip([*COLUMNS, "resource_attributes", "schema_url"], row)) for row in found]


def count(store):
    return (store.query("select count(*) from traces") or [(0,)])[0][0]
