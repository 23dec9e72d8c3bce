"""Reasons to wait. The same functions decide and explain."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from orchestrator.domain.approvals import ApprovalRule, Approver, agreed_until, unmet
from orchestrator.domain.durations import format_duration
from orchestrator.domain.health import Health
from orchestrator.domain.windows import Opening, jitter

SCHEDULE = "schedule"
LOCK = "lock"
FREEZE = "freeze"
WINDOW = "window"
APPROVAL = "approval"
SLOT = "slot"
PROMOTION = "promotion"
SOAK = "soak"
KINDS = (APPROVAL, LOCK, FREEZE, WINDOW, SCHEDULE, PROMOTION, SOAK, SLOT)
"""Every kind, in the order of `evaluate`."""

NEXT_IN_LINE_RECHECK = timedelta(minutes=1)
"""Safety net of the first in a queue; the transaction that frees the slot wakes it long before."""
DEEP_IN_LINE_RECHECK = timedelta(hours=1)
NO_WINDOW_RECHECK = timedelta(days=1)
PERSON_RECHECK = timedelta(hours=1)
"""Safety net; the transaction in which a person releases a lock or approves wakes whoever waits for it."""
PROMOTION_RECHECK = timedelta(hours=1)
"""Safety net; the transaction in which the release succeeds elsewhere wakes it. Ten thousand that wait cost nothing."""
HEALTH_RECHECK = timedelta(hours=1)
"""Safety net; the transaction that records a check which changes anything wakes it."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason for which a deployment does not start. `recheck` is when to look again if nobody wakes it."""

    kind: str
    message: str
    recheck: timedelta
    until: datetime | None = None
    """When it goes away by itself, where that is known: nothing needs to look before."""
    changed_by: str | None = None
    """Who may help, where that are others than with its kind."""

    def ends(self, now: datetime) -> datetime:
        """When to look again."""
        return now + self.recheck if self.until is None else self.until


@dataclass(frozen=True, slots=True)
class Look:
    """What speaks against going on; where nothing does, `until` when: then a gate closes by the clock alone. None: none does."""

    blockers: tuple[Blocker, ...] = ()
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that keeps a deployment from starting."""

    id: int
    reason: str
    username: str | None
    """Who set it; None: the orchestrator itself, after a rollback that failed."""
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the gates look at, as it is in the transaction that would start the deployment."""

    application: str
    version: str
    environment: str
    active_id: int | None
    """The deployment that holds the slot."""
    ahead: int
    """How many deployments that could start wait before this one in its slot."""
    missing_environments: Sequence[str]
    """Environments in which this very release has to succeed first and has not."""
    promote_after: Sequence[str] = ()
    """All environments in which it has to have succeeded."""
    rolled_back_in: Sequence[str] = ()
    """Those of the missing in which it had succeeded, and was rolled back then."""
    succeeded_since: datetime | None = None
    """Since when it is in all of them; None while one is missing, or there are none."""
    soak: timedelta = timedelta(0)
    health: Sequence[Health] = ()
    """Of those of these environments whose health is asked for."""
    scheduled_for: datetime | None = None
    locks: Sequence[HeldLock] = ()
    approval_rules: Sequence[ApprovalRule] = ()
    approvers: Sequence[Approver] = ()
    opening: Opening | None = None
    """What the windows and freezes say; None: there are none."""
    override_windows: bool = False
    jitter: timedelta = timedelta(0)
    """Over how much time starts after an opening are spread."""


def evaluate(around: Surroundings, now: datetime) -> tuple[Blocker, ...]:
    """Every reason to wait, the most lasting first; none: it may start."""
    return (
        *_approvals(around, now),
        *_locks(around),
        *closed(around),
        *_spread(around, now),
        *_schedule(around, now),
        *_promotion(around),
        *_soak(around, now),
        *_slot(around),
    )


def closed(around: Surroundings) -> tuple[Blocker, ...]:
    """What freezes and windows have against going on; none: deploying is allowed now."""
    return (*_freezes(around), *_windows(around))


def look(around: Surroundings, now: datetime) -> Look:
    """Whether it may start."""
    blockers = evaluate(around, now)
    if blockers:
        return Look(blockers)
    agreed = agreed_until(around.approval_rules, around.approvers, now)
    return Look(until=min(filter(None, (_closes_at(around), agreed)), default=None))


def look_between(around: Surroundings) -> Look:
    """Whether one that has begun may go on to another wave."""
    return Look(blockers) if (blockers := closed(around)) else Look(until=_closes_at(around))


def _closes_at(around: Surroundings) -> datetime | None:
    return around.opening.closes_at if around.opening else None


def held_by(blockers: Sequence[Blocker]) -> str | None:
    """The kind of the blocker for which others behind it in the slot need not wait, if any."""
    return next((b.kind for b in blockers if b.kind != SLOT), None)


def next_look(blockers: Sequence[Blocker], now: datetime) -> datetime:
    """When the first of them may have gone away: then another one holds it, by which it has to be found.

    The slot does not count beside others: while they hold a deployment, it does not matter who has the slot.
    """
    lasting = [blocker for blocker in blockers if blocker.kind != SLOT] or blockers
    return min(blocker.ends(now) for blocker in lasting)


def _approvals(around: Surroundings, now: datetime) -> tuple[Blocker, ...]:
    return tuple(
        Blocker(APPROVAL, rule.demand(more), PERSON_RECHECK)
        for rule, more in unmet(around.approval_rules, around.approvers, now)
    )


def _locks(around: Surroundings) -> tuple[Blocker, ...]:
    return tuple(
        Blocker(
            LOCK,
            f"{lock.username or 'the orchestrator'} locked it (lock {lock.id}): {lock.reason}"
            + (f"; until {lock.expires_at:%Y-%m-%d %H:%M} UTC" if lock.expires_at else ""),
            PERSON_RECHECK,
            lock.expires_at,
            None if lock.username else "whoever may deploy there, by releasing it",
        )
        for lock in around.locks
    )


def _freezes(around: Surroundings) -> tuple[Blocker, ...]:
    """An override does not lift them."""
    return tuple(
        Blocker(
            FREEZE,
            f"the freeze {active.rule.name!r} of {around.environment} lasts until {_shown(active.until, active.rule.zone)}",
            PERSON_RECHECK,
            active.until,
        )
        for active in (around.opening.freezes if around.opening else ())
    )


def _windows(around: Surroundings) -> tuple[Blocker, ...]:
    """Nothing where a freeze alone keeps it shut: that has said so."""
    opening = around.opening
    if opening is None or opening.is_open or not opening.has_windows or around.override_windows:
        return ()
    thawed = max((active.until for active in opening.freezes), default=None)
    if thawed is not None and opening.next_opening == thawed:
        return ()
    when = (
        f"the next opens at {opening.next_opening:%Y-%m-%d %H:%M:%S} UTC"
        if opening.next_opening
        else "none opens"
    )
    return (
        Blocker(
            WINDOW,
            f"no window of {around.environment} is open; {when}",
            NO_WINDOW_RECHECK,
            opening.next_opening,
        ),
    )


def _spread(around: Surroundings, now: datetime) -> tuple[Blocker, ...]:
    """Not all that waited for an opening start in its first second."""
    opening = around.opening
    if not around.jitter or opening is None or opening.opened_at is None or around.override_windows:
        return ()
    slot = f"{around.application}/{around.environment}"
    at = opening.opened_at + jitter(slot, opening.opened_at, opening.closes_at, most=around.jitter)
    if at <= now:
        return ()
    spoken = format_duration(around.jitter.total_seconds())
    message = f"{around.environment} has opened, and starts are spread over {spoken}: its turn is at {at:%Y-%m-%d %H:%M:%S} UTC"
    return (Blocker(WINDOW, message, timedelta(0), at),)


def _shown(instant: datetime, zone: str) -> str:
    """As the people of that zone say it."""
    return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"


def _schedule(around: Surroundings, now: datetime) -> tuple[Blocker, ...]:
    at = around.scheduled_for
    if at is None or at <= now:
        return ()
    return (Blocker(SCHEDULE, f"it is scheduled for {at:%Y-%m-%d %H:%M:%S} UTC", timedelta(0), at),)


def _promotion(around: Surroundings) -> tuple[Blocker, ...]:
    if not around.missing_environments:
        return ()
    names = ", ".join(around.missing_environments)
    message = f"{around.application} {around.version} has to succeed in {names} first"
    if around.rolled_back_in:
        message += f"; it was rolled back in {', '.join(around.rolled_back_in)}"
    return (Blocker(PROMOTION, message, PROMOTION_RECHECK),)


def _soak(around: Surroundings, now: datetime) -> tuple[Blocker, ...]:
    """A release that did not succeed there yet does not soak: the promotion says that."""
    if not around.soak or around.succeeded_since is None:
        return ()
    unwell = tuple(blocker for each in around.health for blocker in _unwell(around, each, now))
    until = around.succeeded_since + around.soak
    if unwell or until <= now:
        return unwell
    names, spoken = ", ".join(around.promote_after), format_duration(around.soak.total_seconds())
    message = f"{around.application} {around.version} has to be in {names} for {spoken} first, until {until:%Y-%m-%d %H:%M:%S} UTC"
    return (Blocker(SOAK, message, timedelta(0), until),)


def _unwell(around: Surroundings, health: Health, now: datetime) -> tuple[Blocker, ...]:
    """What the health of one environment has against it, beside the time since its success there."""
    until, spoken = health.counts_from + around.soak, format_duration(around.soak.total_seconds())
    where = health.environment
    if health.has_soaked(around.soak):
        return ()
    if health.left_by is not None:
        message = (
            f"{around.application} {around.version} had not been well in {where} for {spoken} when"
            f" deployment {health.left_by} began there: it has to succeed there again"
        )
    elif health.failing:
        message = f"{health.because}; its {spoken} count anew when it is well again"
    elif health.is_unknown(now):
        since = f"{health.checked_at:%Y-%m-%d %H:%M:%S} UTC"
        message = f"nobody has asked for the health of {where} since {since}; its {spoken} count anew from the next check"
    elif until <= now:
        message = f"the last health check of {where}, at the end of {spoken}, is awaited"
    elif health.because:
        message = f"{health.because}; its {spoken} count from there, until {until:%Y-%m-%d %H:%M:%S} UTC"
        return (Blocker(SOAK, message, timedelta(0), until),)
    else:
        return ()
    return (Blocker(SOAK, message, HEALTH_RECHECK),)


def _slot(around: Surroundings) -> tuple[Blocker, ...]:
    slot = f"{around.application} in {around.environment}"
    if around.ahead:
        verb = "comes" if around.ahead == 1 else "come"
        others = "1 deployment" if around.ahead == 1 else f"{around.ahead} deployments"
        return (Blocker(SLOT, f"{others} of {slot} {verb} first", DEEP_IN_LINE_RECHECK),)
    if around.active_id is not None:
        message = f"deployment {around.active_id} of {slot} has to end first; this one is next"
        return (Blocker(SLOT, message, NEXT_IN_LINE_RECHECK),)
    return ()
