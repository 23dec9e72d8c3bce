"""grant, and what belongs to it, at the command line."""

from tests.unit.cli_run import Cli

MADE = {
    "id": 3,
    "application": "shop",
    "user": None,
    "team": "payments",
    "role": "deployer",
    "environments": ["staging"],
    "created_at": "2026-11-23T08:00:00Z",
    "created_by": "ada",
    "removed_at": None,
    "removed_by": None,
}


def test_a_role_is_given_to_a_team(cli: Cli) -> None:
    cli.on("POST", "/grants/", MADE)
    done = cli.run("grant", "add", "shop", "deployer", "--team", "payments", "--env", "staging")
    assert "team payments" in done.stdout
    (sent,) = cli.server.got("POST", "/api/v1/grants/")
    body = {"application": "shop", "role": "deployer", "environments": ["staging"], "team": "payments"}
    assert sent.json() == body
    assert "idempotency-key" in sent.headers


def test_a_grant_is_for_a_user_or_for_a_team(cli: Cli) -> None:
    for given in ((), ("--team", "a", "--user", "b")):
        done = cli.run("grant", "add", "shop", "deployer", *given)
        assert done.exit_code == 2
        assert "--user or --team" in done.stderr
    assert cli.run("grant", "add", "shop", "viewer", "--user", "b").exit_code == 2


def test_grants_are_listed_and_removed(cli: Cli) -> None:
    cli.on("GET", "/grants/", {"items": [MADE], "next_cursor": None})
    cli.on("DELETE", "/grants/3", MADE)
    assert "payments" in cli.run("grant", "list", "--application", "shop").stdout
    (sent,) = cli.server.got("GET", "/api/v1/grants/")
    assert sent.query["application"] == "shop"
    assert cli.run("grant", "remove", "3").exit_code == 0


def test_an_environment_is_restricted_and_an_application_handed_over(cli: Cli) -> None:
    place = {"id": 1, "name": "production", "position": 1, "restricted": True}
    shop = {"name": "shop", "owner": "ben", "description": "", "pipeline_revision": 1, "created_at": "x"}
    cli.on("PATCH", "/environments/production", place).on("PATCH", "/applications/shop", shop)
    assert "yes" in cli.run("environments", "change", "production", "--restricted").stdout
    assert "ben" in cli.run("applications", "change", "shop", "--owner", "ben").stdout
    (sent,) = cli.server.got("PATCH", "/api/v1/environments/production")
    assert sent.json() == {"restricted": True}
    (sent,) = cli.server.got("PATCH", "/api/v1/applications/shop")
    assert sent.json() == {"owner": "ben"}
