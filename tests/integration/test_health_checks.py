"""A soak counts only while the environment is well: on real Postgres, with time that is told how to pass."""

from datetime import datetime, timedelta

from orchestrator.db import rehearsal
from orchestrator.presenting.explanations import present_explanation
from orchestrator.services import deployments, explaining, foreseeing, pipelines, rollbacks
from tests.integration.engine_world import PIPELINE
from tests.integration.health_world import (
    AFTER,
    ASKED,
    SOAKING,
    STAGING,
    Site,
    at,
    site,
    start_by_hand,
    use_health,
)
from tests.integration.time_travel import clocks, world

__all__ = ["clocks", "site", "world"]

MINUTE = timedelta(minutes=1)
HALF_HOUR = timedelta(minutes=30)


def explained(site: Site, deployment: int) -> dict[str, object]:
    with site.world.database.reading() as session:
        return present_explanation(explaining.explain(session, deployment, actor=site.world.actor))


def soak_gate(site: Site, deployment: int) -> tuple[str, str, datetime | None]:
    gates = explained(site, deployment)["gates"]
    assert isinstance(gates, list)
    [gate] = [each for each in gates if each["kind"] == "soak"]
    return gate["verdict"], gate["evidence"], gate["until"]


def forecast(site: Site, deployment: int) -> tuple[datetime | None, str]:
    found = explained(site, deployment)["forecast"]
    assert isinstance(found, dict)
    return found["starts_at"], found["because"]


def test_what_was_well_all_the_time_starts_when_it_has_soaked(site: Site) -> None:
    site.to_staging("1.0.0")
    production = site.world.request("1.0.0", "production")
    message = "shop 1.0.0 has to be in staging for 30m first, until 2026-11-23 12:30:00 UTC"
    assert site.waiting(production) == [("soak", message, at(12, 30))]
    assert forecast(site, production) == (at(12, 30), message)
    site.go_on(HALF_HOUR)
    row = site.world.get(production)
    assert (row.status, row.started_at) == ("succeeded", at(12, 30))
    assert site.asked == [
        (at(12, 0) + n * MINUTE, target) for n in range(31) for target in ("web-a", "web-b")
    ]
    site.go_on(HALF_HOUR)
    assert len(site.asked) == 62  # it has soaked: nobody asks any more


def test_a_failed_check_counts_anew(site: Site) -> None:
    staging = site.to_staging("1.0.0")
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(minutes=9, seconds=30))
    site.sick["web-b"] = "status 500, not 200"
    site.go_on(MINUTE)
    failed = "the health check of web-b in staging failed at 2026-11-23 12:10:00 UTC (status 500, not 200)"
    failing = f"{failed}; its 30m count anew when it is well again"
    assert site.waiting(production) == [("soak", failing, None)]
    assert soak_gate(site, production) == ("waits", failing, None)
    assert forecast(site, production) == (None, failing)
    del site.sick["web-b"]
    site.go_on(MINUTE)
    again = f"{failed}; its 30m count from there, until 2026-11-23 12:40:00 UTC"
    assert site.waiting(production) == [("soak", again, at(12, 40))]
    assert forecast(site, production) == (at(12, 40), again)
    assert site.world.get(production).wake_at == at(12, 40)
    assert site.events(staging) == [
        ("health.failed", {"environment": "staging", "why": failed}),
        ("health.recovered", {"environment": "staging", "after": failed}),
    ]
    site.go_on(HALF_HOUR)
    assert site.world.get(production).started_at == at(12, 40)


def test_it_never_starts_while_it_fails_and_events_are_of_changes_only(site: Site) -> None:
    staging = site.to_staging("1.0.0")
    production = site.world.request("1.0.0", "production")
    site.sick = {"web-a": "no answer", "web-b": "no answer"}
    site.go_on(timedelta(hours=2))
    assert site.world.status(production) == "pending"
    assert [kind for kind, _ in site.events(staging)] == ["health.failed"]
    del site.sick["web-a"]
    site.go_on(MINUTE)
    assert [kind for kind, _ in site.events(staging)] == ["health.failed"]
    site.sick.clear()
    site.go_on(MINUTE)  # 14:01 failed, 14:02 is well
    assert [kind for kind, _ in site.events(staging)] == ["health.failed", "health.recovered"]
    site.go_on(HALF_HOUR)
    assert site.world.get(production).started_at == at(14, 31)


def test_what_nobody_asked_for_is_no_success(site: Site) -> None:
    site.to_staging("1.0.0")
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(minutes=5))
    site.away = True
    site.go_on(3 * MINUTE)
    assert [until for _, _, until in site.waiting(production)] == [at(12, 30)]
    site.go_on(timedelta(seconds=1))
    unknown = (
        "nobody has asked for the health of staging since 2026-11-23 12:05:00 UTC;"
        " its 30m count anew from the next check"
    )
    assert site.waiting(production) == [("soak", unknown, None)]
    assert forecast(site, production) == (None, unknown)
    site.go_on(timedelta(hours=1) - timedelta(seconds=1))
    assert site.world.status(production) == "pending"
    site.away = False
    site.go_on(timedelta(seconds=1))
    anew = (
        "nobody asked for the health of web-a in staging from 2026-11-23 12:05:00 UTC to 2026-11-23 13:08:00 UTC;"
        " its 30m count from there, until 2026-11-23 13:38:00 UTC"
    )
    assert site.waiting(production) == [("soak", anew, at(13, 38))]
    site.go_on(HALF_HOUR)
    assert site.world.get(production).started_at == at(13, 38)


def test_a_soak_that_was_never_asked_for_does_not_pass(site: Site) -> None:
    site.away = True
    site.to_staging("1.0.0")
    site.go_on(timedelta(hours=5))
    production = site.world.request("1.0.0", "production")
    assert not start_by_hand(site.world, production)
    assert site.waiting(production)[0][1].startswith("nobody has asked for the health of staging since")


def test_a_short_absence_is_forgiven_but_the_end_is_always_confirmed(site: Site) -> None:
    site.to_staging("1.0.0")
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(minutes=29))
    site.away = True
    site.go_on(timedelta(minutes=2))
    awaited = "the last health check of staging, at the end of 30m, is awaited"
    assert site.waiting(production) == [("soak", awaited, None)]
    assert not start_by_hand(site.world, production)
    site.away = False
    site.go_on(timedelta(seconds=1))
    assert site.world.get(production).started_at == at(12, 31)
    assert site.world.status(production) == "succeeded"


def test_a_failure_at_the_very_end_holds_it(site: Site) -> None:
    site.to_staging("1.0.0")
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(minutes=29, seconds=59))
    site.sick["web-a"] = "status 503, not 200"
    site.go_on(timedelta(seconds=1))
    site.sick.clear()
    site.go_on(HALF_HOUR)
    assert site.world.get(production).started_at == at(13, 0)


def test_what_has_soaked_stays_so(site: Site) -> None:
    site.to_staging("1.0.0")
    site.go_on(timedelta(hours=1))
    site.to_staging("1.1.0")
    production = site.world.request("1.0.0", "production")
    evidence = "it has been in staging for 30m; every health check of staging in that time succeeded"
    assert soak_gate(site, production) == ("passes", evidence, None)
    assert site.world.run_to_end(production) == "succeeded"


def test_where_another_deployment_begins_nobody_can_ask_any_more(site: Site) -> None:
    site.to_staging("1.0.0")
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(minutes=10))
    other = site.world.request("1.1.0", "staging")
    assert start_by_hand(site.world, other)
    left = (
        f"shop 1.0.0 had not been well in staging for 30m when deployment {other} began there:"
        " it has to succeed there again"
    )
    assert site.waiting(production) == [("soak", left, None)]
    assert forecast(site, production) == (None, left)
    asked = len(site.asked)
    site.clocks.go(60)
    site.ask()
    assert len(site.asked) == asked
    site.go_on(timedelta(hours=1))
    assert site.world.status(other) == "succeeded"
    assert site.world.status(production) == "pending"


def test_a_release_that_goes_back_by_a_rollback_soaks_there_too(site: Site) -> None:
    site.to_staging("1.0.0")
    second = site.to_staging("1.1.0")
    with site.world.database.transaction() as session:
        back = rollbacks.request(session, second, actor=site.world.actor, reason="slow")
    assert site.world.run_to_end(back) == "succeeded"
    production = site.world.request("1.0.0", "production")
    site.sick["web-a"] = "status 500, not 200"
    site.go_on(timedelta(minutes=10))
    assert [kind for kind, _ in site.events(back)] == ["health.failed"]
    site.sick.clear()
    site.go_on(HALF_HOUR)
    assert site.world.get(production).started_at == at(12, 40)


def test_a_longer_soak_that_comes_later_is_asked_for_too(site: Site) -> None:
    site.to_staging("1.0.0")
    site.go_on(timedelta(minutes=31))
    use_health(site.world, soaking=f"{AFTER}    soak: 1h\n")
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(hours=1))
    # 12:30 was the last check; the next one is at 12:31, so nothing is missing.
    assert site.world.get(production).started_at == at(13, 0)


def test_a_longer_soak_that_comes_much_later_begins_with_the_next_check(site: Site) -> None:
    site.to_staging("1.0.0")
    site.go_on(timedelta(hours=2))
    use_health(site.world, soaking=f"{AFTER}    soak: 1h\n")
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(hours=2))
    assert site.world.get(production).started_at == at(15, 0)


def test_a_soak_that_is_asked_for_only_later_counts_from_the_first_check(site: Site) -> None:
    use_health(site.world, soaking=AFTER)
    site.to_staging("1.0.0")
    site.go_on(timedelta(hours=1))
    assert site.asked == []
    use_health(site.world, soaking=SOAKING)
    production = site.world.request("1.0.0", "production")
    site.go_on(timedelta(hours=1))
    assert site.world.get(production).started_at == at(13, 30)


def test_each_of_several_environments_has_to_be_well(site: Site) -> None:
    use_health(site.world, soaking="    after: [staging, lab]\n    soak: 30m\n")
    site.to_staging("1.0.0")
    site.go_on(timedelta(minutes=10))
    lab = site.world.request("1.0.0", "lab")
    assert site.world.run_to_end(lab) == "succeeded"
    production = site.world.request("1.0.0", "production")
    message = "shop 1.0.0 has to be in staging, lab for 30m first, until 2026-11-23 12:40:00 UTC"
    assert site.waiting(production) == [("soak", message, at(12, 40))]
    site.go_on(timedelta(minutes=15))
    site.sick["web-a"] = "no answer"
    site.go_on(MINUTE)
    site.sick.clear()
    site.go_on(HALF_HOUR)
    assert site.world.get(production).started_at == at(12, 56)


def test_soaks_of_several_lengths_end_each_at_its_time(site: Site) -> None:
    source = PIPELINE.replace(STAGING, ASKED).replace(AFTER, SOAKING)
    shorter = source.replace("  lab:\n", "  lab:\n    after: staging\n    soak: 10m30s\n")
    with site.world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=shorter, actor=site.world.actor)
    site.to_staging("1.0.0")
    lab, production = (site.world.request("1.0.0", each) for each in ("lab", "production"))
    site.go_on(timedelta(hours=1))
    started = [site.world.get(each).started_at for each in (lab, production)]
    assert started == [at(12, 10, 30), at(12, 30)]


def test_a_success_that_nobody_watches_does_not_soak(site: Site) -> None:
    """As after a worker of a version that knew nothing of health checks."""
    site.to_staging("1.0.0")
    site.world.execute("DELETE FROM health_watches")
    site.go_on(timedelta(hours=1))
    production = site.world.request("1.0.0", "production")
    assert not start_by_hand(site.world, production)
    [(kind, message, until)] = site.waiting(production)
    assert (kind, until) == ("soak", None)
    assert message.startswith("nobody has asked for the health of staging since 2026-11-23 12:00:00 UTC")


def test_a_pipeline_that_says_nothing_of_health_counts_from_the_success(site: Site) -> None:
    site.to_staging("1.0.0")
    use_health(site.world, asked="  staging:\n    targets: [{name: web-a, kind: noop}]\n")
    site.to_staging("1.1.0")
    site.go_on(HALF_HOUR)
    production = site.world.request("1.1.0", "production")
    assert soak_gate(site, production) == ("passes", "it has been in staging for 30m", None)
    assert site.asked == []


def test_a_dry_run_tells_the_same(site: Site) -> None:
    site.to_staging("1.0.0")
    site.sick["web-a"] = "no answer"
    site.go_on(MINUTE)
    production = site.world.request("1.0.0", "production")
    told = site.waiting(production)
    with site.world.database.transaction() as session:
        deployments.cancel(session, production, actor=site.world.actor, reason="")
    with site.world.database.reading() as session, rehearsal(session):
        found = foreseeing.foresee(
            session,
            actor=site.world.actor,
            application="shop",
            version="1.0.0",
            environment="production",
            reason="",
        )
        held = [(g.kind, g.evidence, g.until) for g in found.explanation.gates if not g.passes]
    assert held == told
