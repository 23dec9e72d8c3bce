"""Telling pages that something has happened: each once, in turn, and not all in the same moment."""

import asyncio

from stream.followers import Follower
from stream.hearing import MOST_TOLD, Turns
from stream.view_keys import NEWS, ViewKey
from stream.visiting import NOBODY

KEY = ViewKey(NEWS, "", NOBODY, ("lock.*",))


def told(page: Follower[ViewKey]) -> int:
    """How often it was told since it was asked last."""
    page.heartbeat()  # so that `take` has something to wait for
    return asyncio.run(page.take()).count(b"event: news")


def test_pages_are_told_a_few_at_a_time_and_each_once() -> None:
    pages = [Follower(KEY, NOBODY, 1000.0, 1000) for _ in range(MOST_TOLD + 2)]
    turns = Turns()
    turns.add(pages)
    turns.take()
    turns.add(pages[-1:])
    assert [told(each) for each in pages] == [1] * MOST_TOLD + [0, 0]
    turns.add(pages[:1])
    turns.drop(pages[-2])
    turns.take()
    assert [told(each) for each in pages] == [1] + [0] * MOST_TOLD + [1]
    turns.take()
    assert sum(told(each) for each in pages) == 0
