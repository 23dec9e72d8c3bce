"""What waits for people, and first of all for whoever looks."""

from sqlalchemy.orm import Session

from orchestrator.presenting.explanations import present_explanation
from orchestrator.presenting.pages.rendering import View, render
from orchestrator.repositories import gates
from orchestrator.services import acting, locks, overview
from orchestrator.services.actors import Actor
from orchestrator.services.inbox import MOST_HALTS

ASKED = frozenset({acting.APPROVE, acting.ANSWER, acting.PROMOTE})
"""What only people can say."""


def read(session: Session, *, actor: Actor) -> View:
    """Approvals and questions that are open, and slots that stand still until somebody says that they go on."""
    halts = gates.halts(session, limit=MOST_HALTS)
    found = [
        (each.row, present_explanation(each), acting.verbs(each, actor))
        for each in overview.inbox(session, actor=actor)
    ]
    mine = [each for each in found if not ASKED.isdisjoint(each[2])]
    others = [each for each in found if each not in mine]
    releasable = [each for each in halts if locks.may_release(each, actor)]
    items = render(
        "inbox_items.html",
        mine=mine,
        others=others,
        halts=releasable,
        halts_of_others=[each for each in halts if each not in releasable],
    )
    return View({"items": items}, "inbox_frame.html")
