"""What a deployment would do, as it is sent."""

from typing import Any

from orchestrator.presenting.explanations import present_explanation
from orchestrator.services.foreseeing import Foreseen


def present_foreseen(found: Foreseen) -> dict[str, Any]:
    """Everything there is to know before it is requested; the id of what was never made is left out."""
    row, before = found.row, found.before
    explained = present_explanation(found.explanation)
    return {
        "application": row.application,
        "version": row.version,
        "environment": row.environment,
        "strategy": row.strategy,
        "max_failures": row.max_failures,
        "max_batch_failures": row.max_batch_failures,
        "max_parallel": row.max_parallel,
        "on_failure": row.on_failure,
        "answer_seconds": row.answer_seconds,
        "unanswered": row.unanswered,
        "plan_hash": row.plan_hash,
        "steps": row.step_count,
        "wave_count": row.wave_count,
        "waves": [
            {
                "wave": wave.index,
                "action": wave.action.get("title") or wave.action["kind"],
                "total": wave.total,
                "targets": wave.targets,
                "wait_seconds": wave.wait_seconds,
            }
            for wave in found.waves
        ],
        "scripts": [{"action": each.action, "script": each.script} for each in found.scripts],
        "replaces": before
        and {"deployment_id": before.id, "version": before.version, "since": before.ended_at},
        "brings": [
            {"release_id": each.id, "version": each.version, "changes": each.changes} for each in found.brings
        ],
        "changed_variables": [
            {"name": name, "before": old, "after": new} for name, (old, new) in found.changed.items()
        ],
        "duration_seconds": {
            "deployments": found.durations.deployments,
            "p50": _seconds(found.durations.p50),
            "p90": _seconds(found.durations.p90),
        },
        **{name: explained[name] for name in ("because", "gates", "queue", "forecast", "remedies")},
    }


def _seconds(value: Any) -> float | None:
    return None if value is None else round(float(value), 1)
