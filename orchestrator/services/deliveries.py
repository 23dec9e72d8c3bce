"""Telling one webhook one event: what is sent, and what follows from how that went."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, plugins
from orchestrator.domain.errors import MisconfiguredError, NotFoundError, SettingsRefusedError
from orchestrator.domain.telling import TEST, retry_delay, sentence
from orchestrator.notifications.base import (
    MOST_DETAIL_CHARACTERS,
    Channel,
    Message,
    Outside,
    Receipt,
    Verdict,
)
from orchestrator.repositories import deliveries, webhooks
from orchestrator.security import Vault
from orchestrator.services import records
from orchestrator.services.webhooks import OLD_SECRET_SECONDS, ROTATED_AT, SIGNING

LEASE_SECONDS = 60.0
"""How long a try may take before another worker takes it for dead; a channel takes less."""
DELIVERED, PENDING, DEAD = "delivered", "pending", "dead"


@dataclass(frozen=True, slots=True)
class Todo:
    """One try of a delivery."""

    id: int
    webhook_id: int
    tries: int
    started_at: datetime
    channel: str
    message: Message
    settings: dict[str, Any]
    sealed: bytes | None = field(repr=False)


def claim(session: Session, delivery_id: int) -> Todo | None:
    """Begin a try; None where there is nothing (any more) to do."""
    row = deliveries.claim(session, delivery_id, lease_seconds=LEASE_SECONDS)
    if row is None:
        return None
    sealed = None if row.secrets is None else bytes(row.secrets)
    return Todo(
        row.id,
        row.webhook_id,
        row.tries,
        row.started_at,
        row.channel,
        _message(row),
        row.settings,
        sealed,
    )


def tell(todo: Todo, *, vault: Vault, outside: Outside) -> Receipt:
    """Send it once, outside of any transaction; whatever is in the way is said in the receipt."""
    try:
        channel = _channel(todo, vault, outside)
    except (SettingsRefusedError, MisconfiguredError, NotFoundError) as error:
        return Receipt(Verdict.FAILED, f"it cannot be sent: {error}")
    return channel.send(todo.message)


def finish(session: Session, todo: Todo, receipt: Receipt, *, milliseconds: int) -> str | None:
    """Write what came of a try, and when the next one is, if any; the status. None: too late, as if the try had not been."""
    if receipt.verdict is Verdict.GONE:
        webhooks.get(session, todo.webhook_id, lock=True)  # before its deliveries, as everybody does
    delay = retry_delay(todo.tries, receipt.retry_after_seconds)
    if receipt.verdict is Verdict.DELIVERED:
        status = DELIVERED
    else:
        status = DEAD if delay is None or receipt.verdict is Verdict.GONE else PENDING
    written = deliveries.finish(
        session,
        todo.id,
        started_at=todo.started_at,
        status=status,
        delay_seconds=delay or 0.0,
        milliseconds=milliseconds,
        code=receipt.code,
        detail=receipt.detail[:MOST_DETAIL_CHARACTERS],
    )
    if written and receipt.verdict is Verdict.GONE:
        _disable(session, todo.webhook_id, f"it answered: {receipt.detail[:MOST_DETAIL_CHARACTERS]}")
    return status if written else None


def _channel(todo: Todo, vault: Vault, outside: Outside) -> Channel:
    if todo.sealed is None:
        raise NotFoundError("the webhook was removed")
    secrets = vault.open(todo.sealed)
    rotated_at = secrets.pop(ROTATED_AT, None)
    if rotated_at is not None and clock.now().timestamp() >= rotated_at + OLD_SECRET_SECONDS:
        secrets[SIGNING] = secrets[SIGNING][:1]
    return plugins.channel_kind(todo.channel).from_settings(todo.settings, secrets, outside)


def _message(row: Row[Any]) -> Message:
    if row.event_id is None:
        data = {"webhook_id": row.webhook_id}
        return Message(f"test_{row.id}", TEST, row.created_at, data, sentence(TEST, data))
    names = ("event_id", "subject", "actor", "application", "version", "environment", "deployment_id", "data")
    data = {name: getattr(row, name) for name in names}
    return Message(f"evt_{row.event_id}", row.kind, row.at, data, sentence(row.kind, data))


def _disable(session: Session, webhook_id: int, because: str) -> None:
    if webhooks.disable(session, webhook_id, because):
        deliveries.bury(session, webhook_id)
        data = {"because": because}
        records.record(
            session, f"webhook:{webhook_id}", "webhook.disabled", actor_id=None, at=clock.now(), data=data
        )
