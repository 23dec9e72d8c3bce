"""The description of this API: OpenAPI 3.1 at /openapi.json, a page for people at /docs."""

import base64
import hashlib
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Flask, Response, render_template
from flask_smorest import Api

from api.auth import permission_of, requires
from api.idempotency import HEADER as IDEMPOTENCY_KEY
from api.idempotency import REPLAYED
from api.parsing import MAX_ID
from api.responses import raw_response
from api.schemas.common import Problem
from orchestrator.domain.access import Permission, least_role
from orchestrator.presenting.json import dumps
from orchestrator.presenting.problems import PROBLEM_JSON, STATUSES

TITLE = "DevOps Release Manager"
ARGUMENT = re.compile(r"<(?:[^:>]+:)?([^>]+)>")
METHODS = ("get", "post", "put", "patch", "delete")
CREATING = {
    "register_user",
    "create_release",
    "request_deployment",
    "retry_deployment",
    "roll_back_deployment",
    "replan_deployment",
    "create_lock",
    "create_window",
    "create_freeze",
    "create_schedule",
    "create_grant",
    "create_token",
    "create_webhook",
    "create_hook",
    "test_webhook",
}
PROVING = {
    "login",
    "login_by_provider",
    "refresh",
    "register_user",
    "receive",
    "receive_from_github",
    "receive_from_gitlab",
}
"""Public, and refused where what was sent proves nothing."""
CHANGED = {
    "change_user": "get_user",
    "change_application": "get_application",
    "change_environment": "get_environment",
    "apply_pipeline": "get_pipeline",
    "release_lock": "get_lock",
    "remove_window": "get_window",
    "remove_freeze": "get_freeze",
    "remove_schedule": "get_schedule",
    "remove_grant": "get_grant",
}
"""What takes If-Match, and what gives the ETag for it."""
TAGGED = {"get_release", "get_deployment", *CHANGED.values()}
_TOO_LONG = "The password is longer than 72 bytes."
_RULE = "It is no rule as docs/windows.md has them: one of `weekly`, `cron`, `rrule` and `dated`, in an IANA zone."
_PERIOD = "`zone` is no IANA name, `from` or `to` lies before 1970 or after 2999, or `to` is not 1 to 366 days after `from`."
UNSAID = {
    "apply_pipeline": "The text is no pipeline of this application as docs/pipeline.md has them; `errors` names the lines.",
    "change_password": _TOO_LONG,
    "create_freeze": _RULE,
    "create_grant": "It names both a `user` and a `team`, or neither.",
    "create_release": "`committed_at` is still to come, or before 1970.",
    "create_schedule": "`cron` is no expression, or `zone` no IANA name.",
    "create_webhook": "The kind does not take these `settings`, or there are no such `events`.",
    "create_window": _RULE,
    "import_freezes": "The text is no calendar as RFC 5545 has them, or holds what cannot be a freeze; or `zone` is no IANA name.",
    "list_counted": _PERIOD,
    "read_insights": _PERIOD,
    "read_logs": "`tail` and `cursor` are both there.",
    "register_user": _TOO_LONG,
    "request_deployment": "It names both a `version` and `from_environment`, or neither.",
}
"""For what 422 is answered to a request that fits the schemas, because they cannot say it."""
_KEY_REUSED = "The Idempotency-Key was used for another request."
PUBLIC_STATUSES = (400, 404, 405, 413, 414, 415, 422, 429, 431, 500, 503)
_DESCRIPTION = (
    "Records releases and ships them to environments. Errors are RFC 9457 problems with a stable `code`. "
    "Lists come in pages: send `next_cursor` back as `cursor`."
)


def _version() -> str:
    try:
        return version("devops-release-manager")
    except PackageNotFoundError:
        return "0"


SPEC = {"title": TITLE, "version": _version(), "openapi_version": "3.1.0"}


def id_parameter(_converter: object) -> dict[str, Any]:
    """The schema of an id in a path."""
    return {"type": "integer", "minimum": 0, "maximum": MAX_ID}


def name_parameter(_converter: object) -> dict[str, Any]:
    """The schema of a name in a path."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": 63,
        "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    }


def init(app: Flask, api: Api) -> None:
    """Complete the description and serve it."""
    document = _complete(app, api)
    described = dumps(document)

    @app.get("/openapi.json")
    @requires(Permission.PUBLIC)
    def openapi_json() -> Response:
        return raw_response(described)

    @app.get("/docs")
    @requires(Permission.PUBLIC)
    def docs() -> Response:
        page = render_template(
            "docs.html",
            spec=document,
            operations=list(_operations(document)),
            problems=_problems(),
            style=STYLE,
        )
        headers = {
            "Content-Security-Policy": f"default-src 'none'; style-src '{_STYLE_HASH}'; base-uri 'none'"
        }
        return Response(page, headers=headers, mimetype="text/html")


def _complete(app: Flask, api: Api) -> dict[str, Any]:
    api.spec.components.schema("Problem", schema=Problem)
    document: dict[str, Any] = api.spec.to_dict()
    document["info"]["description"] = _DESCRIPTION
    document["servers"] = [{"url": "/"}]
    components = document["components"]
    components["schemas"].pop("Error", None)
    components["responses"] = {"Problem": _problem_response()}
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    permissions = _permissions(app)
    for path, method, operation in _operations(document):
        _complete_operation(operation, permissions[path, method])
    return document


def _complete_operation(operation: dict[str, Any], view: tuple[str, Permission]) -> None:
    name, permission = view
    operation["operationId"] = name
    operation["x-permission"] = str(permission)
    is_public = permission is Permission.PUBLIC
    if not is_public:
        operation["security"] = [{"bearer": []}]
        operation["x-least-role"] = str(least_role(permission))
    responses = operation["responses"]
    responses.pop("default", None)
    for status in list(responses):
        if int(status) >= 400 and "content" not in responses[status]:
            del responses[status]
    errors = [*PUBLIC_STATUSES, *(() if is_public else (401, 403))]
    if "requestBody" in operation:
        errors.append(409)
    for status in sorted(errors):
        responses.setdefault(str(status), {"$ref": "#/components/responses/Problem"})
    if unsaid := _unsaid(name):
        responses["422"] = _problem_response(f"It does not fit the schema. Or: {unsaid}")
    if name in PROVING:
        responses["401"] = {"$ref": "#/components/responses/Problem"}
    if name in CREATING:
        _add_idempotency(operation)
    if name in CHANGED:
        meaning = f"The ETag of what you have seen (`{CHANGED[name]}`): 412 where it has changed since."
        operation.setdefault("parameters", []).append(_header("If-Match", meaning))
        responses["412"] = {"$ref": "#/components/responses/Problem"}
    if name in TAGGED:
        operation.setdefault("parameters", []).append(
            _header("If-None-Match", "The ETag of what is there, for 304.")
        )
        responses["304"] = {"description": "What you have is what is there."}


def _unsaid(name: str) -> str:
    return " ".join(filter(None, [UNSAID.get(name), _KEY_REUSED if name in CREATING else None]))


def _add_idempotency(operation: dict[str, Any]) -> None:
    meaning = "The same request with the same key a second time makes nothing and gives the first answer."
    operation.setdefault("parameters", []).append(
        _header(IDEMPOTENCY_KEY, meaning, minLength=1, maxLength=255, pattern="^[!-~]*$")
    )
    for status in ("201", "202"):
        if status in operation["responses"]:
            operation["responses"][status]["headers"] = {
                "Location": {"description": "Where it is.", "schema": {"type": "string"}},
                REPLAYED: {
                    "description": "`true`: it was made by an earlier request.",
                    "schema": {"type": "string"},
                },
            }


def _header(name: str, meaning: str, **bounds: int | str) -> dict[str, Any]:
    schema = {"type": "string", **bounds}
    return {"name": name, "in": "header", "required": False, "description": meaning, "schema": schema}


def _problem_response(meaning: str = "What went wrong.") -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": meaning, "content": {PROBLEM_JSON: {"schema": schema}}}


def _permissions(app: Flask) -> dict[tuple[str, str], tuple[str, Permission]]:
    """For each path and method as the description writes them: the view's name and what it asks for."""
    found = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        path = ARGUMENT.sub(r"{\1}", rule.rule)
        for method in rule.methods or ():
            permission = permission_of(view)
            if permission is not None:
                found[path, method.lower()] = (view.__name__, permission)
    return found


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _problems() -> list[tuple[str, int, str]]:
    """The stable codes, with the status and the meaning of each."""
    found = {}
    for family, status in STATUSES.items():
        for kind in _with_descendants(family):
            found[kind.code] = (kind.code, int(status), (kind.__doc__ or "").strip().splitlines()[0])
    return sorted(found.values())


def _with_descendants(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _with_descendants(child)


STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid; }
section { margin: 1.5rem 0; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid; }
.method { font-weight: 700; text-transform: uppercase; }
"""
_STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
