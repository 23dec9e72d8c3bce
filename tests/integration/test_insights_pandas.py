"""Ten thousand deployments that were drawn, counted by SQL and by pandas, which knows nothing of our statements.

Postgres knows of them what it would in time. To count them it reads each a few times, and not those of a slot again for each.
"""

import os
import random
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from orchestrator.db import Database
from orchestrator.domain.insights import Group, Spread
from orchestrator.services import insights
from orchestrator.services.insights import Measures
from tests.integration.engine_world import World
from tests.integration.explained import listening, rows_read
from tests.integration.insights_world import History, at

MANY = 10_000
READ_AT_MOST = 10 * MANY
APPLICATIONS, ENVIRONMENTS = ("one", "two", "three", "four"), ("production", "staging")
BEGIN = at("2025-01-01 00:00")
ENDINGS = ("succeeded",) * 14 + ("failed",) * 4 + ("cancelled",) * 2


def drawn(history: History, draw: random.Random) -> list[dict[str, Any]]:
    """Eight slots, each with one deployment at a time; about a year of each."""
    rows: list[dict[str, Any]] = []
    for application in APPLICATIONS:
        history.application(application, *ENVIRONMENTS)
        for version in range(400):
            committed = BEGIN + timedelta(days=370 * draw.random() - 5) if draw.random() < 0.8 else None
            history.release(application, str(version), committed)
        for environment in ENVIRONMENTS:
            rows += slot(history, draw, application, environment)
    return rows


def slot(history: History, draw: random.Random, application: str, environment: str) -> list[dict[str, Any]]:
    now, rows = BEGIN, []
    for _ in range(MANY // len(APPLICATIONS) // len(ENVIRONMENTS)):
        now += timedelta(seconds=draw.expovariate(1 / 20_000))
        before = draw.choice(rows[-4:])["id"] if rows else None
        links = {draw.choice(["rolls_back", "retry_of"]): before} if before and draw.random() < 0.25 else {}
        requested = now - timedelta(seconds=draw.expovariate(1 / 4_000))
        where = {"environment": environment, "requested": requested, **links}
        version = str(draw.randrange(400))
        if draw.random() < 0.05:
            status = draw.choice(["cancelled", "superseded", "expired"])
            rows.append(history.row(application, version, status, ended=now, **where))
            continue
        started = now
        now += timedelta(seconds=draw.uniform(1, 5_000))
        rows.append(
            history.row(application, version, draw.choice(ENDINGS), started=started, ended=now, **where)
        )
    return rows


def judged(rows: list[dict[str, Any]], history: History, commits: dict[int, datetime | None]) -> pd.DataFrame:
    """Every deployment that was finished, with what became of it."""
    every = pd.DataFrame(rows)
    for name in ("created_at", "started_at", "ended_at"):
        every[name] = pd.to_datetime(every[name], utc=True).astype("datetime64[us, UTC]")
    every["committed_at"] = pd.to_datetime(every.release_id.map(commits), utc=True).astype(
        "datetime64[us, UTC]"
    )
    begun = every[every.started_at.notna()]
    undoing = begun[begun.rolls_back_id.notna()].sort_values("id").drop_duplicates("rolls_back_id")
    undoing = undoing[["rolls_back_id", "created_at", "started_at"]].rename(
        columns={"rolls_back_id": "id", "created_at": "undone_since", "started_at": "undone_at"}
    )
    begun = begun.merge(undoing.astype({"id": "int64"}), on="id", how="left")
    done = begun[begun.status.isin(["succeeded", "failed"]) | begun.undone_at.notna()].copy()
    done["change"] = done.rolls_back_id.isna()
    done["bad"] = (done.status == "failed") | done.undone_at.notna()
    return with_lead(with_rework(with_recovery(done)))


SLOT = ["application_id", "environment"]


def with_recovery(done: pd.DataFrame) -> pd.DataFrame:
    """The first success that held after what was bad had ended, or after its rollback had begun where it had succeeded."""
    done["from"] = done.ended_at.where(done.status != "succeeded", done.undone_at)
    held = done[(done.status == "succeeded") & ~done.bad].sort_values("ended_at")
    held = held[[*SLOT, "ended_at"]].rename(columns={"ended_at": "well_at"})
    bad = done[done.change & done.bad].sort_values("from")
    found = pd.merge_asof(
        bad, held, left_on="from", right_on="well_at", by=SLOT, direction="forward", allow_exact_matches=False
    )
    took = (found.well_at - found.ended_at).dt.total_seconds()
    done["recovery"] = done.id.map(dict(zip(found.id, took, strict=True)))
    return done


def with_rework(done: pd.DataFrame) -> pd.DataFrame:
    """What had been finished last when it was requested, by a walk back through each slot; and what it retries."""
    bad_ids = set(done[done.bad].id)
    lying = set()
    for _, group in done.sort_values(["ended_at", "id"]).groupby(SLOT):
        ended = list(group.itertuples())
        for each in ended:
            for other in reversed(ended):
                if other.ended_at > each.created_at:
                    continue
                given_up = other.undone_since <= each.created_at
                if other.status in {"succeeded", "failed"} or given_up:
                    if other.status == "failed" or given_up:
                        lying.add(each.id)
                    break
    done["rework"] = ~done.change | done.retry_of_id.isin(bad_ids) | done.id.isin(lying)
    return done


def with_lead(done: pd.DataFrame) -> pd.DataFrame:
    """The first success of each release in each environment, if that is a change."""
    good = done[done.status == "succeeded"].sort_values("ended_at")
    firsts = good.drop_duplicates(["release_id", "environment"])
    done["arrival"] = done.change & done.id.isin(firsts.id)
    lead = (done.ended_at - done.committed_at).dt.total_seconds().clip(lower=0)
    done["lead"] = lead.where(done.arrival)
    return done


def spread(values: "pd.Series[float]") -> Spread:
    known = values.dropna()
    if known.empty:
        return Spread(0, None, None)
    p90 = float(known.quantile(0.9)) if len(known) >= 10 else None
    return Spread(len(known), float(known.quantile(0.5)), p90)


def expected(done: pd.DataFrame) -> dict[str, Any]:
    good = done.status == "succeeded"
    return {
        "finished": len(done),
        "changes": int(done.change.sum()),
        "deployed": int((done.change & good).sum()),
        "failed": int((done.change & done.bad).sum()),
        "rework": int(done.rework.sum()),
        "arrivals": int(done.arrival.sum()),
        "succeeded": int(good.sum()),
        "lead": spread(done.lead),
        "recovery": spread(done.recovery),
        "duration": spread((done.ended_at - done.started_at).dt.total_seconds()[good]),
    }


def differences(found: Measures, wanted: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not the same: counts, and lengths of time to the microsecond."""
    other = {}
    for name, value in wanted.items():
        got = getattr(found, name)
        if isinstance(value, Spread):
            close = pytest.approx((value.p50_seconds, value.p90_seconds), abs=2e-6)
            is_same = got.count == value.count and (got.p50_seconds, got.p90_seconds) == close
        else:
            is_same = got == value
        if not is_same:
            other[name] = (got, value)
    return other


def read_by(history: History, application: str | None) -> dict[str, float]:
    """How many rows of deployments are read for the numbers of a year, and for a page of each list behind them."""
    period = insights.period_of(date(2025, 1, 1), date(2026, 1, 1), zone="UTC", by=None)
    found = {}
    for group in (None, *Group):
        with history.world.database.reading() as session, listening(history.world.database) as asked:
            if group is None:
                insights.measure(session, application=application, environment="production", period=period)
            else:
                insights.behind(
                    session,
                    application=application,
                    environment="production",
                    period=period,
                    group=group,
                    reason="window",
                    before_id=None,
                    skip=0,
                    limit=50,
                )
            read = [rows_read(session, *each).get("deployments", 0) for each in asked]
        found[f"{group or 'numbers'} of {application}"] = max(read)
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [int(os.environ.get("MODEL_SEED", "1"))])
def test_pandas_counts_the_same(database: Database, seed: int) -> None:
    history = History(World(database))
    rows = drawn(history, random.Random(seed))
    assert len(rows) == MANY
    history.write(rows)
    read = read_by(history, APPLICATIONS[0]) | read_by(history, None)
    assert {name: count for name, count in read.items() if count > READ_AT_MOST} == {}
    commits = dict(history.world.rows("SELECT id, committed_at FROM releases"))
    done = judged(rows, history, commits)
    assert len(done) > MANY / 2
    for application in (*APPLICATIONS, None):
        for environment in ENVIRONMENTS:
            of_place = done[done.environment == environment]
            if application is not None:
                of_place = of_place[of_place.application_id == history.applications[application]]
            for first, until in (("2025-01-01", "2026-01-01"), ("2025-02-10", "2025-03-17")):
                found = history.measure(first, until, application=application, environment=environment)
                ends = of_place.ended_at
                inside = of_place[(ends >= found.period.whole.start) & (ends < found.period.whole.end)]
                assert differences(found.measures, expected(inside)) == {}, (application, environment, first)
