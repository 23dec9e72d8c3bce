"""From the POST to the first command started, on an idle machine; and how many runs one worker follows."""

import statistics
import tempfile
import time
from pathlib import Path

from bench import cpu, world
from bench.world import World

SAMPLES = 40
RUNS = 200


def measure() -> list[tuple[str, str, str]]:
    """One deployment after the other; then RUNS at once."""
    with world.world("web", "worker1", "beat") as ours, tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder, "started")
        ours.application("clock", "command", f"date +%s%N >> {ledger}")
        waits = [_once(ours, ledger) for _ in range(SAMPLES + 5)][5:]
        waits.sort()
        rows = [
            ("POST to the first command started, p50", f"{statistics.median(waits):.0f} ms", "(goal 60 ms)"),
            ("the same, p90", f"{waits[int(len(waits) * 0.9)]:.0f} ms", ""),
        ]
        return rows + _follow(ours)


def _once(ours: World, ledger: Path) -> float:
    lines = len(ledger.read_text().splitlines()) if ledger.exists() else 0
    sent = time.time_ns()
    ours.client.request_deployment("clock", "1", environment="lab")
    ours.wait_until_none_goes_on()
    started = int(ledger.read_text().splitlines()[lines])
    return (started - sent) / 1e6


def _follow(ours: World) -> list[tuple[str, str, str]]:
    source = "application: many\nenvironments:\n  lab:\n    strategy: {kind: all-at-once, max_parallel: 200}\n    targets:\n"
    source += "".join(f"      - {{name: t{n}, kind: command}}\n" for n in range(RUNS))
    ours.client.apply_pipeline("many", (source + "deploy:\n  - run: sleep 25\n").encode())
    ours.client.create("/releases/", {"name": "many", "version": "1"})
    ours.client.request_deployment("many", "1", environment="lab")
    running = "SELECT count(*) FROM steps WHERE status = 'running'"
    deadline = time.monotonic() + 60
    while ours.query(running) != [(RUNS,)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {ours.query(running)} of {RUNS} runs are followed")
        time.sleep(0.2)
    worker = ours.pids("worker1")
    before, begun = cpu.seconds(worker), time.monotonic()
    busy = []
    for _ in range(40):
        rows = ours.query(
            "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()"
        )
        busy.append(int(str(rows[0][0])))
        time.sleep(0.2)
    share = (cpu.seconds(worker) - before) / (time.monotonic() - begun)
    ours.wait_until_none_goes_on()
    return [
        ("runs one worker process follows at once", str(RUNS), "(goal 200)"),
        (
            "connections in use meanwhile, median and most",
            f"{statistics.median(busy):.0f}, {max(busy)}",
            "(goal 0)",
        ),
        ("the worker's share of one core meanwhile", f"{share:.0%}", ""),
    ]
