"""I10: logs hold every byte that the run wrote, once, in order."""

from collections.abc import Iterator
from typing import Any

from tests.chaos.evidence import Evidence


def differ(evidence: Evidence) -> Iterator[str]:
    """Each attempt whose stored output is not what its command wrote."""
    ended = {entry.run for entry in evidence.ledger if entry.kind == "E"}
    for row in evidence.attempts:
        if row.ended_at is None or not row.started_at:
            continue
        pieces = evidence.log(row.id)
        stored = b"".join(data for _, data in pieces)
        yield from _gaps(row, pieces)
        own = evidence.own_copy(row.run)
        if own is not None:
            yield from _compare(row, stored, own, evidence.at_target(row.run), by_itself=row.run in ended)


def _gaps(row: Any, pieces: list[tuple[int, bytes]]) -> Iterator[str]:
    offset = 0
    for start, data in pieces:
        if start != offset:
            yield f"the log of run {row.run} goes on at byte {start} after byte {offset}"
        offset = start + len(data)
    if offset != row.output_bytes:
        yield f"the log of run {row.run} ends at byte {offset} and counts {row.output_bytes}"


def _compare(
    row: Any, stored: bytes, own: bytes, at_target: bytes | None, *, by_itself: bool
) -> Iterator[str]:
    """A command that was killed may have written a last line here and not there; both begin alike."""
    if by_itself and row.outcome in {"succeeded", "failed"} and stored != own:
        yield f"the log of run {row.run} is not what it wrote: {_difference(stored, own)}"
    elif not (stored.startswith(_whole_lines(own)) or own.startswith(_whole_lines(stored))):
        yield f"the log of run {row.run} does not begin as what it wrote: {_difference(stored, own)}"
    if at_target is not None and row.outcome != "succeeded" and stored != at_target:
        yield f"the log of run {row.run} is not its output at the target: {_difference(stored, at_target)}"


def _whole_lines(data: bytes) -> bytes:
    """Without what the last write may have begun: the last line, which was in the making."""
    return data[:-1].rpartition(b"\n")[0]


def _difference(stored: bytes, wrote: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(stored, wrote, strict=False)) if a != b), None)
    place = min(len(stored), len(wrote)) if at is None else at
    around = slice(max(0, place - 20), place + 20)
    return f"{len(stored)} bytes and {len(wrote)}, unlike from {place}: {stored[around]!r}, {wrote[around]!r}"
