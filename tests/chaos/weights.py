"""The proxies do what the database says, and nobody who asks for a page sees that anything is deployed."""

from collections import defaultdict
from collections.abc import Iterator
from math import inf

from tests.chaos.evidence import Evidence


def differ(evidence: Evidence) -> Iterator[str]:
    """Each server that weighs what nobody gave it, each request that failed or came to a target that was being changed."""
    perhaps = _perhaps(evidence)
    for place, weight in evidence.weights.items():
        if weight not in perhaps[place]:
            yield f"{place} weighs {weight} at its proxy, and the last step says {sorted(perhaps[place])}"
    yield from _other_side(evidence)
    yield from evidence.failed_requests
    yield from _in_the_middle(evidence)


def _perhaps(evidence: Evidence) -> dict[str, set[int]]:
    """What each target may weigh: what its last step that succeeded gave it, or one after it that did not may have."""
    steps = {step.id: step for step in evidence.steps}
    found: dict[str, set[int]] = defaultdict(set, {place: {w} for place, w in evidence.first_weights.items()})
    for row in evidence.attempts:  # the rows come in order
        step = steps[row.step_id]
        if step.weight is None or row.started_at is None:
            continue
        weights = found[f"{evidence.deployments[row.deployment_id].slot}.{step.target_name}"]
        if row.outcome == "succeeded":
            weights.clear()
        weights.add(step.weight)
    return found


def _other_side(evidence: Evidence) -> Iterator[str]:
    """Of two sides the one to which the last deployment that succeeded has switched gets everything."""
    switched = [row for row in evidence.deployments.values() if row.side and row.status == "succeeded"]
    live = {row.slot: row.side for row in sorted(switched, key=lambda row: row.ended_at)}
    spoilt = {
        row.slot for row in evidence.deployments.values() if "PUTTING BACK FAILED" in (row.failure or "")
    }
    for place, weight in evidence.weights.items():
        slot, _, name = place.rpartition(".")
        if slot in live and slot not in spoilt and (weight > 0) != (live[slot] == name):
            yield f"{place} weighs {weight} at its proxy, and the traffic of {slot} is on the side {live[slot]}"


def _in_the_middle(evidence: Evidence) -> Iterator[str]:
    """Requests that came to a target between the start and the end of a command that changed it."""
    ended_at = {row.run: row.ended_at.timestamp() for row in evidence.attempts if row.ended_at}
    ended_at |= {entry.run: entry.at for entry in evidence.ledger if entry.kind == "E"}
    changed = defaultdict(list)
    for entry in evidence.ledger:
        if entry.kind == "S":
            changed[entry.place].append((entry.at, ended_at.get(entry.run, inf), entry.run))
    for request in evidence.requests_at_servers:
        for start, end, run in changed[request.place]:
            if start < request.at < end:
                yield f"a request came to {request.place} {request.at - start:.3f} s after run {run} had begun there"
