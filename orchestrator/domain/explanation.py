"""Each gate with its verdict: what `gates.evaluate` decided, said of those that hold and of those that do not."""

from dataclasses import dataclass
from datetime import datetime

from orchestrator.domain import gates
from orchestrator.domain.durations import format_duration
from orchestrator.domain.gates import Surroundings, evaluate

CHANGED_BY = {
    gates.APPROVAL: "people who may approve, other than who requested it",
    gates.LOCK: "who set the lock, or an operator, by releasing it",
    gates.FREEZE: "its end, or an operator by removing the freeze",
    gates.WINDOW: "the next opening, or an operator who requests it again with the windows overridden",
    gates.SCHEDULE: "the clock",
    gates.PROMOTION: "the success of this very release there",
    gates.SOAK: "the time that passes, if it is not rolled back there and no health check fails",
    gates.SLOT: "the end of those before it",
}
"""Who or what makes a gate of this kind let a deployment pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one gate says, and why. `changed_by` and `until` are for one that holds."""

    kind: str
    passes: bool
    evidence: str
    changed_by: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Remedy:
    """What somebody may do about it; `enough`: it would start now."""

    action: str
    enough: bool


def verdicts(around: Surroundings, now: datetime) -> list[Verdict]:
    """Every gate, in the order in which they are asked; one that holds for several reasons comes once for each."""
    found = evaluate(around, now)
    shown: list[Verdict] = []
    for kind in gates.KINDS:
        holding = [
            Verdict(
                kind=kind,
                passes=False,
                evidence=each.message,
                changed_by=each.changed_by or CHANGED_BY[kind],
                until=each.until,
            )
            for each in found
            if each.kind == kind
        ]
        shown += holding or [Verdict(kind=kind, passes=True, evidence=_why_it_passes(kind, around))]
    return shown


def _why_it_passes(kind: str, around: Surroundings) -> str:
    before = ", ".join(around.promote_after)
    where, slot = around.environment, f"{around.application} in {around.environment}"
    if kind == gates.WINDOW:
        return _why_windows_pass(around)
    if kind == gates.APPROVAL and around.approval_rules:
        return f"approved by {', '.join(each.username for each in around.approvers)}"
    if kind == gates.SCHEDULE and around.scheduled_for:
        return f"its time, {around.scheduled_for:%Y-%m-%d %H:%M:%S} UTC, has come"
    if kind == gates.SOAK and around.soak:
        return _why_soak_passes(around)
    return {
        gates.SOAK: "it need not soak anywhere",
        gates.APPROVAL: "nobody has to approve it",
        gates.LOCK: "no lock holds it",
        gates.FREEZE: f"no freeze of {where} holds it",
        gates.SCHEDULE: "it is not scheduled for a time",
        gates.PROMOTION: f"this release succeeded in {before}"
        if before
        else f"it need not have been anywhere before {where}",
        gates.SLOT: f"no other deployment of {slot} is active or comes first",
    }[kind]


def _why_soak_passes(around: Surroundings) -> str:
    spoken, names = format_duration(around.soak.total_seconds()), ", ".join(around.promote_after)
    if around.succeeded_since is None:
        return f"its {spoken} begin when it has succeeded in {names}"
    well = ", ".join(each.environment for each in around.health)
    checked = f"; every health check of {well} in that time succeeded" if well else ""
    return f"it has been in {names} for {spoken}{checked}"


def _why_windows_pass(around: Surroundings) -> str:
    opening, where = around.opening, around.environment
    if around.override_windows:
        return f"the windows of {where} are overridden for it"
    if opening is None or (opening.is_open and not opening.windows):
        return f"no window restricts it in {where}"
    if not opening.is_open:
        return f"only a freeze keeps {where} shut"
    names = ", ".join(repr(each.rule.name) for each in opening.windows)
    closing = f"; it closes at {opening.closes_at:%Y-%m-%d %H:%M:%S} UTC" if opening.closes_at else ""
    return f"{names} of {where} is open{closing}"
