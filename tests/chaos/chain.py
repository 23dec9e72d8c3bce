"""The hash chain of events, verified by a reading of its own of how it is made."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any


def broken(events: Sequence[Any], deployments: Mapping[int, Any]) -> Iterator[str]:
    """Each link that does not hold, and each deployment whose head is not the end of its chain."""
    heads: dict[str, tuple[int, bytes]] = {}
    for event in events:
        seq, previous = heads.get(event.subject, (0, b""))
        if event.seq != seq + 1:
            yield f"the events of {event.subject} go from {seq} to {event.seq}"
        if bytes(event.hash) != link(previous, event):
            yield f"the hash of event {event.seq} ({event.kind}) of {event.subject} does not follow"
        heads[event.subject] = (event.seq, bytes(event.hash))
    for row in deployments.values():
        if heads.get(f"deployment:{row.id}") != (row.event_seq, bytes(row.event_hash)):
            yield f"the chain of deployment {row.id} does not end where its row says"


def link(previous: bytes, event: Any) -> bytes:
    """SHA-256 over the hash before it and the entry as JSON with sorted keys and no spaces."""
    entry = {
        "subject": event.subject,
        "seq": event.seq,
        "kind": event.kind,
        "actor_id": event.actor_id,
        "at": event.at.astimezone(UTC).isoformat(),
        "data": event.data,
    }
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous + text.encode()).digest()
