"""Whether everything is there: for people, load balancers and whoever restarts processes."""

from importlib.metadata import version

from flask import Response

from api.auth import requires
from api.health_checks import DOWN, OK, probe
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import health as schemas
from orchestrator.domain.access import Permission

DISTRIBUTION = "devops-release-manager"

blueprint = Blueprint("health", __name__, description="Whether everything is there")


@blueprint.route("/health", methods=["GET"])
@requires(Permission.PUBLIC, is_counted=False)
@blueprint.response(200, schemas.Health)
@blueprint.alt_response(503, schema=schemas.Health)
def health() -> Response:
    """Ask every dependency. 503 only without Postgres: everything else that is away makes this slower, not wrong."""
    database, cache = probe().both()
    checks = {
        "postgres": database.check,
        "redis": cache,
        "workers": database.workers,
        "beat": database.beat,
    }
    away = database.check.status == DOWN
    degraded = any(each.status == DOWN for each in checks.values())
    status = "unavailable" if away else "degraded" if degraded else OK
    document = {
        "status": status,
        "version": version(DISTRIBUTION),
        "checks": {name: each.document for name, each in checks.items()},
    }
    return json_response(document, 503 if away else 200)


@blueprint.route("/health/live", methods=["GET"])
@requires(Permission.PUBLIC, is_counted=False)
@blueprint.response(200, schemas.Alive)
def live() -> Response:
    """Say that this process answers."""
    return json_response({"status": OK})


@blueprint.route("/health/ready", methods=["GET"])
@requires(Permission.PUBLIC, is_counted=False)
@blueprint.response(200, schemas.Alive)
@blueprint.alt_response(503, schema=schemas.Alive)
def ready() -> Response:
    """Say whether requests can be served: Postgres is there and its tables are as new as the code."""
    database = probe().database()
    if database.check.status != OK:
        return json_response({"status": "unavailable"}, 503)
    if not probe().is_migrated(database.revision):
        return json_response({"status": "not_migrated"}, 503)
    return json_response({"status": "ready"})
