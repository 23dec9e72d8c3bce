"""insights at the command line: numbers in words, and what lies behind them."""

import json
from typing import Any

from tests.unit.cli_run import Cli
from tests.unit.cli_server import listed


def measures(**changes: Any) -> dict[str, Any]:
    return {
        "change_lead_time": {
            "count": 12,
            "p50_seconds": 207_000,
            "p90_seconds": 864_000,
            "without_commit": 3,
        },
        "deployment_frequency": {"count": 15, "days": 30.0, "per_day": 0.5},
        "failed_deployment_recovery_time": {"count": 1, "p50_seconds": 95, "p90_seconds": None, "open": 1},
        "change_fail_rate": {"count": 2, "of": 16, "rate": 0.125},
        "deployment_rework_rate": {"count": 1, "of": 17, "rate": 1 / 17},
        **changes,
    }


EMPTY = {
    "change_lead_time": {"count": 0, "p50_seconds": None, "p90_seconds": None, "without_commit": 0},
    "deployment_frequency": {"count": 0, "days": 0.5, "per_day": None},
    "failed_deployment_recovery_time": {"count": 0, "p50_seconds": None, "p90_seconds": None, "open": 0},
    "change_fail_rate": {"count": 0, "of": 0, "rate": None},
    "deployment_rework_rate": {"count": 0, "of": 0, "rate": None},
}
INSIGHTS = {
    "application": "shop",
    "environment": "production",
    "from": "2026-11-01",
    "to": "2026-12-01",
    "zone": "Europe/Berlin",
    "by": "week",
    "starts_at": "2026-10-31T23:00:00Z",
    "ends_at": "2026-11-30T23:00:00Z",
    "measures": measures(),
    "durations": {"count": 16, "p50_seconds": 65.4, "p90_seconds": 120},
    "waits": [
        {"reason": "approval", "count": 2, "p50_seconds": 1, "p90_seconds": None, "total_seconds": 7260}
    ],
    "slots": [],
    "parts": [{"from": "2026-11-01", "to": "2026-11-02", "is_over": True, "measures": measures()}],
}


def test_numbers_are_told_in_words_with_what_they_are_of(cli: Cli) -> None:
    cli.on("GET", "/insights", INSIGHTS)
    done = cli.run(
        "insights", "shop", "--from", "2026-11-01", "--to", "2026-12-01", "--zone", "Europe/Berlin"
    )
    assert done.stdout.splitlines() == [
        "production, 2026-11-01 up to 2026-12-01 (Europe/Berlin)",
        "",
        "measure                          value                  of",
        "change lead time                 2d 9h, 90% within 10d  12 changes, 3 without commit",
        "deployment frequency             0.50 a day             15 in 30.0 days",
        "failed deployment recovery time  1m 35s                 1 recovered, 1 not yet",
        "change fail rate                 12.5%                  2 of 16 changes",
        "deployment rework rate           5.9%                   1 of 17 deployments",
        "duration                         1m 5s, 90% within 2m   16 that succeeded",
        "",
        "waited for  deployments  in all",
        "approval    2            2h 1m",
        "",
        "from        deployed  failed  rework  lead   recovery",
        "2026-11-01  15        2       1       2d 9h  1m 35s",
    ]
    (asked,) = cli.server.got("GET", "/api/v1/insights")
    assert asked.query == {
        "application": "shop",
        "environment": "production",
        "from": "2026-11-01",
        "to": "2026-12-01",
        "zone": "Europe/Berlin",
    }
    assert cli.run("insights", "--by", "week").exit_code == 0
    assert json.loads(cli.run("insights", "--json").stdout) == INSIGHTS


def test_where_there_is_not_enough_it_says_so(cli: Cli) -> None:
    nothing = {"count": 0, "p50_seconds": None, "p90_seconds": None}
    cli.on(
        "GET", "/insights", {**INSIGHTS, "measures": EMPTY, "durations": nothing, "waits": [], "parts": []}
    )
    lines = cli.run("insights").stdout.splitlines()
    assert [line.split("  ")[-1] for line in lines if "not enough data" in line] == [
        "0 changes, 0 without commit",
        "0 in 0.5 days",
        "0 recovered, 0 not yet",
        "0 of 0 changes",
        "0 of 0 deployments",
        "0 that succeeded",
    ]


def test_the_deployments_behind_a_number_are_listed(cli: Cli) -> None:
    counted = {
        "id": 7,
        "application": "shop",
        "version": "1.2.0",
        "environment": "production",
        "status": "failed",
        "ended_at": "2026-11-03T12:00:00Z",
        "lead_seconds": None,
        "recovery_seconds": 300.0,
        "waited_seconds": None,
        "rework": None,
    }
    cli.on("GET", "/insights/deployments", listed(counted))
    done = cli.run("insights", "shop", "--of", "recovered", "--env", "live")
    assert done.stdout.splitlines()[1].split() == [
        "7",
        "shop",
        "1.2.0",
        "production",
        "failed",
        "2026-11-03T12:00:00Z",
        "5m",
    ]
    (asked,) = cli.server.got("GET", "/api/v1/insights/deployments")
    assert {"group": "recovered", "environment": "live"}.items() <= asked.query.items()
    assert json.loads(cli.run("insights", "--of", "recovered", "--json").stdout) == [counted]


def test_a_day_is_a_date(cli: Cli) -> None:
    assert cli.run("insights", "--from", "yesterday").exit_code == 2
    assert cli.run("insights", "--of", "everything").exit_code == 2
