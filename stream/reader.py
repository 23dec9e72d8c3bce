"""The one reader of the process: looks at Postgres while anybody follows anything, and hands out what it saw."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from orchestrator import clock, log
from orchestrator.db import DATABASE_AWAY
from orchestrator.pulse import Pulse
from stream.hub import Hub
from stream.looking import Asked, Found, Looker
from stream.metrics import LOOKS

LOOK_EVERY_SECONDS = 0.12
MOST_SHARE = 0.25
"""How much of its time the reader may spend in looks, so that Postgres has the rest."""
CHECK_SECONDS = 5.0
OUTAGE_SECONDS = 10.0
"""How long programs are kept while Postgres does not answer."""
PAGE_OUTAGE_SECONDS = 2.0
"""How long pages are: they ask web then, and say that what they show may be old."""
AWAY = (DBAPIError, PoolTimeoutError)

_logger = log.get(__name__)


class Reader:
    """Runs until it is cancelled. Looks happen in one thread of its own, one at a time."""

    def __init__(self, hub: Hub, looker: Looker, pulse: Pulse) -> None:
        self._hub = hub
        self._looker = looker
        self._pulse = pulse
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")
        self._checked_at = clock.monotonic()
        self._away_since: float | None = None
        self._took = 0.0
        """How long the last look took Postgres and us, without the time until the event loop came to its answer."""

    async def run(self) -> None:
        """Look, hand out, rest; sleep while nobody follows."""
        try:
            while True:
                await self._hub.followed.wait()
                more = await self._look()
                took = self._took
                LOOKS.observe(took)
                await asyncio.sleep(0 if more else max(LOOK_EVERY_SECONDS - took, took / MOST_SHARE - took))
        finally:
            self._thread.shutdown(wait=False)

    async def _look(self) -> bool:
        check = clock.monotonic() - self._checked_at >= CHECK_SECONDS
        asked = self._hub.asked(with_sign_ins=check)
        try:
            found = await self._ask(asked)
        except AWAY as error:
            self._bear(error)
            return False
        self._away_since = None
        if check:
            self._checked_at = clock.monotonic()
            self._hub.cut_signed_out(asked, found.signed_in, clock.now().timestamp())
        return self._hub.publish(asked, found)

    async def _ask(self, asked: Asked) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._timed_look, asked)

    def _timed_look(self, asked: Asked) -> Found:
        """In the thread: while a thousand followers are sent something, an answer waits for its turn."""
        begun = clock.monotonic()
        try:
            with self._pulse.waiting():
                return self._looker.look(asked)
        finally:
            self._took = clock.monotonic() - begun

    def _bear(self, error: Exception) -> None:
        """A restart of Postgres is no reason to send everybody away; more is."""
        now = clock.monotonic()
        if self._away_since is None:
            self._away_since = now
            _logger.warning("database_away", error=type(error).__name__)
        elif now - self._away_since > OUTAGE_SECONDS:
            self._hub.cut_everybody(DATABASE_AWAY)
        elif now - self._away_since > PAGE_OUTAGE_SECONDS:
            self._hub.cut_pages(DATABASE_AWAY)
