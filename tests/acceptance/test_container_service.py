"""The service of examples/container, deployed by real workers to a real Docker daemon."""

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

from orchestrator.services import deployments, pipelines, releases
from tests.acceptance.fleet import Fleet, eventually
from tests.acceptance.test_workers import ended, log_of
from tests.acceptance.tool import workers, world
from tests.dockerd import Dockerd, busybox, needs_dockerd
from tests.integration.engine_world import World
from tests.ports import free_port

__all__ = ["workers", "world"]

pytestmark = needs_dockerd

EXAMPLE = Path(__file__).parents[2] / "examples" / "container"


@dataclass
class Service:
    """The example at a daemon, on a port of its own."""

    world: World
    dockerd: Dockerd
    port: int

    def apply(self) -> None:
        source = (EXAMPLE / "web.yaml").read_text()
        source = source.replace("8101", str(self.port))
        source = source.replace("docker-local ", f"docker-local\n        socket: {self.dockerd.socket}")
        with self.world.database.transaction() as session:
            pipelines.apply(session, name="web", source=source, actor=self.world.actor)

    def release(self, version: str, files: dict[str, bytes]) -> None:
        """Make an image as the example's Dockerfile does."""
        lines = (EXAMPLE / "Dockerfile").read_text().splitlines()
        changes = tuple(each for each in lines if each.startswith(("HEALTHCHECK", "CMD")))
        image = self.dockerd.publish("web", busybox(files=files), changes=changes)
        with self.world.database.transaction() as session:
            releases.create(
                session, name="web", version=version, artifact=image, changes="", actor=self.world.actor
            )

    def deploy(self, version: str) -> int:
        with self.world.database.transaction() as session:
            asked = {"application": "web", "version": version, "environment": "lab", "reason": ""}
            return deployments.request(session, **asked, actor=self.world.actor).id

    def serves(self) -> str:
        """What it answers; nothing if nobody does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/version", timeout=5) as answer:
                return str(answer.read().decode())
        except (URLError, OSError):
            return ""

    def names(self) -> set[str]:
        listed = self.dockerd.engine.ask("GET", "/containers/json", query={"all": "true"}).document
        return {each["Names"][0].lstrip("/") for each in listed}


@pytest.fixture
def service(world: World, empty_dockerd: Dockerd) -> Iterator[Service]:
    made = Service(world, empty_dockerd, free_port())
    made.apply()
    made.release("1.0.0", {"www/version": b"1.0.0"})
    made.release("1.1.0", {"www/other": b""})
    made.release("1.2.0", {"www/version": b"1.2.0"})
    yield made


def test_one_that_is_not_healthy_leaves_the_old_one_and_a_worker_that_dies_in_between_changes_nothing(
    workers: Fleet, world: World, service: Service
) -> None:
    first = workers.worker()
    assert ended(world, service.deploy("1.0.0")) == "succeeded"
    assert service.serves() == "1.0.0"
    unwell = service.deploy("1.1.0")
    assert ended(world, unwell) == "failed"
    assert "the new container is unhealthy" in log_of(world, unwell)
    assert (service.serves(), service.names()) == ("1.0.0", {"web"})
    good = service.deploy("1.2.0")
    eventually(lambda: len(service.names()) == 2, "the new container is there")
    first.kill()
    workers.worker()
    assert ended(world, good) == "succeeded"
    assert (service.serves(), service.names()) == ("1.2.0", {"web"})
    assert world.scalar("SELECT count(*) FROM attempts WHERE deployment_id = :id", id=good) == 2
