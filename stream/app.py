"""The ASGI application: who may follow, and how errors are answered."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestrator import log
from orchestrator.config import Settings
from orchestrator.db import DATABASE_AWAY, UNAVAILABLE, Database, make_engine, refusal
from orchestrator.domain.errors import (
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    OrchestratorError,
    UnavailableError,
)
from orchestrator.presenting import problems
from orchestrator.presenting.json import dumps
from orchestrator.pulse import Pulse
from orchestrator.services.actors import Actor
from orchestrator.services.cursors import Cursors
from orchestrator.services.tokens import TICKET
from stream import events
from stream.events import EventWriter, Key
from stream.followers import Follower
from stream.following import Following, Send
from stream.hub import Hub, Topic
from stream.looking import Looker
from stream.reader import AWAY, Reader
from stream.responses import EventStream, Observed, request_id_of
from stream.store import Store
from stream.view_looking import ViewLooker
from stream.views import Views
from stream.visiting import MAX_ID, Visiting

FIRST_LOOK_SECONDS = 5.0
HEARTBEAT_SECONDS = 15.0
PAGE_HEARTBEAT_SECONDS = 3.0
"""Pages take a connection on which they hear nothing for longer than two of these for a broken one."""
PATH = "/api/v1/deployments/{deployment_id:int}/stream"
LIVE = "/live"

_logger = log.get(__name__)


class Streaming:
    """The parts of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database(settings)
        self._pulse = Pulse(make_engine(settings, isolation_level="AUTOCOMMIT"))
        self._pulse.guard(self._database.engine)
        self._cursors = Cursors(settings.secret_key)
        self._store = Store(settings, self._database, self._pulse)
        self.hub = Hub(most_followers=settings.stream_limit)
        self.views = Views(ViewLooker(self._database), self._pulse)
        self.visiting = Visiting(self.hub, self.views, self._store, queue_bytes=settings.stream_queue_bytes)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What reads for all, from the start of the process to its end."""
        reader = Reader(self.hub, Looker(self._database, self._cursors), self._pulse)
        beats = (self._beat(HEARTBEAT_SECONDS, pages=False), self._beat(PAGE_HEARTBEAT_SECONDS, pages=True))
        going_on = (reader.run(), self.views.run(), *beats)
        tasks = [asyncio.create_task(each) for each in going_on]
        for task in tasks:
            task.add_done_callback(_tell_defect)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self._store.close()
            self._database.close()
            self._pulse.close()

    async def _beat(self, every_seconds: float, *, pages: bool) -> None:
        """Keep idle connections alive."""
        while True:
            await asyncio.sleep(every_seconds)
            for follower in self._everybody():
                if follower.is_page is pages:
                    follower.heartbeat()

    def cut_everybody(self, detail: str) -> None:
        """Send all away; they come back."""
        for follower in list(self._everybody()):
            follower.cut("unavailable", detail)

    def _everybody(self) -> Iterator[Follower[Any]]:
        return itertools.chain(self.hub.everybody(), self.views.everybody())

    async def follow(self, request: Request) -> Response:
        """GET: everything that happens to a deployment, from where the last event's id says, to its end."""
        key = _key_of(request)
        log.bind(deployment=key.deployment_id)
        writer = EventWriter(self._cursors, key)
        last_id = request.headers.get("Last-Event-ID") or request.query_params.get("last_event_id", "")
        mark = writer.read_id(last_id)
        with ExitStack() as held:
            self.hub.take_place()
            held.callback(self.hub.give_place)
            actor, good_until = await self._admit(request)
            await self._store.check_step(key)
            is_page = TICKET in request.query_params
            follower = Follower(key, actor, good_until, self._settings.stream_queue_bytes, is_page=is_page)
            topic = self.hub.enter(follower)
            held.callback(self.hub.leave, follower)
            await _first_look(topic, key.deployment_id)

            async def run(send: Send) -> None:
                try:
                    await Following(self.hub, self._store, follower, topic, writer, mark, send).run()
                except AWAY as error:  # the answer has begun, so its last event has to say it
                    _logger.warning("database_away", error=type(error).__name__)
                    await send(events.cut("unavailable", DATABASE_AWAY))

            return EventStream(run, on_disconnect=follower.finish, on_end=held.pop_all().close)

    async def _admit(self, request: Request) -> tuple[Actor, float]:
        """Programs come with a token, pages with a ticket."""
        if TICKET in request.query_params:
            visitor = await self._store.admit_ticket(request.query_params[TICKET])
            return visitor.actor, visitor.good_until
        return await self._store.admit(request.headers.get("Authorization"))

    async def live(self, _request: Request) -> Response:
        """GET: that this process answers."""
        return _json({"status": "ok"}, HTTPStatus.OK)

    async def ready(self, _request: Request) -> Response:
        """GET: whether followers can be served: Postgres is there."""
        if await self._store.answers():
            return _json({"status": "ready"}, HTTPStatus.OK)
        return _json({"status": "unavailable"}, HTTPStatus.SERVICE_UNAVAILABLE)


def create_app(settings: Settings) -> Starlette:
    """Make the application; `app.state.cut_everybody` sends all away."""
    streaming = Streaming(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with streaming.running():
            yield

    app = Starlette(
        routes=[
            Route(PATH, streaming.follow, methods=["GET"]),
            Route(LIVE, streaming.visiting.visit, methods=["GET"]),
            Route("/health/live", streaming.live, methods=["GET"]),
            Route("/health/ready", streaming.ready, methods=["GET"]),
        ],
        middleware=[Middleware(Observed)],
        exception_handlers={
            OrchestratorError: _orchestrator_problem,
            HTTPException: _http_problem,
            **dict.fromkeys(UNAVAILABLE, _database_away),
            Exception: _unexpected,
        },
        lifespan=lifespan,
    )
    app.state.cut_everybody = streaming.cut_everybody
    return app


async def _first_look(topic: Topic, deployment_id: int) -> None:
    """Wait until it is known how the deployment stands. Raises NotFoundError, UnavailableError."""
    try:
        async with asyncio.timeout(FIRST_LOOK_SECONDS):
            await topic.looked.wait()
    except TimeoutError as error:
        raise UnavailableError(DATABASE_AWAY) from error
    if topic.news is None:
        raise NotFoundError(f"there is no deployment {deployment_id}")


def _tell_defect(task: "asyncio.Task[None]") -> None:
    """Without the reader nobody would be sent anything: better to end, and be started again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _logger.critical("reader_ended", exc_info=error)
        asyncio.get_running_loop().stop()


def _key_of(request: Request) -> Key:
    unknown = set(request.query_params) - {"step", "last_event_id", TICKET}
    if unknown:
        raise InvalidInputError(
            problems=[FieldProblem(f"/query/{each}", "Unknown field.") for each in sorted(unknown)]
        )
    deployment_id = int(request.path_params["deployment_id"])
    if not 0 < deployment_id <= MAX_ID:
        raise NotFoundError(f"there is no deployment {deployment_id}")
    step = request.query_params.get("step")
    if step is None:
        return Key(deployment_id)
    if not (step.isascii() and step.isdecimal() and 0 < int(step) <= MAX_ID):
        raise InvalidInputError(problems=[FieldProblem("/query/step", "Not a valid integer.")])
    return Key(deployment_id, int(step))


def _orchestrator_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, OrchestratorError):
        raise error
    status = problems.status_of(error)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(request, error)
    body = problems.document(
        status,
        code=error.code,
        title=problems.title_of(error),
        instance=request.url.path,
        request_id=request_id_of(request.scope),
        detail=error.message,
        errors=error.problems if isinstance(error, InvalidInputError) else (),
    )
    return _json(body, status, headers=problems.headers_of(error), media_type=problems.PROBLEM_JSON)


def _http_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    return _problem(
        request, status, code=status.name.lower(), title=status.phrase, headers=dict(error.headers or {})
    )


def _database_away(request: Request, error: Exception) -> Response:
    _logger.warning("database_away", error=type(error).__name__)
    return _orchestrator_problem(request, refusal(error))


def _unexpected(request: Request, _error: Exception) -> Response:
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _problem(request, status, code="internal_error", title="Something went wrong inside.", headers={})


def _problem(
    request: Request, status: HTTPStatus, *, code: str, title: str, headers: dict[str, str]
) -> Response:
    request_id = request_id_of(request.scope)
    body = problems.document(status, code=code, title=title, instance=request.url.path, request_id=request_id)
    return _json(body, status, headers=headers, media_type=problems.PROBLEM_JSON)


def _json(
    value: object,
    status: HTTPStatus,
    *,
    headers: dict[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    return Response(dumps(value), status_code=status, headers=headers, media_type=media_type)
