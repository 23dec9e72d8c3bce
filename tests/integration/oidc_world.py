"""What the tests of logins at a provider share: the provider, an application that knows it, and a browser's way there and back."""

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.integration.api_world import ApiWorld
from tests.oidc_server import CLIENT_ID, CLIENT_SECRET, REDIRECT_URL, Oidc, oidc_server

NUMBERS = itertools.count(1)


@pytest.fixture
def provider() -> Iterator[Oidc]:
    with oidc_server() as found:
        number = next(NUMBERS)
        found.person = {
            "sub": f"subject-{number}",
            "email": f"person-{number}@id.example",
            "email_verified": True,
            "preferred_username": f"person-{number}",
        }
        yield found


def application(world: ApiWorld, provider: Oidc, roles: str = "*=viewer", **more: Any) -> Flask:
    return world.another(
        oidc_issuer=provider.issuer,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret=CLIENT_SECRET,
        oidc_redirect_url=REDIRECT_URL,
        oidc_roles=roles,
        **more,
    )


def leave(client: FlaskClient, back: str = "/") -> str:
    """Where the browser is sent."""
    answer = client.get(f"/login/oidc?{urlencode({'next': back})}")
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def log_in(client: FlaskClient, provider: Oidc, back: str = "/") -> TestResponse:
    return client.get(provider.authorize(leave(client, back)))
