"""The waves in which a deployment puts back what it changed, before it ends without success."""

from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.engine import ROLLBACK
from orchestrator.domain.pipeline_specs import RUN
from orchestrator.domain.plan_reading import actions_of
from orchestrator.domain.undoing import UndoWave, undo_waves
from orchestrator.repositories import undoing


def add_waves(session: Session, deployment_id: int, *, first: int, scripts: bool) -> tuple[UndoWave, ...]:
    """Add those that what was started calls for, numbered from `first` on. `scripts`: with the `undo` of what was run."""
    document = undoing.plan_document(session, deployment_id)
    waves = undo_waves(actions_of(document), undoing.started(session, deployment_id), scripts=scripts)
    undoing.add_waves(session, deployment_id, waves, first=first)
    return waves


def left(session: Session, row: Row[Any]) -> tuple[str, ...]:
    """The `undo` scripts of what a deployment that has ended ran, by their titles; none where it has run them itself."""
    if not row.undoes or row.ending == ROLLBACK:
        return ()
    actions = actions_of(undoing.plan_document(session, row.id))
    waves = undo_waves(actions, undoing.started(session, row.id), scripts=True)
    found = [actions[wave.action_index] for wave in waves]
    return tuple(action.title for action in found if action.kind == RUN)
