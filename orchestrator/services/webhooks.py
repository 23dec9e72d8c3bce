"""Whom to tell what happened: made, tried out, given another secret, told again, removed."""

import secrets as random
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, plugins
from orchestrator.config import Settings
from orchestrator.domain import standard_webhooks
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import (
    ConflictError,
    FieldProblem,
    InvalidInputError,
    RuleViolationError,
    SettingsRefusedError,
)
from orchestrator.domain.telling import unknown_patterns
from orchestrator.notifications.base import MOST_SECRET_CHARACTERS, Outside
from orchestrator.repositories import applications, deliveries, webhooks
from orchestrator.security import SealBrokenError, Vault
from orchestrator.services import records
from orchestrator.services.actors import Actor

MOST_WEBHOOKS = 100
MOST_AGAIN = 1000
SIGNING = "signing"
ROTATED_AT = "rotated_at"
OLD_SECRET_SECONDS = 86_400
"""How long messages are signed with the secret before as well."""


def outside_of(settings: Settings) -> Outside:
    """What this installation lets channels use."""
    return Outside(
        allowed_networks=settings.allowed_networks, smtp_url=settings.smtp_url, smtp_from=settings.smtp_from
    )


def create(
    session: Session,
    *,
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    events: Sequence[str],
    applications_: Sequence[str],
    environments: Sequence[str],
    actor: Actor,
    vault: Vault,
    outside: Outside,
) -> tuple[int, str | None]:
    """Tell somebody what happens from now on; the webhook's id, and the secret of its signatures, which nobody can read again.

    Raises UnknownPluginError, InvalidInputError, NotFoundError, RuleViolationError where there are too many.
    """
    actor.require_person("a webhook")  # it would go on when the token is revoked
    channel = plugins.channel_kind(kind)
    _check_events(events)
    for application in applications_:
        applications.get(session, application)
    for environment in environments:
        applications.get_environment(session, environment)
    if webhooks.count(session) >= MOST_WEBHOOKS:
        raise RuleViolationError(f"there are {MOST_WEBHOOKS} webhooks, which is the most there may be")
    shown = {key: value for key, value in settings.items() if key not in channel.SECRETS}
    hidden = _hidden(settings, channel.SECRETS)
    try:
        channel.from_settings(shown, hidden, outside)
    except SettingsRefusedError as error:
        raise _refused(error) from error
    values = {
        "name": name,
        "kind": kind,
        "events": sorted(set(events)),
        "applications": sorted(set(applications_)),
        "environments": sorted(set(environments)),
    }
    kept = {"settings": shown, "secrets": vault.seal(hidden), "at_once": channel.AT_ONCE}
    webhook_id = webhooks.add(session, {**values, **kept, "created_by": actor.id})
    _record(session, webhook_id, "webhook.created", actor, values)
    return webhook_id, hidden[SIGNING][0] if SIGNING in hidden else None


def rotate(session: Session, webhook_id: int, *, actor: Actor, vault: Vault) -> str:
    """Give it another secret, which nobody can read again; the one before is good for OLD_SECRET_SECONDS more.

    Raises NotFoundError, ConflictError, RuleViolationError for a kind that signs nothing.
    """
    actor.require_person("a webhook's secret")
    row = _lock(session, webhook_id, actor)
    try:
        hidden = vault.open(bytes(row.secrets))
    except SealBrokenError as error:
        raise ConflictError(f"{error.message} Make the webhook anew.") from error
    if SIGNING not in hidden:
        raise RuleViolationError(f"a webhook of the kind {row.kind} signs nothing")
    secret = _draw()
    now = int(clock.now().timestamp())
    hidden |= {SIGNING: [secret, hidden[SIGNING][0]], ROTATED_AT: now}
    webhooks.reseal(session, webhook_id, vault.seal(hidden))
    _record(session, webhook_id, "webhook.rotated", actor, {})
    return secret


def remove(session: Session, webhook_id: int, *, actor: Actor) -> None:
    """Tell it nothing more and forget its secrets; a second call does nothing. Raises NotFoundError."""
    row = webhooks.get(session, webhook_id, lock=True)
    _require(actor, row)
    if webhooks.remove(session, webhook_id, removed_by=actor.id):
        deliveries.bury(session, webhook_id)
        _record(session, webhook_id, "webhook.removed", actor, {})


def try_out(session: Session, webhook_id: int, *, actor: Actor) -> int:
    """Have it told a test; the delivery's id. Raises NotFoundError, ConflictError."""
    _lock(session, webhook_id, actor)
    return deliveries.add_test(session, webhook_id)


def replay(session: Session, webhook_id: int, delivery_id: int, *, actor: Actor) -> None:
    """Have it told once more what it was, or should have been, under the same id. Raises NotFoundError, ConflictError."""
    _lock(session, webhook_id, actor)
    row = deliveries.get(session, webhook_id, delivery_id)
    if not deliveries.again(session, delivery_id):
        raise ConflictError(f"delivery {delivery_id} is under way at this moment")
    _record(session, webhook_id, "webhook.replayed", actor, {"delivery": row.id, "event": row.event_id})


def replay_dead(session: Session, webhook_id: int, *, actor: Actor) -> int:
    """Have it told what was given up, the oldest MOST_AGAIN of it; how many. Raises NotFoundError, ConflictError."""
    _lock(session, webhook_id, actor)
    found = deliveries.again_dead(session, webhook_id, limit=MOST_AGAIN)
    if found:
        _record(session, webhook_id, "webhook.replayed", actor, {"dead": found})
    return found


def _lock(session: Session, webhook_id: int, actor: Actor) -> Row[Any]:
    row = webhooks.get(session, webhook_id, lock=True)
    _require(actor, row)
    if row.removed_at is not None:
        raise ConflictError(f"webhook {webhook_id} was removed")
    if row.disabled_at is not None:
        raise ConflictError(f"webhook {webhook_id} is disabled: {row.disabled_because}; make another one")
    return row


def _require(actor: Actor, row: Row[Any]) -> None:
    """A token with limits may only touch what lies within them."""
    for application in row.applications or [None]:
        for environment in row.environments or [None]:
            actor.require_place(Permission.OPERATE, application=application, environment=environment)


def _check_events(events: Sequence[str]) -> None:
    unknown = unknown_patterns(events)
    if unknown:
        raise InvalidInputError(
            problems=[
                FieldProblem(
                    "/events",
                    f"there is no event {each!r}; docs/webhooks.md lists them, `deployment.*` is all of a group",
                )
                for each in unknown
            ]
        )


def _hidden(settings: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    if SIGNING in settings:
        raise InvalidInputError(problems=[FieldProblem("/settings/signing", "is made here and not given")])
    hidden = {key: value for key, value in settings.items() if key in names}
    for key, value in hidden.items():
        if not isinstance(value, str) or not 0 < len(value) <= MOST_SECRET_CHARACTERS:
            detail = f"must be a text of at most {MOST_SECRET_CHARACTERS} characters"
            raise InvalidInputError(problems=[FieldProblem(f"/settings/{key}", detail)])
    return hidden | ({SIGNING: [_draw()]} if SIGNING in names else {})


def _draw() -> str:
    return standard_webhooks.write_secret(random.token_bytes(32))


def _refused(error: SettingsRefusedError) -> InvalidInputError:
    pointer = f"/settings/{error.field}" if error.field else "/settings"
    return InvalidInputError(problems=[FieldProblem(pointer, error.message)])


def _record(session: Session, webhook_id: int, kind: str, actor: Actor, data: Mapping[str, Any]) -> None:
    records.record(session, f"webhook:{webhook_id}", kind, actor_id=actor.id, at=clock.now(), data=data)
