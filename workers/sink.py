"""Output on its way to Postgres: masked, gathered for a moment, stored in order, each byte once, and within its limit."""

import math
from collections.abc import Callable

from orchestrator import clock
from orchestrator.domain.masking import Masker
from orchestrator.services.attempts import Claim, Output
from workers.leases import Hold

FLUSH_SECONDS = 0.2
FLUSH_BYTES = 512 * 1024
LAST_BYTES = 256 * 1024
"""How much of the end of an output that is too long is kept at least beside its beginning; at most twice as much and a piece."""

Write = Callable[[Claim, Hold, Output], None]


class Sink:
    """One attempt's output. Past `limit_bytes` only its last part is kept, and goes with the record of the end."""

    def __init__(self, claim: Claim, hold: Hold, write: Write, *, masker: Masker, limit_bytes: int) -> None:
        self.offset = claim.output_bytes
        """The next byte to ask the target for."""
        self._claim = claim
        self._hold = hold
        self._write = write
        self._masker = masker
        self._limit_bytes = 0 if claim.left_out_bytes else limit_bytes
        self._stored = claim.output_bytes
        self._stored_at = clock.monotonic()
        self._left_out = claim.left_out_bytes
        self._earlier = b""
        self._earlier_from = claim.output_bytes
        self._gathered = bytearray()
        self._gathered_from = claim.output_bytes

    def add(self, data: bytes) -> None:
        """Take what the run wrote next. Raises LeaseLostError."""
        self._gathered += self._masker.feed(data)
        self.offset += len(data)
        if self._is_full():
            self._leave_out()
        else:
            self.flush()

    def due_in_seconds(self) -> float:
        """How long what was gathered may wait: one line after a silence not at all, many lines are stored together."""
        if not self._gathered or self._is_full():
            return math.inf
        if len(self._gathered) >= FLUSH_BYTES:
            return 0.0
        return max(0.0, self._stored_at + FLUSH_SECONDS - clock.monotonic())

    def flush(self) -> None:
        """Store what was gathered, if it is due. Raises LeaseLostError."""
        if self.due_in_seconds() <= 0:
            self.hand_on()

    def hand_on(self) -> None:
        """Store all that whoever goes on need not read again. Raises LeaseLostError."""
        if self._is_full():
            self._store(b"", end=self._earlier_from)
            return
        self._store(bytes(self._gathered), end=self._shown_to())
        self._earlier_from = self._gathered_from = self._stored
        self._stored_at = clock.monotonic()
        self._gathered.clear()

    def rest(self) -> Output:
        """What is not stored yet, once nothing more comes; goes with the record of the end."""
        data = self._earlier + bytes(self._gathered) + self._masker.finish()
        newly_left_out = self._earlier_from - self._stored
        if left_out := self._left_out + newly_left_out:
            data = f"\n[{left_out:,} bytes left out, see LOG_LIMIT_BYTES]\n".encode() + data
        return Output(self._stored, self.offset, data, newly_left_out)

    def _store(self, data: bytes, *, end: int) -> None:
        if end > self._stored:
            left_out = self._earlier_from - self._stored
            self._write(self._claim, self._hold, Output(self._stored, end, data, left_out))
            self._stored, self._left_out = end, self._left_out + left_out

    def _shown_to(self) -> int:
        """How far what came out of the masker goes."""
        return self.offset - self._masker.held

    def _is_full(self) -> bool:
        return self._stored >= self._limit_bytes

    def _leave_out(self) -> None:
        """Of what is too much keep only the end: the last whole part, and the one that is being gathered."""
        if len(self._gathered) >= LAST_BYTES:
            self._earlier, self._earlier_from = bytes(self._gathered), self._gathered_from
            self._gathered_from = self._shown_to()
            self._gathered.clear()
