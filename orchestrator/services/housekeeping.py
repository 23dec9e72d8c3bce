"""Forgetting what has served its time, a bounded piece a call."""

from sqlalchemy.orm import Session

from orchestrator.config import Settings
from orchestrator.repositories import deliveries, hooks, idempotency, logs, users

AT_ONCE = 1000
"""Rows of one table that one call removes: a short transaction, called again until nothing is left."""
KEY_HOURS = 24
SIGN_IN_DAYS = 30


def sweep(session: Session, settings: Settings) -> int:
    """Remove old logs, keys, deliveries and ended sign-ins; how many rows."""
    deliveries.bury_ended(session)
    removed = logs.prune(session, days=settings.log_retention_days, limit=AT_ONCE)
    removed += idempotency.prune(session, hours=KEY_HOURS, limit=AT_ONCE)
    removed += deliveries.prune(session, days=settings.delivery_retention_days, limit=AT_ONCE)
    removed += hooks.prune(session, days=settings.delivery_retention_days, limit=AT_ONCE)
    return removed + users.prune_sign_ins(session, days=SIGN_IN_DAYS, limit=AT_ONCE)
