"""Two more scenarios, without any fault: upgrades under load, and a backlog that workers find when they start."""

import threading
from pathlib import Path

from orchestrator import clock
from tests.chaos.applications import APPLICATIONS, ENVIRONMENTS
from tests.chaos.campaign import drain, idle_share, processor_seconds
from tests.chaos.evidence import Evidence
from tests.chaos.followers import Crowd
from tests.chaos.installation import APIS, BEATS, STREAM, Installation, Shape
from tests.chaos.invariants import Violation, check
from tests.chaos.load import STEADY, drivers
from tests.chaos.report import Report, percentile
from tests.chaos.site import Say, Site, site

LONGEST_DELAY_SECONDS = 5.0
_QUIET_SECONDS = 45.0
_PAUSE_SECONDS = 2.0
_BACKLOG = tuple(each for each in APPLICATIONS if not each.promoted)
_DEEP = 3


def restarts(folder: Path, *, rounds: int, seed: int, say: Say) -> Report:
    """Replace every process so many times, one after the other as in an upgrade, while deployments go on."""
    begun = clock.monotonic()
    with site(folder, seed=seed, say=say) as made:
        working = drivers(made.desk, made.observer, seed=seed, mix=STEADY)
        for driver in working:
            driver.start()
        crowd = Crowd.of(made.installed.stream_url, made.desk, made.observer, seed=seed)
        slowest: dict[str, float] = {}
        before = processor_seconds()
        for number in range(1, rounds + 1):
            threading.Event().wait(_PAUSE_SECONDS)
            _replace_all(made.installed, slowest)
            say(f"{number} of {rounds} rolling restarts; {len(made.observer.ended)} deployments ended")
        spare = idle_share(before, processor_seconds())
        open_ids = drain(made, working, crowd)
        with made.evidence() as evidence:
            evidence.followed = crowd.followed
            report = Report.of(evidence)
            report.violations = check(evidence) + _unsteady(evidence)
            starts, records = _delays(evidence)
        report.stuck = open_ids
        report.faults = {"rolling restart of all processes": rounds}
        report.extra["processors idle meanwhile"] = f"{spare:.0%}"
        for what, delays in (("start", starts), ("record", records)):
            values = [seconds for seconds, _ in delays]
            report.extra[f"delay of a {what} p50 / p99 / max"] = (
                f"{percentile(values, 0.5):.2f} s / {percentile(values, 0.99):.2f} s / {max(values, default=0):.2f} s"
            )
        report.extra |= {
            f"longest stop of {name}": f"{seconds:.1f} s" for name, seconds in sorted(slowest.items())
        }
        report.seed, report.seconds = seed, clock.monotonic() - begun
        return report


def backlog(folder: Path, *, rounds: int, seed: int, say: Say) -> Report:
    """Queue three deployments in each of six slots while no worker runs, then start four workers; so many times."""
    begun, whole = clock.monotonic(), 0
    shape = Shape(("node-a",) * 4)
    with site(folder, seed=seed, say=say, shape=shape, applications=_BACKLOG, start=(*APIS, *BEATS)) as made:
        problems: list[Violation] = []
        for number in range(1, rounds + 1):
            ids = _queue(made, number)
            made.installed.start(*shape.workers)
            open_ids = made.wait_until_all_ended(quiet_seconds=_QUIET_SECONDS)
            statuses = {i: made.observer.ended.get(i) for i in ids}
            whole += not open_ids and set(statuses.values()) == {"succeeded"}
            for worker in shape.workers:
                made.installed.members[worker].stop()
            if number % 10 == 0 or number == rounds:
                say(f"{whole} of {number} backlogs were carried out whole")
        with made.evidence() as evidence:
            report = Report.of(evidence)
            problems += check(evidence) + _unsteady(evidence)
    if whole < rounds:
        problems.append(Violation("backlog", f"only {whole} of {rounds} were carried out whole"))
    report.violations = problems
    report.extra = {"backlogs carried out whole, in order": f"{whole} of {rounds}"}
    report.seed, report.seconds = seed, clock.monotonic() - begun
    return report


def _queue(made: Site, number: int) -> list[int]:
    ids = []
    for place in range(_DEEP):
        for application in _BACKLOG:
            for environment in ENVIRONMENTS:
                key = f"backlog-{number}-{place}-{application.name}-{environment}"
                body = {"application": application.name, "environment": environment, "reason": key}
                found = made.desk.create(
                    "/deployments/", {**body, "version": f"{1 + place % 2}-quick"}, key=key
                )
                assert found is not None
                ids.append(found)
    return ids


def _replace_all(installed: Installation, slowest: dict[str, float]) -> None:
    for name in (*APIS, *installed.shape.workers, *BEATS, STREAM):
        member = installed.members[name]
        slowest[name] = max(member.stop(), slowest.get(name, 0.0))
        member.start()
        member.wait_healthy()


def _delays(evidence: Evidence) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    """From the moment a step could start until its command did, and from its command's end until that was recorded."""
    started = {entry.run: entry.at for entry in evidence.ledger if entry.kind == "S"}
    ended = {entry.run: entry.at for entry in evidence.ledger if entry.kind == "E"}
    starts = [
        (started[r.run] - r.not_before.timestamp(), r.run) for r in evidence.attempts if r.run in started
    ]
    records = [
        (r.ended_at.timestamp() - ended[r.run], r.run)
        for r in evidence.attempts
        if r.ended_at and r.run in ended
    ]
    return starts, records


def _unsteady(evidence: Evidence) -> list[Violation]:
    """Steps that did not succeed at their first attempt although nothing was wrong with them; delays that are too long.

    The load cancels what a gate holds, which may start at that moment: such a step ended because somebody wanted it to.
    """
    wanted = {row.id for row in evidence.deployments.values() if row.cancel_requested_at}
    found = [
        Violation("interrupted", f"run {row.run} ended as {row.outcome}: {row.failure}")
        for row in evidence.attempts
        if row.outcome != "succeeded"
        and not (row.outcome in {"aborted", "unstarted"} and row.deployment_id in wanted)
    ]
    starts, records = _delays(evidence)
    waited_for_workers = any(entry for entry in evidence.accepted if entry.startswith("backlog-"))
    for what, delays in (("started", [] if waited_for_workers else starts), ("recorded", records)):
        found += [
            Violation("delayed", f"run {run} was {what} {seconds:.1f} s late")
            for seconds, run in delays
            if seconds > LONGEST_DELAY_SECONDS
        ]
    return found
