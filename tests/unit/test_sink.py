"""Output on its way to Postgres, however it comes in pieces and however often another worker goes on with it."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.masking import Secrets, Withheld
from orchestrator.services.attempts import Claim, Output
from workers import sink as sinks
from workers.leases import Hold
from workers.sink import Sink

HOLD = Hold(1, 1, math.inf, cancelling=False)
SECRET = "hunter22"
MARKER = re.compile(rb"\n\[([0-9,]+) bytes left out, see LOG_LIMIT_BYTES\]\n")
SMALL = {"FLUSH_BYTES": 16, "LAST_BYTES": 8}

outputs = st.lists(
    st.sampled_from([b"hunter22", b"hunter2", b"hunt", b"er22", b"h", b"\n", b"\x00\xff", b"line 1\n"]),
    max_size=40,
).map(b"".join)


@dataclass(frozen=True)
class Lease:
    """What a sink reads of a claim."""

    output_bytes: int
    left_out_bytes: int


@dataclass
class Store:
    """What Postgres would hold: it takes only what is next."""

    limit: int
    secrets: tuple[str, ...] = (SECRET,)
    data: bytes = b""
    end: int = 0
    left_out: int = 0
    writes: list[Output] = field(default_factory=list)

    def write(self, _claim: Claim, _hold: Hold, output: Output) -> None:
        assert output.start == self.end
        self.data += output.data
        self.end = output.end
        self.left_out += output.left_out
        self.writes.append(output)

    def sink(self) -> Sink:
        lease = cast(Claim, Lease(self.end, self.left_out))
        return Sink(lease, HOLD, self.write, masker=Secrets(self.secrets), limit_bytes=self.limit)


def follow(store: Store, output: bytes, steps: list[tuple[str, int]]) -> None:
    """Read all of `output` with sinks that hand on or die on the way, then record the end."""
    sink = store.sink()
    for what, size in steps:
        if what == "read":
            sink.add(output[sink.offset : sink.offset + size])
        else:
            if what == "hand on":
                sink.hand_on()
            sink = store.sink()
    sink.add(output[sink.offset :])
    store.write(cast(Claim, None), HOLD, sink.rest())


steps = st.lists(
    st.tuples(st.sampled_from(["read", "read", "read", "hand on", "die"]), st.integers(1, 30)), max_size=30
)


@pytest.fixture(autouse=True, scope="module")
def small() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(sinks, name, value)
        yield


@given(outputs, steps)
def test_every_byte_is_stored_once_whoever_goes_on(output: bytes, steps: list[tuple[str, int]]) -> None:
    store = Store(limit=10_000)
    follow(store, output, steps)
    assert store.data == output.replace(SECRET.encode(), b"***")
    assert (store.end, store.left_out) == (len(output), 0)


@given(outputs, steps, st.integers(1, 60))
def test_of_too_much_the_beginning_and_the_end_are_kept_whoever_goes_on(
    output: bytes, steps: list[tuple[str, int]], limit: int
) -> None:
    store = Store(limit, secrets=())
    follow(store, output, steps)
    assert store.end == len(output)
    if not store.left_out:
        assert store.data == output
        return
    begin, number, end = MARKER.split(store.data)
    assert int(number) == store.left_out == len(output) - len(begin) - len(end)
    assert output.startswith(begin)
    assert output.endswith(end)
    assert len(begin) >= limit
    assert len(end) >= SMALL["LAST_BYTES"]


@given(outputs, steps, st.integers(1, 60))
def test_the_end_of_too_much_shows_no_secret(output: bytes, steps: list[tuple[str, int]], limit: int) -> None:
    store = Store(limit)
    follow(store, output, steps)
    parts = MARKER.split(store.data)
    shown = output.replace(SECRET.encode(), b"***")
    assert shown.startswith(parts[0])
    assert shown.endswith(parts[-1])
    assert bool(store.left_out) == (len(parts) == 3)


def test_who_goes_on_past_the_limit_reads_only_the_end_again() -> None:
    store = Store(limit=100, secrets=())
    sink = store.sink()
    for _ in range(1000):
        sink.add(b"0123456789")
    sink.hand_on()
    assert 10_000 - store.sink().offset <= 2 * SMALL["LAST_BYTES"] + 10


def test_a_line_after_a_silence_is_stored_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(sinks.clock, "monotonic", lambda: now[0])
    store = Store(limit=100)
    sink = store.sink()
    now[0] += sinks.FLUSH_SECONDS
    sink.add(b"one\n")
    assert store.data == b"one\n"
    sink.add(b"two\n")
    assert store.data == b"one\n"
    assert sink.due_in_seconds() == pytest.approx(sinks.FLUSH_SECONDS)
    now[0] += sinks.FLUSH_SECONDS
    sink.flush()
    assert store.data == b"one\ntwo\n"
    assert sink.due_in_seconds() == math.inf


def test_what_is_withheld_is_read_again_by_who_knows_the_secret() -> None:
    store = Store(limit=100)
    lease = cast(Claim, Lease(0, 0))
    blind = Sink(lease, HOLD, store.write, masker=Withheld("no key"), limit_bytes=100)
    blind.add(b"hunter22 and more")
    blind.hand_on()
    assert store.writes == []
    follow(store, b"hunter22 and more", [])
    assert store.data == b"*** and more"


def test_what_stays_withheld_says_why() -> None:
    store = Store(limit=100)
    lease = cast(Claim, Lease(0, 0))
    blind = Sink(lease, HOLD, store.write, masker=Withheld("no key"), limit_bytes=100)
    blind.add(b"hunter22")
    assert blind.rest() == Output(0, 8, b"[output withheld: no key]\n")
