"""Pages of other origins: as a browser would ask (Fetch standard, CORS protocol)."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from orchestrator.config import Settings
from orchestrator.domain.errors import MisconfiguredError
from tests.conftest import SECRET_KEY
from tests.integration.api_world import V1, ApiWorld, world

__all__ = ["world"]

OURS, OTHER, EVIL = "https://ui.example.com", "http://localhost:5173", "https://evil.example.com"


def client(world: ApiWorld, **settings: Any) -> FlaskClient:
    return world.another(**settings).test_client()


@pytest.fixture(scope="module")
def shared(world: ApiWorld) -> FlaskClient:
    return client(world, cors_origins=f"{OURS}, {OTHER}")


def preflight(asked: FlaskClient, origin: str, method: str = "PATCH", headers: str = "if-match") -> Any:
    sent = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }
    return asked.options(f"{V1}/users/1", headers=sent)


def cors_headers(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name.startswith("Access-Control")}


def test_by_itself_no_page_of_another_origin_reads_anything(world: ApiWorld) -> None:
    plain = world.client()
    assert cors_headers(preflight(plain, OURS)) == {}
    answer = plain.get(f"{V1}/users/", headers={"Origin": OURS})
    assert cors_headers(answer) == {}
    assert "Vary" not in answer.headers


@pytest.mark.parametrize("origin", [OURS, OTHER])
def test_a_page_that_is_named_may(world: ApiWorld, shared: FlaskClient, origin: str) -> None:
    allowed = preflight(shared, origin, headers="authorization, if-match")
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == origin
    assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]
    names = allowed.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert set(names) == {"authorization", "if-match"}
    sent = {"Origin": origin, "Authorization": f"Bearer {world.admin.tokens['access_token']}"}
    answer = shared.get(f"{V1}/users/1", headers=sent)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Location", "Retry-After", "X-Request-ID", "RateLimit-Remaining"} <= set(exposed)
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_errors_can_be_read_too(shared: FlaskClient) -> None:
    answer = shared.get(f"{V1}/users/", headers={"Origin": OURS})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (401, OURS)


@pytest.mark.parametrize(
    "origin", [EVIL, f"{OURS}.evil.example.com", "http://ui.example.com", f"{OURS}:444", "null", ""]
)
def test_a_page_that_is_not_named_may_not(shared: FlaskClient, origin: str) -> None:
    assert cors_headers(preflight(shared, origin)) == {}
    answer = shared.get(f"{V1}/users/", headers={"Origin": origin})
    assert cors_headers(answer) == {}
    assert answer.headers["Vary"] == "Origin"


def test_only_the_methods_and_headers_that_are_named(world: ApiWorld) -> None:
    asked = client(world, cors_origins=OURS, cors_methods="GET", cors_headers="Authorization")
    assert "Access-Control-Allow-Methods" not in preflight(asked, OURS, "DELETE").headers
    allowed = preflight(asked, OURS, "GET", "authorization, x-other")
    assert allowed.headers["Access-Control-Allow-Methods"] == "GET"
    assert allowed.headers["Access-Control-Allow-Headers"].lower() == "authorization"


def test_outside_of_the_api_nothing_is_shared(shared: FlaskClient) -> None:
    for path in ("/health", "/docs", "/openapi.json", "/metrics"):
        assert cors_headers(shared.get(path, headers={"Origin": OURS})) == {}


def test_what_keeps_browsers_safe_stays(shared: FlaskClient) -> None:
    headers = shared.get(f"{V1}/users/", headers={"Origin": OURS}).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_all_origins_and_credentials(world: ApiWorld) -> None:
    everybody = client(world, cors_origins="*").get(f"{V1}/users/", headers={"Origin": EVIL})
    assert everybody.headers["Access-Control-Allow-Origin"] == "*"
    with_cookies = client(world, cors_origins=OURS, cors_credentials=True)
    assert preflight(with_cookies, OURS).headers["Access-Control-Allow-Credentials"] == "true"
    assert cors_headers(preflight(with_cookies, EVIL)) == {}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"CORS_ORIGINS": "ui.example.com"}, "no origin"),
        ({"CORS_ORIGINS": "https://ui.example.com/"}, "no origin"),
        ({"CORS_ORIGINS": "https://*.example.com"}, "no origin"),
        ({"CORS_ORIGINS": "null"}, "no origin"),
        ({"CORS_ORIGINS": "*, https://ui.example.com"}, "beside other origins"),
        ({"CORS_ORIGINS": "*", "CORS_CREDENTIALS": "true"}, "CORS_CREDENTIALS needs"),
    ],
)
def test_what_would_not_do_what_was_meant_stops_the_start(wrong: dict[str, str], says: str) -> None:
    env = {
        "DATABASE_URL": "postgresql://127.0.0.1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "SECRET_KEY": SECRET_KEY,
    }
    Settings.from_env(env | {"CORS_ORIGINS": OURS})
    with pytest.raises(MisconfiguredError, match=says):
        Settings.from_env(env | wrong)
