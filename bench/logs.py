"""Output of a step on its way to Postgres, beside `cat` of the same bytes to a file."""

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench import world
from bench.world import World

SLICES = 3
LINES = 200_000
LINE = "x" * 82 + " %06d"
NEAREST_PEER = 2_500
"""Lines a second that the nearest of the tools which were measured reaches."""


def measure() -> list[tuple[str, str, str]]:
    """Lines a second from the request to `succeeded`, with every byte in Postgres."""
    with tempfile.TemporaryDirectory() as folder, world.world("web", "worker1", "beat") as ours:
        source = Path(folder) / "lines"
        source.write_text("".join(f"{LINE % n}\n" for n in range(LINES)))
        source.chmod(0o644)
        Path(folder).chmod(0o755)
        ours.application("loud", "command", f"cat {source}")
        copied = [_copy(source) for _ in range(SLICES)]
        stored = [_deploy(ours, source.stat().st_size) for _ in range(SLICES)]
    plain, ours_rate = statistics.median(copied), statistics.median(stored)
    return [
        ("`cat` to a file, lines a second", f"{plain:,.0f}", "1"),
        (
            f"{LINES:,} lines ({LINES * 90 // 1_000_000} MB) of one step, lines a second",
            f"{ours_rate:,.0f}",
            f"{ours_rate / NEAREST_PEER:.0f} times the nearest peer (goal 100)",
        ),
    ]


def _copy(source: Path) -> float:
    begun = time.monotonic()
    with source.with_name("copy").open("wb") as copy:
        subprocess.run(["cat", str(source)], stdout=copy, check=True)
    return LINES / (time.monotonic() - begun)


def _deploy(ours: World, size: int) -> float:
    begun = time.monotonic()
    made = ours.client.request_deployment("loud", "1", environment="lab")["id"]
    succeeded = "SELECT count(*) FROM deployments WHERE id = %s AND status = 'succeeded'"
    while ours.query(succeeded, made) != [(1,)]:
        time.sleep(0.01)
    elapsed = time.monotonic() - begun
    stored = ours.query("SELECT sum(length(data)) FROM log_chunks WHERE deployment_id = %s", made)
    if stored != [(size,)]:
        raise RuntimeError(f"{stored} bytes were stored of {size}")
    return LINES / elapsed
