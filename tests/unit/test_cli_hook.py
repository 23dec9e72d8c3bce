"""hook at the command line."""

from tests.unit.cli_run import Cli

MADE = {
    "id": 4,
    "sender": "github",
    "application": "shop",
    "tag_prefix": "v",
    "path": "/api/v1/hooks/github/4",
    "created_by": "ada",
    "created_at": "2026-11-28T12:00:00Z",
    "removed_at": None,
    "removed_by": None,
}


def test_a_hook_is_made_and_says_where_and_with_what(cli: Cli) -> None:
    cli.on("POST", "/hooks/", MADE | {"secret": "whsec_AAAA"})
    done = cli.run("hook", "add", "github", "shop", "--tag-prefix", "shop-")
    assert done.stdout == "whsec_AAAA\n"
    assert f"{cli.server.url}/api/v1/hooks/github/4" in done.stderr
    (sent,) = cli.server.got("POST", "/api/v1/hooks/")
    assert sent.json() == {"sender": "github", "application": "shop", "tag_prefix": "shop-"}


def test_hooks_are_listed_shown_and_removed(cli: Cli) -> None:
    cli.on("GET", "/hooks/", {"items": [MADE], "next_cursor": None})
    cli.on("GET", "/hooks/4", MADE)
    cli.on("DELETE", "/hooks/4", MADE)
    assert "/api/v1/hooks/github/4" in cli.run("hook", "list").stdout
    assert "shop" in cli.run("hook", "show", "4").stdout
    assert cli.run("hook", "remove", "4").exit_code == 0
