"""Runs in containers of a real Docker daemon: what pruning, restarts, registries and rivals do to them."""

import base64
import os
import shlex
import signal
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bcrypt
import orjson
import pytest

from orchestrator.targets.base import (
    Absent,
    Command,
    Exited,
    Lost,
    Run,
    Running,
    StaleTokenError,
    TargetBusyError,
    TargetError,
    TargetUnreachableError,
)
from orchestrator.targets.docker import DockerTarget, LocalDockerTarget
from orchestrator.targets.docker_engine import packed
from orchestrator.targets.docker_images import ImageOnItsWayError
from orchestrator.testing import follow, new_run, until_written
from tests.acceptance.fleet import eventually
from tests.acceptance.test_workers import counting, expected_lines
from tests.chaos.world import bearers, keepers
from tests.dockerd import Dockerd, Registry, dockerd_in, needs_dockerd
from tests.unit.test_posting_https import write_certificate

pytestmark = needs_dockerd


@pytest.fixture
def target(empty_dockerd: Dockerd, tmp_path: Path) -> LocalDockerTarget:
    return target_at(empty_dockerd, tmp_path)


def target_at(dockerd: Dockerd, folder: Path, **more: object) -> LocalDockerTarget:
    settings = dockerd.local_settings(volumes=[f"{folder}:{folder}"], **more)
    return LocalDockerTarget.from_settings(settings, runs_dir="/nowhere")


def noting(ledger: Path) -> Command:
    return Command(f"echo start >>{shlex.quote(str(ledger))}; echo said", {})


def ended(target: LocalDockerTarget, run: Run) -> tuple[bytes, int]:
    """What the run wrote, and its exit code."""
    output, answer = follow(target, run)
    assert isinstance(answer, Exited)
    return output, answer.code


def ask(dockerd: Dockerd, method: str, path: str) -> object:
    return dockerd.engine.ask(method, path).expected().document


def test_a_run_whose_container_was_pruned_is_lost_and_never_started_again(
    target: LocalDockerTarget, dockerd: Dockerd, tmp_path: Path
) -> None:
    run, ledger = new_run(token=5), tmp_path / "ledger"
    target.start(run, noting(ledger))
    follow(target, run)
    ask(dockerd, "POST", "/containers/prune")
    assert isinstance(target.poll(run, 0), Lost)
    with pytest.raises(StaleTokenError):
        target.start(new_run(fence=run.fence, token=4), noting(ledger))
    assert ledger.read_text() == "start\n"


def test_a_container_that_somebody_starts_again_runs_nothing_again(
    target: LocalDockerTarget, dockerd: Dockerd, tmp_path: Path
) -> None:
    run, ledger = new_run(), tmp_path / "ledger"
    target.start(run, noting(ledger))
    follow(target, run)
    ask(dockerd, "POST", f"/containers/alone.{run.name}/start")
    ask(dockerd, "POST", f"/containers/alone.{run.name}/wait")
    assert ended(target, run) == (b"said\n", 0)
    assert ledger.read_text() == "start\n"


def test_secrets_are_nowhere_at_the_daemon_once_the_run_has_begun(
    target: LocalDockerTarget, dockerd: Dockerd
) -> None:
    run = new_run()
    target.start(run, Command('[ "${#TOKEN}" -eq 12 ] && echo known; sleep 600', {"TOKEN": "s3cr3t-value"}))
    until_written(target, run, b"known\n")
    assert b"s3cr3t-value" not in orjson.dumps(ask(dockerd, "GET", f"/containers/alone.{run.name}/json"))
    kept = [file for file in (dockerd.folder / "data").rglob("*") if file.is_file()]
    assert [
        file for file in kept if file.stat().st_size < 2**20 and b"s3cr3t-value" in file.read_bytes()
    ] == []


def test_two_installations_have_runs_of_one_name_at_one_daemon(
    target: LocalDockerTarget, tmp_path: Path
) -> None:
    here, there = (
        replace(new_run(name="1-1-1", fence="shop/a/b"), origin=each) for each in ("here", "there")
    )
    target.start(here, Command("exit 3", {}))
    assert target.poll(there, 0) == Absent()
    target.start(there, Command("exit 4", {}))
    assert [follow(target, run)[1] for run in (here, there)] == [Exited(3, b"", 0), Exited(4, b"", 0)]


def test_of_rivals_for_one_fence_never_two_run(target: LocalDockerTarget, tmp_path: Path) -> None:
    for token in range(1, 4):
        runs = [new_run(fence="shop/production/web", token=each) for each in (token, token, token + 1)]
        ledger = tmp_path / f"ledger{token}"
        outcomes = at_once(target, runs, Command(f"echo x >>{ledger}; sleep 600", {}))
        living = [run for run in runs if isinstance(target.poll(run, 0), Running)]
        assert len(living) <= 1
        assert [each for each in outcomes if each is not None and not isinstance(each, TargetError)] == []
        for run in living:
            target.abort(replace(run, token=token + 1), grace_seconds=0)
        assert not ledger.exists() or ledger.read_text() == "x\n"


def test_workers_that_start_one_run_at_once_start_it_once(target: LocalDockerTarget, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    run = new_run()
    at_once(target, [run] * 4, noting(ledger))
    target.start(run, noting(ledger))
    assert ended(target, run) == (b"said\n", 0)
    assert ledger.read_text() == "start\n"


def at_once(target: LocalDockerTarget, runs: list[Run], command: Command) -> list[Exception | None]:
    """Start them side by side; what each said."""
    outcomes: list[Exception | None] = [None] * len(runs)
    gate = threading.Barrier(len(runs))

    def start(place: int) -> None:
        gate.wait()
        try:
            replace(target).start(runs[place], command)
        except (TargetError, AssertionError) as error:
            outcomes[place] = error

    threads = [threading.Thread(target=start, args=(place,)) for place in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_an_image_without_a_shell_fails_the_start_and_leaves_nothing(
    empty_dockerd: Dockerd, tmp_path: Path
) -> None:
    image = empty_dockerd.publish("bare", packed({"file": b"x"}, folder="bin"))
    target, run = target_at(empty_dockerd, tmp_path, image=image), new_run()
    target.start(run, Command("true", {}))
    eventually(lambda: target.poll(run, 0) == Absent(), "it turns out that nothing can begin in it")
    with pytest.raises(TargetError, match="cannot run `sh`"):
        target.start(run, Command("true", {}))
    assert target.poll(run, 0) == Absent()
    assert ask(empty_dockerd, "GET", "/containers/json?all=true") == []


def test_a_container_that_cannot_be_started_fails_the_start_and_leaves_nothing(
    empty_dockerd: Dockerd, tmp_path: Path
) -> None:
    target, run = target_at(empty_dockerd, tmp_path, network="nowhere"), new_run()
    with pytest.raises(TargetError, match=r"cannot be started: .*nowhere"):
        target.start(run, Command("true", {}))
    assert target.poll(run, 0) == Absent()
    assert ask(empty_dockerd, "GET", "/containers/json?all=true") == []


@pytest.fixture
def registry(dockerd: Dockerd) -> Iterator[Registry]:
    yield dockerd.registry
    if dockerd.registry.process is None:
        dockerd.registry.start()


def test_an_image_is_pulled_by_its_digest_when_the_registry_is_back(
    empty_dockerd: Dockerd, registry: Registry, tmp_path: Path
) -> None:
    image = empty_dockerd.publish("tool2")
    for name in (f"{registry.name}/tool2:latest", image):
        empty_dockerd.engine.ask("DELETE", f"/images/{name}")
    target, run = target_at(empty_dockerd, tmp_path, image="$IMAGE"), new_run()
    command = Command("echo pulled", {"IMAGE": image})
    registry.stop()
    with pytest.raises((TargetUnreachableError, ImageOnItsWayError)):
        target.start(run, command)
    assert target.poll(run, 0) == Absent()
    registry.start()
    eventually(lambda: started(target, run, command), "the image is there")
    assert follow(target, run)[0] == b"pulled\n"


def started(target: LocalDockerTarget, run: Run, command: Command) -> bool:
    try:
        target.start(run, command)
    except TargetError as error:
        assert error.retryable, error
        return False
    return True


def test_a_registry_is_shown_who_asks_and_nobody_else_is(empty_dockerd: Dockerd, tmp_path: Path) -> None:
    password = "passw0rd-of-the-registry"
    users = f"ann:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
    registry = Registry(tmp_path / "registry", users)
    registry.start()
    try:
        who = {"username": "ann", "password": password, "serveraddress": registry.name}
        shown = base64.urlsafe_b64encode(orjson.dumps(who)).decode()
        image = empty_dockerd.publish("kept", registry=registry, who=shown)
        for name in (f"{registry.name}/kept:latest", image):
            empty_dockerd.engine.ask("DELETE", f"/images/{name}")
        credentials = tmp_path / "config.json"
        auth = base64.b64encode(f"ann:{password}".encode()).decode()
        credentials.write_bytes(orjson.dumps({"auths": {registry.name: {"auth": auth}}}))
        credentials.chmod(0o600)
        run = new_run()
        with pytest.raises(TargetError) as refused:
            target_at(empty_dockerd, tmp_path, image=image).start(run, Command("true", {}))
        assert password not in str(refused.value)
        known = target_at(empty_dockerd, tmp_path, image=image, credentials=str(credentials))
        eventually(lambda: started(known, run, Command("echo in", {})), "the image is there")
        assert follow(known, run)[0] == b"in\n"
        credentials.chmod(0o644)
        with pytest.raises(TargetError, match="can be read by everybody"):
            target_at(
                empty_dockerd,
                tmp_path,
                image=image.replace("kept", "other"),
                credentials=str(credentials),
            ).start(new_run(), Command("true", {}))
    finally:
        registry.stop()


def test_without_live_restore_a_restart_of_the_daemon_loses_the_run_and_says_so(
    target: LocalDockerTarget, empty_dockerd: Dockerd, tmp_path: Path
) -> None:
    over, run = new_run(), new_run()
    target.start(over, Command("echo over; exit 3", {}))
    follow(target, over)
    target.start(run, Command("echo up; sleep 600", {}))
    until_written(target, run, b"up\n")
    assert empty_dockerd.process is not None
    empty_dockerd.process.send_signal(signal.SIGTERM)
    empty_dockerd.process.wait()
    with pytest.raises(TargetUnreachableError):
        target.poll(run, 0)
    with pytest.raises(TargetUnreachableError):
        target.start(new_run(), Command("true", {}))
    empty_dockerd.start()
    output, answer = follow(target, run)
    assert output == b"up\n"
    assert isinstance(answer, Lost | Exited)  # TERM may have reached the script, which then had its own end
    assert not isinstance(answer, Exited) or answer.code == 128 + signal.SIGTERM
    assert target.poll(over, 0) == Exited(3, b"over\n", 5)


@pytest.fixture(scope="module")
def restoring() -> Iterator[Dockerd]:
    """A daemon whose containers outlive it."""
    with (
        tempfile.TemporaryDirectory(prefix="dockerd-") as folder,
        dockerd_in(Path(folder), live_restore=True) as made,
    ):
        yield made


@pytest.mark.parametrize("kill", [False, True], ids=["ends", "is killed"])
def test_with_live_restore_a_run_goes_on_while_the_daemon(
    restoring: Dockerd, tmp_path: Path, kill: bool
) -> None:
    ledger, gate, run = tmp_path / "ledger", tmp_path / "gate", new_run()
    target = target_at(restoring, tmp_path)
    target.start(run, Command(counting(ledger, gate), {}))
    until_written(target, run, b"line 2\n")
    restoring.restart(kill=kill)
    seen = until_written(target, run, b"line 6\n")
    gate.touch()
    output, answer = follow(target, run, len(seen))
    assert isinstance(answer, Exited)
    assert answer.code == 0
    assert expected_lines((seen + output).decode())
    assert len(ledger.read_text().splitlines()) == 1


@pytest.mark.parametrize("network", ["none", "host"])
def test_a_run_has_the_network_that_its_target_says(
    empty_dockerd: Dockerd, tmp_path: Path, network: str
) -> None:
    target, run = target_at(empty_dockerd, tmp_path, network=network), new_run()
    target.start(run, Command("readlink /proc/self/ns/net", {}))
    is_ours = follow(target, run)[0].strip() == bytes(Path("/proc/self/ns/net").readlink())
    assert is_ours == (network == "host")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "tcp://localhost:1"}, "tcp://localhost:1 does not answer: Connection refused"),
        ({"ca": "/nowhere/ca.pem"}, "cannot be used: /nowhere/ca.pem: No such file or directory"),
        ({"ca": "other"}, "other/certificate.pem vouches for: self-signed certificate"),
        ({"certificate": "other", "key": "other"}, "does not take the certificate .*other/certificate.pem"),
    ],
)
def test_a_daemon_that_cannot_be_reached_is_said_to_be_so_in_words_that_help(
    empty_dockerd: Dockerd, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_certificate(other, "localhost")
    files = {"ca": "certificate.pem", "certificate": "certificate.pem", "key": "key.pem"}
    own = {name: str(other / files[name]) if it == "other" else it for name, it in settings.items()}
    target = DockerTarget.from_settings({**empty_dockerd.settings(), **own}, runs_dir="/nowhere")
    with pytest.raises(TargetError, match=said):
        target.poll(new_run(), 0)


def test_an_image_that_is_not_there_is_said_to_be_so(empty_dockerd: Dockerd, tmp_path: Path) -> None:
    image = f"{empty_dockerd.registry.name}/none@sha256:{'0' * 64}"
    with pytest.raises(
        TargetError, match=r"the Docker daemon refuses: .*none@sha256:0{64}.* not found"
    ) as told:
        target_at(empty_dockerd, tmp_path, image=image).start(new_run(), Command("true", {}))
    assert not told.value.retryable


def test_the_chaos_harness_sees_who_runs_in_containers(
    target: LocalDockerTarget, dockerd: Dockerd, tmp_path: Path
) -> None:
    run = new_run()
    daemon = "(setsid sh -c 'while :; do sleep 1; done' &)"
    target.start(run, Command(f"{daemon}; echo up; sleep 600", {"CHAOS": f"{tmp_path}/"}))
    until_written(target, run, b"up\n")
    assert dockerd.output(run.name) == b"up\n"
    assert {each.run for each in bearers(tmp_path)} == {run.name}
    first = keepers(tmp_path)[run.name]
    inside = target.engine.ask("GET", f"/containers/alone.{run.name}/json").document
    assert first == inside["State"]["Pid"]
    os.kill(first, signal.SIGKILL)
    assert isinstance(follow(target, run)[1], Lost)
    assert bearers(tmp_path) == []


def test_a_record_whose_labels_a_daemon_lost_when_it_ended_is_made_again_under_another_name(
    target: LocalDockerTarget, dockerd: Dockerd, tmp_path: Path
) -> None:
    run, ledger = new_run(), tmp_path / "ledger"
    for name in (f"alone.{run.name}", f"alone.{run.name}.again"):
        dockerd.engine.ask("POST", "/volumes/create", body={"Name": name}).expected()
    assert target.poll(run, 0) == Absent()
    target.start(run, noting(ledger))
    assert ended(target, run) == (b"said\n", 0)
    ask(dockerd, "POST", "/containers/prune")
    assert isinstance(target.poll(run, 0), Lost)
    target.start(run, noting(ledger))
    assert ledger.read_text() == "start\n"


def test_an_abort_is_refused_while_another_run_is_newer(target: LocalDockerTarget) -> None:
    old, newer = new_run(token=3), new_run(token=4)
    newer = replace(newer, fence=old.fence)
    target.start(old, Command("echo up; sleep 600", {}))
    with pytest.raises(TargetBusyError):
        target.start(newer, Command("true", {}))
    target.abort(replace(old, token=4), grace_seconds=0)
    with pytest.raises(StaleTokenError):
        target.abort(old, grace_seconds=0)
