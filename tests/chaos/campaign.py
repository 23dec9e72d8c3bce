"""The main scenario: a load, faults by a seed, healing, and then everything is checked."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator import clock
from tests.chaos.applications import GUARDED, Application
from tests.chaos.faults import Injector, Planned, draw, heal_all
from tests.chaos.followers import Crowd
from tests.chaos.gates import Gatekeeper
from tests.chaos.invariants import Violation, check
from tests.chaos.load import Driver, Mix, Operator, drivers
from tests.chaos.phases import Hunter
from tests.chaos.recovery import Ability, Recoveries
from tests.chaos.report import Report
from tests.chaos.site import Say, Site, site

FAULTS_A_SECOND = 1.6
AT_A_TIME = 12
STUCK_SECONDS = 15.0
_WARM_UP_SECONDS = 12.0
_QUIET_SECONDS = 45.0
_TOLD_SECONDS = 30.0
"""How long after the end of everything followers may take to come to theirs."""


def run(
    folder: Path,
    *,
    faults: int,
    seed: int,
    say: Say,
    mix: Mix | None = None,
    rate: float = FAULTS_A_SECOND,
    applications: tuple[Application, ...] = GUARDED,
) -> Report:
    """Break things so many times, `rate` faults a second on average, let them heal, and report."""
    begun = clock.monotonic()
    with site(folder, seed=seed, say=say, applications=applications) as made:
        working = drivers(
            made.desk, made.observer, seed=seed, mix=mix or Mix(), applications=made.applications
        )
        operator = Operator(made.desk, made.observer, seed=seed)
        keeper = made.gatekeeper(seed=seed)
        for each in (*working, operator, keeper):
            each.start()
        crowd = Crowd.of(made.installed.stream_url, made.desk, made.observer, seed=seed)
        ability = Ability(made.installed.nodes)
        recoveries = Recoveries(ability)
        made.observer.listeners.append(recoveries.look)
        injector = Injector(made.installed, made.observer, Hunter(made.installed), recoveries, ability)
        threading.Event().wait(min(_WARM_UP_SECONDS, faults / 5))
        before = processor_seconds()
        _inject(injector, plan(faults, seed, made.installed.shape.workers, rate=rate), say=say)
        spare = idle_share(before, processor_seconds())
        heal_all(made.installed)
        made.observer.watch_standstills()
        say("everything is healed; what is open is brought to its end")
        keeper.stopping.set()
        open_ids = drain(made, working, crowd)
        keeper.join()
        report = _judge(made, keeper, crowd, injector, recoveries, open_ids)
        report.seed, report.seconds = seed, clock.monotonic() - begun
        report.extra["faults a second, on average; processors idle meanwhile"] = f"{rate:g}, {spare:.0%}"
        report.extra["runs whose end a person was asked about"] = f"{operator.answers}"
        kinds = Counter(each.what.split()[0] for each in keeper.said.closed)
        report.extra["locks, freezes, approvals"] = (
            f"{kinds['lock']}, {kinds['freeze']}, {len(keeper.said.yeses)}"
        )
        if made.traffic is not None:
            asked = len(made.traffic.requests) + len(made.traffic.failures)
            report.extra["requests to the proxies, failed"] = f"{asked}, {len(made.traffic.failures)}"
        (folder / "faults").write_text("\n".join(injector.log) + "\n")
        return report


def plan(faults: int, seed: int, workers: tuple[str, ...], *, rate: float) -> list[tuple[float, Planned]]:
    """So many faults, each with the pause before it."""
    rng = random.Random(seed)
    return [(min(rng.expovariate(rate), 4.8 / rate), draw(rng, workers)) for _ in range(faults)]


def processor_seconds() -> tuple[int, int]:
    """What this machine's processors did since it started: idle, and altogether (proc(5), in ticks)."""
    ticks = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def idle_share(before: tuple[int, int], after: tuple[int, int]) -> float:
    """How much of the processors nobody used between two looks."""
    return (after[0] - before[0]) / max(after[1] - before[1], 1)


def _inject(injector: Injector, planned: list[tuple[float, Planned]], *, say: Say) -> None:
    pause = threading.Event()
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="fault") as hands:
        under_way = []
        for number, (wait, fault) in enumerate(planned, start=1):
            pause.wait(wait)
            under_way.append(hands.submit(injector.inject, fault))
            if number % 50 == 0:
                ended, still = len(injector.observer.ended), injector.observer.last
                say(
                    f"{number} faults; {ended} deployments ended; {len(still.attempts) if still else 0} attempts open"
                )
        for each in under_way:
            each.result()


def drain(made: Site, working: list[Driver], crowd: Crowd) -> list[int]:
    """Ask for nothing more and return when all has ended and was told; what has not ended, though it could."""
    for driver in working:
        driver.stopping.set()
    open_ids = made.wait_until_all_ended(quiet_seconds=_QUIET_SECONDS)
    crowd.wait_until_told(_TOLD_SECONDS)
    made.desk.halted.set()
    for driver in working:
        driver.join()
    # Whoever was asked in the last moment may have said yes.
    return open_ids or made.wait_until_all_ended(quiet_seconds=_QUIET_SECONDS)


def _judge(
    made: Site,
    keeper: Gatekeeper,
    crowd: Crowd,
    injector: Injector,
    recoveries: Recoveries,
    open_ids: list[int],
) -> Report:
    with made.evidence() as evidence:
        evidence.said = keeper.said
        evidence.followed = crowd.followed
        evidence.severed = frozenset(injector.severed)
        violations = check(evidence)
        report = Report.of(evidence)
    violations += [Violation("API", text) for text in made.desk.refused]
    violations += [Violation("process", text) for text in injector.troubles]
    violations += [Violation("recovery", f"not recovered: {each}") for each in recoveries.unfinished()]
    stuck = [s for s in made.observer.standstills.values() if s.seconds > STUCK_SECONDS]
    report.violations = violations
    report.reached = tuple(made.installed.places.reached)
    report.stuck = sorted({*(s.deployment_id for s in stuck), *open_ids})
    report.stuck_notes = [f"deployment {s.deployment_id}: {s.seconds:.1f} s at {s.progress}" for s in stuck]
    report.faults, report.phases = dict(injector.done), dict(injector.phases)
    report.longest_standstill = max((s.seconds for s in made.observer.standstills.values()), default=0.0)
    told = recoveries.of_consequence()
    report.recovery = sorted(each.seconds for each in told)
    report.able_recovery = sorted(each.able_seconds for each in told)
    report.slowest = [
        f"{each.able_seconds:.1f} s ({each.seconds:.1f} s): {each.fault}, {each.held_up} held up, last {each.last}"
        for each in sorted(told, key=lambda each: -each.able_seconds)[:10]
    ]
    return report
