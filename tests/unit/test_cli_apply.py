"""apply's errors read like a compiler's."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli_run import Cli, cli_in
from tests.unit.cli_server import problem

SHOP = """application: shop
environments:
  staging: {targets: [{name: local, kind: command}]}
  production:
    after: stagging
"""
STORED = {
    "application": "shop",
    "revision": 3,
    "changed": True,
    "environments": ["staging", "production"],
    "warnings": [],
}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    (tmp_path / "shop.yaml").write_text(SHOP)
    with cli_in(tmp_path, monkeypatch) as made:
        yield made


def test_the_file_is_sent_as_it_is(cli: Cli) -> None:
    cli.on("PUT", "/applications/shop/pipeline", (201, STORED))
    done = cli.run("apply", "-f", "shop.yaml")
    assert (done.exit_code, done.stdout) == (0, "shop: stored as revision 3 (staging -> production)\n")
    request = cli.server.requests[0]
    assert request.body.decode() == SHOP
    assert request.headers["content-type"] == "application/yaml"
    assert request.query == {}


def test_dry_run_asks_the_server_to_change_nothing(cli: Cli) -> None:
    cli.on("PUT", "/applications/shop/pipeline", STORED)
    done = cli.run("apply", "-f", "shop.yaml", "--dry-run")
    assert done.stdout == "shop: valid, would change (staging -> production)\n"
    assert cli.server.requests[0].query == {"dry_run": "true"}


def test_an_error_shows_its_line_with_a_caret_under_the_key(cli: Cli) -> None:
    wrong = {
        "pointer": "/environments/production/after",
        "detail": "there is no environment stagging",
        "line": 5,
    }
    cli.on("PUT", "/applications/shop/pipeline", problem(422, "invalid_input", "Not valid.", errors=[wrong]))
    done = cli.run("apply", "-f", "shop.yaml")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "shop.yaml:5: environments.production.after: there is no environment stagging",
        "     5 |     after: stagging",
        "       |     ^^^^^",
        "releasectl: shop.yaml was not stored: 1 to mend.",
    ]


def test_with_json_the_errors_are_on_stdout_too(cli: Cli) -> None:
    wrong = {"pointer": "/environments", "detail": "is empty", "line": None}
    cli.on("PUT", "/applications/shop/pipeline", problem(422, "invalid_input", "Not valid.", errors=[wrong]))
    done = cli.run("apply", "-f", "shop.yaml", "--json")
    assert json.loads(done.stdout) == {"errors": [wrong]}
    assert "shop.yaml: environments: is empty" in done.stderr


def test_broken_yaml_is_told_without_asking_the_server(cli: Cli) -> None:
    (cli.home / "shop.yaml").write_text("application: shop\nenvironments: [staging\n")
    done = cli.run("apply", "-f", "shop.yaml")
    assert done.exit_code == 2
    assert done.stderr.startswith("shop.yaml:3: ")
    assert cli.server.requests == []


def test_a_file_that_names_no_application_needs_the_option(cli: Cli) -> None:
    cli.on("PUT", "/applications/shop/pipeline", STORED)
    text = "environments: {}\n"
    assert "application: NAME" in cli.run("apply", "-f", "-", input=text).stderr
    assert cli.run("apply", "-f", "-", "--application", "shop", input=text).exit_code == 0


def test_a_missing_file_is_a_usage_error(cli: Cli) -> None:
    done = cli.run("apply", "-f", "none.yaml")
    assert done.exit_code == 2
    assert "none.yaml cannot be read: No such file or directory" in done.stderr


def test_warnings_are_shown_and_do_not_fail(cli: Cli) -> None:
    warned = {**STORED, "warnings": ["targets of staging have no check"]}
    cli.on("PUT", "/applications/shop/pipeline", warned)
    done = cli.run("apply", "-f", "shop.yaml")
    assert done.exit_code == 0
    assert done.stderr == "shop.yaml: warning: targets of staging have no check\n"
