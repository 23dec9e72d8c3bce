"""explain tells a person every gate, the forecast and what to do; programs get what the server said."""

import json

from tests.unit.cli_run import Cli

AT = "2026-12-01T12:00:00+00:00"
TOLD = {
    "deployment_id": 42,
    "status": "pending",
    "at": AT,
    "because": "ada locked it",
    "gates": [
        {
            "kind": "approval",
            "verdict": "passes",
            "evidence": "nobody has to",
            "changed_by": None,
            "until": None,
        },
        {
            "kind": "lock",
            "verdict": "waits",
            "evidence": "ada \x1b[2Jlocked it",
            "changed_by": "ada",
            "until": AT,
        },
    ],
    "queue": {"active_id": None, "ahead": 0},
    "forecast": {"starts_at": AT, "because": "ada locked it"},
    "remedies": [{"action": "release lock 3", "enough": True}, {"action": "approve it", "enough": False}],
    "ends_about": None,
    "failed_steps": [],
}


def test_every_gate_and_what_to_do(cli: Cli) -> None:
    cli.on("GET", "/deployments/42/explain", TOLD)
    done = cli.run("explain", "42")
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "deployment 42 is pending: ada locked it"
    assert lines[1] == "passes  approval   nobody has to"
    assert lines[3] == f"{'':19}changed by ada, or wait until {AT}"
    assert lines[4:] == [
        f"starts  {AT}: ada locked it",
        "you may release lock 3: it starts now",
        "you may approve it: that alone does not start it",
    ]


def test_a_failure_shows_its_steps(cli: Cli) -> None:
    failed = {"id": 3, "target": "web-a", "failure": "exit code 2"}
    told = {
        **TOLD,
        "status": "failed",
        "gates": [],
        "forecast": None,
        "remedies": [],
        "ends_about": None,
        "failed_steps": [failed],
    }
    cli.on("GET", "/deployments/42/explain", told)
    assert cli.run("explain", "42").stdout.splitlines() == [
        "deployment 42 is failed: ada locked it",
        "failed  web-a: exit code 2",
    ]


def test_programs_get_what_the_server_said(cli: Cli) -> None:
    cli.on("GET", "/deployments/42/explain", TOLD)
    assert json.loads(cli.run("explain", "42", "--json").stdout) == TOLD
