"""Three histories whose measures were worked out by hand; the arithmetic stands beside each number."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from orchestrator.db import Database
from orchestrator.domain.insights import By, Group, Spread
from orchestrator.repositories import insights as rows
from orchestrator.services import deployments, insights
from orchestrator.services.insights import Insights
from tests.integration.engine_world import World
from tests.integration.insights_world import History, at
from tests.integration.test_query_plans import whole_reads
from tests.integration.time_travel import Clocks, clocks
from tests.integration.time_travel import world as travelling

__all__ = ["clocks", "travelling"]

MINUTE, HOUR, DAY = 60, 3600, 86_400


@pytest.fixture
def history(database: Database) -> History:
    world = World(database)
    world.execute("UPDATE targets SET created_at = '2020-01-01T00:00Z'")
    made = History(world)
    shop = world.scalar("SELECT id FROM applications WHERE name = 'shop'")
    assert isinstance(shop, int)
    made.applications["shop"] = shop
    return made


def test_ten_quiet_days(history: History) -> None:
    """Nothing fails. Lead times, some of which nobody knows, and what lies on the edges of the period."""
    history.release("shop", "0", at("2025-02-28 22:00"))
    history.release("shop", "1", at("2025-03-01 08:00"))
    history.release("shop", "2", at("2025-03-02 09:00"))
    history.release("shop", "3", at("2025-03-04 10:00"))
    history.release("shop", "5", at("2025-03-10 23:00"))
    edge = history.deploy("0", "succeeded", requested="2025-02-28 23:50", ended="2025-03-01 00:00")
    history.deploy("1", "succeeded", requested="2025-03-01 11:30", ended="2025-03-01 12:00")
    history.deploy("2", "succeeded", requested="2025-03-03 08:50", ended="2025-03-03 09:00")
    history.deploy("3", "succeeded", requested="2025-03-04 10:55", ended="2025-03-04 11:00")
    silent = history.deploy("4", "succeeded", requested="2025-03-05 10:00", ended="2025-03-05 10:20")
    again = history.deploy("3", "succeeded", requested="2025-03-06 10:00", ended="2025-03-06 10:04")
    late = history.deploy("5", "succeeded", requested="2025-03-10 23:55", ended="2025-03-11 00:00")
    staging = {"environment": "staging"}
    history.deploy("5", "succeeded", requested="2025-03-08 10:00", ended="2025-03-08 11:00", **staging)
    found = history.measure("2025-03-01", "2025-03-11")
    measures = found.measures
    # From the 1st at 00:00, which is in it, up to the 11th at 00:00, which is not: 0, 1, 2, 3, 4, and 3 again.
    assert (measures.deployed, measures.days, measures.per_day) == (6, 10.0, 6 / 10)
    # Committed to deployed: 0 in 2 h, 1 in 4 h, 2 in 24 h, 3 in 1 h; in order 1, 2, 4, 24: the middle is (2 + 4) / 2 = 3 h.
    # Nobody said when 4 was committed; when 3 came again it had come already. Of four values there is no ninth decile.
    assert measures.lead == Spread(4, 3 * HOUR, None)
    assert measures.lead_unknown == 1
    assert history.ids(found, found.period, Group.LEAD_UNKNOWN) == [silent]
    assert history.ids(found, found.period, Group.DEPLOYED) == [again, silent, 4, 3, 2, edge]
    assert late not in history.ids(found, found.period, Group.FINISHED)
    # 0 of 6 failed, 0 of 6 were rework; from nothing one recovers in no time that could be said.
    assert (measures.fail_rate, measures.rework_rate) == (0.0, 0.0)
    assert measures.recovery == Spread(0, None, None)
    # They ran for 10, 30, 10, 5, 20 and 4 minutes; in order 4, 5, 10, 10, 20, 30: the middle is (10 + 10) / 2.
    assert measures.duration == Spread(6, 10 * MINUTE, None)


def test_a_week_in_which_much_goes_wrong(history: History) -> None:
    """Failures that are rolled back, retried, fixed, found out later, stopped by hand, and never made good."""
    deploy = history.deploy
    a = deploy("1", "succeeded", requested="2025-04-01 09:50", ended="2025-04-01 10:00")
    b = deploy("2", "failed", requested="2025-04-02 09:50", ended="2025-04-02 10:00")
    c = deploy("1", "succeeded", requested="2025-04-02 10:00", ended="2025-04-02 10:20", rolls_back=b)
    d = deploy("2", "succeeded", requested="2025-04-02 14:00", ended="2025-04-02 14:30", retry_of=b)
    e = deploy("3", "succeeded", requested="2025-04-03 09:50", ended="2025-04-03 10:00")
    f = deploy(
        "2",
        "succeeded",
        requested="2025-04-03 15:00",
        started="2025-04-03 15:01",
        ended="2025-04-03 15:30",
        rolls_back=e,
    )
    # Requested while e was there and nobody had said anything against it: planned.
    g = deploy(
        "4", "succeeded", requested="2025-04-03 14:00", started="2025-04-03 15:40", ended="2025-04-03 15:50"
    )
    h = deploy("5", "failed", requested="2025-04-04 09:50", ended="2025-04-04 10:00")
    i = deploy("6", "failed", requested="2025-04-04 10:05", ended="2025-04-04 10:30")
    j = deploy("7", "succeeded", requested="2025-04-04 10:35", ended="2025-04-04 11:00")
    deploy("8", "cancelled", requested="2025-04-05 09:50", ended="2025-04-05 10:00")
    deploy(
        "8", "superseded", requested="2025-04-05 11:00", started="2025-04-05 11:00", ended="2025-04-05 11:01"
    )
    stopped = deploy("9", "cancelled", requested="2025-04-06 09:50", ended="2025-04-06 10:00")
    m = deploy("7", "succeeded", requested="2025-04-06 10:05", ended="2025-04-06 10:15", rolls_back=stopped)
    n = deploy("10", "failed", requested="2025-04-07 09:50", ended="2025-04-07 10:00")
    found = history.measure("2025-04-01", "2025-04-08")
    measures = found.measures

    def ids(group: Group) -> list[int]:
        return sorted(history.ids(found, found.period, group))

    # Changes are all that were finished but the rollbacks c, f and m. 8 was stopped, and nobody had to put anything back.
    assert ids(Group.CHANGES) == [a, b, d, e, g, h, i, j, stopped, n]
    # Deployed: 5 in 7 days.
    assert ids(Group.DEPLOYED) == [a, d, e, g, j]
    assert measures.per_day == 5 / 7
    # Failed: b, h, i and n by themselves, e and the stopped one because they were rolled back: 6 of 10.
    assert ids(Group.FAILED) == [b, e, h, i, stopped, n]
    assert measures.fail_rate == 6 / 10
    # Recovered, from the end of what failed to that of the first success that held:
    # b by c 10:20 - 10:00 = 20 min; e by f 15:30 - 10:00 = 330 min; h by j 11:00 - 10:00 = 60 min; i by j 11:00 - 10:30 = 30 min;
    # the stopped one by m 10:15 - 10:00 = 15 min. In order 15, 20, 30, 60, 330: the middle is 30. n still lies there.
    assert measures.recovery == Spread(5, 30 * MINUTE, None)
    assert ids(Group.UNRECOVERED) == [n]
    # Rework: the rollbacks c, f, m; the retry d; i and j, which were requested while h, or i, lay failed. 6 of all 13.
    assert ids(Group.REWORK) == [c, d, f, i, j, m]
    assert measures.rework_rate == 6 / 13
    # Cut into days, each has its own: on the 4th, h and i failed of h, i and j.
    fourth = found.parts[3].measures
    assert (fourth.failed, fourth.changes, fourth.fail_rate) == (2, 3, 2 / 3)
    assert (found.parts[4].measures.fail_rate, found.parts[4].measures.rework_rate) == (None, None)


def test_three_days_in_berlin_one_of_which_is_an_hour_short(history: History) -> None:
    """On 2025-03-30 clocks there leap from 02:00 to 03:00: the 30th lasts from 23:00 UTC to 22:00 UTC."""
    moments = {
        "the 28th": "2025-03-28 22:59:59.999999",
        "the 29th begins": "2025-03-28 23:00",
        "the 29th ends": "2025-03-29 22:59:59.999999",
        "the 30th begins": "2025-03-29 23:00",
        "the 30th ends": "2025-03-30 21:59:59.999999",
        "the 31st begins": "2025-03-30 22:00",
        "the 1st": "2025-03-31 22:00",
    }
    for version, moment in enumerate(moments.values()):
        history.deploy(str(version), "succeeded", requested="2025-03-28 10:00", ended=moment)
    found = history.measure("2025-03-29", "2025-04-01", zone="Europe/Berlin")
    # Two on the 29th, two on the 30th, one on the 31st: 5 in 3 days, of which each is one, whatever its length.
    assert [part.measures.deployed for part in found.parts] == [2, 2, 1]
    assert [part.measures.days for part in found.parts] == [1.0, 1.0, 1.0]
    assert found.measures.per_day == 5 / 3
    # In UTC the same moments are on the 28th (2), the 29th (2), the 30th (2) and the 31st (1).
    utc = history.measure("2025-03-28", "2025-04-01")
    assert [part.measures.deployed for part in utc.parts] == [2, 2, 2, 1]


def test_a_rollback_that_is_undone_and_one_that_fails_make_nothing_good(history: History) -> None:
    deploy = history.deploy
    bad = deploy("2", "failed", requested="2025-05-01 10:00", ended="2025-05-01 10:10")
    deploy("1", "failed", requested="2025-05-01 10:10", ended="2025-05-01 10:20", rolls_back=bad)
    shaky = deploy("1", "succeeded", requested="2025-05-01 10:21", ended="2025-05-01 10:30")
    deploy("0", "succeeded", requested="2025-05-01 10:40", ended="2025-05-01 10:50", rolls_back=shaky)
    found = history.measure("2025-05-01", "2025-05-02")
    # `shaky` succeeded and did not hold. Both recovered with the rollback of it: 40 and 20 minutes; the middle is 30.
    assert found.measures.recovery == Spread(2, 30 * MINUTE, None)
    # All but `bad` were made because something lay failed.
    assert (found.measures.rework, found.measures.finished) == (3, 4)


def test_a_rollback_that_never_began_puts_nothing_back(history: History) -> None:
    fine = history.deploy("1", "succeeded", requested="2025-05-01 10:00", ended="2025-05-01 10:10")
    row = history.row(
        "shop",
        "1",
        "cancelled",
        requested=at("2025-05-01 11:00"),
        ended=at("2025-05-01 11:01"),
        rolls_back=fine,
    )
    history.write([row])
    found = history.measure("2025-05-01", "2025-05-02").measures
    assert (found.finished, found.failed, found.rework) == (1, 0, 0)


def test_what_was_recovered_after_the_period_counts_for_what_failed_in_it(history: History) -> None:
    history.deploy("1", "failed", requested="2025-05-01 22:00", ended="2025-05-01 23:00")
    history.deploy("2", "succeeded", requested="2025-05-01 23:30", ended="2025-05-02 01:00")
    found = history.measure("2025-05-01", "2025-05-02").measures
    assert found.recovery == Spread(1, 2 * HOUR, None)
    following = history.measure("2025-05-02", "2025-05-03").measures
    # It was requested while the one before lay failed, on the day before.
    assert (following.rework, following.finished, following.failed) == (1, 1, 0)


def test_applications_are_counted_apart_and_together(history: History) -> None:
    history.application("cart", "production")
    history.release("cart", "1", at("2025-05-01 08:00"))
    row = history.row(
        "cart",
        "1",
        "succeeded",
        requested=at("2025-05-01 09:00"),
        started=at("2025-05-01 09:00"),
        ended=at("2025-05-01 09:30"),
    )
    history.write([row])
    history.deploy("1", "failed", requested="2025-05-01 10:00", ended="2025-05-01 11:00")
    assert history.measure("2025-05-01", "2025-05-02").measures.fail_rate == 1.0
    assert history.measure("2025-05-01", "2025-05-02", application="cart").measures.fail_rate == 0.0
    both = history.measure("2025-05-01", "2025-05-02", application=None)
    # What another application does neither makes good nor is rework: 1 of 2 failed, from which nothing has recovered.
    assert (both.measures.fail_rate, both.measures.unrecovered, both.measures.rework) == (0.5, 1, 0)
    assert [(slot.application, slot.n, slot.busy_seconds) for slot in both.slots] == [
        ("shop", 1, 60 * MINUTE),
        ("cart", 1, 30 * MINUTE),
    ]


def test_ten_values_are_enough_for_a_ninth_decile(history: History) -> None:
    for hours in range(1, 11):
        history.release("shop", str(hours), at("2025-06-01 00:00"))
        history.deploy(
            str(hours), "succeeded", requested="2025-06-01 00:00", ended=f"2025-06-01 {hours:02}:00"
        )
    # 1 to 10 hours. The middle is 5.5; the ninth decile lies at place 1 + 0.9 * 9 = 9.1, which is 9.1 hours.
    lead = history.measure("2025-06-01", "2025-06-02").measures.lead
    assert (lead.count, lead.p50_seconds) == (10, 5.5 * HOUR)
    assert lead.p90_seconds == pytest.approx(9.1 * HOUR)


def test_a_period_is_as_long_as_there_was_something_to_deploy(history: History) -> None:
    history.application("new", "production", since=at("2025-03-30 10:00"))
    found = history.measure("2025-03-29", "2025-04-01", application="new", zone="Europe/Berlin")
    # 10:00 UTC is noon in Berlin on the 30th: half of that day, and the 31st.
    assert found.measures.days == 1.5
    assert (found.measures.deployed, found.measures.per_day) == (0, 0.0)
    first = history.measure("2025-03-29", "2025-03-31", application="new", zone="Europe/Berlin")
    # Of half a day nobody can say how much comes a day.
    assert (first.measures.days, first.measures.per_day) == (0.5, None)
    before = history.measure("2025-03-01", "2025-03-29", application="new")
    assert (before.measures.days, before.measures.per_day) == (0.0, None)


def test_a_period_that_goes_on_is_as_long_as_it_has_lasted(travelling: World, clocks: Clocks) -> None:
    travelling.execute("UPDATE targets SET created_at = '2020-01-01T00:00Z'")
    history = History(travelling)
    clocks.go((at("2026-11-24 12:00") - clocks.now).total_seconds())
    found = history.measure("2026-11-23", "2026-11-30", by=By.DAY)
    # The 23rd and half of the 24th.
    assert found.measures.days == 1.5
    assert [part.is_over for part in found.parts] == [True] + 6 * [False]
    assert [part.measures.days for part in found.parts] == [1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_what_was_waited_for_is_told_apart(travelling: World, clocks: Clocks) -> None:
    with travelling.database.transaction() as session:
        made = deployments.request(
            session,
            application="shop",
            version="1.0.0",
            environment="production",
            reason="",
            actor=travelling.actor,
            scheduled_for=clocks.now + timedelta(minutes=60),
        ).id
    travelling.advance(made)
    clocks.go(60 * MINUTE)
    travelling.advance(made)
    clocks.go(30 * MINUTE)
    assert travelling.run_to_end(travelling.request("1.0.0", "staging")) == "succeeded"
    travelling.advance(made)
    second = travelling.request("1.0.0", "production")
    travelling.advance(second)
    clocks.go(10 * MINUTE)
    assert travelling.run_to_end(made) == "succeeded"
    assert travelling.run_to_end(second) == "succeeded"
    history = History(travelling)
    day = f"{clocks.now:%Y-%m-%d}"
    found = history.measure(day, f"{clocks.now + timedelta(days=1):%Y-%m-%d}")
    # The first waited 60 min for its time and 30 min for staging; the second 10 min for the first.
    assert [(wait.reason, wait.spread, wait.total_seconds) for wait in found.waits] == [
        ("schedule", Spread(1, 60 * MINUTE, None), 60 * MINUTE),
        ("promotion", Spread(1, 30 * MINUTE, None), 30 * MINUTE),
        ("slot", Spread(1, 10 * MINUTE, None), 10 * MINUTE),
    ]
    assert history.ids(found, found.period, Group.WAITED, "slot") == [second]
    travelling.execute("UPDATE deployments SET holds_kept = false")
    assert history.measure(day, f"{clocks.now + timedelta(days=1):%Y-%m-%d}").waits == []


def test_no_table_is_read_whole_for_a_month_of_a_year(history: History, database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in A_YEAR:
            session.execute(text(statement))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE deployments"))
    seen: dict[str, tuple[str, object]] = {}

    def note(_conn: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        seen.update({name: (statement, parameters) for name, mark in MARKS.items() if mark in statement})

    event.listen(database.engine, "before_cursor_execute", note)
    for application in ("shop", None):
        found = history.measure("2025-06-01", "2025-07-01", application=application)
        assert found.measures.finished == 4 * 24 * 30
        assert set(seen) == set(MARKS)
        with database.engine.connect() as connection:
            assert {name: whole_reads(explain(connection, *each)) for name, each in seen.items()} == {
                name: [] for name in MARKS
            }
        seen.clear()
    event.remove(database.engine, "before_cursor_execute", note)


def explain(connection: Connection, statement: str, parameters: Any) -> dict[str, Any]:
    """How Postgres would carry it out."""
    cursor = connection.connection.cursor()
    cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
    (answer,) = cursor.fetchone() or ([],)
    plan: dict[str, Any] = (answer if isinstance(answer, list) else json.loads(answer))[0]["Plan"]
    return plan


# One every quarter of an hour; every tenth is rolled back by the next.
A_YEAR = (
    """
    INSERT INTO releases (application_id, name, version, created_by)
    SELECT a.id, a.name, n::text, a.owner_id FROM applications a, generate_series(1, 35000) n
    """,
    """
    INSERT INTO deployments (application_id, release_id, environment, status, requested_by, strategy, plan_hash, max_failures,
        max_parallel, on_failure, wave_count, step_count, created_at, started_at, deployed_at, ended_at)
    SELECT r.application_id, r.id, 'production', 'succeeded', r.created_by, 'rolling', '', 0, 1, 'fail', 1, 1,
        t, t, t + '5 min', t + '5 min'
    FROM releases r, LATERAL (SELECT timestamptz '2025-01-01T00:00Z' + r.version::int * interval '15 min' AS t) x ORDER BY r.id
    """,
    "UPDATE deployments SET rolls_back_id = id - 1 WHERE id % 10 = 0",
)
MARKS = {"sums": "GROUPING SETS", "waits": "total_seconds", "slots": "busy_seconds", "page": "waited_seconds"}


def test_the_list_comes_in_pages(history: History) -> None:
    for number in range(5):
        history.deploy(
            str(number), "succeeded", requested="2025-05-01 10:00", ended=f"2025-05-01 11:0{number}"
        )
    found: Insights = history.measure("2025-05-01", "2025-05-02")
    whole = found.period.whole
    scope = rows.Scope(history.applications["shop"], "production", whole.start, whole.end)

    def page(before: int | None, limit: int) -> list[int]:
        with history.world.database.reading() as session:
            rest = rows.page(
                session, scope, Group.DEPLOYED, reason=None, before_id=before, skip=0, limit=limit
            )
            return [row.id for row in rest]

    first = page(None, 2)
    assert first + page(first[-1], 10) == page(None, 10) == [5, 4, 3, 2, 1]


def test_the_last_thirty_days_are_asked_for_where_nothing_is_said(clocks: Clocks) -> None:
    clocks.go((at("2026-11-24 23:30") - clocks.now).total_seconds())
    # It is the 25th in Berlin already: the day is part of what is asked for, and so are the 29 before it.
    whole = insights.period_of(None, None, zone="Europe/Berlin", by=None).whole
    assert (str(whole.first), str(whole.until)) == ("2026-10-27", "2026-11-26")
    assert (whole.start, whole.end) == (at("2026-10-26 23:00"), at("2026-11-25 23:00"))
