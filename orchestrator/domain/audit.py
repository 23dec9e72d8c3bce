"""The chain of what happened: each entry's hash covers the one before it, and an export ends with a seal over all of them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

FIELDS = ("id", "subject", "seq", "kind", "at", "actor_id", "actor", "data", "hash")
"""Of an exported entry."""


def link(
    previous: bytes,
    *,
    subject: str,
    seq: int,
    kind: str,
    actor_id: int | None,
    at: datetime,
    data: Mapping[str, Any],
) -> bytes:
    """The hash of an entry: SHA-256 over the hash before it and the entry's canonical JSON."""
    entry = {"subject": subject, "seq": seq, "kind": kind, "actor_id": actor_id, "at": at, "data": data}
    return hashlib.sha256(previous + orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)).digest()


@dataclass(slots=True)
class Seal:
    """What the last line of an export says of all lines before it."""

    entries: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Take the next entry."""
        self.entries += 1
        self._digest.update(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) + b"\n")

    def add_line(self, line: bytes) -> None:
        """Take the next entry as it is written."""
        self.add(orjson.loads(line))

    def document(self) -> dict[str, Any]:
        """As it is written: how many entries there are, and one digest of all of each of them, in their order."""
        return {"seal": {"entries": self.entries, "digest": self._digest.hexdigest()}}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in an export; the first line is 1."""

    line: int
    says: str


def verify(lines: Iterable[bytes]) -> Iterator[Fault]:
    """Give everything wrong in an export: entries that were changed, are missing, were moved, or cut off at its end."""
    seal, sealed, number, last_id = Seal(), False, 0, 0
    heads: dict[str, tuple[int, bytes]] = {}
    for number, line in enumerate(lines, 1):
        entry = _read(line)
        if sealed:
            yield Fault(number, "comes after the seal, which is the last line of an export")
        elif entry is None:
            yield Fault(number, "is no entry of an export")
        elif "seal" in entry:
            sealed = True
            yield from _check_seal(number, entry, seal)
        else:
            seal.add(entry)
            yield from _check_entry(number, entry, heads, last_id)
            last_id = max(last_id, int(entry["id"]))
    if not sealed:
        yield Fault(number + 1, "is missing: an export ends with a seal, so something was cut off here")


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict):
        return None
    if set(found) == {"seal"} and isinstance(found["seal"], dict):
        return found
    numbers = all(type(found.get(name)) is int for name in ("id", "seq"))
    texts = all(isinstance(found.get(name), str) for name in ("subject", "kind", "at", "hash"))
    return found if set(found) == set(FIELDS) and numbers and texts else None


def _check_seal(number: int, found: Mapping[str, Any], seal: Seal) -> Iterator[Fault]:
    expected = seal.document()
    if found != expected:
        says = f"the seal is for {found['seal'].get('entries')} entries with another digest; here are {seal.entries}"
        yield Fault(number, f"{says}: some were added, left out, changed or moved")


def _check_entry(
    number: int, entry: Mapping[str, Any], heads: dict[str, tuple[int, bytes]], last_id: int
) -> Iterator[Fault]:
    subject = entry["subject"]
    name = f"entry {entry['seq']} of {subject}"
    seq, previous = heads.get(subject, (0, b""))
    if entry["id"] <= last_id:
        yield Fault(number, f"{name} was moved: it stood before the line before it")
    if entry["seq"] != seq + 1:
        missing = f"{seq + 1}" if entry["seq"] == seq + 2 else f"{seq + 1} to {entry['seq'] - 1}"
        says = (
            f"entry {missing} is missing before it"
            if entry["seq"] > seq
            else "it is there twice, or was moved"
        )
        yield Fault(number, f"{name}: {says}")
    elif _hash(entry, previous) != entry["hash"]:
        yield Fault(number, f"{name} was changed: its hash does not fit")
    try:
        digest = bytes.fromhex(entry["hash"])
    except ValueError:
        digest = b""
    heads[subject] = (max(seq, entry["seq"]), digest)


def _hash(entry: Mapping[str, Any], previous: bytes) -> str:
    try:
        at = datetime.fromisoformat(entry["at"])
    except ValueError:
        return ""
    parts = {name: entry[name] for name in ("subject", "seq", "kind", "actor_id", "data")}
    return link(previous, at=at, **parts).hex()
