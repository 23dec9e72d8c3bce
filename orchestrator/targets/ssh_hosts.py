"""Where hosts are, the way there, and why a host is not spoken to."""

from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.targets.base import TargetError


class HostKeyError(TargetError):
    """The host's key is not the recorded one."""


class AccessRefusedError(TargetError):
    """The host lets nobody in with what the worker has."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One host on the way, and as whom it is entered."""

    host: str
    user: str = ""
    port: int = 22

    def __str__(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@" * bool(self.user) + name + f":{self.port}" * (self.port != 22)


@dataclass(frozen=True, slots=True)
class Way:
    """All that decides where a connection leads and as whom; who has the same shares it."""

    hop: Hop
    jump: Hop | None
    identity: str
    """A file with the private key; empty: the agent, or the keys of the worker's user."""
    known_hosts: Path
    """The recorded host keys."""
    post_quantum: bool = False
    """Whether only a key exchange will do that a quantum computer does not break."""

    def __str__(self) -> str:
        return f"{self.hop} by {self.jump}" if self.jump else str(self.hop)

    def to_jump(self) -> "Way | None":
        """The way to the host in between."""
        return replace(self, hop=self.jump, jump=None) if self.jump else None


@dataclass(frozen=True, slots=True)
class Done:
    """A command line that ended at a host."""

    code: int
    stdout: bytes
    stderr: bytes
