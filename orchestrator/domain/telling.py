"""What is told to others of what happened: which events there are, when a delivery is tried again, a sentence for people."""

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.domain.statuses import DeploymentStatus, StepStatus

TEST = "webhook.test"
EVERYTHING = "*"
KINDS = frozenset(
    {
        *(f"deployment.{status}" for status in DeploymentStatus),
        *(f"step.{status}" for status in StepStatus),
        "api_token.created",
        "api_token.revoked",
        "application.handed_over",
        "deployment.answered",
        "deployment.approved",
        "deployment.cancel_requested",
        "deployment.claimed",
        "deployment.continued",
        "deployment.halted",
        "deployment.not_promoted",
        "deployment.promoted",
        "deployment.rejected",
        "deployment.requested",
        "deployment.rollback",
        "deployment.undoing",
        "drift.found",
        "drift.gone",
        "environment.changed",
        "freeze.created",
        "freeze.removed",
        "grant.created",
        "grant.removed",
        "health.failed",
        "health.recovered",
        "hook.created",
        "hook.received",
        "hook.removed",
        "lock.created",
        "lock.released",
        "pipeline.applied",
        "release.created",
        "schedule.created",
        "schedule.ran",
        "schedule.removed",
        "step.answered",
        "step.retried",
        "user.changed",
        "user.linked",
        "user.logged_in",
        "user.password_changed",
        "user.registered",
        "webhook.created",
        "webhook.disabled",
        "webhook.removed",
        "webhook.replayed",
        "webhook.rotated",
        "window.created",
        "window.removed",
    }
)
"""Every kind of event that is recorded."""

RETRY_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""How long after each try that failed the next one is; after the last of them nobody tries any more: a day and some hours."""
MOST_RETRY_AFTER_SECONDS = 86_400


def unknown_patterns(patterns: Iterable[str]) -> list[str]:
    """Those that no event can ever fit: a pattern is a kind, all of a group (`deployment.*`), or `*`."""
    groups = {f"{kind.partition('.')[0]}.*" for kind in KINDS}
    return [each for each in patterns if each != EVERYTHING and each not in KINDS and each not in groups]


def retry_delay(tries: int, asked_seconds: int | None) -> float | None:
    """Seconds until the next try after `tries` that failed; not before the receiver asked for; None: there is none."""
    if tries > len(RETRY_SECONDS):
        return None
    asked = min(asked_seconds or 0, MOST_RETRY_AFTER_SECONDS)
    return float(max(RETRY_SECONDS[tries - 1], asked))


def sentence(kind: str, data: Mapping[str, Any]) -> str:
    """One line for people."""
    if kind == TEST:
        return "A test of this webhook"
    happened = kind.partition(".")[2].replace("_", " ")
    if data.get("deployment_id") is None:
        named = " ".join(
            str(data[name]) for name in ("application", "version", "environment") if data.get(name)
        )
        by = f" by {data['actor']}" if data.get("actor") else ""
        return f"{kind.partition('.')[0]} {happened}{by}: {named or data.get('subject', '')}"
    where = f"{data.get('application')} {data.get('version')} to {data.get('environment')}"
    inside = data.get("data") or {}
    why = inside.get("why") or inside.get("reason") or ""
    what = happened if kind.startswith("deployment.") else kind.replace(".", " ")
    return f"{where}: {what} (deployment {data['deployment_id']}){f', {why}' if why else ''}"
