"""Open pages: who comes with a ticket is sent what they see as it changes."""

from contextlib import ExitStack
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from orchestrator.domain.errors import FieldProblem, InvalidInputError, NotFoundError
from orchestrator.presenting.pages.deployments import Asked
from orchestrator.services.actors import Actor
from stream import events
from stream.followers import Follower
from stream.following import Send
from stream.hub import Hub
from stream.responses import EventStream
from stream.store import Store
from stream.view_looking import DASHBOARD, DEPLOYMENT, DEPLOYMENTS, INBOX, ViewKey
from stream.views import Views

MAX_ID = 2**63 - 1
LONGEST_SEARCH = 63
NAMES = (DASHBOARD, DEPLOYMENT, DEPLOYMENTS, INBOX)


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
            actor, good_until = await self._store.admit_ticket(request.query_params.get("ticket", ""))
            key = ViewKey(name, what, _as_seen(name, actor))
            follower = Follower(key, actor, good_until, self._queue_bytes)
            self._views.enter(follower)
            held.callback(self._views.leave, follower)

            async def run(send: Send) -> None:
                await send(events.OPENING)
                while chunk := await follower.take():
                    await send(chunk)

            return EventStream(run, on_disconnect=follower.finish, on_end=held.pop_all().close)


def _as_seen(name: str, actor: Actor) -> Actor:
    """Without what makes no difference to the view, so that it is made once for all who see the same."""
    seen = replace(actor, sign_in_id="")
    return replace(seen, id=0, username="", teams=()) if name in {DASHBOARD, DEPLOYMENTS} else seen


def _asked(request: Request) -> tuple[str, str]:
    name, what = request.query_params.get("view", ""), request.query_params.get("what", "")
    if name not in NAMES:
        raise InvalidInputError(problems=[FieldProblem("/query/view", f"is one of {', '.join(NAMES)}")])
    if name == DEPLOYMENT and not (what.isascii() and what.isdecimal() and 0 < int(what) <= MAX_ID):
        raise NotFoundError("there is no such deployment")
    if name == DEPLOYMENTS:
        return name, Asked.read(what).text
    return name, what.strip().lower().replace("\0", "")[:LONGEST_SEARCH]
