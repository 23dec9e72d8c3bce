"""Windows and freezes: when deployments to an environment may start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, recurrence
from orchestrator.domain import gates
from orchestrator.domain.access import Permission
from orchestrator.domain.intervals import Interval
from orchestrator.domain.window_reading import RuleDraft, read_rule, to_document
from orchestrator.domain.windows import RuleKind, lint
from orchestrator.icalendar import read_freezes
from orchestrator.repositories import applications, waking, windows
from orchestrator.services import execution, openings, records
from orchestrator.services.actors import Actor
from orchestrator.services.preconditions import Precondition, always

FORESEEN = timedelta(days=366)
MOST_FORESEEN = 3


def create(
    session: Session, kind: RuleKind, *, environment: str, document: Mapping[str, Any], actor: Actor
) -> int:
    """Add a window or a freeze; its id. A start that is being decided at this moment is waited for: none comes after the commit.

    Raises InvalidInputError with every mistake, NotFoundError, ForbiddenError.
    """
    actor.require_place(Permission.OPERATE, application=None, environment=environment)
    draft = read_rule({**document, "kind": str(kind)}, check=recurrence.check)
    name = applications.get_environment(session, environment).name
    rule_id = _add(session, name, draft, actor)
    _let_decide(session, name)
    _wake(session, name, f"{kind} {rule_id} was made")
    return rule_id


def import_freezes(
    session: Session, *, environment: str, calendar: bytes, zone: str, actor: Actor
) -> list[int]:
    """Make a freeze of each event of an iCalendar file, but for those that are there already; the new ids.

    Events without a zone of their own are in `zone`. Raises InvalidInputError, NotFoundError, ForbiddenError.
    """
    actor.require_place(Permission.OPERATE, application=None, environment=environment)
    name = applications.get_environment(session, environment).name
    held = windows.of_environment(session, name, application=None).rules or []
    known = [each["document"] for each in held]
    made: list[int] = []
    for draft in read_freezes(calendar, zone=zone):
        document = to_document(draft)
        if document not in known:
            known.append(document)
            made.append(_add(session, name, draft, actor))
    if made:
        _let_decide(session, name)
        _wake(session, name, f"{len(made)} freezes were imported")
    return made


def _add(session: Session, environment: str, draft: RuleDraft, actor: Actor) -> int:
    written = to_document(draft)
    rule_id = windows.add(session, environment=environment, document=written, created_by=actor.id)
    _record(session, rule_id, f"{draft.kind}.created", actor, {"environment": environment, **written})
    return rule_id


def remove(
    session: Session, kind: RuleKind, rule_id: int, *, actor: Actor, precondition: Precondition = always
) -> None:
    """Let a window or a freeze hold no more; a second call does nothing. Raises NotFoundError, ForbiddenError."""
    row = windows.get(session, str(kind), rule_id, lock=True)
    actor.require_place(Permission.OPERATE, application=None, environment=row.environment)
    precondition(row)
    if windows.remove(session, rule_id, removed_by=actor.id):
        _record(session, rule_id, f"{kind}.removed", actor, {"environment": row.environment})
        waking.let_looks_between_end(session, row.environment)
        _wake(session, row.environment, f"{kind} {rule_id} was removed")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rule would do."""

    warnings: Sequence[str]
    next: Sequence[Interval]
    """When it would hold first."""


def rehearse(kind: RuleKind, document: Mapping[str, Any]) -> Rehearsal:
    """Read a rule without keeping it. Raises InvalidInputError with every mistake."""
    rule = read_rule({**document, "kind": str(kind)}, check=recurrence.check).as_rule(0)
    now = clock.now()
    coming = recurrence.occurrences(rule, now, now + FORESEEN)
    return Rehearsal(lint(rule, now, occurrences=recurrence.occurrences), list(islice(coming, MOST_FORESEEN)))


def warnings(row: Row[Any]) -> list[str]:
    """What its author may not have meant, in plain sentences."""
    rule = openings.rule_of(row.id, row.created_at.timestamp(), row.document)
    return lint(rule.as_rule(row.id), clock.now(), occurrences=recurrence.occurrences)


def _let_decide(session: Session, environment: str) -> None:
    """Wait for whatever is being decided by the rules as they were: nothing starts, and no wave begins, after the commit."""
    waking.let_looks_between_end(session, environment)
    waking.let_looks_end(session, application_id=None, environment=environment)


def _wake(session: Session, environment: str, why: str) -> None:
    """Let decide anew whoever these rules hold, or stopped between two waves.

    Also whom a lock holds: they sleep until the last of their gates may open, which was perhaps this one.
    """
    kinds = (gates.LOCK, gates.WINDOW, gates.FREEZE)
    held = waking.wake_held(session, kinds, application_id=None, environment=environment)
    for deployment_id in (*held, *waking.wake_closed(session, environment)):
        execution.nudge_advance(session, deployment_id, f"deployment {deployment_id}, {why}")


def _record(session: Session, rule_id: int, kind: str, actor: Actor, data: Mapping[str, Any]) -> None:
    records.record(session, f"window:{rule_id}", kind, actor_id=actor.id, at=clock.now(), data=data)
