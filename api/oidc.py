"""Logging in at an OpenID Connect provider: what it is asked."""

import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the provider, to be compared with what comes back."""

    redirect_url: str
    nonce: str
    verifier: str


def ask(redirect_url: str) -> Asked:
    """A new question that nobody can guess."""
    return Asked(redirect_url, secrets.token_urlsafe(32), secrets.token_urlsafe(32))
