"""How long it took after each fault until what it held up went on.

A fault's clock starts when it heals: a killed process was started again, a link carries again, a stopped process goes on.
Held up by it is, at that moment, every open attempt that is due and that nobody holds, or whose lease is held by a worker
that the fault took away, and the first in line of every free slot. Each of these is over when the attempt is claimed anew or has
ended, or when the deployment has left `pending`; the fault's recovery is the slowest of them. There are two figures:

- `seconds`: from the heal on, whatever else broke meanwhile;
- `able_seconds`: the same, but while something that has no substitute is broken (Postgres, or every worker of the node on
  which the run lives) the clock does not run: it starts anew when that heals. One worker of a node that is well is
  enough for the clock to run, and a worker counts as well from the moment in which it is started, not ready.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from orchestrator import clock
from tests.chaos.observer import Sample

ANY_NODE = ""


class Ability:
    """Since when each node could do work: it has a worker that is well, and Postgres is."""

    def __init__(self, nodes: Mapping[str, str], *, now: Callable[[], float] = clock.monotonic) -> None:
        self.now = now
        self._nodes = dict(nodes)
        """The node of each worker."""
        self._broken: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._able = dict.fromkeys((*nodes.values(), ANY_NODE), True)
        self._since = dict.fromkeys(self._able, 0.0)

    @contextmanager
    def without(self, *what: str) -> Iterator[None]:
        """While this goes on, these (workers, or `postgres`) are of no use."""
        self._change(what, 1)
        try:
            yield
        finally:
            self._change(what, -1)

    def since(self, node: str | None) -> float:
        """Since when work of this node could be done; None: work that any node can do."""
        with self._lock:
            return self._since.get(node or ANY_NODE, self._since[ANY_NODE])

    def _change(self, what: tuple[str, ...], by: int) -> None:
        with self._lock:
            for each in what:
                self._broken[each] += by
            for node, before in self._able.items():
                workers = [w for w, place in self._nodes.items() if node in {place, ANY_NODE}]
                able = not self._broken["postgres"] and any(not self._broken[w] for w in workers)
                self._able[node] = able
                if able and not before:
                    self._since[node] = self.now()


@dataclass
class Recovery:
    """What one fault left, and since when."""

    fault: str
    healed_at: float
    workers: frozenset[str] = frozenset()
    """Names of workers that it took away."""
    attempts: dict[int, Any] | None = None
    """Attempts it held up, as they were."""
    pending: set[int] = field(default_factory=set)
    held_up: int = 0
    seconds: float = 0.0
    able_seconds: float = 0.0
    last: str = "nothing"
    """What went on last."""

    def begin(self, sample: Sample) -> None:
        """Take down what it holds up."""
        self.attempts = {
            a.id: a
            for a in sample.attempts.values()
            if a.due and (a.idle or (a.worker is not None and a.worker in self.workers))
        }
        self.pending = {i for i in sample.movable() if sample.deployments[i].status == "pending"}
        self.held_up = len(self.attempts) + len(self.pending)

    def look(self, sample: Sample, ability: Ability) -> bool:
        """Strike out what goes on again; whether nothing is left."""
        assert self.attempts is not None
        for attempt_id, before in tuple(self.attempts.items()):
            now = sample.attempts.get(attempt_id)
            if now is None or now.token != before.token:
                del self.attempts[attempt_id]
                what = f"attempt {attempt_id} of deployment {before.deployment_id} on {before.node or 'any node'}"
                self._over(what, sample.at, ability.since(before.node))
        movable = set(sample.movable())
        for deployment_id in tuple(self.pending):
            if deployment_id not in movable or sample.deployments[deployment_id].status != "pending":
                self.pending.discard(deployment_id)
                self._over(f"pending deployment {deployment_id}", sample.at, ability.since(None))
        return not self.attempts and not self.pending

    def _over(self, what: str, at: float, able_since: float) -> None:
        self.last = what
        self.seconds = max(self.seconds, at - self.healed_at)
        self.able_seconds = max(self.able_seconds, at - max(self.healed_at, min(able_since, at)))


class Recoveries:
    """All faults' clocks; fed with samples by the observer."""

    def __init__(self, ability: Ability) -> None:
        self.done: list[Recovery] = []
        self._open: list[Recovery] = []
        self._ability = ability

    def healed(self, fault: str, *, workers: frozenset[str] = frozenset()) -> None:
        """A fault healed now; callable from any thread."""
        self._open.append(Recovery(fault, self._ability.now(), workers))

    def look(self, sample: Sample) -> None:
        """Take a sample in."""
        for each in tuple(self._open):
            if sample.at <= each.healed_at:
                continue
            if each.attempts is None:
                each.begin(sample)
            if each.look(sample, self._ability):
                self._open.remove(each)
                self.done.append(each)

    def unfinished(self) -> list[str]:
        """What has not recovered."""
        return [
            f"{each.fault}: attempts {sorted(each.attempts or {})}, pending {sorted(each.pending)}"
            for each in self._open
        ]

    def of_consequence(self) -> list[Recovery]:
        """The faults that held something up."""
        return [each for each in self.done if each.held_up]
