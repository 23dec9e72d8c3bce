"""The invariants of DESIGN.md section 4, each as a function of evidence and of the site that yields what speaks against it."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from tests.model.evidence import ACTIVE, OPEN, TERMINAL, Evidence
from tests.model.site import Site
from tests.model.virtual_time import GREATEST_JUMP_SECONDS

Found = Iterator[str]

LONGEST_SLEEP_SECONDS = 3600 + GREATEST_JUMP_SECONDS
LONGEST_HELD_SECONDS = 24 * 3600 + GREATEST_JUMP_SECONDS
"""Of one for which no window opens: who makes a window wakes it."""
FOLLOWS = {
    "pending": {"running", "cancelled"},
    "running": {"paused", "succeeded", "failed", "cancelled"},
    "paused": {"running", "succeeded", "failed", "cancelled"},
}


def violations(now: Evidence, site: Site) -> list[str]:
    """Everything that speaks against any of them."""
    return [f"{name}: {text}" for name, look in INVARIANTS.items() for text in look(now, site)]


def one_active_a_slot(now: Evidence, _site: Site) -> Found:
    """I1, now and at every commit before."""
    slots = {row.id: row.environment for row in now.deployments}
    active: dict[str, set[int]] = defaultdict(set)
    for change in now.statuses:
        slot = active[slots[change.deployment_id]]
        (slot.add if change.new in ACTIVE else slot.discard)(change.deployment_id)
        if len(slot) > 1:
            yield f"deployments {sorted(slot)} were active in one slot"


def started_once(now: Evidence, site: Site) -> Found:
    """I2: no run twice, none without a claim, none for what succeeded already, none after its attempt's end."""
    yield from (f"run {run} was started {n} times" for run, n in site.starts.items() if n > 1)
    yield from (f"run {run} was started after its attempt had ended" for run in site.late)
    claimed = {attempt.run for attempt in now.attempts if attempt.token}
    yield from (f"run {run} was started without a claim" for run in site.starts.keys() - claimed)
    cut_off = _cut_off(now) | now.doubtful
    good: set[int] = set()
    for run in site.started:
        if run.step_id in good:
            yield f"run {run.name} was started although its step had succeeded"
        if run.code == 0 and run.name not in cut_off:
            good.add(run.step_id)
    yield from _tried_again_unasked(now)


def _tried_again_unasked(now: Evidence) -> Found:
    """A run whose end is not known is tried again only where that is harmless, or a person says so."""
    harmless = {step.id for step in now.steps if step.idempotent}
    asked = [event for event in now.events if event.data.get("answer") == "retry"]
    told = {event.data["step"] for event in asked if "step" in event.data}
    failed = {
        event.deployment_id for event in asked if "step" not in event.data
    }  # all of its steps that failed
    told |= {step.id for step in now.steps if step.deployment_id in failed}
    lost = {(a.step_id, a.number) for a in now.attempts if a.outcome == "lost"}
    for attempt in now.attempts:
        if (attempt.step_id, attempt.number - 1) in lost and attempt.step_id not in harmless | told:
            yield f"attempt {attempt.id} follows one that was lost, and nobody said so"
    vouched = {event.data.get("step") for event in now.events if event.data.get("answer") == "skip"}
    for step in now.steps:
        if step.id in vouched and step.status != "skipped":
            yield f"step {step.id} is {step.status}, and a person had said that it happened"


def _cut_off(now: Evidence) -> set[str]:
    """Runs that were aborted: one that ended by itself in the very moment says 0 all the same, as one that traps TERM may."""
    return {attempt.run for attempt in now.attempts if attempt.outcome in {"aborted", "timed_out"}}


def none_side_by_side(now: Evidence, site: Site) -> Found:
    """I3: nothing is started at a target of a slot while another run of it is alive there, but after a person's answer."""
    for new, other in site.overlaps:
        if not now.doubtful & {new.name, other.name}:
            yield f"run {new.name} was started beside run {other.name} of {other.fence}"


def nobody_is_forgotten(now: Evidence, _site: Site) -> Found:
    """I4: what has not ended wakes, within an hour at most, or a day; open steps have an open attempt."""
    for row in now.deployments:
        longest = LONGEST_HELD_SECONDS if row.held_by == "window" else LONGEST_SLEEP_SECONDS
        if row.status not in TERMINAL and (row.wakes_in is None or row.wakes_in > longest):
            yield f"deployment {row.id} is {row.status} and wakes in {row.wakes_in} s"
    open_attempts = {attempt.step_id for attempt in now.attempts if not attempt.over}
    open_steps = {step.id for step in now.steps if step.status in OPEN}
    if open_attempts != open_steps:
        yield f"open are the steps {sorted(open_steps)} and the attempts of the steps {sorted(open_attempts)}"


def changes_are_lawful(now: Evidence, _site: Site) -> Found:
    """I5: a terminal status never changes, and only what may follows."""
    for change in now.statuses:
        if change.new not in FOLLOWS.get(change.old, set()):
            yield f"deployment {change.deployment_id} went from {change.old} to {change.new}"


def succeeded_is_so(now: Evidence, site: Site) -> Found:
    """I6: every step of it succeeded, and its run says so; but a step of which a person said so."""
    codes = {run.name: run.code for run in site.started}
    last = {attempt.step_id: attempt for attempt in now.attempts}
    vouched = {event.data.get("step") for event in now.events if event.data.get("answer") == "skip"}
    well = {row.id for row in now.deployments if row.status == "succeeded"}
    for step in now.steps:
        if step.deployment_id in well and step.status != "succeeded" and step.id not in vouched:
            yield f"deployment {step.deployment_id} succeeded and its step {step.id} is {step.status}"
        if step.status == "succeeded" and codes.get(last[step.id].run) != 0:
            yield f"step {step.id} succeeded and its run {last[step.id].run} did not"
    for row in now.deployments:
        if row.status in {"succeeded", "failed"} and any(
            step.status in {"waiting", "ready", "running"}
            for step in now.steps
            if step.deployment_id == row.id
        ):
            yield f"deployment {row.id} {row.status} with steps that were not done"


def ended_is_over(now: Evidence, site: Site) -> Found:
    """I7: nothing of an ended deployment or attempt is alive or open."""
    ended = {row.id for row in now.deployments if row.status in TERMINAL}
    over = {attempt.run for attempt in now.attempts if attempt.over}
    for run in site.living:
        if run.name not in now.doubtful and (run.deployment_id in ended or run.name in over):
            yield f"run {run.name} is alive and has ended in the database"
    for attempt in now.attempts:
        if not attempt.over and attempt.deployment_id in ended:
            yield f"attempt {attempt.id} is open and deployment {attempt.deployment_id} has ended"


def tokens_only_grow(now: Evidence, _site: Site) -> Found:
    """I8: each new token is greater than all before it, of whichever attempt; who holds a smaller one writes nothing."""
    for write in now.writes:
        yield f"attempt {write.attempt_id} has the token {write.token} and was changed by who holds {write.held}"
    greatest = 0
    for change in now.tokens:
        if change.new <= greatest:
            yield f"attempt {change.attempt_id} got the token {change.new} after {greatest}"
        greatest = max(greatest, change.new)


def changes_have_events(now: Evidence, _site: Site) -> Found:
    """I9: exactly one event a status change, in order, and every hash follows from the one before."""
    told: dict[int, list[tuple[str, str]]] = defaultdict(list)
    heads: dict[int, tuple[int, bytes]] = defaultdict(lambda: (0, b""))
    for event in now.events:
        seq, previous = heads[event.deployment_id]
        if event.seq != seq + 1 or event.hash != _link(previous, event).hex():
            yield f"event {event.seq} ({event.kind}) of deployment {event.deployment_id} breaks the chain"
        heads[event.deployment_id] = (event.seq, bytes.fromhex(event.hash))
        if "to" in event.data:
            told[event.deployment_id].append((event.data["from"], event.kind.partition(".")[2]))
    done: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for change in now.statuses:
        done[change.deployment_id].append((change.old, change.new))
    for row in now.deployments:
        if told[row.id] != done[row.id]:
            yield f"deployment {row.id} changed {done[row.id]} and its events tell {told[row.id]}"
        if done[row.id] and done[row.id][-1][1] != row.status:
            yield f"deployment {row.id} is {row.status} and became {done[row.id][-1][1]} last"
        if heads[row.id] != (row.event_seq, bytes.fromhex(row.event_hash)):
            yield f"the chain of deployment {row.id} does not end where its row says"


def _link(previous: bytes, event: Any) -> bytes:
    """SHA-256 over the hash before it and the entry as JSON with sorted keys and no spaces."""
    names = ("subject", "seq", "kind", "actor_id", "data")
    entry = {name: getattr(event, name) for name in names}
    entry["at"] = datetime.fromisoformat(event.at).astimezone(UTC).isoformat()
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous + text.encode()).digest()


def logs_hold_every_byte(now: Evidence, site: Site) -> Found:
    """I10: what is stored is what the run wrote, once and in order; all of it once its end is known."""
    stored: dict[int, bytes] = defaultdict(bytes)
    for chunk in now.chunks:
        if chunk.start_byte != len(stored[chunk.attempt_id]):
            yield f"a piece of attempt {chunk.attempt_id} begins at {chunk.start_byte}"
        stored[chunk.attempt_id] += bytes.fromhex(chunk.data)
    written = {run.name: bytes(run.output) for run in site.started}
    for attempt in now.attempts:
        log, output = stored[attempt.id], written.get(attempt.run, b"")
        whole = attempt.over and attempt.outcome != "lost"
        if (log != output) if whole else not output.startswith(log):
            yield f"run {attempt.run} ({attempt.outcome}) wrote {output!r} and {log!r} is stored"
        if attempt.output_bytes != len(log):
            yield f"attempt {attempt.id} counts {attempt.output_bytes} bytes and has {len(log)}"


def targets_agree(now: Evidence, site: Site) -> Found:
    """I12: where nothing is under way or in doubt, `installations` is what the target has."""
    known = {row.fence: row.version for row in now.installations}
    unsettled = {attempt.run for attempt in now.attempts if not attempt.over} | now.doubtful
    cut_off = _cut_off(now)
    busy = {run.fence for run in site.started if run.name in unsettled}
    busy |= {fence for fence, run in site.installed.items() if run.name in cut_off}
    there = {fence: run.version for fence, run in site.installed.items()}
    for fence in (known.keys() | there.keys()) - busy:
        if known.get(fence) != there.get(fence):
            yield f"{fence} has {there.get(fence)} and installations says {known.get(fence)}"


def counts_add_up(now: Evidence, _site: Site) -> Found:
    """What the engine decides by is so: counts of waves, failed targets, the parallel limit, the order of waves."""
    counted = Counter((step.deployment_id, step.wave_index, step.status) for step in now.steps)
    rows = {row.id: row for row in now.deployments}
    for wave in now.waves:
        for status in (
            "waiting",
            "ready",
            "running",
            "succeeded",
            "failed",
            "skipped",
            "cancelled",
            "unknown",
        ):
            if getattr(wave, status) != counted[wave.deployment_id, wave.index, status]:
                yield f"wave {wave.index} of deployment {wave.deployment_id} counts {status} wrongly"
        row = rows[wave.deployment_id]
        if wave.ready + wave.running > row.max_parallel:
            yield f"deployment {row.id} runs {wave.ready + wave.running} side by side, {row.max_parallel} may"
        if wave.index != row.wave_index and wave.ready + wave.running + wave.unknown:
            yield f"deployment {row.id} is at wave {row.wave_index} and wave {wave.index} is open"
        if wave.index < row.wave_index and wave.waiting:
            yield f"deployment {row.id} left wave {wave.index} although steps of it waited"
    failed = defaultdict(set)
    for step in now.steps:
        if step.status == "failed":
            failed[step.deployment_id].add(step.target_id)
    for row in now.deployments:
        if row.failed_targets != len(failed[row.id]):
            yield f"deployment {row.id} counts {row.failed_targets} failed targets of {len(failed[row.id])}"


def targets_go_in_order(now: Evidence, _site: Site) -> Found:
    """No step of a target is open while one before it is not over, also where a wave has several of its steps."""
    before: dict[tuple[int, int], int] = {}
    for step in sorted(now.steps, key=lambda each: (each.deployment_id, each.wave_index, each.position)):
        target = (step.deployment_id, step.target_id)
        if step.status in OPEN and target in before:
            yield f"step {step.id} is {step.status} before step {before[target]} of its target is over"
        if step.status in OPEN | {"waiting", "unknown"}:
            before[target] = step.id


def waits_are_kept(now: Evidence, _site: Site) -> Found:
    """Nothing of a later wave is started before the wait after the wave before it is over, by a clock that may be set back."""
    steps = defaultdict(list)
    set_back_seconds = now.clock[0].set_back_seconds
    for step in now.steps:
        steps[step.deployment_id].append(step)
    for wave in now.waves:
        if not wave.wait_seconds:
            continue
        of_it = steps[wave.deployment_id]
        over = max((step.ended or 0 for step in of_it if step.wave_index <= wave.index), default=0)
        later = [step.started for step in of_it if step.wave_index > wave.index and step.started]
        if later and min(later) < over + wave.wait_seconds - set_back_seconds:
            yield f"deployment {wave.deployment_id} did not wait {wave.wait_seconds} s after wave {wave.index}"


INVARIANTS: dict[str, Callable[[Evidence, Site], Found]] = {
    "I1": one_active_a_slot,
    "I2": started_once,
    "I3": none_side_by_side,
    "I4": nobody_is_forgotten,
    "I5": changes_are_lawful,
    "I6": succeeded_is_so,
    "I7": ended_is_over,
    "I8": tokens_only_grow,
    "I9": changes_have_events,
    "I10": logs_hold_every_byte,
    "I12": targets_agree,
    "counts": counts_add_up,
    "order": targets_go_in_order,
    "waits": waits_are_kept,
}
