"""Ports for what tests start: they are chosen before the server is, so nobody else may come upon them meanwhile."""

from collections import deque

from orchestrator.embedded.ports import Port, for_store

_KEPT = 100
"""Promises; whose port is longer ago listens at it, or needs it no more."""

_taken: deque[Port] = deque()


def free_port() -> int:
    """A port that no outgoing connection gets and no other test of this machine: free, and promised to this process."""
    _taken.append(Port.take(for_store(None)))
    if len(_taken) > _KEPT:
        _taken.popleft().release()
    return _taken[-1].number
