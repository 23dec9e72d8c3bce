"""Writing down what happened: one event for each change, chained to the one before it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from orchestrator.repositories import events


def record(
    session: Session, subject: str, kind: str, *, actor_id: int | None, at: datetime, data: Mapping[str, Any]
) -> None:
    """Add an event about anything but a deployment (`user:3`, `application:7`); the caller holds the subject's row."""
    seq, previous = events.head(session, subject)
    events.insert(
        session,
        subject=subject,
        seq=seq + 1,
        previous=previous,
        kind=kind,
        actor_id=actor_id,
        at=at,
        data=data,
        deployment_id=None,
    )


class DeploymentRecorder:
    """Adds events to one deployment's chain, whose head the caller holds locked and writes back."""

    def __init__(self, session: Session, deployment_id: int, *, seq: int, head: bytes) -> None:
        self._session = session
        self._deployment_id = deployment_id
        self.seq = seq
        self.head = head

    def record(self, kind: str, *, actor_id: int | None, at: datetime, data: Mapping[str, Any]) -> None:
        """Add one event."""
        self.seq += 1
        self.head = events.insert(
            self._session,
            subject=f"deployment:{self._deployment_id}",
            seq=self.seq,
            previous=self.head,
            kind=kind,
            actor_id=actor_id,
            at=at,
            data=data,
            deployment_id=self._deployment_id,
        )

    @property
    def columns(self) -> dict[str, Any]:
        """What to write into the deployment's row with the next change of it."""
        return {"event_seq": self.seq, "event_hash": self.head}
