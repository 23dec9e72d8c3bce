"""How long after an opening deployments start: one alone, and the first of each of many slots."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bench import world
from bench.world import World

ALONE = 30
APPLICATIONS, QUEUED = 200, 5
LEAD_SECONDS = 3


def measure() -> list[tuple[str, str, str]]:
    """A window opens for one deployment, ALONE times; then one for APPLICATIONS queues of QUEUED each."""
    with world.world("web", "worker1", "worker2", "beat") as ours:
        ours.application("alone", "noop")
        alone = [_open(ours, ["alone"], LEAD_SECONDS)[0] for _ in range(ALONE)]
        names = [f"crowd-{n}" for n in range(APPLICATIONS)]
        for name in names:
            ours.application(name, "noop")
        crowd = _open(ours, names * QUEUED, 60)
        return [
            ("opening to start, one deployment, p50", f"{_part(alone, 0.5):.2f} s", ""),
            ("the same, p99", f"{_part(alone, 0.99):.2f} s", "(goal 1.5 s)"),
            (
                f"opening to the first of {APPLICATIONS} slots, {APPLICATIONS * QUEUED} wait",
                f"{crowd[0]:.2f} s",
                "(goal 1.5 s)",
            ),
            ("the same, to the first in half of the slots", f"{_part(crowd, 0.5):.2f} s", ""),
            ("the same, to the first in the last slot", f"{crowd[-1]:.2f} s", ""),
        ]


def _open(ours: World, names: Sequence[str], lead_seconds: int) -> list[float]:
    """Let these wait for one window; seconds from its opening to the first start of each application, the least first."""
    opens = (datetime.now(UTC) + timedelta(seconds=lead_seconds)).replace(microsecond=0)
    moments = {
        "from": f"{opens:%Y-%m-%dT%H:%M:%S}",
        "to": f"{opens + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}",
    }
    rule = {"environment": "lab", "name": "soon", "zone": "UTC", "dated": moments}
    made = ours.client.create("/windows/", rule)
    first = min(int(ours.client.request_deployment(n, "1", environment="lab")["id"]) for n in names)
    if datetime.now(UTC) > opens:
        raise TimeoutError("it took longer to request them than until the opening")
    time.sleep((opens - datetime.now(UTC)).total_seconds())
    ours.wait_until_none_goes_on()
    ours.client.call("DELETE", f"/windows/{made['id']}")
    started = ours.query(
        "SELECT min(extract(epoch FROM started_at))::float8 - %s FROM deployments WHERE id >= %s"
        " GROUP BY application_id ORDER BY 1",
        opens.timestamp(),
        first,
    )
    return [float(str(seconds)) for (seconds,) in started]


def _part(sorted_or_not: Sequence[float], part: float) -> float:
    ordered = sorted(sorted_or_not)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
