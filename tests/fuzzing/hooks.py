"""Somebody who is logged in, for schemathesis: again, where a case ended the login. Read by `schemathesis.toml`."""

import os
from typing import Any

import schemathesis

from orchestrator.client import Client, MemoryTokens


@schemathesis.auth()
class Login:
    """An access token in each request."""

    def get(self, _case: Any, _context: Any) -> str:
        tokens = MemoryTokens()
        Client(os.environ["FUZZ_URL"], tokens).login(os.environ["FUZZ_USER"], os.environ["FUZZ_PASSWORD"])
        held = tokens.load()
        assert held is not None
        return held.access

    def set(self, case: Any, token: str, _context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {token}"
