"""Tokens for a client on somebody's machine, who logs in at an OpenID Connect provider."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.integration.api_world import V1, ApiWorld, Person, world
from tests.integration.oidc_world import application, provider
from tests.oidc_server import CLIENT_ID, REDIRECT_URL, Oidc

__all__ = ["provider", "world"]


VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


def question(redirect_uri: str) -> dict[str, str]:
    """As a client on somebody's machine asks; with the vector of RFC 7636, appendix B."""
    return {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": redirect_uri,
        "scope": "openid email",
        "state": "xyz",
        "nonce": "n-0S6_WzA2Mj-n-0S6_WzA2Mj",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }


def test_a_client_on_somebodys_machine_gets_tokens(world: ApiWorld, provider: Oidc) -> None:
    client = application(world, provider, "*=deployer").test_client()
    told = client.get(f"{V1}/auth/oidc").get_json()
    assert told == {
        "issuer": provider.issuer,
        "authorization_endpoint": f"{provider.issuer}/authorize",
        "client_id": CLIENT_ID,
        "scopes": "openid email profile",
    }
    asked = question("http://127.0.0.1:49152/")
    back = provider.authorize(f"{told['authorization_endpoint']}?{urlencode(asked)}")
    body = {
        "code": parse_qs(urlsplit(back).query)["code"][0],
        "code_verifier": VERIFIER,
        "nonce": asked["nonce"],
        "redirect_uri": asked["redirect_uri"],
    }
    answer = client.post(f"{V1}/auth/oidc", json=body)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    me = Person(client, answer.get_json()).get("/auth/me").get_json()
    assert (me["email"], me["role"]) == (provider.person["email"], "deployer")
    again = client.post(f"{V1}/auth/oidc", json=body)
    assert (again.status_code, again.get_json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize("uri", ["https://evil.example/", "http://127.0.0.1.evil.example:80/", REDIRECT_URL])
def test_only_a_port_of_the_same_machine_is_led_back_to(world: ApiWorld, provider: Oidc, uri: str) -> None:
    body = {"code": "x", "code_verifier": "v" * 43, "nonce": "n" * 22, "redirect_uri": uri}
    answer = application(world, provider).test_client().post(f"{V1}/auth/oidc", json=body)
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/redirect_uri")


def test_without_a_provider_the_api_says_so(world: ApiWorld) -> None:
    assert world.client().get(f"{V1}/auth/oidc").status_code == 404
