"""Recording what is released: pipelines as they are written, and releases."""

from collections.abc import Sequence
from typing import Any

from flask import Response, request
from sqlalchemy import Row

from api.auth import current_actor
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from api.resources.releases import forget
from api.schemas.releases import ReleaseIn
from orchestrator.db import after_commit, transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import (
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    PreconditionFailedError,
)
from orchestrator.presenting.problems import status_of
from orchestrator.repositories import applications
from orchestrator.services import pipelines, releases
from orchestrator.services.pipelines import Applied
from orchestrator.services.preconditions import Precondition, always

MOST_DIGITS = 9
"""Of a revision in a form."""


@blueprint.route("/pipeline", methods=["GET"])
@frame.page_for(Permission.CONFIGURE)
@renewal.never("a form: a pipeline that somebody else stored meanwhile is found out when it is stored")
def pipeline_page() -> Response:
    """A pipeline as it was written, to be written anew; without an application, an example."""
    name = request.args.get("application", "").replace("\0", "")
    row = applications.get(session(), name) if name else None
    if row is None:
        return _page(source="", seen=0)
    return _page(source=row.source or "", seen=row.pipeline_revision, name=row.name)


@blueprint.route("/pipeline/check", methods=["POST"])
@frame.page_for(Permission.CONFIGURE)
def check_pipeline() -> Response:
    """What is wrong with it as it is written, what is probably not meant, and what storing it would do."""
    session().rollback()
    try:
        with transaction(session()):
            found = _apply(_source(), dry_run=True)
    except InvalidInputError as error:
        return frame.render("pipeline_check.html", problems=error.problems, found=None)
    except ForbiddenError as error:
        return frame.render("pipeline_check.html", refusal=error.message, found=None)
    return frame.render("pipeline_check.html", problems=(), found=found)


@blueprint.route("/pipeline", methods=["POST"])
@frame.page_for(Permission.CONFIGURE)
def store_pipeline() -> Response:
    """Make it the application's; the page again, with all that was written, where it cannot be."""
    source, seen, name = _source(), _seen(), request.form.get("application", "")
    session().rollback()
    try:
        with transaction(session()):
            made = _apply(source, seen=seen)
    except InvalidInputError as error:
        return _page(status_of(error), source=source, seen=seen, name=name, problems=error.problems)
    except PreconditionFailedError as error:
        there = applications.get(session(), pipelines.application_of(source))
        return _page(
            status_of(error),
            source=source,
            seen=there.pipeline_revision,
            name=name,
            there=there,
        )
    return frame.see(
        f"/releases?name={made.application}" if made.created else f"/applications/{made.application}"
    )


def _apply(source: str, *, seen: int | None = None, dry_run: bool = False) -> Applied:
    """`seen`: only as long as the application has this revision, or is not there."""
    name = pipelines.application_of(source)
    is_there = seen is not None and applications.find(session(), name) is not None
    return pipelines.apply(
        session(),
        name=name,
        source=source,
        actor=current_actor(),
        dry_run=dry_run,
        precondition=_still(seen) if is_there else always,
    )


def _still(seen: int | None) -> Precondition:
    def check(row: Row[Any]) -> None:
        if row.pipeline_revision != seen:
            raise PreconditionFailedError

    return check


def _page(
    status: int = 200,
    *,
    source: str,
    seen: int,
    name: str = "",
    problems: Sequence[FieldProblem] = (),
    there: Row[Any] | None = None,
) -> Response:
    return frame.render(
        "pipeline.html", status, source=source, seen=seen, name=name, problems=problems, there=there
    )


def _source() -> str:
    """What was written; browsers end lines as no file here does."""
    source = request.form.get("source", "").replace("\r\n", "\n")
    if "\0" in source:
        raise InvalidInputError(problems=[FieldProblem("/source", "holds a NUL character")])
    return source


def _seen() -> int:
    sent = request.form.get("seen", "")
    return int(sent[:MOST_DIGITS]) if sent.isascii() and sent.isdecimal() else 0


@blueprint.route("/releases", methods=["POST"])
@frame.page_for(Permission.CREATE_RELEASE)
def record_release() -> Response:
    """Record one."""
    body = frame.read_form(ReleaseIn)
    session().rollback()
    with transaction(session()):
        release_id = releases.create(session(), **body, actor=current_actor())
        after_commit(session(), lambda: forget(release_id))
    return frame.see(f"/releases/{release_id}")
