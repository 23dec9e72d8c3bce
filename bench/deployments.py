"""CPU of a deployment beside CPU of a Celery task that does nothing."""

import os
import statistics
import time

from celery import Celery

from bench import cpu, world
from bench.world import World

SLICES = 5
EACH = 150
SLOTS = 50


def measure() -> list[tuple[str, str, str]]:
    """Interleaved slices of raw tasks, deployments to `noop` and deployments of `true`."""
    with world.world("web", "worker1", "beat") as ours:
        env = {**os.environ, **ours.stack.env}
        for n in range(SLOTS):
            ours.application(f"noop-{n}", "noop")
            ours.application(f"true-{n}", "command")
        words = "celery -A bench.raw_celery worker --pool threads --concurrency 200 -E -Q raw"
        with world.process(*words.split(), "--without-gossip", "--without-mingle", env=env) as raw:
            return _rows(ours, raw.pid)


def _rows(ours: World, raw_pid: int) -> list[tuple[str, str, str]]:
    sender = Celery("sender", broker=ours.stack.env["REDIS_URL"])
    _raw(ours, sender, raw_pid)
    kinds = ("noop", "true")
    for kind in kinds:
        _deploy(ours, kind, SLOTS)
    raw, idle, costs = [], [], {kind: [] for kind in kinds}
    rates: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(SLICES):
        world.say(f"deployments: slice {number + 1} of {SLICES}")
        raw.append(_raw(ours, sender, raw_pid))
        idle.append(_idle(ours))
        for kind in kinds:
            cost, rate = _deploy(ours, kind, EACH)
            costs[kind].append(cost)
            rates[kind].append(rate)
    base, per_second = statistics.median(raw), statistics.median(idle)
    rows = [("raw no-op Celery task, CPU", f"{base * 1000:.2f} ms", "1")]
    for kind, goal in (("noop", 6), ("true", 10)):
        net = statistics.median(
            cost - per_second / rate for cost, rate in zip(costs[kind], rates[kind], strict=True)
        )
        rows.append(
            (
                f"deployment of `{kind}` by HTTP, CPU",
                f"{net * 1000:.2f} ms",
                f"{net / base:.1f} (goal {goal})",
            )
        )
        rows.append((f"deployments of `{kind}` a second", f"{statistics.median(rates[kind]):.0f}", ""))
    rows.append(("all processes of an idle installation, CPU a second", f"{per_second * 1000:.1f} ms", ""))
    return rows


def _everything(ours: World) -> list[int]:
    return ours.pids("web", "worker1", "beat", "postgres", "valkey")


def _idle(ours: World) -> float:
    before, begun = cpu.seconds(_everything(ours)), time.monotonic()
    time.sleep(3)
    return (cpu.seconds(_everything(ours)) - before) / (time.monotonic() - begun)


def _raw(ours: World, sender: Celery, raw_pid: int) -> float:
    pids = [raw_pid, *ours.pids("valkey")]
    before, sent = cpu.seconds(pids), os.times()
    for _ in range(EACH * 2):
        sender.send_task("raw.noop", queue="raw", ignore_result=True)
    with sender.connection_for_read() as connection:
        while connection.default_channel.client.llen("raw"):
            time.sleep(0.02)
    time.sleep(0.3)
    after = os.times()
    own = after.user + after.system - sent.user - sent.system
    return (cpu.seconds(pids) - before + own) / (EACH * 2)


def _deploy(ours: World, kind: str, number: int) -> tuple[float, float]:
    """CPU seconds a deployment (without the measuring client's), and deployments a second."""
    before, begun = cpu.seconds(_everything(ours)), time.monotonic()
    for n in range(number):
        ours.client.request_deployment(f"{kind}-{n % SLOTS}", "1", environment="lab")
    ours.wait_until_none_goes_on()
    elapsed = time.monotonic() - begun
    return (cpu.seconds(_everything(ours)) - before) / number, number / elapsed
