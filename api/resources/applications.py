"""Applications and their pipelines."""

from typing import Any

from flask import Response, request
from werkzeug.exceptions import UnsupportedMediaType

from api.auth import current_actor, requires
from api.conditional import if_match
from api.extensions import session
from api.pagination import PageArgs, window
from api.parsing import Blueprint
from api.responses import changed_response, json_response, tagged_response
from api.schemas import applications as schemas
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import FieldProblem, InvalidInputError, NotFoundError
from orchestrator.presenting.json import dumps
from orchestrator.repositories import applications as rows
from orchestrator.services import pipelines, places

YAML = ("application/yaml", "text/yaml", "application/x-yaml")

blueprint = Blueprint(
    "applications", __name__, url_prefix="/api/v1/applications", description="What is released, and how"
)


@blueprint.route("", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, schemas.ApplicationPage)
def list_applications(query: dict[str, Any]) -> Response:
    """List applications by name."""
    part = window("applications", query)
    found = rows.page(session(), after=part.after or "", skip=part.skip, limit=part.one_more)
    return json_response(part.answer(found, schemas.present, key=lambda row: row.name))


@blueprint.route("/<name:name>", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.Application)
def get_application(name: str) -> Response:
    """Read one application with its environments and targets."""
    return tagged_response(dumps(schemas.present(rows.get(session(), name))))


@blueprint.route("/<name:name>", methods=["PATCH"])
@requires(Permission.SELF)
@blueprint.arguments(schemas.ApplicationChanges)
@blueprint.response(200, schemas.Application)
def change_application(body: dict[str, Any], name: str) -> Response:
    """Hand an application over to another owner: its owner and admins do."""
    with transaction(session()):
        places.hand_over(
            session(), name, **body, actor=current_actor(), precondition=if_match(schemas.present)
        )
        shown = schemas.present(rows.get(session(), name))
    return changed_response(shown)


@blueprint.route("/<name:name>/pipeline", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.Pipeline)
def get_pipeline(name: str) -> Response:
    """Read the pipeline an application has now."""
    found = rows.get(session(), name)
    if found.document is None:
        raise NotFoundError(f"{name} has no pipeline yet")
    return tagged_response(dumps(schemas.present_pipeline(found)))


@blueprint.route("/<name:name>/pipeline", methods=["PUT"])
@requires(Permission.CONFIGURE)
@blueprint.arguments(schemas.PipelineQuery, location="query")
@blueprint.response(200, schemas.AppliedOut)
@blueprint.alt_response(201, schema=schemas.AppliedOut, success=True)
@blueprint.doc(
    requestBody={
        "required": True,
        "content": {"application/yaml": {"schema": {"type": "string", "description": "The YAML text."}}},
    }
)
def apply_pipeline(query: dict[str, Any], name: str) -> Response:
    """Make a YAML text the application's pipeline; the same text a second time changes nothing."""
    dry_run = query["dry_run"]
    with transaction(session()):
        applied = pipelines.apply(
            session(),
            name=name,
            source=_yaml_text(),
            actor=current_actor(),
            dry_run=dry_run,
            precondition=if_match(schemas.present_pipeline),
        )
    status = 201 if applied.created and not dry_run else 200
    return json_response(schemas.present_applied(applied), status)


def _yaml_text() -> str:
    if request.mimetype not in YAML:
        raise UnsupportedMediaType("send the pipeline's YAML text with Content-Type: application/yaml")
    try:
        text = request.get_data().decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(problems=[FieldProblem("", "the text is not UTF-8")]) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InvalidInputError(problems=[FieldProblem("", "the text holds a NUL character", line)])
    return text
