"""What a daemon knows for good of runs and fences: empty volumes, whose names and labels say it.

Containers that have ended are swept away by `docker system prune`, volumes are not; and a volume of a name is made once,
whoever comes second gets what the first one wrote.
"""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson

from orchestrator.targets.base import Run, TargetError
from orchestrator.targets.docker_engine import Engine

PREFIX = "release-manager."
AGAIN = ".again"
"""Behind the name of a volume that stands for one which is spoilt: see `Records`."""


@dataclass(frozen=True, slots=True)
class Record:
    """One volume."""

    name: str
    labels: Mapping[str, str]
    created_at: datetime

    @property
    def token(self) -> int:
        return int(self.labels[f"{PREFIX}token"])

    @property
    def run(self) -> str:
        """Whose it is; empty where it only keeps the token of its fence."""
        return self.labels[f"{PREFIX}run"]

    @property
    def is_verdict(self) -> bool:
        return f"{PREFIX}verdict" in self.labels

    @property
    def code(self) -> int | None:
        """The exit code of a run that must never begin; None where it may have begun."""
        code = self.labels.get(f"{PREFIX}code", "")
        return int(code) if code else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the replacement of a service ended. It is made once; what follows from it is done after it."""

    code: int
    why: str


@dataclass(frozen=True, slots=True)
class Records:
    """All records of one daemon.

    A daemon that ends may make a volume and lose its labels; it says that it failed, so nobody relies on it. Whoever finds such
    a volume takes the next name, and so does everybody after: to remove it could remove what another has made meanwhile.
    """

    engine: Engine

    def find(self, run: Run) -> Record | None:
        """The run's record, if there is one."""
        found = self._find(name_of(run))
        return None if found is None else _record(found)

    def of_fence(self, run: Run) -> list[Record]:
        """Every record of the run's fence."""
        answer = self.engine.ask("GET", "/volumes", query=same_fence(run))
        return [_record(each) for each in answer.expected().document["Volumes"] or []]

    def claim(self, run: Run, *, code: int | None = None) -> Record:
        """Write that the run may begin now, or with `code` that it never may; what comes back is what was written first."""
        more = {} if code is None else {f"{PREFIX}code": str(code)}
        return _record(self._make(name_of(run), {**labels_of(run), **more}))

    def verdict(self, run: Run) -> Verdict | None:
        """How a replacement ended; None while it goes on."""
        found = self._find(_verdict_of(run))
        return None if found is None else _verdict(found)

    def judge(self, run: Run, *, code: int, why: str) -> Verdict:
        """Write how a replacement ends; what comes back is what was written first."""
        labels = {**labels_of(run), f"{PREFIX}verdict": str(code), f"{PREFIX}why": why}
        return _verdict(self._make(_verdict_of(run), labels))

    def keep_token(self, run: Run) -> None:
        """Write down the token alone."""
        fence = hashlib.sha256(fence_of(run).encode()).hexdigest()[:40]
        labels = {**labels_of(run), f"{PREFIX}run": ""}
        self._make(f"{_origin(run)}.fence.{fence}.{run.token}", labels)

    def require(self, record: Record) -> None:
        """Raise TargetUnreachableError where records cannot be read, and so none can be forgotten: the daemon is about to end.

        A container that is removed then leaves a record of a run that began in none, which counts as lost.
        """
        self.engine.ask("GET", f"/volumes/{quote(record.name)}").expected()

    def forget(self, record: Record) -> None:
        """Remove it, if that can be done."""
        with contextlib.suppress(TargetError):
            self.engine.ask("DELETE", f"/volumes/{quote(record.name)}")

    def _find(self, name: str) -> Mapping[str, Any] | None:
        while True:
            answer = self.engine.ask("GET", f"/volumes/{quote(name)}")
            if answer.status == 404:
                return None
            found: Mapping[str, Any] = answer.expected().document
            if found["Labels"]:
                return found
            name += AGAIN

    def _make(self, name: str, labels: Mapping[str, str]) -> Mapping[str, Any]:
        """Make a volume, unless it is there; what is there then, with the labels it was made with."""
        while True:
            answer = self.engine.ask("POST", "/volumes/create", body={"Name": name, "Labels": labels})
            found: Mapping[str, Any] = answer.expected().document
            if found["Labels"]:
                return found
            name += AGAIN


def name_of(run: Run) -> str:
    """What the run's container and its record are called."""
    return f"{_origin(run)}.{run.name}"


def fence_of(run: Run) -> str:
    """The fence, and whose it is."""
    return f"{_origin(run)}/{run.fence}"


def labels_of(run: Run) -> dict[str, str]:
    """What the container and the record of a run are known by."""
    about = {"run": run.name, "fence": fence_of(run), "token": str(run.token)}
    return {PREFIX + name: value for name, value in about.items()}


def same_fence(run: Run) -> dict[str, str]:
    """What a list is asked for to have only what is of the run's fence."""
    return filters("label", f"{PREFIX}fence={fence_of(run)}")


def same_run(run: Run) -> dict[str, str]:
    """What a list is asked for to have only what is of the run."""
    return filters("label", f"{PREFIX}fence={fence_of(run)}", f"{PREFIX}run={run.name}")


def filters(kind: str, *values: str) -> dict[str, str]:
    """What a list is asked for to have only what is so."""
    return {"filters": orjson.dumps({kind: list(values)}).decode()}


def _verdict_of(run: Run) -> str:
    return f"{name_of(run)}.end"


def _verdict(document: Mapping[str, Any]) -> Verdict:
    labels = _record(document).labels
    return Verdict(int(labels[f"{PREFIX}verdict"]), labels[f"{PREFIX}why"])


def _origin(run: Run) -> str:
    return run.origin or "alone"


def _record(document: Mapping[str, Any]) -> Record:
    labels = document["Labels"] or {}
    if f"{PREFIX}token" not in labels or f"{PREFIX}run" not in labels:
        raise TargetError(f"the volume {document['Name']} was made by somebody else")
    return Record(document["Name"], labels, datetime.fromisoformat(document["CreatedAt"]))
