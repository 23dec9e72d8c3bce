"""What Postgres pays for the insights of a year and of a month of an application that is deployed all day."""

import statistics
import time
from datetime import UTC, datetime, timedelta

from bench import cpu, world

ROWS = 110_000
A_YEAR = 90_000
ROUNDS = 5

# One slot, one deployment after the other; each release goes out twenty times. A third was held by a window, some waited for the
# one before; 8 of 100 failed, 4 are rollbacks and 3 are retries.
_RELEASES = """
    INSERT INTO releases (name, version, application_id, created_by, created_at, committed_at)
    SELECT 'counted', 'v' || n, a.id, a.owner_id, %(end)s - (%(rows)s / 20 - n) * 20 * %(step)s::interval,
        CASE WHEN n %% 5 > 0 THEN %(end)s - (%(rows)s / 20 - n) * 20 * %(step)s::interval - interval '3 hours' END
    FROM generate_series(1, %(rows)s / 20) n, applications a WHERE a.name = 'counted'
"""
_DEPLOYMENTS = """
    INSERT INTO deployments (id, application_id, release_id, environment, status, requested_by, strategy, plan_hash, max_failures,
        max_parallel, on_failure, wave_count, step_count, created_at, started_at, ended_at, deployed_at, rolls_back_id, retry_of_id)
    SELECT f.first + n, r.application_id, r.id, 'lab', s.status, r.created_by, 'rolling', '', 0, 1, 'fail', 1, 1,
        t.ended - x.ran - x.waited, t.ended - x.ran, t.ended, CASE WHEN s.status = 'succeeded' THEN t.ended END,
        CASE WHEN n %% 25 = 1 AND n > 1 THEN f.first + n - 1 END, CASE WHEN n %% 33 = 2 AND n > 2 THEN f.first + n - 1 END
    FROM generate_series(1, %(rows)s) n
    CROSS JOIN (SELECT coalesce(max(id), 0) AS first FROM deployments) f
    CROSS JOIN LATERAL (SELECT %(end)s - (%(rows)s - n) * %(step)s::interval) t(ended)
    CROSS JOIN LATERAL (
        SELECT (30 + random() * 270) * interval '1 second', random() ^ 3 * interval '20 minutes' WHERE n > 0) x(ran, waited)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN n %% 100 < 90 THEN 'succeeded' WHEN n %% 100 < 98 THEN 'failed' ELSE 'cancelled' END) s(status)
    JOIN releases r ON r.name = 'counted' AND r.version = 'v' || (n - 1) / 20 + 1
    ORDER BY n
"""
_HOLDS = """
    INSERT INTO holds (deployment_id, since, until, kind)
    SELECT id, created_at, created_at + (started_at - created_at) / 2, 'window' FROM deployments
    WHERE id %% 3 = 0 AND environment = 'lab' AND started_at > created_at
"""


def measure() -> list[tuple[str, str, str]]:
    """All numbers by HTTP, and the list behind one of them, with the statistics that a server keeps."""
    with world.world("web", env={"DB_POOL_SIZE": "10"}) as ours:
        ours.application("counted", "noop")
        end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        world.say(f"insights: {ROWS:,} deployments are written")
        fill(ours.stack.env["DATABASE_URL"], end)
        found = []
        for name, days in (("a year", 365), ("a month", 30)):
            query = {
                "application": "counted",
                "environment": "lab",
                "from": (end - timedelta(days=days)).date().isoformat(),
                "to": end.date().isoformat(),
            }
            for what, path, more in (
                ("all numbers", "/insights", {}),
                ("the list of failed changes", "/insights/deployments", {"group": "failed"}),
            ):
                took, spent = _ask(ours, path, query | more)
                found.append(
                    (f"insights, {what} of {name}", f"{took:.2f} s", f"Postgres: {spent:.2f} s of CPU")
                )
        return found


def _ask(ours: world.World, path: str, query: dict[str, str]) -> tuple[float, float]:
    """Seconds until the answer, and of Postgres' processors: medians."""
    pids = ours.pids("postgres")
    took, spent = [], []
    for _ in range(ROUNDS):
        before, begun = cpu.seconds(pids), time.perf_counter()
        ours.client.call("GET", path, query=query)
        took.append(time.perf_counter() - begun)
        spent.append(cpu.seconds(pids) - before)
    return statistics.median(took), statistics.median(spent)


def fill(database_url: str, end: datetime) -> None:
    """Write the deployments, the last of which ended then."""
    with world.filling(database_url) as cursor:
        cursor.execute("SELECT setseed(0.5)")
        numbers = {"rows": ROWS, "end": end, "step": timedelta(days=365) / A_YEAR}
        for statement in (_RELEASES, _DEPLOYMENTS, _HOLDS):
            cursor.execute(statement, numbers)
        for table in ("releases", "deployments", "holds"):
            cursor.execute(f"VACUUM ANALYZE {table}")
