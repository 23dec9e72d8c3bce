"""What is released: releases, and applications with their pipelines."""

from flask import Response

from api.auth import current_actor
from api.dashboard import choices, frame, picture, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from api.pagination import PageArgs, window
from api.schemas.applications import present as present_application
from api.schemas.deployments import DeploymentQuery
from api.schemas.releases import STATUSES, ReleaseQuery
from orchestrator.domain.access import Permission, allows
from orchestrator.domain.news import TARGET_CHANGED
from orchestrator.presenting.deployments import present as present_deployment
from orchestrator.repositories import applications, deployments, releases
from orchestrator.services import overview

FILTERS = ("name", "version", "status")
MOST_SHOWN = 20


@blueprint.route("/releases", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told("release.*")
def release_list() -> Response:
    """The newest releases, filtered."""
    query = frame.read_query(ReleaseQuery)
    part = window("releases", query)
    filters: dict[str, str] = {name: query[name] for name in FILTERS if name in query}
    found = releases.page(session(), filters, before_id=part.after, skip=part.skip, limit=part.one_more)
    shown = part.answer(found, lambda row: row, key=lambda row: row.id)
    only_named = list(filters) == ["name"] and not found and part.after is None
    return frame.renewing(
        "releases.html",
        begins=only_named and applications.find(session(), filters["name"]) is not None,
        applications=choices.of_applications,
        found=shown["items"],
        next_cursor=shown["next_cursor"],
        filters=filters,
        statuses=STATUSES,
    )


@blueprint.route("/releases/<id:release_id>", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told("release.*", "deployment.*", "pipeline.*")
def release_page(release_id: int) -> Response:
    """One release: what is in it, and where it went."""
    row = releases.get(session(), release_id)
    query = DeploymentQuery().load({"application": row.name, "version": row.version})
    filters = {name: query[name] for name in ("application", "version")}
    found = deployments.page(session(), filters, before_id=None, skip=0, limit=MOST_SHOWN)
    application = applications.get(session(), row.name)
    actor = current_actor()
    environments = [each["name"] for each in present_application(application)["environments"]]
    return frame.renewing(
        "release.html",
        about=row.name,
        row=row,
        found=[present_deployment(each) for each in found],
        deployable=[
            name for name in environments if allows(actor.role_in(row.name, name), Permission.DEPLOY)
        ],
    )


@blueprint.route("/applications", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told("pipeline.*", "application.*")
def application_list() -> Response:
    """Applications by name."""
    query = frame.read_query(PageArgs)
    part = window("applications", query)
    found = applications.page(session(), after=part.after or "", skip=part.skip, limit=part.one_more)
    shown = part.answer(found, present_application, key=lambda row: row.name)
    return frame.renewing("applications.html", found=shown["items"], next_cursor=shown["next_cursor"])


@blueprint.route("/applications/<name:name>", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told(
    "pipeline.*",
    "application.*",
    "release.*",
    "deployment.*",
    "health.*",
    "drift.*",
    TARGET_CHANGED,
)
def application_page(name: str) -> Response:
    """One application: its pipeline as a picture with what runs where, and as it was written."""
    row = applications.get(session(), name)
    shown = present_application(row)
    cells = overview.overview(session(), part=name).lines.get(name, {})
    filters = {"name": name}
    return frame.renewing(
        "application.html",
        about=name,
        row=row,
        shown=shown,
        picture=picture.draw(shown["environments"]),
        cells=cells,
        releases=releases.page(session(), filters, before_id=None, skip=0, limit=MOST_SHOWN),
    )
