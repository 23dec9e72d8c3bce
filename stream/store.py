"""What followers ask Postgres for one by one: who they are, and what was written before they came."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from orchestrator import clock
from orchestrator.config import Settings
from orchestrator.db import Database, Lookups
from orchestrator.domain.access import Permission
from orchestrator.presenting.logs import MAX_PAGE_BYTES
from orchestrator.pulse import Pulse
from orchestrator.repositories import logs, steps, streams
from orchestrator.services import credentials
from orchestrator.services.actors import Actor
from orchestrator.services.tokens import TokenReader
from stream.events import Key
from stream.looking import MOST_STEPS

THREADS = 4
ANSWER_SECONDS = 1.0
VISIT_SECONDS = 300.0
"""After which an open page asks web again, which looks anew at who it is and what they may."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a page open: who, when to come back with another ticket, and kinds of what the page may be told."""

    actor: Actor
    good_until: float
    news: tuple[str, ...]


class Store:
    """Asks in a few threads, so that any number of followers holds only a few connections."""

    def __init__(self, settings: Settings, database: Database, pulse: Pulse) -> None:
        self._database = database
        self._lookups = Lookups(settings)
        self._pulse = pulse
        pulse.guard(self._lookups.engine)
        self._tokens = TokenReader(settings.secret_key)
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="store")

    def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._lookups.close()

    async def admit(self, authorization: str | None) -> tuple[Actor, float]:
        """Who it is, and until when the token is good (seconds since the epoch). Raises UnauthenticatedError."""
        return await self._ask(lambda: self._admit(authorization))

    async def admit_ticket(self, ticket: str) -> Visitor:
        """Whose page it is. Raises UnauthenticatedError."""
        return await self._ask(lambda: self._admit_ticket(ticket))

    async def check_step(self, key: Key) -> None:
        """Raise NotFoundError where the step is none of the deployment."""
        if key.step_id is not None:
            await self._ask(lambda: self._check_step(key.deployment_id, key.step_id or 0))

    async def pieces(self, key: Key, *, after: tuple[int, int], limit: int, ended: bool) -> list[Row[Any]]:
        """The next pieces of a log."""
        return await self._ask(lambda: self._pieces(key, after, limit, ended))

    async def steps(self, deployment_id: int, low: int, high: int) -> list[Row[Any]]:
        """Steps of these waves as they are now."""
        return await self._ask(lambda: self._steps(streams.Waves(deployment_id, low, high)))

    async def answers(self) -> bool:
        """Whether Postgres does, within ANSWER_SECONDS."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._ask(self._select_one)
        except (DBAPIError, PoolTimeoutError, TimeoutError):
            return False
        return True

    async def _ask(self, ask: Callable[[], T]) -> T:
        in_context = partial(copy_context().run, ask)  # so that what is logged says for whom
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._wait_for, in_context)

    def _wait_for(self, ask: Callable[[], T]) -> T:
        with self._pulse.waiting():
            return ask()

    def _admit(self, authorization: str | None) -> tuple[Actor, float]:
        actor, good_until = credentials.admit(authorization, tokens=self._tokens, lookup=self._lookups)
        actor.require(Permission.READ)
        return actor, good_until

    def _admit_ticket(self, ticket: str) -> Visitor:
        actor, news = credentials.admit_ticket(ticket, tokens=self._tokens, lookup=self._lookups)
        actor.require(Permission.READ)
        return Visitor(actor, clock.now().timestamp() + VISIT_SECONDS, news)

    def _check_step(self, deployment_id: int, step_id: int) -> None:
        with self._database.reading() as session:
            steps.get(session, deployment_id, step_id)

    def _pieces(self, key: Key, after: tuple[int, int], limit: int, ended: bool) -> list[Row[Any]]:
        with self._database.reading() as session:
            return logs.read(
                session,
                deployment_id=key.deployment_id,
                step_id=key.step_id,
                after=after,
                limit=limit,
                most_bytes=MAX_PAGE_BYTES,
                ended=ended,
            )

    def _steps(self, waves: streams.Waves) -> list[Row[Any]]:
        with self._database.reading() as session:
            return streams.steps(session, [waves], seen=[], most=MOST_STEPS)

    def _select_one(self) -> None:
        self._lookups(lambda connection: connection.execute(text("SELECT 1")).scalar())
