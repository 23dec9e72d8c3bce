"""token at the command line: the token alone goes to stdout."""

from tests.unit.cli_run import Cli

MADE = {
    "id": 7,
    "name": "ci",
    "hint": "drm_abcdef",
    "username": "ada",
    "scopes": ["deploy"],
    "applications": ["shop"],
    "environments": [],
    "created_at": "2026-11-23T08:00:00Z",
    "expires_at": "2027-02-21T08:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
}
TOKEN = "drm_" + "a" * 46


def test_a_token_is_made_for_a_variable(cli: Cli) -> None:
    cli.on("POST", "/tokens/", MADE | {"token": TOKEN})
    done = cli.run("token", "create", "ci", "--scope", "deploy", "--application", "shop")
    assert done.stdout == f"{TOKEN}\n"
    (sent,) = cli.server.got("POST", "/api/v1/tokens/")
    assert sent.json() == {
        "name": "ci",
        "scopes": ["deploy"],
        "applications": ["shop"],
        "environments": [],
        "expires_at": None,
    }
    assert "idempotency-key" not in sent.headers


def test_tokens_are_listed_and_revoked(cli: Cli) -> None:
    cli.on("GET", "/tokens/", {"items": [MADE], "next_cursor": None})
    cli.on("DELETE", "/tokens/7", MADE)
    assert "drm_abcdef" in cli.run("token", "list", "--all").stdout
    (sent,) = cli.server.got("GET", "/api/v1/tokens/")
    assert sent.query["all"] == "true"
    assert cli.run("token", "revoke", "7").exit_code == 0
