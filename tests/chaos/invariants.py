"""The twelve invariants of DESIGN.md section 4, and what followers are told, each as a function of evidence."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

from tests.chaos import chain, outputs, told, weights
from tests.chaos.evidence import Evidence
from tests.chaos.ledger import Entry

TERMINAL = ("succeeded", "failed", "cancelled", "superseded", "expired")
ACTIVE = ("running", "paused")

Found = Iterator[str]


@dataclass(frozen=True, slots=True)
class Violation:
    """One invariant that does not hold, and the evidence in a sentence."""

    invariant: str
    text: str


def check(evidence: Evidence) -> list[Violation]:
    """Everything that speaks against any of them: each function yields it."""
    return [Violation(name, text) for name, look in INVARIANTS.items() for text in look(evidence)]


def one_active_a_slot(evidence: Evidence) -> Found:
    """I1: at most one active deployment a slot, now and at any time before."""
    active = defaultdict(list)
    for row in evidence.deployments.values():
        if row.status in ACTIVE:
            active[row.slot].append(row.id)
    yield from (f"{slot} has the active deployments {ids}" for slot, ids in active.items() if len(ids) > 1)
    spans = defaultdict(list)
    for row in evidence.deployments.values():
        if row.started_at:
            spans[row.slot].append((row.started_at, row.ended_at, row.id))
    for slot, times in spans.items():
        times.sort()
        for (_, ended, one), (started, _, other) in pairwise(times):
            if ended is None or started < ended:
                yield f"in {slot} deployment {other} started at {started}, {one} ended at {ended}"


def started_once(evidence: Evidence) -> Found:
    """I2: each attempt's command is started at most once, and only for an attempt that was claimed."""
    starts = Counter(entry.run for entry in evidence.ledger if entry.kind == "S")
    yield from (f"the command of run {run} was started {n} times" for run, n in starts.items() if n > 1)
    claimed = {row.run for row in evidence.attempts if row.started_at}
    yield from (
        f"run {run} was started and no attempt of it was ever claimed" for run in starts.keys() - claimed
    )


def slots_do_not_overlap(evidence: Evidence) -> Found:
    """I3: no command of a slot runs beside one of another deployment, no command of a target beside another."""
    by_itself = {entry.run for entry in evidence.ledger if entry.kind == "E"}
    killed_at = {row.run: row.ended_at for row in evidence.attempts if row.run not in by_itself}
    running: dict[str, dict[str, Entry]] = defaultdict(dict)
    for entry in evidence.ledger:
        if entry.kind == "E":
            for others in running.values():
                others.pop(entry.run, None)
        if entry.kind != "S":
            continue
        others = running[entry.slot]
        for run, other in tuple(others.items()):
            end = killed_at.get(run)
            if end is not None and end.timestamp() < entry.at:
                del others[run]
            elif other.deployment_id != entry.deployment_id or other.place == entry.place:
                yield f"at {entry.place} run {entry.run} started beside run {run} at {other.place}"
        others[entry.run] = entry


def accepted_is_done(evidence: Evidence) -> Found:
    """I4: what was accepted is one deployment, and that ended or waits for somebody or for an instant."""
    for key, ids in evidence.accepted.items():
        if len(ids) > 1:
            yield f"the key {key} was answered with the deployments {sorted(ids)}"
        yield from (f"accepted deployment {i} is not there" for i in ids if i not in evidence.deployments)
    asked = Counter(row.reason for row in evidence.deployments.values() if row.reason in evidence.accepted)
    yield from (f"the key {key} made {n} deployments" for key, n in asked.items() if n > 1)
    unknown = {row.deployment_id for row in evidence.steps if row.status == "unknown"}
    lost = {row.deployment_id for row in evidence.attempts if row.run in evidence.severed}
    for row in evidence.deployments.values():
        if row.status in TERMINAL:
            continue
        if row.status == "paused" and row.id in unknown & lost:
            continue  # asks a person, as it must
        yield f"deployment {row.id} of {row.slot} is {row.status} and nothing is said to wait for: {row.held_by}"
    for row in evidence.attempts:
        if row.outcome == "lost" and row.run not in evidence.severed:
            yield f"run {row.run} counts as lost, and nobody killed its supervisor"


def terminal_is_for_ever(evidence: Evidence) -> Found:
    """I5: a terminal status never changes."""
    yield from evidence.contradictions
    for row in evidence.statuses:
        if row.old in TERMINAL:
            yield f"deployment {row.deployment_id} went from {row.old} to {row.new}"
    last = {row.deployment_id: row.new for row in evidence.statuses}
    for deployment_id, status in last.items():
        now = evidence.deployments[deployment_id].status
        if now != status:
            yield f"deployment {deployment_id} became {status} last and is {now}"


def succeeded_is_so(evidence: Evidence) -> Found:
    """I6: `succeeded` means that every step of the plan succeeded at its target."""
    steps = defaultdict(list)
    for step in evidence.steps:
        steps[step.deployment_id].append(step)
    ends = {entry.run: entry.detail for entry in evidence.ledger if entry.kind == "E"}
    last = {row.step_id: row for row in evidence.attempts}  # the rows come in order
    vouched = {event.data.get("step") for event in evidence.events if event.data.get("answer") == "skip"}
    for row in evidence.deployments.values():
        if row.status != "succeeded":
            continue
        if len(steps[row.id]) != row.step_count:
            yield f"deployment {row.id} succeeded with {len(steps[row.id])} of {row.step_count} steps"
        for step in steps[row.id]:
            if step.status != "succeeded" and not (step.status == "skipped" and step.id in vouched):
                yield f"deployment {row.id} succeeded and its step {step.id} is {step.status}"
    for step in evidence.steps:
        if step.status != "succeeded":
            continue
        attempt = last.get(step.id)
        if attempt is None or attempt.outcome != "succeeded":
            yield f"step {step.id} succeeded without an attempt that did"
        elif step.runs and ends.get(attempt.run) != "0":
            yield f"step {step.id} succeeded and run {attempt.run} ended with {ends.get(attempt.run)} at its target"


def ended_is_over(evidence: Evidence) -> Found:
    """I7: `cancelled` and `failed` mean that nothing of it still runs."""
    yield from evidence.survivors
    over = {row.run: row for row in evidence.attempts if row.ended_at and row.outcome != "succeeded"}
    gone = {i for i, row in evidence.deployments.items() if row.status in {"cancelled", "failed"}}
    for bearer in evidence.bearers:
        if int(bearer.run.split("-")[0]) in gone or bearer.run in over:
            yield f"process {bearer.pid} of run {bearer.run} is alive: {bearer.words[:80]}"
    for entry in evidence.ledger:
        row = over.get(entry.run)
        if row is not None and entry.at > row.ended_at.timestamp():
            late = entry.at - row.ended_at.timestamp()
            yield f"run {entry.run} ({row.outcome}) wrote {entry.kind} {late:.3f} s after its recorded end"
    ended = {i for i, row in evidence.deployments.items() if row.status in TERMINAL}
    for row in evidence.attempts:
        if row.deployment_id in ended and row.ended_at is None:
            yield f"deployment {row.deployment_id} ended and attempt {row.id} of it is open"


def tokens_only_grow(evidence: Evidence) -> Found:
    """I8: no lease is written with a smaller token than one before; no token is given twice."""
    greatest: dict[int, int] = {}
    for row in evidence.tokens:
        if row.new <= greatest.get(row.attempt_id, 0):
            yield f"attempt {row.attempt_id} got the token {row.new} after {greatest[row.attempt_id]}"
        greatest[row.attempt_id] = max(row.new, greatest.get(row.attempt_id, 0))
    given = Counter(row.new for row in evidence.tokens)
    yield from (f"the token {token} was given {n} times" for token, n in given.items() if n > 1)
    for row in evidence.attempts:
        if row.token != greatest.get(row.id, 0):
            yield f"attempt {row.id} has the token {row.token}, the last that was given is {greatest.get(row.id, 0)}"


def changes_have_events(evidence: Evidence) -> Found:
    """I9: every status change has exactly one event, in order, and the hash chain verifies."""
    noted = defaultdict(list)
    for event in evidence.events:
        kind = event.kind.partition(".")[2]
        if event.deployment_id is not None and kind in (*TERMINAL, *ACTIVE) and "to" in event.data:
            noted[event.deployment_id].append((event.data.get("from"), kind))
    changed = defaultdict(list)
    for row in evidence.statuses:
        changed[row.deployment_id].append((row.old, row.new))
    for deployment_id in sorted(evidence.deployments):
        if noted[deployment_id] != changed[deployment_id]:
            yield (
                f"deployment {deployment_id} changed {changed[deployment_id]}, its events say {noted[deployment_id]}"
            )
    yield from chain.broken(evidence.events, evidence.deployments)


def starts_are_allowed(evidence: Evidence) -> Found:
    """I11: nothing starts before its release has been where it must have been, past a lock or a freeze, without its approval,
    nor past one that comes before it.
    """
    good: dict[tuple[int, str], Any] = {}
    for row in evidence.deployments.values():
        if row.status == "succeeded":
            key = (row.release_id, row.environment)
            good[key] = min(row.ended_at, good.get(key, row.ended_at))
    for row in evidence.deployments.values():
        if row.started_at is None or row.rolls_back_id is not None:
            continue
        for name in row.promote_after:
            since = good.get((row.release_id, name))
            if since is None or since > row.started_at:
                yield f"deployment {row.id} started in {row.environment} before its release succeeded in {name}"
    for row in evidence.deployments.values():
        yield from (f"deployment {row.id} started in {row.slot} {why}" for why in evidence.said.against(row))
    yield from _out_of_line(evidence)


def _out_of_line(evidence: Evidence) -> Found:
    """Who started although another of the slot, that nothing else held, had been accepted before and was waiting."""
    slots = defaultdict(list)
    for row in evidence.deployments.values():
        if not row.promote_after and row.slot not in evidence.said.needs_yes:
            slots[row.slot].append(row)
    for slot, rows in slots.items():
        for late in (row for row in rows if row.started_at):
            for first in rows:
                came_first = evidence.accepted_at.get(first.id, inf) < late.created_at.timestamp()
                left = first.started_at or first.ended_at
                if (
                    came_first
                    and first.priority >= late.priority
                    and (left is None or left > late.started_at)
                ):
                    yield f"in {slot} deployment {late.id} started before {first.id}, which came first"


def targets_agree(evidence: Evidence) -> Found:
    """I12: `installations` equals what the targets say."""
    perhaps = _perhaps_changed(evidence)
    for row in evidence.installations:
        there = evidence.installed_version(row.place)
        if there != row.version and there not in perhaps[row.place]:
            yield f"{row.place} has {there}, and installations says {row.version}"


def _perhaps_changed(evidence: Evidence) -> dict[str, set[str]]:
    """What targets may have as well: a run that was killed in its very last act has changed its target, and nobody said so."""
    steps = {step.id: step for step in evidence.steps}
    started = {entry.run for entry in evidence.ledger if entry.kind == "S"}
    found: dict[str, set[str]] = defaultdict(set)
    for row in evidence.attempts:  # the rows come in order
        step, deployment = steps[row.step_id], evidence.deployments[row.deployment_id]
        versions = found[f"{deployment.slot}.{step.target_name}"]
        if row.outcome == "succeeded" and (step.runs or step.brings):
            versions.clear()
        elif row.outcome in {"aborted", "timed_out", "lost"} and (row.run in started or step.brings):
            versions.add(deployment.version)
    return found


INVARIANTS: dict[str, Callable[[Evidence], Found]] = {
    "I1": one_active_a_slot,
    "I2": started_once,
    "I3": slots_do_not_overlap,
    "I4": accepted_is_done,
    "I5": terminal_is_for_ever,
    "I6": succeeded_is_so,
    "I7": ended_is_over,
    "I8": tokens_only_grow,
    "I9": changes_have_events,
    "I10": outputs.differ,
    "I11": starts_are_allowed,
    "I12": targets_agree,
    "live": told.differ,
    "traffic": weights.differ,
}
