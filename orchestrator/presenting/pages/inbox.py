"""What waits for people, and first of all for whoever looks."""

from sqlalchemy.orm import Session

from orchestrator.presenting.explanations import present_explanation
from orchestrator.presenting.pages.rendering import View, render
from orchestrator.services import acting, overview
from orchestrator.services.actors import Actor

ASKED = frozenset({acting.APPROVE, acting.ANSWER, acting.PROMOTE})
"""What only people can say."""


def read(session: Session, *, actor: Actor) -> View:
    """Approvals and questions that are open."""
    found = [
        (each.row, present_explanation(each), acting.verbs(each, actor))
        for each in overview.inbox(session, actor=actor)
    ]
    mine = [each for each in found if not ASKED.isdisjoint(each[2])]
    others = [each for each in found if each not in mine]
    return View({"items": render("inbox_items.html", mine=mine, others=others)}, "inbox_frame.html")
