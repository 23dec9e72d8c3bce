"""Handing out what a look found: nobody misses what happened while he joined, and nobody waits without a bound."""

import asyncio
import json

import pytest

from orchestrator.domain.access import Role
from orchestrator.services.actors import Actor
from stream.events import Key, Mark
from stream.hub import Follower, Hub, StreamFullError
from stream.looking import Found, News, Read

KEY = Key(7)
RUNNING = News("running", b'{"status":"running"}', 0, changed=True, steps={}, ended=False)


def follower(*, most_bytes: int = 100, sign_in: str = "one", good_until: float = 1000.0) -> Follower:
    return Follower(KEY, Actor(1, "ada", Role.VIEWER, sign_in), good_until, most_bytes)


def read(*events: bytes, over: bool = False) -> Found:
    return Found({7: RUNNING}, {KEY: Read(list(events), Mark(), over, more=False)})


def taken(one: Follower) -> bytes:
    return asyncio.run(one.take())


def test_who_joins_during_a_look_is_told_in_the_next_one_all_that_it_saw() -> None:
    hub, one = Hub(most_followers=9), follower()
    hub.enter(one)
    during = hub.asked(with_sign_ins=False)
    hub.join(one, Mark())
    hub.publish(during, Found({7: RUNNING}))
    assert taken_now(one) == b""
    assert set(hub.asked(with_sign_ins=False).anew) == {7}
    again = hub.asked(with_sign_ins=False)  # the look before this failed
    assert set(again.anew) == {7}
    hub.publish(again, Found({7: RUNNING}))
    assert set(hub.asked(with_sign_ins=False).anew) == set()


def taken_now(one: Follower) -> bytes:
    one.heartbeat()  # so that `take` has something to wait for
    return taken(one).removesuffix(b":\n\n")


def test_what_has_ended_is_looked_at_no_more() -> None:
    hub, one = Hub(most_followers=9), follower()
    hub.enter(one)
    ended = News("failed", b"{}", 0, changed=True, steps={}, ended=True)
    hub.publish(hub.asked(with_sign_ins=False), Found({7: ended}))
    assert set(hub.asked(with_sign_ins=False).deployments) == set()


def test_who_leaves_last_takes_the_looks_with_him() -> None:
    hub, one, other = Hub(most_followers=9), follower(), follower()
    for each in (one, other):
        hub.enter(each)
        hub.join(each, Mark())
    hub.leave(one)
    assert set(hub.asked(with_sign_ins=False).marks) == {KEY}
    hub.leave(other)
    assert not hub.followed.is_set()
    assert set(hub.asked(with_sign_ins=False).deployments) == set()


def test_a_follower_that_does_not_read_is_cut_off_and_the_others_are_not() -> None:
    hub, slow, quick = Hub(most_followers=9), follower(most_bytes=10), follower(most_bytes=10)
    for each in (slow, quick):
        hub.enter(each)
        hub.join(each, Mark())
    for _ in range(3):
        hub.publish(hub.asked(with_sign_ins=False), read(b"eleven byte"))
        assert taken(quick) == b"eleven byte"
    last = taken(slow)
    assert last.startswith(b"event: cut\ndata: ")
    assert json.loads(last.splitlines()[1].removeprefix(b"data: "))["code"] == "too_slow"
    assert taken(slow) == b""
    assert (slow.over, quick.over) == (True, False)


def test_the_end_is_sent_before_it_is_over() -> None:
    hub, one = Hub(most_followers=9), follower()
    hub.enter(one)
    hub.join(one, Mark())
    hub.publish(hub.asked(with_sign_ins=False), read(b"the end", over=True))
    assert (taken(one), taken(one)) == (b"the end", b"")


def test_only_who_was_asked_about_is_sent_away() -> None:
    hub, asked_about, too_late, expired = (
        Hub(most_followers=9),
        follower(sign_in="old"),
        follower(sign_in="new"),
        follower(sign_in="good", good_until=5.0),
    )
    hub.enter(asked_about)
    hub.enter(expired)
    asked = hub.asked(with_sign_ins=True)
    hub.enter(too_late)
    hub.cut_signed_out(asked, {"good"}, 6.0)
    assert [each.over for each in (asked_about, too_late, expired)] == [True, False, True]


def test_there_are_no_more_places_than_said() -> None:
    hub = Hub(most_followers=1)
    hub.take_place()
    with pytest.raises(StreamFullError):
        hub.take_place()
    hub.give_place()
    hub.take_place()
