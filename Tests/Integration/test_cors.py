"""Pages of allowed origins may export; the preflight that browsers send before is answered so."""
import pytest

from clients import JSON, http_post
from daemon import Daemon

ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    cors = {"allowed_origins": ["https://*.example.com"], "allowed_headers": ["X-Tenant"], "max_age": 7200}
    with Daemon.with_config(tmp_path_factory.mktemp("cors"), "nop", receivers__otlp__protocols__http__cors=cors) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Without cors in the configuration."""
    with Daemon.with_config(tmp_path_factory.mktemp("plain"), "nop") as daemon:
        yield daemon


def preflight(daemon, origin):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-tenant"}
    return http_post(daemon.ports.http, None, method="OPTIONS", content_type=None, headers=headers)


def test_preflight_of_an_allowed_origin_names_what_is_allowed(daemon):
    answer = preflight(daemon, ORIGIN)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, ORIGIN)
    assert "POST" in answer.headers["access-control-allow-methods"] and answer.headers["access-control-max-age"] == "7200"
    allowed = [name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")]
    assert {"content-type", "x-tenant"} <= set(allowed) and "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize("origin", ["https://example.com", "https://app.example.com.evil.org", "http://app.example.com", "null"])
def test_preflight_of_another_origin_allows_nothing(daemon, origin):
    assert not [name for name in preflight(daemon, origin).headers if name.startswith("access-control-")]


def test_answers_to_an_allowed_origin_may_be_read_by_the_page(daemon):
    body = b'{"resourceSpans":[]}'
    for sent, expected in ((body, 200), (b"[", 400)):
        answer = http_post(daemon.ports.http, sent, content_type=JSON, headers={"Origin": ORIGIN})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (expected, ORIGIN)
    answer = http_post(daemon.ports.http, body, content_type=JSON, headers={"Origin": "https://evil.org"})
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers


def test_without_cors_in_the_configuration_there_is_no_preflight(plain):
    answer = preflight(plain, ORIGIN)
    assert answer.status == 405 and not [name for name in answer.headers if name.startswith("access-control-")]
