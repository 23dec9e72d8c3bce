"""Liveness: once nothing breaks any more, everything ends, or waits for a person who was asked."""

from collections.abc import Callable

from tests.model.evidence import TERMINAL, Evidence
from tests.model.system import System

STUCK_SECONDS = 15.0
"""How long what could go on may make no progress."""
MOST_POINTS = 400


def settle(system: System, look: Callable[[], Evidence]) -> None:
    """Stop all faults but those of nodes that are away, let time pass, answer what is asked, let the nodes come back.

    At last everybody agrees to everything, and nothing is locked or closed any more.
    """
    system.broker.away = False
    system.clocks.set_right()
    away = {process.node for process in system.processes if process.stopped}
    away -= {process.node for process in system.processes if not process.stopped}
    if away == {process.node for process in system.processes}:
        away.remove(min(away))
    for process in system.processes:
        if process.ending:
            system.replace(process)
        elif process.node not in away:
            process.stopped = False
    _let_all_end(system, look, patience=STUCK_SECONDS + (system.node_lost_seconds if away else 0))
    for process in system.processes:
        process.stopped = False
        process.poll()
    now = look()
    ended = {row.id for row in now.deployments if row.status in TERMINAL}
    alive = [run.name for run in system.site.living if run.deployment_id in ended]
    assert not alive, f"alive although their nodes are back: {alive}"
    for deployment_id in now.asking:
        system.answer(deployment_id, "retry")
    now = _let_all_end(system, look, patience=STUCK_SECONDS)
    assert not now.asking, f"asked again although nothing broke: {now.asking}"
    _agree_to_everything(system, now)
    _let_all_end(system, look, patience=STUCK_SECONDS)


def _agree_to_everything(system: System, now: Evidence) -> None:
    for lock_id in list(system.book.locks):
        system.unlock(lock_id)
    for halt in now.halts:
        system.let_go_on(halt)
    for rule_id in list(system.book.stretches):
        system.allow_no_more(rule_id)
    for row in now.deployments:
        for person in system.people if row.status == "pending" else ():
            system.approve(row.id, person)


def _let_all_end(system: System, look: Callable[[], Evidence], *, patience: float) -> Evidence:
    """Until nothing can go on; fails when what could makes no progress for longer than `patience`."""
    before, since = "", system.clocks.seconds
    while True:
        now = look()
        can_go_on = _can_go_on(now, system)
        if not can_go_on:
            return now
        progress = _progress(now, system)
        if progress != before:
            before, since = progress, system.clocks.seconds
        waited = system.clocks.seconds - since
        assert waited <= patience, f"no progress for {waited:g} s: {can_go_on}"
        second(system)


def second(system: System, *, code: int = 0) -> None:
    """One second in which everybody does what is to be done, and whatever runs ends with this code."""
    for run in list(system.site.living):
        system.site.end(run, code)
    system.let_time_pass(1.0)
    system.tick()
    for process in system.processes:
        if not process.stopped:
            process.poll()
    messages, system.broker.messages = system.broker.messages, []
    for message in messages:
        for process in system.takers(message)[:1]:
            system.deliver(message, process)
    for process in system.processes:
        for puppet in list(process.puppets) if not process.stopped else []:
            for _ in range(MOST_POINTS):
                process.resume(puppet)
                if puppet.done or puppet.where == "waits":
                    break


def _can_go_on(now: Evidence, system: System) -> list[str]:
    """Deployments that wait for nobody, for no other and for no time."""
    going_back = {
        row.rolls_back_id
        for row in now.deployments
        if row.status not in TERMINAL or row.status == "succeeded"
    }
    last = {(row.release_id, row.environment): row.id for row in now.deployments if row.status == "succeeded"}
    good = {place for place, last_id in last.items() if last_id not in going_back}
    asking = {row.id for row in now.deployments if row.id in now.asking and row.status == "paused"}
    busy = {(row.environment) for row in now.deployments if row.id in asking}
    found = []
    for row in now.deployments:
        waits = row.id in asking and not any(a.deployment_id == row.id and not a.over for a in now.attempts)
        if row.status == "pending":
            promoted = all((row.release_id, name) in good for name in row.promote_after)
            held = any(system.book.against(row.id, row.environment, at=system.clocks.postgres))
            held = held or row.environment in system.book.halted
            waits = row.environment in busy or held or not (promoted or row.rolls_back_id)
        if row.status not in TERMINAL and not waits:
            found.append(f"deployment {row.id} is {row.status}, wakes in {row.wakes_in} s")
    return found


def _progress(now: Evidence, system: System) -> str:
    """Whatever changes while anything goes on, and the time of a wait that has an end; a new lease is none."""
    left = [row.next_wave_in for row in now.deployments if row.status == "running" and row.next_wave_in]
    left += [row.answer_in for row in now.at_a_loss]
    waits = [each for each in left if each > 0]
    over = [attempt.id for attempt in now.attempts if attempt.over]
    stored = sum(attempt.output_bytes for attempt in now.attempts)
    return f"{waits} {len(now.events)} {len(now.attempts)} {over} {stored} {len(system.site.started)}"
