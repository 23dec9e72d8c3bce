"""Guessing passwords is slow: over HTTP, with two applications that share a Redis, and without any."""

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.integration.api_world import PASSWORD, V1, ApiWorld, world

__all__ = ["world"]

LIMIT = 3


@pytest.fixture
def apps(world: ApiWorld) -> list[Flask]:
    """Two web processes that let LIMIT logins a minute through; nothing was counted before."""
    for key in world.redis.scan_iter("rates*"):
        world.redis.delete(key)
    return [world.another(login_limit=LIMIT, trusted_proxies=1) for _ in range(2)]


def login(
    app: Flask, username: str, tried: str = "wrong password", address: str = "192.0.2.1"
) -> TestResponse:
    return app.test_client().post(
        f"{V1}/auth/login",
        json={"username": username, "password": tried},
        headers={"X-Forwarded-For": address},
    )


def test_an_account_is_tried_so_often_from_an_address(apps: list[Flask]) -> None:
    first, second = apps
    answers = [login(app, name) for app, name in ((first, "admin"), (second, "ADMIN"), (first, "admin"))]
    assert [each.status_code for each in answers] == [401] * 3
    refused = login(second, "admin", PASSWORD)
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert login(first, "admin", PASSWORD, address="192.0.2.2").status_code == 200
    assert login(first, "somebody-else").status_code == 401


def test_an_address_is_limited_whatever_the_account(apps: list[Flask]) -> None:
    statuses = [login(apps[n % 2], f"user-{n}").status_code for n in range(LIMIT * 6 + 1)]
    assert statuses == [401] * (LIMIT * 6) + [429]


def test_an_account_is_limited_from_wherever(apps: list[Flask]) -> None:
    statuses = [
        login(apps[n % 2], "admin", address=f"198.51.100.{n}").status_code for n in range(LIMIT * 10 + 1)
    ]
    assert statuses == [401] * (LIMIT * 10) + [429]


def test_without_redis_each_process_counts_for_itself(world: ApiWorld) -> None:
    app = world.another(login_limit=LIMIT, redis_url="redis://127.0.0.1:1/0")
    assert [login(app, "admin").status_code for _ in range(LIMIT + 1)] == [401] * LIMIT + [429]


def test_an_address_that_no_proxy_vouches_for_is_not_believed(world: ApiWorld) -> None:
    app = world.another(login_limit=LIMIT, redis_url="redis://127.0.0.1:1/0")
    statuses = [login(app, "admin", address=f"198.51.100.{n}").status_code for n in range(LIMIT + 1)]
    assert statuses == [401] * LIMIT + [429]
