"""The model's own book: every start that was not allowed is named, and none that was."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.model.book import Book, Lock, Need, Request, Stretch

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ADA, GRACE, LINUS, EVE = 1, 2, 3, 4
AUTOMATIC = 99


@pytest.fixture
def book() -> Book:
    made = Book(requests={7: Request(ADA)})
    made.needs["production"] = [Need(2, frozenset({ADA, GRACE, LINUS}), lasting=HOUR)]
    return made


def against(book: Book, environment: str = "staging", at: datetime = NOON, id_: int = 7) -> list[str]:
    return list(book.against(id_, environment, at=at))


def test_nothing_speaks_against_what_nobody_forbade(book: Book) -> None:
    assert against(book) == []


def test_a_freeze_holds_from_its_start_up_to_its_end(book: Book) -> None:
    book.stretches[5] = Stretch(True, "staging", NOON, NOON + HOUR)
    book.requests[7] = Request(ADA, overrides=True)
    assert against(book) == ["freeze 5 holds"]
    assert against(book, at=NOON + HOUR) == []
    assert against(book, at=NOON - timedelta(seconds=1)) == []
    assert against(book, id_=AUTOMATIC) == []


def test_outside_all_windows_only_who_overrode_them_starts(book: Book) -> None:
    book.stretches[5] = Stretch(False, "staging", NOON + HOUR, NOON + 2 * HOUR)
    assert against(book) == ["no window is open"]
    assert against(book, at=NOON + HOUR) == []
    book.stretches[6] = Stretch(False, "staging", NOON - HOUR, NOON + HOUR)
    assert against(book) == []
    del book.stretches[6]
    book.requests[7] = Request(ADA, overrides=True)
    assert against(book) == []


@pytest.mark.parametrize("environment", [None, "staging"])
def test_a_lock_holds_all_but_its_owner_until_its_end(book: Book, environment: str | None) -> None:
    book.locks[3] = Lock(GRACE, environment, NOON + HOUR)
    assert against(book) == ["lock 3 holds"]
    assert against(book, at=NOON + HOUR) == []
    assert against(book, id_=AUTOMATIC) == []
    book.locks[3] = Lock(ADA, environment)
    assert against(book) == []


def test_a_lock_of_another_environment_holds_nobody_here(book: Book) -> None:
    book.locks[3] = Lock(GRACE, "production")
    assert against(book) == []


def test_enough_of_the_right_people_have_to_agree_and_their_yes_ends(book: Book) -> None:
    assert against(book, "production") == ["0 of 2 agreed"]
    book.yeses |= {(7, ADA): NOON, (7, GRACE): NOON, (7, EVE): NOON, (8, LINUS): NOON}
    assert against(book, "production") == ["1 of 2 agreed"]
    book.yeses[7, LINUS] = NOON + timedelta(minutes=30)
    assert against(book, "production") == []
    assert against(book, "production", at=NOON + HOUR) == ["1 of 2 agreed"]
    book.requests[7] = Request(ADA, goes_back=True)
    assert against(book, "production", at=NOON + HOUR) == []
