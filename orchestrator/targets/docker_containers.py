"""The containers of runs at a daemon."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from orchestrator.targets.base import Run, TargetUnreachableError
from orchestrator.targets.docker_engine import Answer, Engine
from orchestrator.targets.docker_records import PREFIX, filters, labels_of, name_of, same_fence, same_run

CREATED = "created"
_AT_REST = frozenset({CREATED, "exited", "dead"})
"""The states in which nothing of a container runs; not while it is removed, paused or started again."""
_ENDING_SECONDS = 15.0
START_SECONDS = 60.0
NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Container:
    """One container, as the daemon tells of it."""

    id: str
    name: str
    state: str
    run: str
    token: int
    fence: str
    created_at: float
    service: str
    """The service that it is of, or is to be; empty for a run of a script."""
    replaces: str
    """The id of the container whose place it takes."""
    replaces_living: bool
    """Whether that one lived then."""

    @property
    def lives(self) -> bool:
        return self.state not in _AT_REST


@dataclass(frozen=True, slots=True)
class Containers:
    """All containers of runs of one daemon."""

    engine: Engine

    def find(self, run: Run) -> Container | None:
        """The container of the run."""
        return next((each for each in self._listed(same_run(run))), None)

    def of_fence(self, run: Run) -> list[Container]:
        """Every container of the run's fence."""
        return self._listed(same_fence(run))

    def get(self, identity: str) -> Container | None:
        """The container of that id, if it is there."""
        return next(iter(self._listed(filters("id", identity))), None)

    def named(self, name: str) -> Container | None:
        """The container of that name, whoever made it."""
        return next((each for each in self._listed(filters("name", f"^/{name}$")) if each.name == name), None)

    def create(
        self, run: Run, config: Mapping[str, Any], *, labels: Mapping[str, str] = NO_LABELS
    ) -> Container | None:
        """Make the container of the run; None where its name is taken by now."""
        body = {**config, "Labels": {**labels_of(run), **labels}}
        answer = self.engine.ask("POST", "/containers/create", query={"name": name_of(run)}, body=body)
        if answer.status == HTTPStatus.CONFLICT:
            return None
        answer.expected()
        return self.find(run)

    def remove(self, container: Container) -> bool:
        """Remove it unless it lives; False if it does. What was removed never starts, whoever tries."""
        answer = self.engine.ask("DELETE", f"/containers/{container.id}", query={"v": "true"})
        if answer.status == HTTPStatus.CONFLICT:
            state = self.state(container)
            if state == "removing":
                raise TargetUnreachableError("the container is being removed")
            return state is None
        if answer.status != HTTPStatus.NOT_FOUND:
            answer.expected()
        return True

    def end(self, container: Container, *, grace_seconds: float) -> None:
        """TERM, and after the grace KILL; returns when nothing of it lives. Raises TargetUnreachableError."""
        path = f"/containers/{container.id}"
        if container.state == "paused":
            self.engine.ask("POST", f"{path}/unpause")
        whole_seconds = str(-int(-grace_seconds // 1))
        self.engine.ask(
            "POST", f"{path}/stop", query={"t": whole_seconds}, seconds=grace_seconds + _ENDING_SECONDS
        )
        state = self.state(container)
        if state is not None and state not in _AT_REST:
            raise TargetUnreachableError("the container has not ended yet")

    def exit_code(self, container: Container) -> int:
        """How it ended, by the daemon's word."""
        answer = self.engine.ask("GET", f"/containers/{container.id}/json")
        return int(answer.expected().document["State"]["ExitCode"])

    def rename(self, container: Container, name: str) -> None:
        """Call it otherwise. Raises TargetUnreachableError while another one is called so."""
        answer = self.engine.ask("POST", f"/containers/{container.id}/rename", query={"name": name})
        if answer.status == HTTPStatus.CONFLICT:
            raise TargetUnreachableError(f"another container is called {name}")
        answer.expected()

    def start(self, container: Container) -> Answer:
        """Start it; the answer says whether it did."""
        return self.engine.ask("POST", f"/containers/{container.id}/start", seconds=START_SECONDS)

    def keep_up(self, container: Container, policy: str) -> None:
        """Say when the daemon is to start it again."""
        body = {"RestartPolicy": {"Name": policy}}
        self.engine.ask("POST", f"/containers/{container.id}/update", body=body).expected()

    def inspect(self, container: Container) -> Any:
        """All that the daemon tells of it."""
        return self.engine.ask("GET", f"/containers/{container.id}/json").expected().document

    def state(self, container: Container) -> str | None:
        """What it is doing; None where there is no such container any more."""
        answer = self.engine.ask("GET", f"/containers/{container.id}/json")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        return str(answer.expected().document["State"]["Status"])

    def _listed(self, query: Mapping[str, str]) -> list[Container]:
        listed = (
            self.engine.ask("GET", "/containers/json", query={"all": "true", **query}).expected().document
        )
        return [_container(each) for each in listed]


def _container(document: Mapping[str, Any]) -> Container:
    labels = document["Labels"]
    return Container(
        id=document["Id"],
        name=(document["Names"] or [""])[0].lstrip("/"),
        state=document["State"],
        run=labels.get(f"{PREFIX}run", ""),
        token=int(labels.get(f"{PREFIX}token", "0")),
        fence=labels.get(f"{PREFIX}fence", ""),
        created_at=document["Created"],
        service=labels.get(f"{PREFIX}service", ""),
        replaces=labels.get(f"{PREFIX}replaces", ""),
        replaces_living=bool(labels.get(f"{PREFIX}replaces-living")),
    )
