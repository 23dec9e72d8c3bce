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
    _, row = events.entry(
        subject=subject,
        seq=seq + 1,
        previous=previous,
        kind=kind,
        actor_id=actor_id,
        at=at,
        data=data,
        deployment_id=None,
    )
    events.insert(session, [row])


class DeploymentRecorder:
    """Adds events to one deployment's chain, whose head the caller holds locked.

    They are written together with the next change of the deployment's row.
    """

    def __init__(self, deployment_id: int, *, seq: int, head: bytes) -> None:
        self._deployment_id = deployment_id
        self._rows: list[dict[str, Any]] = []
        self.seq = seq
        self.head = head

    def record(self, kind: str, *, actor_id: int | None, at: datetime, data: Mapping[str, Any]) -> None:
        """Add one event."""
        self.seq += 1
        self.head, row = events.entry(
            subject=f"deployment:{self._deployment_id}",
            seq=self.seq,
            previous=self.head,
            kind=kind,
            actor_id=actor_id,
            at=at,
            data=data,
            deployment_id=self._deployment_id,
        )
        self._rows.append(row)

    def take(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What the next change of the row writes besides: the events since the last one, and the chain's head as columns."""
        rows, self._rows = self._rows, []
        return rows, {"event_seq": self.seq, "event_hash": self.head} if rows else {}
