"""What is unhealthy, for operators."""

from dataclasses import asdict

from flask import Response

from api.auth import requires
from api.extensions import services, session
from api.health_checks import probe
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import diagnosis as schemas
from orchestrator.domain.access import Permission
from orchestrator.services import diagnosis

blueprint = Blueprint("diagnosis", __name__, url_prefix="/api/v1/diagnosis", description="What is unhealthy")


@blueprint.route("", methods=["GET"])
@requires(Permission.OPERATE)
@blueprint.response(200, schemas.Diagnosis)
def diagnose() -> Response:
    """Find everything that is unhealthy, with what to do about each."""
    found = diagnosis.examine(session(), services().settings, is_migrated=probe().is_migrated)
    return json_response({"findings": [asdict(each) for each in found]})
