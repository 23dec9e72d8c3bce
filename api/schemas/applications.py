"""Applications and their pipelines."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma
from marshmallow import fields
from sqlalchemy import Row

from api.parsing import Text
from api.schemas.common import instant, page_of
from api.schemas.users import USERNAME
from orchestrator.services.pipelines import Applied


class PipelineQuery(ma.Schema):
    """How to apply."""

    dry_run = fields.Boolean(load_default=False, metadata={"description": "Check it only, change nothing."})


class AppliedOut(ma.Schema):
    """What applying a pipeline did, or would do."""

    application = fields.String(required=True)
    revision = fields.Integer(required=True)
    changed = fields.Boolean(required=True)
    environments = fields.List(fields.String(), required=True)
    warnings = fields.List(fields.String(), required=True)


class Pipeline(ma.Schema):
    """The pipeline an application has now, as it was written and as it was understood."""

    application = fields.String(required=True)
    revision = fields.Integer(required=True)
    source = fields.String(required=True)
    document = fields.Dict(required=True)
    created_at = instant(required=True)
    created_by = fields.String(required=True)


class TargetOut(ma.Schema):
    """One thing that gets the release."""

    name = fields.String(required=True)
    kind = fields.String(required=True)


class EnvironmentOut(ma.Schema):
    """An environment as this application uses it."""

    name = fields.String(required=True)
    after = fields.List(fields.String(), required=True)
    strategy = fields.String(required=True)
    targets = fields.List(fields.Nested(TargetOut), required=True)


class ApplicationChanges(ma.Schema):
    """What to change."""

    owner = Text(
        required=True,
        shortest=1,
        longest=63,
        pattern=USERNAME,
        metadata={"description": "The user name of somebody who may store its pipeline."},
    )


class Application(ma.Schema):
    """Something that is released."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    owner = fields.String(required=True)
    pipeline_revision = fields.Integer(required=True)
    environments = fields.List(fields.Nested(EnvironmentOut), required=True)
    created_at = instant(required=True)


ApplicationPage = page_of(Application)


def present_applied(applied: Applied) -> dict[str, Any]:
    """What applying did."""
    return {
        "application": applied.application,
        "revision": applied.revision,
        "changed": applied.changed,
        "environments": applied.environments,
        "warnings": applied.warnings,
    }


def present_pipeline(row: Row[Any]) -> dict[str, Any]:
    """The application's current pipeline."""
    return {
        "application": row.name,
        "revision": row.pipeline_revision,
        "source": row.source,
        "document": row.document,
        "created_at": row.pipeline_created_at,
        "created_by": row.pipeline_created_by,
    }


def present(row: Row[Any]) -> dict[str, Any]:
    """An application as it is sent."""
    environments = (row.document or {}).get("environments", {})
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "owner": row.owner,
        "pipeline_revision": row.pipeline_revision,
        "environments": [_environment(name, environments[name]) for name in _in_order(environments)],
        "created_at": row.created_at,
    }


def _in_order(environments: Mapping[str, Any]) -> list[str]:
    """Their names, each after those it comes after; Postgres does not keep the order in which they were written."""
    ordered: list[str] = []
    left = sorted(environments)
    while left:
        ready = [name for name in left if not set(environments[name]["after"]) & set(left)] or left
        ordered += ready
        left = [name for name in left if name not in ready]
    return ordered


def _environment(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "after": document["after"],
        "strategy": document["strategy"]["kind"],
        "targets": [{"name": each["name"], "kind": each["kind"]} for each in document["targets"]],
    }
