"""Being told of releases: a message that is believed records one, and deploys it where the pipeline says so."""

import secrets as random
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain import standard_webhooks
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    OrchestratorError,
    RuleViolationError,
    UnauthenticatedError,
)
from orchestrator.domain.inbound import Announced, Sender, announced, message_key, mistrust
from orchestrator.repositories import applications, hooks
from orchestrator.repositories import releases as release_rows
from orchestrator.security import SealBrokenError, Vault
from orchestrator.services import actors, deployments, pipelines, records, releases
from orchestrator.services.actors import Actor

SECRET = "secret"  # noqa: S105  # the name of a field
RECORDED, KNOWN, IGNORED = "recorded", "known", "ignored"


class BadSignatureError(UnauthenticatedError):
    """The message is not signed with the secret of this hook."""

    code = "bad_signature"


def create(
    session: Session, *, sender: str, application: str, tag_prefix: str, actor: Actor, vault: Vault
) -> tuple[int, str]:
    """Let another system announce releases of an application in the name of who asks; the hook's id, and its secret.

    Nobody can read the secret again. Raises NotFoundError, ForbiddenError.
    """
    actor.require_person("a hook")  # it would go on when the token is revoked
    secret = standard_webhooks.write_secret(random.token_bytes(32))
    values = {"sender": str(Sender(sender)), "tag_prefix": tag_prefix}
    hook_id = hooks.add(
        session,
        {
            **values,
            "application_id": applications.get(session, application).id,
            "secret": vault.seal({SECRET: secret}),
            "created_by": actor.id,
        },
    )
    _record(session, hook_id, "hook.created", actor.id, {"application": application, **values})
    return hook_id, secret


def remove(session: Session, hook_id: int, *, actor: Actor) -> None:
    """Believe it nothing more; a second call does nothing. Raises NotFoundError."""
    row = hooks.get(session, hook_id, lock=True)
    actor.require_application(Permission.OPERATE, row.application)
    if hooks.remove(session, hook_id, removed_by=actor.id):
        _record(session, hook_id, "hook.removed", actor.id, {})


def receive(
    session: Session, hook_id: int, sender: Sender, headers: Mapping[str, str], body: bytes, *, vault: Vault
) -> dict[str, Any]:
    """What a message comes to; the same message again gets the same answer, and nothing is done twice.

    Raises NotFoundError, BadSignatureError, InvalidInputError, ConflictError where SECRET_KEY is another one, and what
    recording a release raises: then it may be sent again.
    """
    row = hooks.get(session, hook_id)
    if row.secret is None or row.sender != sender:
        raise NotFoundError(f"there is no hook {hook_id} for {sender}")
    try:
        secret = vault.open(bytes(row.secret))[SECRET]
    except SealBrokenError as error:
        raise ConflictError(f"{error.message} Make the hook anew.") from error
    now = int(clock.now().timestamp())
    if why := mistrust(sender, secret, headers, body, now=now):
        raise BadSignatureError(f"the message is not believed: {why}")
    try:
        document = orjson.loads(body)
    except ValueError as error:
        raise InvalidInputError("the body is not JSON; let it be sent as application/json") from error
    found = announced(sender, headers, document)
    if found is None:
        return {"outcome": IGNORED, "detail": "it announces no release"}
    key = message_key(sender, headers, body)
    answered = hooks.take(session, hook_id, key)
    if answered is not None:
        return answered
    answer = _record_release(session, row, found)
    hooks.fill(session, hook_id, key, answer)
    return answer


def _record_release(session: Session, row: Row[Any], found: Announced) -> dict[str, Any]:
    version = found.version(row.tag_prefix)
    if version is None:
        raise RuleViolationError(f"the tag {found.tag[:100]!r} names no version")
    actor = actors.acting(session, row.created_by, "who made the hook")
    actor.require_application(Permission.CREATE_RELEASE, row.application)
    known = release_rows.find(session, row.application, version)
    if known is not None:
        return {
            "outcome": KNOWN,
            "detail": f"{row.application} {version} is there already",
            "release_id": known.id,
            "deployments": [],
        }
    release_id = releases.create(
        session,
        name=row.application,
        version=version,
        artifact=found.artifact,
        changes=found.changes,
        committed_at=_committed_at(found),
        actor=actor,
    )
    made, refused = _deploy(session, row, version, actor)
    detail = "; ".join([f"{row.application} {version} was recorded", *refused])
    answer = {"outcome": RECORDED, "detail": detail, "release_id": release_id, "deployments": made}
    hooks.get(session, row.id, lock=True)
    data = {"application": row.application, "version": version, "release": release_id, "deployments": made}
    _record(session, row.id, "hook.received", actor.id, data | ({"refused": refused} if refused else {}))
    return answer


def _committed_at(found: Announced) -> datetime | None:
    """None where it cannot be: the release is recorded all the same."""
    at = found.committed_at
    return at if at is not None and releases.is_believable(at, clock.now()) else None


def _deploy(session: Session, row: Row[Any], version: str, actor: Actor) -> tuple[list[int], list[str]]:
    """Request it where the pipeline says `on_release`; what cannot be is said, and the release stays."""
    application = applications.get(session, row.application)
    if application.document is None:
        return [], []
    made: list[int] = []
    refused: list[str] = []
    for environment in pipelines.current(application).on_release():
        try:
            made.append(
                deployments.request(
                    session,
                    application=row.application,
                    environment=environment.name,
                    version=version,
                    reason=f"announced by {row.sender} (hook {row.id})",
                    actor=actor,
                ).id
            )
        except OrchestratorError as error:
            refused.append(f"not deployed to {environment.name}: {error.message}")
    return made, refused


def _record(session: Session, hook_id: int, kind: str, actor_id: int | None, data: Mapping[str, Any]) -> None:
    records.record(session, f"hook:{hook_id}", kind, actor_id=actor_id, at=clock.now(), data=data)
