"""Targets: what runs on each, or ran at an instant; whether that is what was installed; and what touched them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Response
from sqlalchemy import Row

from api.auth import current_actor
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.dashboard.moments import in_zones, read_instant
from api.extensions import session
from api.pagination import window
from api.parsing import Text
from api.schemas.installations import CheckIn, InstallationQuery
from orchestrator import clock
from orchestrator.db import transaction
from orchestrator.domain.access import Permission, allows
from orchestrator.domain.news import TARGET_CHANGED
from orchestrator.domain.wall_time import shown
from orchestrator.repositories import applications, installations
from orchestrator.repositories import drift as asked_rows
from orchestrator.services import drift

FILTERS = ("application", "environment")
CHANGES = ("pipeline.*", "deployment.*", "health.*", "drift.*", TARGET_CHANGED)
"""What makes another picture of targets."""
MOST_TOUCHES = 50
WAITS = timedelta(minutes=1)
"""So long the page of targets that were asked says how many have not answered."""


class TargetQuery(InstallationQuery):
    """As the API's, and when: a time on the clocks of `zone`, or an instant with an offset of its own."""

    at = Text(load_default=None, longest=40)
    zone = Text(load_default=None, longest=100)
    asked = Text(load_default=None, longest=40)


@blueprint.route("/targets", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told(*CHANGES)
def target_list() -> Response:
    """What runs where, target by target; or what ran there."""
    query = frame.read_query(TargetQuery)
    zone = in_zones(query["zone"])
    shown_of = {
        "filters": {name: query[name] for name in FILTERS if query[name]},
        "environments": [row.name for row in applications.environments(session())],
        "zone": zone or "UTC",
        "has_zone": zone is not None,
        "now": clock.now(),
    }
    if query["at"]:
        return _past(query, read_instant("at", query["at"], zone or "UTC"), shown_of)
    return _present(query, shown_of)


def _present(query: dict[str, Any], shown_of: dict[str, Any]) -> Response:
    part = window("installations", query)
    begin = (part.after or 0) + part.skip
    found = installations.page(
        session(), **{name: query[name] for name in FILTERS}, skip=begin, limit=part.one_more
    )
    shown_rows = part.answer(found, lambda row: row, key=lambda _row: begin + part.limit)
    rows = shown_rows["items"]
    asked = read_instant("asked", query["asked"], "UTC") if query["asked"] else None
    return frame.renewing(
        "targets.html",
        about=query["application"] or "",
        found=rows,
        next_cursor=shown_rows["next_cursor"],
        askable=_askable(rows),
        answers_missing=_missing(rows, asked) if asked else 0,
        at=None,
        **shown_of,
    )


def _past(query: dict[str, Any], at: datetime, shown_of: dict[str, Any]) -> Response:
    """As it was at an instant, of one environment: where none was chosen of the last one, as the calendar does."""
    names = shown_of["environments"]
    environment = query["environment"] or (names[-1] if names else "")
    found: Sequence[Row[Any]] = ()
    part = window("past_installations", query)
    begin = (part.after or 0) + part.skip
    if environment:
        applications.get_environment(session(), environment)
        found = installations.page_at(
            session(), environment, application=query["application"], at=at, skip=begin, limit=part.one_more
        )
    answer = part.answer(found, lambda row: row, key=lambda _row: begin + part.limit)
    filters = {**shown_of.pop("filters"), "environment": environment}
    return frame.render(
        "targets_past.html",
        found=answer["items"],
        next_cursor=answer["next_cursor"],
        filters=filters,
        at=at,
        wall_time=f"{shown(at, shown_of['zone']):%Y-%m-%dT%H:%M}",
        **shown_of,
    )


@blueprint.route("/targets/<id:target_id>", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told(*CHANGES, "step.*")
def target_page(target_id: int) -> Response:
    """One target: what runs there, whether that is what was installed, and which deployments touched it."""
    row = installations.get(session(), target_id)
    return frame.renewing(
        "target.html",
        about=row.application,
        row=row,
        is_askable=(row.application, row.environment) in _askable([row]),
        touches=installations.touched_by(session(), target_id, limit=MOST_TOUCHES),
        most=MOST_TOUCHES,
    )


@blueprint.route("/targets/check", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def check_targets() -> Response:
    """Have the targets of a slot asked what runs there; the page that comes shows what they say."""
    body = frame.read_form(CheckIn)
    session().rollback()
    with transaction(session()):
        asked = drift.ask_now(session(), **body, actor=current_actor())
    return frame.see(f"/targets?{urlencode({**body, 'asked': asked['asked_at'].isoformat()})}")


def _askable(rows: Sequence[Row[Any]]) -> set[tuple[str, str]]:
    """Of the slots of these targets: those that can be asked what runs there, by whoever looks."""
    actor = current_actor()
    slots = {(row.application, row.environment) for row in rows if row.version is not None}
    mine = {slot for slot in slots if allows(actor.role_in(*slot), Permission.DEPLOY)}
    return mine & asked_rows.asked_slots(session(), [name for name, _ in mine]) if mine else set()


def _missing(rows: Sequence[Row[Any]], asked: datetime) -> int:
    """How many have not answered yet; none after WAITS: while a deployment goes on there, nobody asks."""
    if clock.now() - asked > WAITS:
        return 0
    return sum(
        row.version is not None and (row.drift_checked_at is None or row.drift_checked_at < asked)
        for row in rows
    )
