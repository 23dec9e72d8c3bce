"""webhook at the command line."""

from tests.unit.cli_run import Cli

MADE = {
    "id": 7,
    "name": "chat",
    "kind": "webhook",
    "settings": {"url": "https://example.com/told"},
    "events": ["deployment.failed"],
    "applications": [],
    "environments": ["production"],
    "created_by": "ada",
    "created_at": "2026-11-28T12:00:00Z",
    "disabled_at": None,
    "disabled_because": None,
    "removed_at": None,
    "removed_by": None,
}
DELIVERY = {
    "id": 3,
    "webhook_id": 7,
    "event_id": 11,
    "event": "deployment.failed",
    "subject": "deployment:42",
    "status": "dead",
    "tries": 8,
    "next_at": None,
    "delivered_at": None,
    "created_at": "2026-11-28T12:00:00Z",
    "last_at": "2026-11-29T16:00:00Z",
    "last_code": 500,
    "last_detail": "status 500: no\x1b[2Jway",
}
TRY = {"at": "2026-11-28T12:00:01Z", "milliseconds": 12, "code": 500, "detail": "status 500"}


def test_a_webhook_is_made_and_its_secret_goes_to_stdout(cli: Cli) -> None:
    cli.on("POST", "/webhooks/", MADE | {"secret": "whsec_AAAA"})
    done = cli.run(
        "webhook", "add", "https://example.com/told", "--name", "chat", "--event", "deployment.failed"
    )
    assert done.stdout == "whsec_AAAA\n"
    (sent,) = cli.server.got("POST", "/api/v1/webhooks/")
    assert sent.json() == {
        "name": "chat",
        "kind": "webhook",
        "settings": {"url": "https://example.com/told"},
        "events": ["deployment.failed"],
        "applications": [],
        "environments": [],
    }


def test_a_secret_setting_is_read_from_stdin(cli: Cli) -> None:
    cli.on("POST", "/webhooks/", MADE | {"kind": "github", "settings": {"repository": "a/b"}, "secret": None})
    done = cli.run(
        "webhook", "add", "--kind", "github", "--name", "gh", "--event", "deployment.*",
        "--set", "repository=a/b", "--set", "token=-", input="ghp_secret\n",
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (0, "")
    (sent,) = cli.server.got("POST", "/api/v1/webhooks/")
    assert sent.json()["settings"] == {"repository": "a/b", "token": "ghp_secret"}
    assert cli.run("webhook", "add", "--name", "x", "--event", "*", "--set", "nothing").exit_code == 2


def test_deliveries_are_listed_and_cannot_steer_the_terminal(cli: Cli) -> None:
    cli.on("GET", "/webhooks/7/deliveries", {"items": [DELIVERY], "next_cursor": None})
    shown = cli.run("webhook", "deliveries", "7", "--status", "dead").stdout
    assert "deployment:42" in shown
    assert "\x1b[2J" not in shown
    (sent,) = cli.server.got("GET", "/api/v1/webhooks/7/deliveries")
    assert sent.query["status"] == "dead"
    cli.on("GET", "/webhooks/7/deliveries/3", DELIVERY | {"log": [TRY]})
    assert "12 ms" in cli.run("webhook", "deliveries", "7", "--delivery", "3").stdout


def test_it_is_shown_tried_out_replayed_rotated_and_removed(cli: Cli) -> None:
    cli.on("GET", "/webhooks/", {"items": [MADE], "next_cursor": None})
    cli.on("GET", "/webhooks/7", MADE)
    cli.on("DELETE", "/webhooks/7", MADE)
    cli.on("POST", "/webhooks/7/test", (202, DELIVERY))
    cli.on("POST", "/webhooks/7/rotate", MADE | {"secret": "whsec_BBBB"})
    cli.on("POST", "/webhooks/7/replay", (202, {"replayed": 5}))
    cli.on("POST", "/webhooks/7/deliveries/3/replay", (202, DELIVERY | {"log": []}))
    assert "production" in cli.run("webhook", "list").stdout
    assert "https://example.com/told" in cli.run("webhook", "show", "7").stdout
    assert cli.run("webhook", "test", "7").exit_code == 0
    assert cli.run("webhook", "rotate", "7").stdout == "whsec_BBBB\n"
    assert cli.run("webhook", "replay", "7").stdout.split() == ["replayed", "5"]
    assert cli.run("webhook", "replay", "7", "--delivery", "3").exit_code == 0
    assert cli.run("webhook", "remove", "7").exit_code == 0
