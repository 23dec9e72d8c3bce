"""How each page renews itself while it is open. Every view that is read says it, right behind what it asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import current_app, request

from orchestrator.domain.telling import EVERYTHING

V = TypeVar("V", bound=Callable[..., Any])
_RENEWAL = "renewal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """How a page comes to show what has changed."""

    news: tuple[str, ...] = ()
    """What the stream tells it of: kinds of events, or groups of them; then it asks web for its part again."""
    every_seconds: int = 0
    """How often it asks again without being told."""
    is_noted: bool = False
    """It only says that something changed: somebody is about to decide by what it shows."""
    why_never: str = ""
    """Why nothing on it changes."""

    @property
    def asks(self) -> bool:
        """Whether it asks web for its part again."""
        return bool(self.news or self.every_seconds)


def told(*news: str) -> Callable[[V], V]:
    """It asks again as soon as something of these kinds has happened."""
    return _says(Renewal(news=news))


def told_everything() -> Callable[[V], V]:
    """It asks again as soon as anything has happened."""
    return told(EVERYTHING)


def noted(*news: str) -> Callable[[V], V]:
    """As `told`, but it stays as it is, and says that it is old where web would show something else now."""
    return _says(Renewal(news=news, is_noted=True))


def asks(*, every_seconds: int) -> Callable[[V], V]:
    """It asks again and again: what it shows is written nowhere that the stream could look."""
    return _says(Renewal(every_seconds=every_seconds))


def sent() -> Callable[[V], V]:
    """The stream sends it what changes."""
    return _says(Renewal())


def never(why: str) -> Callable[[V], V]:
    """Nothing on it changes."""
    return _says(Renewal(why_never=why))


def _says(renewal: Renewal) -> Callable[[V], V]:
    def decorate(view: V) -> V:
        setattr(view, _RENEWAL, renewal)
        return view

    return decorate


def of(view: Callable[..., Any] | None) -> Renewal | None:
    """What a view says; None: it does not."""
    found = getattr(view, _RENEWAL, None)
    return found if isinstance(found, Renewal) else None


def of_request() -> Renewal | None:
    """How the page of this request renews itself; None where it does not, as no answer to a form does."""
    if request.method != "GET":
        return None
    found = of(current_app.view_functions.get(request.endpoint or ""))
    return found if found is not None and found.asks else None
