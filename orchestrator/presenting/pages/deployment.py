"""One deployment as people see it: how it stands, why, what went wrong, its waves and its trail."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from markupsafe import Markup
from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.statuses import TERMINAL, DeploymentStatus, StepStatus
from orchestrator.presenting import log_pages
from orchestrator.presenting.deployments import present
from orchestrator.presenting.explanations import present_explanation
from orchestrator.presenting.pages.rendering import View, render
from orchestrator.repositories import events, releases, steps
from orchestrator.services import acting, explaining
from orchestrator.services.actors import Actor
from orchestrator.services.foreseeing import MOST_RELEASES

MOST_STEPS, MOST_WAVES, MOST_EVENTS = 200, 100, 200
TAIL_LINES, MOST_TAILS = 15, 3
BLUE_GREEN = "blue-green"
"""Whose one wait between two waves is that in which the old side is kept as it was."""
_WRONG = (StepStatus.FAILED, StepStatus.UNKNOWN)


def read(session: Session, deployment_id: int, *, actor: Actor) -> tuple[Row[Any], View]:
    """The deployment, and all that may change on its page for whoever looks. Raises NotFoundError."""
    found = explaining.explain(session, deployment_id, actor=actor)
    row = found.row
    verbs, holds = acting.verbs(found, actor), acting.may_go_on(row)
    about = {
        "row": row,
        "shown": present(row, found.closed),
        "why": present_explanation(found),
        "ended": DeploymentStatus(row.status) in TERMINAL,
        "verbs": verbs,
        "holds": holds,
        "keeps": holds and row.strategy == BLUE_GREEN and row.next_wave_at is not None,
        "confirm": {verb for verb in verbs if acting.has_to_confirm(row, verb, actor)},
    }
    pieces = {
        "head": render(
            "deployment_head.html",
            release=releases.get(session, row.release_id),
            touched=steps.touched(session, row.id) if about["ended"] and row.started_at else None,
            brings=releases.since_the_last(session, row.id, limit=MOST_RELEASES),
            **about,
        ),
        "why": render("deployment_why.html", **about),
        **dict(_progress(session, row, asks=acting.ANSWER in verbs and (row.n_unknown or 0) > 1)),
        "trail": render(
            "deployment_trail.html",
            row=row,
            events=events.newest_of_deployment(session, row.id, limit=MOST_EVENTS),
            most=MOST_EVENTS,
        ),
    }
    return row, View(pieces, "deployment_live.html")


def _progress(session: Session, row: Row[Any], *, asks: bool) -> Iterator[tuple[str, Markup]]:
    """`asks`: what became of each step that is unknown, one by one."""
    urgent = steps.most_urgent(session, row.id, limit=MOST_STEPS)
    wrong = [step for step in urgent if step.status in _WRONG]
    running = [step for step in urgent if step.status == StepStatus.RUNNING]
    tails = _tails(session, row, wrong[:MOST_TAILS] + running[:MOST_TAILS])
    yield "wrong", render("deployment_wrong.html", row=row, steps=wrong, tails=tails, asks=asks)
    others: dict[int, list[Row[Any]]] = {}
    for step in urgent:
        if step.status not in _WRONG:
            others.setdefault(step.wave_index, []).append(step)
    waves = steps.waves(session, row.id, limit=MOST_WAVES)
    for wave in waves:
        mine = sorted(others.get(wave.wave_index, ()), key=lambda step: step.position)
        yield (
            f"wave-{wave.wave_index}",
            render("deployment_wave.html", row=row, wave=wave, steps=mine, tails=tails),
        )
    yield (
        "rest",
        render("deployment_rest.html", row=row, shown_steps=len(urgent), shown_waves=len(waves)),
    )


def _tails(session: Session, row: Row[Any], found: Collection[Row[Any]]) -> Mapping[int, str]:
    """The last lines of these steps: why one failed, or what one does now."""
    return {step.id: _last_lines(session, row, step.id) for step in found}


def _last_lines(session: Session, row: Row[Any], step_id: int) -> str:
    has_ended = DeploymentStatus(row.status) in TERMINAL
    found = log_pages.Reading(session, row.id, step_id, has_ended=has_ended).last(TAIL_LINES)
    return "".join(str(each["text"]) for each in found.items)
