"""The waves in which a deployment puts back what it changed, before it ends without success."""

from sqlalchemy.orm import Session

from orchestrator.domain.plan_reading import actions_of
from orchestrator.domain.undoing import UndoWave, undo_waves
from orchestrator.repositories import undoing


def add_waves(session: Session, deployment_id: int, *, first: int, scripts: bool) -> tuple[UndoWave, ...]:
    """Add those that what was started calls for, numbered from `first` on. `scripts`: with the `undo` of what was run."""
    document = undoing.plan_document(session, deployment_id)
    waves = undo_waves(actions_of(document), undoing.started(session, deployment_id), scripts=scripts)
    undoing.add_waves(session, deployment_id, waves, first=first)
    return waves
