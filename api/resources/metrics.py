"""Numbers for Prometheus."""

from flask import Response

from api import metrics
from api.auth import requires
from api.extensions import services, session
from api.parsing import Blueprint
from orchestrator import queue
from orchestrator.domain.access import Permission
from orchestrator.repositories import figures

SILENT_SECONDS = 15.0

blueprint = Blueprint("metrics", __name__, description="Numbers for Prometheus")


@blueprint.route("/metrics", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, description="Prometheus' text format.", content_type="text/plain")
def read_metrics() -> Response:
    """Read what this web server did, and how the engine stands; with an API token of scope `read`."""
    found = figures.figures(session(), silent_seconds=SILENT_SECONDS)
    session().rollback()
    queues = queue.depths(services().settings.redis_url, nodes=())
    return metrics.exposition(metrics.Figures(found, queues))
