"""A history of deployments, written down as it would have come about."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import text

from orchestrator.domain.insights import By, Group, Period
from orchestrator.services import insights
from orchestrator.services.insights import Insights, Measures
from tests.integration.engine_world import World

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
COLUMNS = (
    "id",
    "application_id",
    "release_id",
    "environment",
    "status",
    "created_at",
    "started_at",
    "deployed_at",
    "ended_at",
    "rolls_back_id",
    "retry_of_id",
)
_INSERT = f"""
    INSERT INTO deployments ({", ".join(COLUMNS)}, requested_by, strategy, plan_hash, max_failures, max_parallel, on_failure,
        wave_count, step_count, wake_at)
    VALUES ({", ".join(f":{name}" for name in COLUMNS)}, :requested_by, 'rolling', '', 0, 1, 'fail', 1, 1,
        CASE WHEN CAST(:ended_at AS timestamptz) IS NULL THEN clock_timestamp() END)
"""  # noqa: S608  # names of our own columns


def at(written: str) -> datetime:
    """`2025-04-01 10:00`, in UTC."""
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


@dataclass
class History:
    """Applications with deployments whose times are given."""

    world: World
    applications: dict[str, int] = field(default_factory=dict)
    releases: dict[tuple[str, str], int] = field(default_factory=dict)
    last_id: int = 0

    def application(self, name: str, *environments: str, since: datetime = LONG_AGO) -> None:
        """There could be deployments of it since then."""
        insert = "INSERT INTO applications (name, owner_id) VALUES (:name, :owner) RETURNING id"
        with self.world.database.transaction() as session:
            made = session.execute(text(insert), {"name": name, "owner": self.world.actor.id}).scalar_one()
            for environment in environments:
                session.execute(
                    text("""
                        INSERT INTO targets (application_id, environment, name, kind, settings, position, created_at)
                        VALUES (:id, :environment, 'a', 'noop', '{}', 0, :since)
                    """),
                    {"id": made, "environment": environment, "since": since},
                )
        self.applications[name] = made

    def release(self, application: str, version: str, committed: datetime | None = None) -> None:
        insert = """
            INSERT INTO releases (application_id, name, version, created_by, committed_at, created_at)
            VALUES (:application_id, :name, :version, :by, :committed, :recorded) RETURNING id
        """
        params = {
            "application_id": self.applications[application],
            "name": application,
            "version": version,
            "by": self.world.actor.id,
            "committed": committed,
            "recorded": LONG_AGO,
        }
        with self.world.database.transaction() as session:
            self.releases[application, version] = session.execute(text(insert), params).scalar_one()

    def row(
        self,
        application: str,
        version: str,
        status: str,
        *,
        requested: datetime,
        started: datetime | None = None,
        ended: datetime | None = None,
        environment: str = "production",
        rolls_back: int | None = None,
        retry_of: int | None = None,
    ) -> dict[str, Any]:
        """The columns of the next deployment."""
        self.last_id += 1
        values = (
            self.last_id,
            self.applications[application],
            self.releases[application, version],
            environment,
            status,
            requested,
            started,
            ended if status == "succeeded" else None,
            ended,
            rolls_back,
            retry_of,
        )
        return dict(zip(COLUMNS, values, strict=True))

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Plans need to know of them; autovacuum would tell them when it pleases."""
        by = {"requested_by": self.world.actor.id}
        with self.world.database.transaction() as session:
            session.execute(text("SET LOCAL session_replication_role = replica"))
            session.execute(text(_INSERT), [each | by for each in rows])
            session.execute(text("ANALYZE deployments"))

    def deploy(
        self, version: str, status: str, *, requested: str, ended: str, started: str = "", **more: Any
    ) -> int:
        """One of `shop` in production that started when it was requested, unless another time is said."""
        if ("shop", version) not in self.releases:
            self.release("shop", version)
        row = self.row(
            "shop",
            version,
            status,
            requested=at(requested),
            started=at(started or requested),
            ended=at(ended),
            **more,
        )
        self.write([row])
        return self.last_id

    def measure(
        self,
        first: str,
        until: str,
        *,
        application: str | None = "shop",
        environment: str = "production",
        zone: str = "UTC",
        by: By | None = None,
    ) -> Insights:
        asked = insights.period_of(date.fromisoformat(first), date.fromisoformat(until), zone=zone, by=by)
        with self.world.database.reading() as session:
            found = insights.measure(session, application=application, environment=environment, period=asked)
        self.check_lists(found, asked)
        return found

    def ids(self, found: Insights, period: Period, group: Group, reason: str | None = None) -> list[int]:
        """What the list behind a number has."""
        with self.world.database.reading() as session:
            rows = insights.behind(
                session,
                application=found.application,
                environment=found.environment,
                period=period,
                group=group,
                reason=reason,
                before_id=None,
                skip=0,
                limit=100_000,
            )
        return [row.id for row in rows]

    def check_lists(self, found: Insights, period: Period) -> None:
        """Behind each number are as many deployments as it says, and the parts together are the whole."""
        for group, count in counts(found.measures).items():
            assert len(set(self.ids(found, period, group))) == count, group
        for wait in found.waits:
            assert len(self.ids(found, period, Group.WAITED, wait.reason)) == wait.spread.count, wait
        parts = [counts(each.measures) for each in found.parts]
        whole = {group: sum(each[group] for each in parts) for group in counts(found.measures)}
        assert whole == counts(found.measures)


def counts(measures: Measures) -> dict[Group, int]:
    """How many deployments each number says it is of."""
    return {
        Group.FINISHED: measures.finished,
        Group.SUCCEEDED: measures.succeeded,
        Group.DEPLOYED: measures.deployed,
        Group.CHANGES: measures.changes,
        Group.FAILED: measures.failed,
        Group.RECOVERED: measures.recovery.count,
        Group.UNRECOVERED: measures.unrecovered,
        Group.REWORK: measures.rework,
        Group.LEAD_KNOWN: measures.lead.count,
        Group.LEAD_UNKNOWN: measures.lead_unknown,
    }
