"""Services in containers of a real Docker daemon: replaced, found unwell and put back, whoever goes on with it at each move."""

import shlex
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.base import (
    ABORTED_CODE,
    Command,
    Exited,
    Poll,
    Run,
    Running,
    StaleTokenError,
    TargetError,
)
from orchestrator.targets.docker import LocalDockerTarget
from orchestrator.testing import follow, new_run
from tests.acceptance.fleet import eventually
from tests.dockerd import Dockerd, Registry, needs_dockerd
from tests.ports import free_port

pytestmark = needs_dockerd

SERVE = """
echo "this is $RELEASE_VERSION"
[ "$RELEASE_VERSION" != crashing ] || exit 3
mkdir -p /www
[ "$RELEASE_VERSION" = unhealthy ] || echo "$RELEASE_VERSION" >/www/version
exec httpd -f -p 127.0.0.1:$PORT -h /www
"""
HEALTH = "HEALTHCHECK --interval=1s --timeout=5s --retries=2 CMD wget -q -O /dev/null http://127.0.0.1:$PORT/version"
FENCE = "shop/production/web"


@dataclass
class Shop:
    """A service on the network of the host. Each call is made by another object, as if each were of another worker."""

    dockerd: Dockerd
    settings: dict[str, object]
    port: int
    token: int = 0

    @property
    def target(self) -> LocalDockerTarget:
        return LocalDockerTarget.from_settings(self.settings, runs_dir="/nowhere")

    def begin(self, version: str) -> Run:
        self.token += 1
        run = new_run(fence=FENCE, token=self.token)
        self.target.start(run, Command("replace", {"RELEASE_VERSION": version, "PORT": str(self.port)}))
        return run

    def follow(self, run: Run) -> tuple[bytes, Poll]:
        return follow(Anew(self), run)

    def release(self, version: str) -> tuple[bytes, Poll]:
        return self.follow(self.begin(version))

    def version(self) -> str:
        """What it answers; nothing if nobody does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/version", timeout=5) as answer:
                return str(answer.read().decode().strip())
        except (URLError, OSError):
            return ""

    def containers(self) -> dict[str, str]:
        listed = self.dockerd.engine.ask("GET", "/containers/json", query={"all": "true"}).document
        return {each["Names"][0].lstrip("/"): each["State"] for each in listed}


class Anew:
    """Polls as another worker each time."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def poll(self, run: Run, offset: int) -> Poll:
        return self._shop.target.poll(run, offset)


@pytest.fixture
def shop(empty_dockerd: Dockerd, healthy: str) -> Shop:
    settings = empty_dockerd.local_settings(
        image=healthy, network="host", service={"name": "shop", "command": ["sh", "-c", SERVE], "drain": "2s"}
    )
    return Shop(empty_dockerd, settings, free_port())


@pytest.fixture(scope="module")
def healthy(dockerd: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with a HEALTHCHECK."""
    registry = Registry(tmp_path_factory.mktemp("registry"))
    registry.start()
    try:
        return dockerd.publish(registry, "shop", changes=(HEALTH,))
    finally:
        registry.stop()


def test_a_service_is_there_when_its_container_is_healthy(shop: Shop) -> None:
    run = shop.begin("1.0")
    assert shop.follow(run) == (b"this is 1.0\n", Exited(0, b"", 12))
    assert shop.version() == "1.0"
    assert shop.containers() == {"shop": "running"}
    policy = shop.dockerd.engine.ask("GET", "/containers/shop/json").document["HostConfig"]["RestartPolicy"]
    assert policy["Name"] == "unless-stopped"


def test_a_new_version_takes_the_place_of_the_old(shop: Shop) -> None:
    shop.release("1.0")
    assert shop.release("1.1")[1] == Exited(0, b"", 12)
    assert shop.version() == "1.1"
    assert shop.containers() == {"shop": "running"}


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("crashing", b"this is crashing\nthe new container ended with exit code 3\n"),
        ("unhealthy", b"this is unhealthy\nthe new container is unhealthy: "),
    ],
)
def test_a_version_that_is_not_well_leaves_the_old_one_in_its_place(
    shop: Shop, version: str, said: bytes
) -> None:
    shop.release("1.0")
    before = shop.dockerd.engine.ask("GET", "/containers/shop/json").document["Id"]
    run = shop.begin(version)
    output, answer = shop.follow(run)
    assert isinstance(answer, Exited)
    assert answer.code == 1
    assert output.startswith(said)
    shop.target.abort(run, grace_seconds=1)
    assert shop.version() == "1.0"
    assert shop.containers() == {"shop": "running"}
    assert shop.dockerd.engine.ask("GET", "/containers/shop/json").document["Id"] == before


MOMENTS: dict[str, Callable[[Shop], bool]] = {
    "before its first move": lambda _: True,
    "when the old one is told to end": lambda shop: "shop" not in shop.containers(),
    "when the new one has started": lambda shop: (
        len(shop.containers()) == 2
        and any(state == "running" for name, state in shop.containers().items() if name.startswith("alone."))
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_replacement_that_is_cancelled_leaves_the_old_version(shop: Shop, moment: str) -> None:
    shop.release("1.0")
    run = shop.begin("unhealthy")

    def is_then() -> bool:
        if MOMENTS[moment](shop):
            return True
        assert isinstance(shop.target.poll(run, 10_000), Running)
        return False

    eventually(is_then, moment)
    shop.target.abort(run, grace_seconds=1)
    eventually(shop.version, "the old version answers")
    assert shop.version() == "1.0"
    assert shop.containers() == {"shop": "running"}
    assert shop.target.poll(run, 0) == Exited(ABORTED_CODE, b"", 0)
    assert shop.release("1.1")[1] == Exited(0, b"", 12)
    assert shop.version() == "1.1"


def test_a_service_does_not_keep_other_runs_of_its_target_waiting(shop: Shop) -> None:
    shop.release("1.0")
    other = new_run(fence=FENCE, token=9)
    shop.target.start(other, Command("echo migrated", {}))
    assert shop.follow(other)[0] == b"migrated\n"
    assert shop.version() == "1.0"
    with pytest.raises(StaleTokenError):
        shop.begin("1.1")
    assert shop.version() == "1.0"


def test_a_container_of_somebody_else_is_left_alone(shop: Shop) -> None:
    body = {"Image": shop.settings["image"], "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "none"}}
    shop.dockerd.engine.ask("POST", "/containers/create", query={"name": "shop"}, body=body).expected()
    with pytest.raises(TargetError, match="was not made for this target"):
        shop.begin("1.0")
    assert shop.containers() == {"shop": "created"}


def test_what_may_run_twice_goes_on_beside_the_new_one_until_that_is_well(
    empty_dockerd: Dockerd, tmp_path: Path
) -> None:
    ledger = shlex.quote(str(tmp_path / "ledger"))
    serve = f'trap "echo $NAME ends >>{ledger}; exit" TERM; echo $NAME begins >>{ledger}; while :; do sleep 0.1; done'
    service = {"name": "queue", "command": ["sh", "-c", serve], "order": "start-first", "settle": "1s"}
    settings = empty_dockerd.local_settings(volumes=[f"{tmp_path}:{tmp_path}"], service=service)
    shop = Shop(empty_dockerd, settings, 0)
    for name in ("one", "two"):
        shop.token += 1
        run = new_run(fence=FENCE, token=shop.token)
        shop.target.start(run, Command("replace", {"NAME": name}))
        assert shop.follow(run)[1] == Exited(0, b"", 0)
    assert (tmp_path / "ledger").read_text() == "one begins\ntwo begins\none ends\n"
    assert shop.containers() == {"queue": "running"}


def test_a_daemon_that_is_restarted_in_a_replacement_ends_with_one_that_serves(shop: Shop) -> None:
    shop.release("1.0")
    run = shop.begin("1.1")
    eventually(
        lambda: isinstance(shop.target.poll(run, 10_000), Running) and "shop" not in shop.containers(),
        "it has begun",
    )
    shop.dockerd.restart(kill=False)
    _, answer = shop.follow(run)
    assert isinstance(answer, Exited)
    eventually(shop.version, "one answers")
    assert shop.version() == {0: "1.1", 1: "1.0"}[answer.code]
    assert shop.containers() == {"shop": "running"}


def test_a_service_that_cannot_be_is_refused(shop: Shop) -> None:
    for service in ({}, {"name": "a b"}, {"name": "a", "order": "both"}, {"name": "a", "drain": "1d"}, []):
        with pytest.raises(SettingsRefusedError) as refused:
            LocalDockerTarget.from_settings({**shop.settings, "service": service}, runs_dir="")
        assert refused.value.field
