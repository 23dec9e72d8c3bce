"""Connections to hosts: whose keys are accepted, with what the worker comes, the way there, and how they are shared."""

import asyncio
import multiprocessing
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from orchestrator.targets.base import Absent, Command, Exited, Poll, TargetError, TargetUnreachableError
from orchestrator.targets.ssh import SshTarget
from orchestrator.targets.ssh_hosts import AccessRefusedError, HostKeyError
from orchestrator.testing import follow, new_run
from tests.acceptance.fleet import eventually
from tests.ports import free_port
from tests.sshd import Sshd, needs_sshd, serving

pytestmark = needs_sshd


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sshd]:
    with serving(tmp_path / "sshd") as server:
        yield server


def target_of(server: Sshd, /, **more: object) -> SshTarget:
    return SshTarget.from_settings(server.settings(**more), runs_dir=str(server.folder / "runs"))


def reached(target: SshTarget) -> bool:
    try:
        return target.poll(new_run(), 0) == Absent()
    except TargetUnreachableError:
        return False


def test_a_host_whose_key_is_not_recorded_is_not_spoken_to(host: Sshd) -> None:
    host.known_hosts.unlink()
    with pytest.raises(HostKeyError, match=r"is not recorded: .*releasectl targets scan") as refused:
        target_of(host).start(new_run(), Command("true", {}))
    assert not refused.value.retryable
    assert not host.known_hosts.exists()
    assert not (host.folder / "remote").exists()


def test_a_host_that_changed_its_key_is_not_spoken_to(host: Sshd) -> None:
    host.new_host_key()
    with pytest.raises(HostKeyError, match="is not the recorded one"):
        target_of(host).poll(new_run(), 0)


def test_a_worker_without_the_right_key_is_told_so(host: Sshd, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    with pytest.raises(AccessRefusedError, match="Permission denied"):
        target_of(host, identity=str(other)).poll(new_run(), 0)


def test_nobody_there_may_pass(host: Sshd) -> None:
    port = free_port()
    host.record_key(host.known_hosts, port=port)
    with pytest.raises(TargetUnreachableError, match="cannot be reached"):
        target_of(host, port=port).poll(new_run(), 0)


def test_the_host_in_between_has_its_key_checked_too(host: Sshd, tmp_path: Path) -> None:
    with serving(tmp_path / "bastion") as bastion:
        (bastion.folder / "authorized_keys").write_text((host.folder / "id.pub").read_text())
        target = target_of(host, jump=f"127.0.0.1:{bastion.port}")
        with pytest.raises(HostKeyError, match=f"the key of 127.0.0.1:{bastion.port} is not recorded"):
            target.poll(new_run(), 0)
        bastion.record_key(host.known_hosts)
        run = new_run()
        target.start(run, Command("echo behind", {}))
        assert follow(target, run) == (b"behind\n", Exited(0, b"behind\n", 7))


def test_a_connection_that_is_kept_is_used_again(host: Sshd) -> None:
    target = target_of(host)
    for _ in range(5):
        target.poll(new_run(), 0)
    assert (host.folder / "sshd.log").read_text().count("Accepted publickey") == 1


def test_hosts_behind_another_one_share_the_connection_to_it(host: Sshd, tmp_path: Path) -> None:
    with serving(tmp_path / "bastion") as bastion, serving(tmp_path / "second") as second:
        for each in (bastion, second):
            (each.folder / "authorized_keys").write_text((host.folder / "id.pub").read_text())
            each.record_key(host.known_hosts)
        jump = f"127.0.0.1:{bastion.port}"
        for port in (host.port, second.port):
            assert target_of(host, jump=jump, port=port).poll(new_run(), 0) == Absent()
        assert (bastion.folder / "sshd.log").read_text().count("Accepted publickey") == 1


def test_calls_for_which_a_connection_has_no_room_get_another_one(tmp_path: Path) -> None:
    with serving(tmp_path / "sshd", more="MaxSessions 2") as host:
        barrier = threading.Barrier(9)

        def look(_number: int) -> Poll:
            barrier.wait()
            return target_of(host).poll(new_run(), 0)

        with ThreadPoolExecutor(9) as threads:
            assert list(threads.map(look, range(9))) == [Absent()] * 9


def test_a_connection_that_the_host_closed_is_not_used_again(host: Sshd) -> None:
    target = target_of(host)
    assert target.poll(new_run(), 0) == Absent()
    host.stop()
    host.start()
    assert eventually(lambda: reached(target), "it is reached again")


def test_a_forked_process_has_connections_of_its_own(host: Sshd) -> None:
    target = target_of(host)
    target.poll(new_run(), 0)
    with multiprocessing.get_context("fork").Pool(1) as forked:
        assert forked.apply(reached, (target,))
    assert reached(target)
    assert (host.folder / "sshd.log").read_text().count("Accepted publickey") == 2


def test_a_host_that_shows_another_kind_of_key_is_not_spoken_to(host: Sshd, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", other], check=True)
    kind, key, *_ = other.with_suffix(".pub").read_text().split()
    host.known_hosts.write_text(f"[127.0.0.1]:{host.port} {kind} {key}\n")
    with pytest.raises(HostKeyError, match="is not the recorded one"):
        target_of(host).poll(new_run(), 0)


def test_recorded_keys_are_read_as_openssh_reads_them(host: Sshd) -> None:
    kind, key, *_ = (host.folder / "host_key.pub").read_text().split()
    place = f"[localhost]:{host.port}"
    written = [f"{place.upper()} {kind} {key}", f"nobody,[LOCAL*]:{host.port} {kind} {key}", "what is this"]
    for line in written[:2]:
        host.known_hosts.write_text(f"{line}\n{written[2]}\n")
        assert reached(target_of(host, host="LocalHost"))
    host.known_hosts.write_text(f"{place} {kind} {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", host.known_hosts], check=True, capture_output=True)
    assert reached(target_of(host, host="localhost"))
    with host.known_hosts.open("a") as known:
        known.write(f"@revoked {place} {kind} {key}\n")
    with pytest.raises(HostKeyError):
        target_of(host, host="LOCALHOST").poll(new_run(), 0)


def test_recorded_keys_that_cannot_be_read_are_said(host: Sshd) -> None:
    host.known_hosts.unlink()
    host.known_hosts.mkdir()
    with pytest.raises(TargetError, match="cannot be read: Is a directory"):
        target_of(host).poll(new_run(), 0)


def test_a_key_that_is_none_is_said_and_not_shown(host: Sshd, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text((host.folder / "id").read_text().replace("OPENSSH", "NOTHING"))
    with pytest.raises(AccessRefusedError, match=f"{broken} on the worker is no key") as refused:
        target_of(host, identity=str(broken)).poll(new_run(), 0)
    assert "BEGIN" not in str(refused.value)
    locked = tmp_path / "locked"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "correct horse", "-f", locked]
    subprocess.run(words, check=True)
    with pytest.raises(AccessRefusedError, match="assphrase"):
        target_of(host, identity=str(locked)).poll(new_run(), 0)


def test_keys_come_from_the_agent_where_no_file_is_named(
    host: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        try:
            eventually(socket.exists, "the agent listens")
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            with pytest.raises(AccessRefusedError):
                target_of(host, identity="").poll(new_run(), 0)
            subprocess.run(["ssh-add", "-q", host.identity], check=True)
            assert reached(target_of(host, identity=""))
        finally:
            agent.terminate()


def test_a_key_exchange_that_a_quantum_computer_breaks_is_refused_where_it_must_not_be(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "sshd", more="KexAlgorithms curve25519-sha256") as host:
        assert reached(target_of(host))
        careful = target_of(host, post_quantum=True)
        for _ in range(20):  # now and then sshd has hung up before its answer was read
            with pytest.raises((AccessRefusedError, TargetUnreachableError)) as refused:
                careful.poll(new_run(), 0)
            if refused.type is AccessRefusedError:
                break
        assert "have no key exchange that is `post_quantum`" in str(refused.value)


def test_a_host_that_knows_a_key_exchange_for_it_is_reached_where_post_quantum_is_asked_for(
    host: Sshd,
) -> None:
    with served_by_asyncssh(host, kex_algs=["mlkem768x25519-sha256"]) as port:
        host.record_key(host.known_hosts, port=port)
        assert reached(target_of(host, port=port, post_quantum=True))
        assert reached(target_of(host, port=port))


@contextmanager
def served_by_asyncssh(host: Sshd, **options: Any) -> Iterator[int]:
    """Another server with the keys of an sshd that may not know what this one does; its port."""

    async def run(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        words, given = ["sh", "-c", process.command or "false"], await process.stdin.read()
        done = await asyncio.to_thread(subprocess.run, words, input=given, capture_output=True, check=False)
        process.stdout.write(done.stdout)
        process.stderr.write(done.stderr)
        process.exit(done.returncode)

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[str(host.folder / "host_key")],
            authorized_client_keys=str(host.folder / "authorized_keys"),
            process_factory=run,
            encoding=None,
            **options,
        )

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    yield acceptor.get_port()
    loop.call_soon_threadsafe(acceptor.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
