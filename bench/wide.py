"""CPU of one step of a deployment to many `noop` targets: it must not depend on how many there are."""

import statistics
import time
from contextlib import closing

import psycopg2

from bench import cpu, world
from bench.world import World

TARGETS = (1, 100, 1000)
ROUNDS = 3
STEPS = 100
"""At least so many a round: what is done once for each deployment is then part of the figure for one target."""


def measure() -> list[tuple[str, str, str]]:
    """Rolling by 25%, each size in turn."""
    with world.world("web", "worker1", "beat") as ours:
        for count in TARGETS:
            _application(ours, count)
            _step(ours, count, deployments=1)
        found: dict[int, list[tuple[float, float]]] = {count: [] for count in TARGETS}
        for number in range(ROUNDS):
            world.say(f"wide: round {number + 1} of {ROUNDS}")
            for count in TARGETS:
                found[count].append(_step(ours, count, deployments=-(-STEPS // count)))
    rows = []
    for count in TARGETS:
        worker, postgres = (statistics.median(each) for each in zip(*found[count], strict=True))
        rows.append(
            (
                f"a step of a deployment to {count} `noop` targets, CPU of worker and Postgres",
                f"{worker * 1000:.2f} + {postgres * 1000:.2f} ms",
                "",
            )
        )
    return rows


def _application(ours: World, count: int) -> None:
    name = f"wide-{count}"
    source = f"application: {name}\nenvironments:\n  lab:\n    strategy: {{kind: rolling, batch: 25%}}\n    targets:\n"
    source += "".join(f"      - {{name: t{n}, kind: noop}}\n" for n in range(count))
    ours.client.apply_pipeline(name, (source + "deploy:\n  - run: 'true'\n").encode())
    ours.client.create("/releases/", {"name": name, "version": "1"})


def _step(ours: World, count: int, *, deployments: int) -> tuple[float, float]:
    """CPU seconds of the worker and of Postgres a step, without those of an idle installation."""
    # One connection: to make one for each look would cost Postgres more than many steps.
    with closing(psycopg2.connect(ours.stack.env["DATABASE_URL"])) as connection:
        connection.autocommit = True
        idle, begun = _spent(ours), time.monotonic()
        time.sleep(2)
        a_second = [
            (now - then) / (time.monotonic() - begun) for now, then in zip(_spent(ours), idle, strict=True)
        ]
        before, begun = _spent(ours), time.monotonic()
        for _ in range(deployments):
            ours.client.request_deployment(f"wide-{count}", "1", environment="lab")
            _wait(connection)
        elapsed = time.monotonic() - begun
        worker, postgres = (
            (now - then - each * elapsed) / (deployments * count)
            for now, then, each in zip(_spent(ours), before, a_second, strict=True)
        )
    return worker, postgres


def _wait(connection: psycopg2.extensions.connection) -> None:
    with connection.cursor() as cursor:
        goes_on = True
        while goes_on:
            time.sleep(0.02)
            cursor.execute("SELECT EXISTS (SELECT 1 FROM deployments WHERE wake_at IS NOT NULL)")
            ((goes_on,),) = cursor.fetchall()


def _spent(ours: World) -> tuple[float, float]:
    return cpu.seconds(ours.pids("worker1")), cpu.seconds(ours.pids("postgres"))
