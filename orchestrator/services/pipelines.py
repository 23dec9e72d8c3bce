"""Applying a pipeline: what a person wrote becomes the application's next revision."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, plugins
from orchestrator.checks.base import Check
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import FieldProblem, InvalidInputError, RuleViolationError
from orchestrator.domain.pipeline import (
    KnownPlugins,
    Pipeline,
    SettingsCheck,
    parse_pipeline,
    to_document,
)
from orchestrator.domain.variables import expand_settings, references
from orchestrator.repositories import applications
from orchestrator.services import records
from orchestrator.services.actors import Actor
from orchestrator.services.pipeline_files import read_pipeline
from orchestrator.services.preconditions import Precondition, always, require_there
from orchestrator.targets.base import SupportsArtifacts, Target
from orchestrator.traffic.base import Proxy

ENGINE_SETTINGS = frozenset({"within", "interval"})
"""Settings of a `verify` that are the engine's own: how long a check is repeated, and how often."""


MOST_PARSED = 1000
_parsed: dict[tuple[str, int, datetime], Pipeline] = {}
"""Pipelines by application and revision: a revision never changes."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a pipeline did."""

    application: str
    revision: int
    changed: bool
    created: bool
    environments: list[str]
    warnings: list[str]


@cache
def known_plugins() -> KnownPlugins:
    """Which kinds a pipeline may name, and who checks the settings of each."""
    return KnownPlugins(
        targets={name: _target_check(kind) for name, kind in plugins.target_kinds().items()},
        strategies={name: kind.from_settings for name, kind in plugins.strategies().items()},
        checks={name: _probe_check(kind) for name, kind in plugins.check_kinds().items()},
        proxies={name: _probe_check(kind) for name, kind in plugins.proxy_kinds().items()},
        switching=frozenset(
            name for name, kind in plugins.strategies().items() if getattr(kind, "needs_traffic", False)
        ),
        receivers=frozenset(
            name for name, kind in plugins.target_kinds().items() if issubclass(kind, SupportsArtifacts)
        ),
    )


def _target_check(kind: type[Target]) -> SettingsCheck:
    def check(settings: Mapping[str, Any]) -> None:
        kind.from_settings(settings, runs_dir="")

    return check


def _probe_check(kind: type[Check] | type[Proxy]) -> SettingsCheck:
    """A variable may stand for anything; a digit is what fits wherever one is written, a port above all."""

    def check(settings: Mapping[str, Any]) -> None:
        own = {name: value for name, value in settings.items() if name not in ENGINE_SETTINGS}
        kind.from_settings(expand_settings(own, dict.fromkeys(references(own), "1")))

    return check


def application_of(source: str) -> str:
    """The application that a pipeline names. Raises as `apply` does for what is none."""
    return read_pipeline(source, plugins=known_plugins()).application


def apply(
    session: Session,
    *,
    name: str,
    source: str,
    actor: Actor,
    dry_run: bool = False,
    precondition: Precondition = always,
) -> Applied:
    """Check the YAML and make it the application's pipeline; the same text a second time changes nothing.

    Raises InvalidInputError with the line of each mistake, ForbiddenError for an application of somebody else's.
    """
    pipeline = read_pipeline(source, plugins=known_plugins())
    if pipeline.application != name:
        detail = f"this pipeline is for {pipeline.application!r}, but it was sent for {name!r}"
        raise InvalidInputError(
            "the pipeline is for another application", problems=[FieldProblem("/application", detail)]
        )
    actor.require_place(Permission.CONFIGURE, application=name, environment=None)
    existing = applications.find(session, name, lock=True)
    if existing is not None:
        _require_ownership(existing, actor)
    require_there(existing, precondition)
    document = to_document(pipeline)
    environments = [environment.name for environment in pipeline.environments]
    changed = existing is None or existing.document != document or existing.source != source
    revision = (existing.pipeline_revision if existing else 0) + int(changed)
    if changed and not dry_run:
        revision = _write(session, pipeline, source=source, document=document, actor=actor)
    return Applied(name, revision, changed, existing is None, environments, _warnings(pipeline))


def _warnings(pipeline: Pipeline) -> list[str]:
    """What is probably not meant, in plain sentences."""
    unasked = [
        f"the health of {each.name} is never asked for: no environment that comes after it has a `soak`"
        for each in pipeline.environments
        if each.health is not None and not pipeline.soaks_after(each.name)
    ]
    unmoved = [
        f"the traffic of {each.name} is never moved: {each.strategy.kind} knows of none"
        for each in pipeline.environments
        if each.traffic is not None and not hasattr(plugins.strategy(each.strategy.kind), "moves")
    ]
    return unasked + unmoved


def _write(
    session: Session, pipeline: Pipeline, *, source: str, document: dict[str, Any], actor: Actor
) -> int:
    applications.ensure(session, pipeline.application, description=pipeline.description, owner_id=actor.id)
    application = applications.find(session, pipeline.application, lock=True)
    if application is None:
        raise RuntimeError(f"application {pipeline.application} vanished")
    _require_ownership(application, actor)
    applications.ensure_environments(session, [e.name for e in pipeline.environments])
    revision = applications.add_pipeline(
        session,
        application.id,
        source=source,
        document=document,
        description=pipeline.description,
        created_by=actor.id,
    )
    applications.put_targets(session, application.id, _target_rows(pipeline))
    subject, data = (
        f"application:{application.id}",
        {"application": pipeline.application, "revision": revision},
    )
    records.record(session, subject, "pipeline.applied", actor_id=actor.id, at=clock.now(), data=data)
    return revision


def _require_ownership(application: Row[Any], actor: Actor) -> None:
    what = f"the application {application.name}"
    actor.require_ownership(application.owner_id, what, application=application.name, environment=None)


def _target_rows(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [
        {
            "environment": environment.name,
            "name": target.name,
            "kind": target.kind,
            "settings": dict(target.settings),
            "position": position,
        }
        for environment in pipeline.environments
        for position, target in enumerate(environment.targets)
    ]


def current(application: Row[Any]) -> Pipeline:
    """The pipeline an application has now. Raises RuleViolationError where it has none."""
    if application.document is None:
        raise RuleViolationError(f"{application.name} has no pipeline yet; `releasectl apply -f` sends one")
    key = (application.name, application.pipeline_revision, application.pipeline_created_at)
    return _parsed.get(key) or _parse(key, application.document)


def of_revision(session: Session, about: Row[Any], revision: int) -> Pipeline:
    """The pipeline as it was in a revision; `about` has the application's name and id, and when the revision was made."""
    key = (about.application, revision, about.pipeline_created_at)
    return _parsed.get(key) or _parse(key, applications.pipeline(session, about.application_id, revision))


def _parse(key: tuple[str, int, datetime], document: Mapping[str, Any]) -> Pipeline:
    pipeline = parse_pipeline(document, plugins=known_plugins())
    if len(_parsed) >= MOST_PARSED:
        _parsed.clear()
    _parsed[key] = pipeline
    return pipeline
