"""Throughput of what may run while ten thousand deployments wait, beside the same without them."""

import statistics
import time

import psycopg2

from bench import world
from bench.world import World

SLICES = 5
EACH = 100
SLOTS = 50
BUSY_SLOTS = 20
WAITING = 10_000

_MANY = """
    INSERT INTO deployments (application_id, release_id, environment, status, requested_by, strategy, plan_hash,
        max_failures, max_parallel, on_failure, promote_after, wave_count, step_count, wake_at)
    SELECT d.application_id, d.release_id, d.environment, 'pending', d.requested_by, d.strategy, d.plan_hash,
        0, 1, 'fail', '{}', 1, 1, clock_timestamp() + random() * interval '1 hour'
    FROM generate_series(1, %(each)s) n, (SELECT * FROM deployments WHERE status = 'running') d
    RETURNING id
"""
_WITH_THEIR_PLANS = """
    INSERT INTO plans (deployment_id, document)
    SELECT d.id, p.document FROM deployments d, (SELECT document FROM plans ORDER BY deployment_id DESC LIMIT 1) p
    WHERE d.id = ANY(%(ids)s);
    INSERT INTO waves (deployment_id, index, batch, action_index, total, waiting)
    SELECT u.id, 0, 0, 0, 1, 1 FROM unnest(%(ids)s) AS u(id);
    INSERT INTO steps (deployment_id, wave_index, position, action_index, target_id, target_name, target)
    SELECT u.id, 0, 0, 0, s.target_id, s.target_name, s.target
    FROM unnest(%(ids)s) AS u(id), (SELECT * FROM steps ORDER BY id DESC LIMIT 1) s;
"""


def measure() -> list[tuple[str, str, str]]:
    """Slices without them, then slices with them: deployments to `noop` a second."""
    with world.world("web", "worker1", "beat") as ours:
        for n in range(SLOTS):
            ours.application(f"noop-{n}", "noop")
        for n in range(BUSY_SLOTS):
            ours.application(f"busy-{n}", "command", "sleep 600")
            ours.client.request_deployment(f"busy-{n}", "1", environment="lab")
        while ours.query("SELECT count(*) FROM deployments WHERE status = 'running'") != [(BUSY_SLOTS,)]:
            time.sleep(0.1)
        _slice(ours)
        without = [_slice(ours) for _ in range(SLICES)]
        world.say(f"pending: {WAITING} deployments begin to wait")
        _let_wait(ours)
        among = [_slice(ours) for _ in range(SLICES)]
    before, after = statistics.median(without), statistics.median(among)
    return [
        ("deployments of `noop` a second, nothing waits", f"{before:.0f}", "1"),
        (f"the same while {WAITING:,} wait", f"{after:.0f}", f"{after / before:.2f} (goal 0.9)"),
    ]


def _let_wait(ours: World) -> None:
    connection = psycopg2.connect(ours.stack.env["DATABASE_URL"])
    with connection, connection.cursor() as cursor:
        cursor.execute(_MANY, {"each": WAITING // BUSY_SLOTS})
        cursor.execute(_WITH_THEIR_PLANS, {"ids": [row[0] for row in cursor.fetchall()]})
    connection.close()


def _slice(ours: World) -> float:
    begun = time.monotonic()
    ids = [
        ours.client.request_deployment(f"noop-{n % SLOTS}", "1", environment="lab")["id"] for n in range(EACH)
    ]
    open_ones = "SELECT count(*) FROM deployments WHERE id BETWEEN %s AND %s AND ended_at IS NULL"
    while ours.query(open_ones, ids[0], ids[-1]) != [(0,)]:
        time.sleep(0.02)
    return EACH / (time.monotonic() - begun)
