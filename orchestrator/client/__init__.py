"""Speaks the HTTP API. Knows nothing of terminals, and nothing of the server's inside."""

from orchestrator.client.problems import Answer, ApiError, Problem, UnreachableError
from orchestrator.client.resources import Client, Page, Record, quoted
from orchestrator.client.sse import ServerEvent
from orchestrator.client.streams import NO_DEPLOYMENT, DeploymentStream, NotStreamedError
from orchestrator.client.tokens import MemoryTokens, Tokens, TokenStore
from orchestrator.client.transport import API, Patience

__all__ = [
    "API",
    "NO_DEPLOYMENT",
    "Answer",
    "ApiError",
    "Client",
    "DeploymentStream",
    "MemoryTokens",
    "NotStreamedError",
    "Page",
    "Patience",
    "Problem",
    "Record",
    "ServerEvent",
    "TokenStore",
    "Tokens",
    "UnreachableError",
    "quoted",
]
