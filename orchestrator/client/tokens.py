"""Access and refresh tokens, and where they live between requests."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a login gave. Without `refresh` (an API token) there is nothing to renew."""

    access: str
    refresh: str | None = None


class TokenStore(Protocol):
    """Where the tokens live between requests."""

    def load(self) -> Tokens | None:
        """The newest tokens, also when another process wrote them."""

    def save(self, tokens: Tokens | None) -> None:
        """Keep them, or forget them; called inside `locked`."""

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else renews the tokens inside: a refresh token used twice ends the whole login."""


@dataclass(slots=True)
class MemoryTokens:
    """Tokens of this process only."""

    tokens: Tokens | None = None

    def load(self) -> Tokens | None:
        """The tokens."""
        return self.tokens

    def save(self, tokens: Tokens | None) -> None:
        """Replace them."""
        self.tokens = tokens

    def locked(self) -> AbstractContextManager[None]:
        """Nothing to lock."""
        return nullcontext()


def tokens_of(found: Any) -> Tokens:
    """The tokens in an answer to a login or a refresh."""
    return Tokens(found["access_token"], found.get("refresh_token"))
