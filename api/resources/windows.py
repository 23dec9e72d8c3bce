"""Windows and freezes: the same with another meaning, so both are made here."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, request
from werkzeug.exceptions import UnsupportedMediaType

from api.auth import current_actor, requires
from api.conditional import if_match
from api.extensions import session
from api.idempotency import create_once
from api.pagination import window
from api.parsing import Blueprint
from api.responses import changed_response, json_response, tagged_response
from api.schemas import calendars as calendar_schemas
from api.schemas import windows as schemas
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.windows import RuleKind
from orchestrator.presenting.json import dumps
from orchestrator.repositories import windows as rows
from orchestrator.services import windows

View = TypeVar("View", bound=Callable[..., Response])


def _named(name: str) -> Callable[[View], View]:
    """Give a view the name by which programs know it: these stand twice."""

    def decorate(view: View) -> View:
        view.__name__ = name
        return view

    return decorate


def _blueprint(kind: RuleKind, path: str, description: str) -> Blueprint:
    blueprint = Blueprint(path, __name__, url_prefix=f"/api/v1/{path}", description=description)

    @blueprint.route("/", methods=["POST"])
    @requires(Permission.OPERATE)
    @blueprint.arguments(schemas.RuleIn)
    @blueprint.response(201, schemas.Rule)
    @_named(f"create_{kind}")
    def create(body: dict[str, Any]) -> Response:
        """Make one for an environment. Who waits looks again at once."""
        actor = current_actor()
        environment, document = body["environment"], {k: v for k, v in body.items() if k != "environment"}
        made = create_once(
            session(),
            lambda: windows.create(session(), kind, environment=environment, document=document, actor=actor),
            user_id=actor.id,
            body=body,
            show=lambda rule_id: schemas.present(rows.get(session(), str(kind), rule_id)),
        )
        return json_response(
            made.shown, 201, headers={"Location": f"/api/v1/{path}/{made.id}", **made.headers}
        )

    @blueprint.route("/", methods=["GET"])
    @requires(Permission.READ)
    @blueprint.arguments(schemas.RuleQuery, location="query")
    @blueprint.response(200, schemas.RulePage)
    @_named(f"list_{kind}")
    def list_all(query: dict[str, Any]) -> Response:
        """List those that hold, the newest first."""
        part = window(path, query)
        found = rows.page(
            session(),
            str(kind),
            environment=query["environment"],
            before_id=part.after,
            skip=part.skip,
            limit=part.one_more,
        )
        return json_response(part.answer(found, schemas.present, key=lambda row: row.id))

    @blueprint.route("/<id:rule_id>", methods=["GET"])
    @requires(Permission.READ)
    @blueprint.response(200, schemas.Rule)
    @_named(f"get_{kind}")
    def get(rule_id: int) -> Response:
        """Read one, with what its author may not have meant."""
        return tagged_response(dumps(schemas.present(rows.get(session(), str(kind), rule_id))))

    @blueprint.route("/<id:rule_id>", methods=["DELETE"])
    @requires(Permission.OPERATE)
    @blueprint.response(200, schemas.Rule)
    @_named(f"remove_{kind}")
    def remove(rule_id: int) -> Response:
        """Let one hold no more; removing it twice is removing it once."""
        with transaction(session()):
            windows.remove(
                session(), kind, rule_id, actor=current_actor(), precondition=if_match(schemas.present)
            )
            shown = schemas.present(rows.get(session(), str(kind), rule_id))
        return changed_response(shown)

    return blueprint


windows_blueprint = _blueprint(RuleKind.WINDOW, "windows", "When deploying is allowed")
freezes_blueprint = _blueprint(RuleKind.FREEZE, "freezes", "When deploying is forbidden")


@freezes_blueprint.route("/import", methods=["POST"])
@requires(Permission.OPERATE)
@freezes_blueprint.arguments(calendar_schemas.ImportQuery, location="query")
@freezes_blueprint.response(201, calendar_schemas.Imported)
@freezes_blueprint.doc(
    requestBody={
        "required": True,
        "content": {
            "text/calendar": {"schema": {"type": "string", "description": "The calendar (RFC 5545)."}}
        },
    }
)
def import_freezes(query: dict[str, Any]) -> Response:
    """Make a freeze of each event of a calendar, all or none; what is there already is left alone."""
    if request.mimetype != "text/calendar":
        raise UnsupportedMediaType("send the calendar with Content-Type: text/calendar")
    with transaction(session()):
        made = windows.import_freezes(session(), **query, calendar=request.get_data(), actor=current_actor())
    return json_response({"created": made}, 201)
