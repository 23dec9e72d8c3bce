"""Explanations as they are sent."""

from dataclasses import asdict
from typing import Any

from orchestrator.domain.statuses import TERMINAL, DeploymentStatus
from orchestrator.presenting.deployments import present
from orchestrator.services.explaining import Explanation


def present_explanation(found: Explanation) -> dict[str, Any]:
    """Everything there is to say about how a deployment stands."""
    row = found.row
    pending = row.status == DeploymentStatus.PENDING
    return {
        "deployment_id": row.id,
        "status": row.status,
        "at": found.at,
        "because": _because(found),
        "gates": [
            {
                "kind": gate.kind,
                "verdict": "passes" if gate.passes else "waits",
                "evidence": gate.evidence,
                "changed_by": gate.changed_by,
                "until": gate.until,
            }
            for gate in found.gates
        ],
        "queue": {"active_id": row.active_id, "ahead": row.ahead} if pending else None,
        "forecast": asdict(found.forecast) if found.forecast else None,
        "remedies": [asdict(each) for each in found.remedies],
        "ends_about": found.ends_about,
        "failed_steps": [
            {"id": step.id, "target": step.target_name, "failure": step.failure or ""}
            for step in found.failed_steps
        ],
        "troubles": [
            {"id": step.id, "target": step.target_name, "trouble": step.trouble} for step in found.troubles
        ],
    }


def _because(found: Explanation) -> str:
    """Why it stands as it does, in one sentence."""
    row, status = found.row, DeploymentStatus(found.row.status)
    if status is DeploymentStatus.PENDING:
        holding = [gate.evidence for gate in found.gates if not gate.passes]
        return "; ".join(holding) or "nothing speaks against it: it starts at once"
    if status in TERMINAL:
        return _why_it_ended(found, status)
    asked = present(row, found.closed)["waiting_for"]
    if asked:
        return "; ".join(str(each["message"]) for each in asked)
    return "; ".join([_where(found, status), *(f"{e.target_name}: {e.trouble}" for e in found.troubles[:1])])


def _where(found: Explanation, status: DeploymentStatus) -> str:
    """How far one is that has begun and asks nobody."""
    row = found.row
    wave = f"wave {row.wave_index + 1} of {row.wave_count}"
    if row.undo_from is not None:
        return f"it puts back what it changed, in {wave}: {row.failure}"
    if found.cancel is not None:
        return f"{_wish(found)}; what runs in {wave} is being ended"
    return f"it is in {wave}" if status is DeploymentStatus.RUNNING else f"it goes on at once with {wave}"


def _why_it_ended(found: Explanation, status: DeploymentStatus) -> str:
    if found.row.failure:
        asked = status is DeploymentStatus.CANCELLED and found.cancel is not None
        return f"{_wish(found)}; {found.row.failure}" if asked else str(found.row.failure)
    if status is DeploymentStatus.SUCCEEDED:
        return "every step of its plan succeeded at its target"
    if status is DeploymentStatus.EXPIRED:
        return f"it had not started by {found.row.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    return _wish(found)


def _wish(found: Explanation) -> str:
    if found.cancel is None:
        return f"it was {found.row.status}"
    reason = found.cancel.data.get("reason")
    return f"{found.cancel.username} asked for its end" + (f": {reason}" if reason else "")
