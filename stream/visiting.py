"""Open pages: who comes with a ticket is sent what they see as it changes."""

from contextlib import ExitStack
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from orchestrator.domain.access import Role
from orchestrator.domain.errors import FieldProblem, ForbiddenError, InvalidInputError, NotFoundError
from orchestrator.presenting.pages.deployments import Asked
from orchestrator.services.actors import Actor
from stream import events
from stream.followers import Follower
from stream.following import Send
from stream.hub import Hub
from stream.responses import EventStream
from stream.store import Store, Visitor
from stream.view_keys import DASHBOARD, DEPLOYMENT, DEPLOYMENTS, INBOX, NEWS, ViewKey
from stream.views import Views

MAX_ID = 2**63 - 1
LONGEST_SEARCH = 63
NAMES = (DASHBOARD, DEPLOYMENT, DEPLOYMENTS, INBOX, NEWS)
NOBODY = Actor(0, "", Role.VIEWER, "")
"""That something has happened is the same for all who may be told of it."""


class Visiting:
    """Lets pages in."""

    def __init__(self, hub: Hub, views: Views, store: Store, *, queue_bytes: int) -> None:
        self._hub = hub
        self._views = views
        self._store = store
        self._queue_bytes = queue_bytes

    async def visit(self, request: Request) -> Response:
        """GET: a view, and what changes in it, until its page goes."""
        name, what = _asked(request)
        with ExitStack() as held:
            self._hub.take_place()
            held.callback(self._hub.give_place)
            visitor = await self._store.admit_ticket(request.query_params.get("ticket", ""))
            follower = Follower(
                _key(name, what, visitor),
                visitor.actor,
                visitor.good_until,
                self._queue_bytes,
                is_page=True,
            )
            self._views.enter(follower)
            held.callback(self._views.leave, follower)

            async def run(send: Send) -> None:
                await send(events.OPENING)
                while chunk := await follower.take():
                    await send(chunk)

            return EventStream(run, on_disconnect=follower.finish, on_end=held.pop_all().close)


def _key(name: str, what: str, visitor: Visitor) -> ViewKey:
    """What they see, without what makes no difference to it: it is made once for all who see the same."""
    seen = replace(visitor.actor, sign_in_id="")
    if name == NEWS:
        if not visitor.news:
            raise ForbiddenError("this ticket is of no page that is told anything")
        return ViewKey(name, what, NOBODY, visitor.news)
    if name in {DASHBOARD, DEPLOYMENTS}:
        seen = replace(seen, id=0, username="", teams=())
    return ViewKey(name, what, seen)


def _asked(request: Request) -> tuple[str, str]:
    name, what = request.query_params.get("view", ""), request.query_params.get("what", "")
    if name not in NAMES:
        raise InvalidInputError(problems=[FieldProblem("/query/view", f"is one of {', '.join(NAMES)}")])
    if name == DEPLOYMENT and not (what.isascii() and what.isdecimal() and 0 < int(what) <= MAX_ID):
        raise NotFoundError("there is no such deployment")
    if name == DEPLOYMENTS:
        return name, Asked.read(what).text
    return name, what.strip().lower().replace("\0", "")[:LONGEST_SEARCH]
