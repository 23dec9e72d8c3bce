"""Keeping the leases of this process: all are renewed with one statement."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from orchestrator import clock, log
from orchestrator.db import Database
from orchestrator.domain.printing import printable
from orchestrator.repositories import attempts
from orchestrator.services.attempts import Claim

RENEW_SECONDS = 1.0
AGAIN_SECONDS = 0.1
"""When to try again to prolong one whose row somebody had."""
MOST_TROUBLE = 500
"""Characters of a trouble that are noted."""
SAFETY_SECONDS = 1.0
"""How long before its lease ends a worker stops acting: covers the way of the renewal to Postgres and back."""

_logger = log.get(__name__)


@dataclass(slots=True)
class Hold:
    """One lease as its follower sees it. `woken` is set when it should look: cancelled, lost, shutting down, or called back."""

    attempt_id: int
    token: int
    valid_until: float
    cancelling: bool
    stopping: bool = False
    """The process is shutting down."""
    called_back: int = 0
    trouble: str = ""
    """Why its target does not do what it should; noted with each renewal."""
    woken: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the lease is lost. What is to be written is to be written whatever else it should look at meanwhile."""

    @property
    def lost(self) -> bool:
        """Whether somebody else has it, or the attempt has ended."""
        return self.gone.is_set()

    @property
    def acts_until(self) -> float:
        """Until when this worker may act, by its own monotonic clock."""
        return self.valid_until - SAFETY_SECONDS

    def is_valid(self) -> bool:
        """Whether this worker may still act."""
        return not self.lost and clock.monotonic() < self.acts_until

    def troubled(self, why: str) -> None:
        """Its target does not do what it should, for now."""
        self.trouble = printable(why[:MOST_TROUBLE])

    def heard(self) -> None:
        """A callback was what woke its follower, who looks now; anything else stays said."""
        self.woken.clear()
        if self.lost or self.cancelling or self.stopping:  # perhaps meanwhile
            self.woken.set()


Guard = Callable[[str, int, Callable[[], object]], None]
"""`tasks.shell.at_the_edge`."""


class LeaseKeeper:
    """Renews every lease held in this process once a second, and tells followers what changed.

    By one of two threads. A connection may say nothing for ever, and whoever waits for it with it; then the other one goes on.
    """

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._holds: dict[int, Hold] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._any = threading.Event()
        self._due_at = 0.0

    def start(self, guard: Guard) -> None:
        """Begin to renew; whatever a renewal raises ends at the `guard`, and the next one is tried."""
        for number in (1, 2):
            name = f"lease-keeper-{number}"
            threading.Thread(target=self._run, args=(guard,), name=name, daemon=True).start()

    def hold(self, claim: Claim, *, claimed_at: float) -> Hold:
        """Keep the lease of a claim; `claimed_at` is the monotonic clock from before the claim was sent."""
        hold = Hold(claim.attempt_id, claim.token, claimed_at + self._lease_seconds, claim.cancelling)
        if self._stopping.is_set():
            hold.stopping = True
            hold.woken.set()
        with self._lock:
            self._holds[claim.attempt_id] = hold
        self._any.set()
        return hold

    def drop(self, hold: Hold) -> None:
        """Renew it no more."""
        with self._lock:
            if self._holds.get(hold.attempt_id) is hold:
                del self._holds[hold.attempt_id]

    def count(self) -> int:
        """How many leases are held."""
        with self._lock:
            return len(self._holds)

    def end_slices(self) -> None:
        """Shutting down: wake every follower, so that each gives its lease back."""
        self._stopping.set()
        with self._lock:
            for hold in self._holds.values():
                hold.stopping = True
                hold.woken.set()

    def cut_still(self, seconds: float) -> int:
        """As the database's: it has one of its own."""
        return self._database.cut_still(seconds)

    @property
    def stopping(self) -> bool:
        """Whether slices are to end now."""
        return self._stopping.is_set()

    def _run(self, guard: Guard) -> None:
        while True:
            self._any.wait()
            if holds := self._due():
                guard("leases", 0, partial(self._renew_all, holds))
            threading.Event().wait(max(0.0, self._due_at - clock.monotonic()))

    def _renew_all(self, holds: dict[int, Hold]) -> None:
        while (holds := self._renew(holds)) and clock.monotonic() + AGAIN_SECONDS < self._due_at:
            threading.Event().wait(AGAIN_SECONDS)

    def _due(self) -> dict[int, Hold]:
        """What is to be renewed now by who asks; nothing where another does that."""
        with self._lock:
            if not self._holds:
                self._any.clear()
            if not self._holds or clock.monotonic() < self._due_at:
                return {}
            self._due_at = clock.monotonic() + RENEW_SECONDS
            return dict(self._holds)

    def _renew(self, holds: dict[int, Hold]) -> dict[int, Hold]:
        """Prolong these; those of which somebody has the rows at this moment."""
        asked_at = clock.monotonic()
        tokens = {attempt_id: hold.token for attempt_id, hold in holds.items()}
        troubles = {attempt_id: hold.trouble for attempt_id, hold in holds.items()}
        try:
            with self._database.transaction() as session:
                ours = attempts.renew(session, tokens, lease_seconds=self._lease_seconds, troubles=troubles)
        except SQLAlchemyError as error:
            _logger.warning("leases_not_renewed", count=len(holds), error=type(error).__name__)
            return {}
        for attempt_id, hold in holds.items():
            if attempt_id not in ours:
                hold.gone.set()
                hold.woken.set()
                continue
            if ours[attempt_id].is_prolonged:
                hold.valid_until = max(hold.valid_until, asked_at + self._lease_seconds)
            if ours[attempt_id].cancelling and not hold.cancelling:
                hold.cancelling = True
                hold.woken.set()
            if ours[attempt_id].called_back > hold.called_back:
                hold.called_back = ours[attempt_id].called_back
                hold.woken.set()
        return {each: holds[each] for each, found in ours.items() if not found.is_prolonged}
