"""Whether everything is there, and what to do where something is not."""

from flask import Response

from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import services, session
from api.health_checks import probe
from orchestrator.domain.access import Permission
from orchestrator.services import diagnosis

EVERY_SECONDS = 10
"""How long it takes to show a change: nothing writes down that a dependency went or came."""


@blueprint.route("/system", methods=["GET"])
@frame.page_for(Permission.OPERATE)
@renewal.asks(every_seconds=EVERY_SECONDS)
def system() -> Response:
    """Every dependency with its latency, and what is unhealthy."""
    database, cache = probe().both()
    checks = {
        "Postgres": database.check,
        "Redis": cache,
        "Workers": database.workers,
        "Clock": database.beat,
    }
    found = diagnosis.examine(session(), services().settings, is_migrated=probe().is_migrated)
    return frame.renewing(
        "system.html",
        checks={name: each.document for name, each in checks.items()},
        findings=found,
    )
