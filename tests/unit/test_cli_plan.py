"""plan shows a person what would happen; programs get what the server said."""

import json

from tests.unit.cli_run import Cli

FORESEEN = {
    "application": "shop",
    "version": "1.2.0",
    "environment": "production",
    "strategy": "rolling",
    "steps": 9,
    "wave_count": 3,
    "waves": [
        {"wave": 0, "action": "install", "total": 1, "targets": ["web-a"], "wait_seconds": 90},
        {
            "wave": 1,
            "action": "install",
            "total": 8,
            "targets": [f"web-{n}" for n in range(8)],
            "wait_seconds": 0,
        },
    ],
    "replaces": {"deployment_id": 3, "version": "1.1.0", "since": "2026-11-01T00:00:00Z"},
    "brings": [
        {"release_id": 8, "version": "1.2.0", "changes": "Invoices in\x1b[31m euros\nand more"},
        {"release_id": 7, "version": "1.1.1", "changes": ""},
    ],
    "changed_variables": [{"name": "COLOUR", "before": None, "after": "red"}],
    "duration_seconds": {"deployments": 4, "p50": 61.2, "p90": 185.0},
    "gates": [],
    "forecast": {"starts_at": None, "because": "x"},
    "remedies": [],
}


def test_a_plan_is_told(cli: Cli) -> None:
    cli.on("POST", "/deployments/", FORESEEN)
    done = cli.run("plan", "shop", "1.2.0", "--to", "production", "--allow-downgrade")
    assert done.stdout.splitlines() == [
        "shop 1.2.0 -> production, where 1.1.0 is",
        "rolling: 9 steps in 3 waves",
        "  wave 1  install  on web-a, then a wait of 1m30s",
        "  wave 2  install  on web-0, web-1, web-2, web-3, web-4 and 3 more",
        "  and 1 more wave",
        "  brings 1.2.0  Invoices in\\x1b[31m euros",
        "  brings 1.1.1",
        "  COLOUR: (not there) -> red",
        "takes about 1 min, nine in ten at most 3 min (of 4 before)",
        "starts  nobody can say when: x",
    ]
    (sent,) = cli.server.got("POST", "/api/v1/deployments/")
    assert (sent.query, sent.json()["allow_downgrade"]) == ({"dry_run": "true"}, True)
    assert "idempotency-key" not in sent.headers


def test_programs_get_what_the_server_said(cli: Cli) -> None:
    cli.on("POST", "/deployments/", FORESEEN)
    assert json.loads(cli.run("plan", "shop", "1.2.0", "--to", "production", "--json").stdout) == FORESEEN
