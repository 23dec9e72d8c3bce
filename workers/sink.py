"""Output on its way to Postgres: masked, gathered for a moment, stored in order, each byte once, and within its limit."""

from collections.abc import Callable

from orchestrator import clock
from orchestrator.domain.masking import Masker
from orchestrator.services.attempts import Claim, Output
from workers.leases import Hold

FLUSH_SECONDS = 0.2
FLUSH_BYTES = 512 * 1024
LAST_BYTES = 256 * 1024
"""How much of the end of an output that is too long is kept beside its beginning."""

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
        self._limit_bytes = limit_bytes
        self._stored = claim.output_bytes
        self._gathered = bytearray()
        self._since = 0.0
        self._left_out = 0

    def add(self, data: bytes) -> None:
        """Take what the run wrote next."""
        if data and not self._gathered:
            self._since = clock.monotonic()
        self._gathered += self._masker.feed(data)
        self.offset += len(data)
        if self._is_full():
            self._forget()
        else:
            self.flush(least_age=FLUSH_SECONDS)

    def flush(self, *, least_age: float = 0.0) -> None:
        """Store what was gathered, if it is much or old enough. Raises LeaseLostError."""
        if not self._gathered or self._is_full():
            return
        if len(self._gathered) < FLUSH_BYTES and clock.monotonic() - self._since < least_age:
            return
        output = Output(self._stored, self.offset - self._masker.held, bytes(self._gathered))
        self._write(self._claim, self._hold, output)
        self._stored = output.end
        self._gathered.clear()

    def rest(self) -> Output:
        """What is not stored yet, once nothing more comes; goes with the record of the end."""
        self._gathered += self._masker.finish()
        if self._is_full():
            self._forget()
        data = bytes(self._gathered)
        if self._left_out:
            data = f"\n[{self._left_out:,} bytes left out, see LOG_LIMIT_BYTES]\n".encode() + data
        return Output(self._stored, self.offset, data, self._left_out)

    def _is_full(self) -> bool:
        return self._stored >= self._limit_bytes

    def _forget(self) -> None:
        """Keep only the end of what is too much."""
        too_much = len(self._gathered) - LAST_BYTES
        if too_much > 0:
            del self._gathered[:too_much]
            self._left_out += too_much
