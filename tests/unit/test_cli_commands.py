"""What each command sends, prints and exits with."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from orchestrator.cli import COMMANDS, main
from tests.unit.cli_run import Cli
from tests.unit.cli_server import deployment, listed, problem, step

ANN = {
    "id": 1,
    "email": "ann@example.org",
    "username": "ann",
    "role": "deployer",
    "active": True,
    "created_at": "2026-11-23T12:00:00Z",
}
RELEASE = {
    "id": 7,
    "name": "shop",
    "version": "1.2.0",
    "status": "ready",
    "artifact": None,
    "changes": "New prices",
    "created_by": "ann",
    "created_at": "2026-11-23T12:00:00Z",
}
HEAVY = {"flask", "sqlalchemy", "celery", "redis", "rich", "urllib3", "marshmallow", "yaml"}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from orchestrator.cli import main; main(['--help'], standalone_mode=False); "
        f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "deployments" in done.stdout
    assert done.stdout.endswith("HEAVY []\n")


def test_a_list_as_json_draws_and_imports_no_server_library(cli: Cli) -> None:
    cli.on("GET", "/environments", listed())
    code = (
        "import sys; from orchestrator.cli import main; main(['environments', 'list', '--json'], standalone_mode=False); "
        f"print('HEAVY', sorted({HEAVY - {'urllib3'}!r} & set(sys.modules)))"
    )
    env = {**os.environ, **{name: value for name, value in cli.env.items() if value is not None}}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "[]\nHEAVY []\n"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in {"up", "demo"}])
def test_every_command_in_the_table_can_be_loaded_and_explains_itself(cli: Cli, name: str) -> None:
    done = cli.run(name, "--help")
    assert done.exit_code == 0
    assert "Usage: releasectl" in done.stdout


def walk(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_has_json_and_a_section_in_the_reference() -> None:
    reference = Path(__file__).parents[2].joinpath("docs", "cli.md").read_text(encoding="utf-8")
    commands = list(walk(main_without_servers()))
    assert len(commands) > 20
    for path, command in commands:
        options = {option for param in command.params for option in param.opts if option.startswith("--")}
        assert "--json" in options, path
        (row,) = (line for line in reference.splitlines() if line.startswith(f"| `{' '.join(path)}` |"))
        missing = {option for option in options - {"--json"} if not re.search(rf"{option}\b", row)}
        assert not missing, path


def main_without_servers() -> click.Group:
    assert isinstance(main, click.Group)
    lazy = {name: where for name, where in COMMANDS.items() if name not in {"up", "demo"}}
    return type(main)("releasectl", lazy=lazy)


def test_a_mistyped_command_is_answered_with_the_one_meant(cli: Cli) -> None:
    done = cli.run("deplyo")
    assert done.exit_code == 2
    assert "Did you mean 'deploy'?" in done.stderr


def test_without_any_configuration_it_says_what_to_do(cli: Cli) -> None:
    cli.env["RELEASECTL_URL"] = None
    done = cli.run("whoami")
    assert done.exit_code == 2
    assert "releasectl login --url" in done.stderr
    assert "releasectl up" in done.stderr


def test_the_server_started_in_this_directory_is_found(cli: Cli) -> None:
    cli.env["RELEASECTL_URL"] = None
    (cli.home / ".data").mkdir()
    (cli.home / ".data" / "up.json").write_text(json.dumps({"url": cli.server.url, "pid": 1}))
    cli.on("GET", "/auth/me", ANN)
    assert cli.run("whoami").exit_code == 0


def test_login_stores_tokens_and_makes_the_server_the_default(cli: Cli) -> None:
    cli.env["RELEASECTL_URL"] = None
    cli.on("POST", "/auth/login", {"access_token": "a", "refresh_token": "r"}).on("GET", "/auth/me", ANN)
    done = cli.run(
        "login", "--url", cli.server.url, "--username", "ann", "--password-stdin", input="s3cret word\n"
    )
    assert (done.exit_code, done.stderr) == (0, "")
    assert cli.server.requests[0].json() == {"username": "ann", "password": "s3cret word"}
    assert cli.run("whoami").exit_code == 0
    assert cli.server.requests[-1].headers["authorization"] == "Bearer a"
    config = cli.home / "releasectl" / "config.json"
    assert config.stat().st_mode & 0o777 == 0o600
    assert "s3cret" not in config.read_text()


def test_logout_forgets_even_when_the_server_is_away(cli: Cli) -> None:
    cli.on("POST", "/auth/login", {"access_token": "a", "refresh_token": "r"}).on("GET", "/auth/me", ANN)
    cli.env["RELEASECTL_PASSWORD"] = "x"
    assert cli.run("login", "--username", "ann").exit_code == 0
    config = cli.home / "releasectl" / "config.json"
    entry = json.loads(config.read_text())["servers"].pop(cli.server.url)
    cli.env["RELEASECTL_URL"] = gone = "http://127.0.0.1:1"
    config.write_text(json.dumps({"servers": {gone: entry}}))
    done = cli.run("logout")
    assert done.exit_code == 0
    assert "forgotten here" in done.stderr
    assert json.loads(config.read_text())["servers"] == {}


def test_a_token_from_the_environment_wins(cli: Cli) -> None:
    cli.env["RELEASECTL_TOKEN"] = "dpl_1"
    cli.on("GET", "/auth/me", ANN)
    cli.run("whoami")
    assert cli.server.requests[0].headers["authorization"] == "Bearer dpl_1"


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "says"),
    [
        (400, "rule_violation", 6, "detail"),
        (400, "bad_request", 2, "detail"),
        (401, "unauthenticated", 4, "releasectl login"),
        (403, "forbidden", 4, "role"),
        (404, "not_found", 3, "detail"),
        (409, "conflict", 5, "detail"),
        (422, "invalid_input", 2, "/name: is missing"),
        (500, "internal", 69, "request id: r-1"),
        (503, "unavailable", 69, "releasectl doctor"),
    ],
)
def test_each_refusal_has_its_exit_code(cli: Cli, status: int, code: str, exit_code: int, says: str) -> None:
    errors = [{"pointer": "/name", "detail": "is missing"}]
    cli.on("POST", "/deployments/42/resume", problem(status, code, "detail", errors=errors, request_id="r-1"))
    done = cli.run("deployments", "resume", "42", "--answer", "skip")
    assert done.exit_code == exit_code
    assert done.stdout == ""
    assert says in done.stderr


def test_skip_is_that_answer(cli: Cli) -> None:
    cli.on("POST", "/deployments/42/resume", {"id": 42})
    done = cli.run("deployments", "skip", "42")
    assert (done.exit_code, done.stdout) == (0, "deployment 42  answered: skip\n")
    assert cli.server.requests[-1].json() == {"answer": "skip"}


def test_a_claim_is_told_with_what_comes_after_it(cli: Cli) -> None:
    cli.on("POST", "/deployments/42/claim", {"id": 42})
    done = cli.run("deployments", "claim", "42")
    told = "deployment 42  claimed; answer it with `releasectl deployments resume`\n"
    assert (done.exit_code, done.stdout) == (0, told)


def test_a_server_that_is_not_there_is_exit_69_with_advice(cli: Cli) -> None:
    cli.env["RELEASECTL_URL"] = "http://127.0.0.1:1"
    done = cli.run("whoami")
    assert done.exit_code == 69
    assert "http://127.0.0.1:1 does not answer" in done.stderr
    assert "releasectl up" in done.stderr


def test_release_create_sends_what_was_given(cli: Cli) -> None:
    (cli.home / "CHANGES").write_text("New prices\n")
    cli.on("POST", "/releases/", (201, RELEASE))
    done = cli.run("release", "create", "shop", "1.2.0", "--changes", "@CHANGES", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == RELEASE
    assert cli.server.requests[0].json() == {"name": "shop", "version": "1.2.0", "changes": "New prices\n"}


def test_release_create_sends_when_it_was_committed(cli: Cli) -> None:
    cli.on("POST", "/releases/", (201, RELEASE))
    assert (
        cli.run("release", "create", "shop", "1", "--committed-at", "2026-11-20T10:30:00+01:00").exit_code
        == 0
    )
    assert cli.server.requests[0].json()["committed_at"] == "2026-11-20T09:30:00Z"
    assert cli.run("release", "create", "shop", "1", "--committed-at", "yesterday").exit_code == 2


def test_release_show_of_none_is_exit_3(cli: Cli) -> None:
    cli.on("GET", "/releases/", listed())
    assert cli.run("release", "show", "shop", "9").exit_code == 3


def test_a_piped_table_is_aligned_plain_text_with_absolute_times(cli: Cli) -> None:
    cli.on("GET", "/releases/", listed(RELEASE, {**RELEASE, "id": 12, "version": "1.10.0"}))
    assert cli.run("release", "list", "shop").stdout.splitlines() == [
        "id  application  version  status  artifact  created",
        "7   shop         1.2.0    ready             2026-11-23T12:00:00Z",
        "12  shop         1.10.0   ready             2026-11-23T12:00:00Z",
    ]
    assert cli.server.requests[0].query == {"name": "shop", "limit": "50"}


def test_names_from_the_server_cannot_steer_the_terminal(cli: Cli) -> None:
    cli.on("GET", "/releases/", listed({**RELEASE, "version": "1\x1b]0;owned\x07\n\u202e2"}))
    shown = cli.run("release", "list").stdout
    assert r"1\x1b]0;owned\x07\n\u202e2" in shown
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)


def test_deploy_tells_what_it_waits_for_and_how_to_watch(cli: Cli) -> None:
    waiting = deployment("pending", waiting_for=[{"kind": "window", "message": "the window opens at 18:00"}])
    cli.on("POST", "/deployments/", (202, waiting))
    done = cli.run("deploy", "shop", "1.2.0", "--to", "production", "--reason", "sale")
    assert done.exit_code == 0
    assert done.stdout == "deployment 42  shop 1.2.0 -> production  pending\n"
    assert "the window opens at 18:00" in done.stderr
    assert "releasectl deployments watch 42" in done.stderr
    sent = {"application": "shop", "version": "1.2.0", "environment": "production", "reason": "sale"}
    assert cli.server.requests[0].json() == sent


def test_deployments_list_filters_at_the_server(cli: Cli) -> None:
    cli.on("GET", "/deployments/", listed(deployment("succeeded", succeeded=2)))
    done = cli.run("deployments", "list", "--env", "production", "--status", "succeeded", "--limit", "1")
    assert "42  shop         1.2.0    production   succeeded  2/2" in done.stdout
    assert cli.server.requests[0].query == {
        "environment": "production",
        "status": "succeeded",
        "limit": "1",
    }


def test_steps_count_waves_from_one(cli: Cli) -> None:
    cli.on("GET", "/deployments/42/steps", listed(step(1, "web-a", "failed", wave=1, failure="exit code 3")))
    done = cli.run("deployments", "steps", "42", "--wave", "2")
    assert cli.server.requests[0].query["wave"] == "1"
    assert done.stdout.splitlines()[1] == "1   2     web-a   unpack  failed  1              exit code 3"


def installed(
    target: str, version: str | None, number: int | None, since: str | None, *, well: bool | None = None
) -> dict[str, object]:
    place = {"application": "shop", "environment": "production", "target": target}
    health = {"healthy": well, "detail": "status 500, not 200", "checked_at": "2026-03-02"}
    return {
        **place,
        "version": version,
        "release_id": 1,
        "deployment_id": number,
        "since": since,
        "health": None if well is None else health,
    }


def test_status_says_how_many_targets_have_each_version(cli: Cli) -> None:
    found = [
        installed("a", "1.0", 1, "2026-01-01"),
        installed("b", "1.0", 3, "2026-03-01"),
        installed("c", "1.1", 2, "2026-02-01"),
        installed("d", None, None, None),
        installed("e", None, None, None),
    ]
    cli.on("GET", "/installations", listed(*found))
    assert cli.run("status", "shop", "--env", "production").stdout.splitlines() == [
        "application  environment  version    targets  since       deployment  health",
        "shop         production   1.0        2 of 5   2026-03-01  3",
        "shop         production   1.1        1 of 5   2026-02-01  2",
        "shop         production   (nothing)  2 of 5",
    ]
    assert cli.server.requests[0].query == {
        "application": "shop",
        "environment": "production",
        "limit": "200",
    }
    assert [each["target"] for each in json.loads(cli.run("status", "--json").stdout)] == list("abcde")


def test_status_says_what_ran_at_a_time_in_every_environment(cli: Cli) -> None:
    cli.on("GET", "/environments", listed({"name": "staging"}, {"name": "production"}))
    cli.on("GET", "/environments/staging/installations", listed())
    past = {name: value for name, value in installed("a", "1.0", 1, "2026-01-01").items() if name != "health"}
    cli.on("GET", "/environments/production/installations", listed(past))
    assert cli.run("status", "shop", "--at", "2026-02-01T12:00Z").stdout.splitlines() == [
        "application  environment  version  targets  since       deployment",
        "shop         production   1.0      1 of 1   2026-01-01  1",
    ]
    assert cli.server.requests[-1].query == {
        "application": "shop",
        "at": "2026-02-01T12:00:00Z",
        "limit": "200",
    }


def test_status_says_what_is_not_well(cli: Cli) -> None:
    found = [
        installed("a", "1.0", 1, "2026-01-01", well=True),
        installed("b", "1.0", 1, "2026-01-01", well=False),
        installed("c", "1.1", 2, "2026-02-01", well=True),
    ]
    cli.on("GET", "/installations", listed(*found))
    assert [line.split("  ")[-1].strip() for line in cli.run("status").stdout.splitlines()] == [
        "health",
        "1 of 2 failing",
        "well",
    ]
    lines = cli.run("status", "--targets").stdout.splitlines()
    assert [line.split("  ")[-1].strip() for line in lines] == [
        "health",
        "well",
        "failing: status 500, not 200",
        "well",
    ]


def test_api_sends_text_and_typed_fields_and_prints_errors_too(cli: Cli) -> None:
    cli.on("PATCH", "/users/3", problem(403, "forbidden", "Only admins."))
    done = cli.run("api", "patch", "/users/3", "-f", "email=1.0", "-F", "active=false", "-H", 'If-Match: "a"')
    assert cli.server.requests[0].json() == {"email": "1.0", "active": False}
    assert cli.server.requests[0].headers["if-match"] == '"a"'
    assert done.exit_code == 4
    assert json.loads(done.stdout)["detail"] == "Only admins."
    assert "Only admins." in done.stderr


def test_user_create_reads_the_password_from_stdin(cli: Cli) -> None:
    cli.on("POST", "/users/", (201, ANN))
    done = cli.run("user", "create", "ann", "--email", "ann@example.org", "--password-stdin", input="pw\n")
    assert done.exit_code == 0
    assert cli.server.requests[0].json() == {"username": "ann", "email": "ann@example.org", "password": "pw"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_releasectl(cli: Cli, shell: str) -> None:
    assert "_RELEASECTL_COMPLETE" in cli.run("completion", shell).stdout


def test_tab_offers_the_servers_applications(cli: Cli) -> None:
    cli.on("GET", "/applications", listed({"name": "shop"}, {"name": "search"}, {"name": "mail"}))
    cli.env |= {
        "_RELEASECTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "releasectl deploy s",
        "COMP_CWORD": "2",
    }
    assert cli.run().stdout.split() == ["plain,shop", "plain,search"]


def test_a_password_is_changed_from_stdin(cli: Cli) -> None:
    cli.on("POST", "/auth/password", None)
    done = cli.run("password", input="the old one\nthe new one\n")
    assert done.exit_code == 0, done.output
    (sent,) = cli.server.got("POST", "/api/v1/auth/password")
    assert sent.json() == {"current_password": "the old one", "password": "the new one"}
    assert "the" not in done.stdout
