"""The kind `ssh` beyond its contract: what is seen on the way, and what a host keeps."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.targets.base import Absent, Command, Exited, Lost, Run, Running
from orchestrator.targets.ssh import SshTarget
from orchestrator.testing import follow, new_run, until_written
from tests.acceptance.fleet import eventually
from tests.sshd import Sshd, needs_sshd, serving

REMOTE = Path("orchestrator/targets/remote.sh")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sshd]:
    with serving(tmp_path / "sshd") as server:
        yield server


def target_of(host: Sshd, **more: object) -> SshTarget:
    return SshTarget.from_settings(host.settings(**more), runs_dir=str(host.folder / "runs"))


def folder_of(host: Sshd, run: Run) -> Path:
    return host.folder / "remote" / (run.origin or "alone") / "runs" / run.name


@needs_sshd
def test_what_login_scripts_say_is_no_output(tmp_path: Path) -> None:
    welcome = """ForceCommand echo "Welcome"; echo trouble >&2; sh -c "$SSH_ORIGINAL_COMMAND"; echo bye"""
    with serving(tmp_path / "sshd", more=welcome) as host:
        target, run = target_of(host), new_run()
        target.start(run, Command("printf '\\0\\n'", {}))
        assert follow(target, run) == (b"\0\n", Exited(0, b"\0\n", 2))


def test_many_first_starts_bring_the_programs_once_and_all_begin(host: Sshd) -> None:
    runs = [new_run() for _ in range(12)]
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda run: target_of(host).start(run, Command("echo ok", {})), runs))
    assert {follow(target_of(host), run)[0] for run in runs} == {b"ok\n"}
    (programs,) = (host.folder / "remote" / "bin").iterdir()
    assert sorted(each.name for each in programs.iterdir()) == ["remote.sh", "supervisor.sh"]


def test_a_run_started_by_twelve_at_once_begins_once(host: Sshd, tmp_path: Path) -> None:
    run, ledger = new_run(), tmp_path / "ledger"
    command = Command(f"echo x >> {ledger}", {})
    barrier = threading.Barrier(12)

    def start(_number: int) -> None:
        barrier.wait()
        target_of(host).start(run, command)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(start, range(12)))
    assert follow(target_of(host), run)[1] == Exited(0, b"", 0)
    assert ledger.read_text() == "x\n"


def test_the_server_in_python_does_what_these_tests_need(tmp_path: Path) -> None:
    (tmp_path / "sshd").mkdir()
    server = Sshd(tmp_path / "sshd", real=False)
    server.start()
    try:
        target, run = target_of(server), new_run()
        target.start(run, Command("echo hello; trap '' TERM; sleep 600", {}))
        until_written(target, run, b"hello\n")
        server.stop()
        server.start()
        target.abort(run, grace_seconds=0)
        assert isinstance(follow(target, run)[1], Exited)
    finally:
        server.stop()


def test_two_installations_do_not_take_each_others_runs_for_their_own(host: Sshd) -> None:
    target, ours = target_of(host), replace(new_run(), origin="ours")
    theirs = replace(ours, origin="theirs")
    target.start(ours, Command("echo ours", {}))
    assert target.poll(theirs, 0) == Absent()
    target.start(theirs, Command("echo theirs", {}))
    assert [follow(target, each)[0] for each in (ours, theirs)] == [b"ours\n", b"theirs\n"]


def test_secrets_are_in_no_command_line_and_gone_when_the_run_ends(host: Sshd, tmp_path: Path) -> None:
    target, run, secret = target_of(host), new_run(), "correct-horse-battery-staple"
    seen: set[bytes] = set()
    gate, over = tmp_path / "gate", threading.Event()

    def watch() -> None:
        while not over.is_set():
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(entry.read_bytes())
                except (FileNotFoundError, ProcessLookupError):
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    script = f'echo "${{#PASSWORD}}"; until [ -e {gate} ]; do sleep 0.05; done'
    target.start(run, Command(script, {"PASSWORD": secret}))
    supervisor = f"supervisor.sh\0{run.name}\0".encode()
    eventually(lambda: any(supervisor in line for line in seen.copy()), "its supervisor is seen")
    gate.touch()
    assert follow(target, run)[0] == b"28\n"
    over.set()
    watcher.join()
    assert not any(secret.encode() in line for line in seen)
    left = [
        each for each in host.folder.rglob("*") if each.is_file() and secret.encode() in each.read_bytes()
    ]
    assert left == []


def test_commands_can_be_interrupted(host: Sshd) -> None:
    target, run = target_of(host), new_run()
    target.start(run, Command("kill -INT $$; echo ignored", {}))
    assert follow(target, run)[1] == Exited(128 + signal.SIGINT, b"", 0)


def test_variables_of_the_target_are_weaker_than_the_commands_and_the_directory_is_entered(
    host: Sshd, tmp_path: Path
) -> None:
    target, run = (
        target_of(host, variables={"A": "target", "B": "target"}, directory=str(tmp_path)),
        new_run(),
    )
    target.start(run, Command('echo "$A $B"; pwd', {"A": "command"}))
    assert follow(target, run)[0] == f"command target\n{tmp_path}\n".encode()


def test_a_run_that_a_restart_of_the_host_ended_is_lost_and_says_so(host: Sshd) -> None:
    target, run = target_of(host), new_run()
    target.start(run, Command("echo up; sleep 600", {}))
    until_written(target, run, b"up\n")
    folder = folder_of(host, run)
    mark = (folder / "mark").read_text().splitlines()[0]
    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
    (folder / "mark").write_text(f"{mark}\n00000000-0000-0000-0000-000000000000\n")
    assert follow(target, run)[1] == Lost("the host was started anew in the middle of it")


def test_a_command_that_did_not_arrive_whole_is_not_started(host: Sshd) -> None:
    root = host.folder / "by-hand"
    words = ["nonce", str(root), "ours", "start", "1-1-1", "fence", "1", "mark", "9", "9", "", "9"]
    said = subprocess.run(["sh", REMOTE, *words], input=b"echo bad", capture_output=True, check=True)
    assert said.stdout == b"nonce cut\n"
    assert list((root / "ours" / "runs").iterdir()) == []


def test_the_end_of_a_run_is_kept_until_a_week_after_and_a_later_run_of_its_fence(host: Sshd) -> None:
    target, old, other = target_of(host), new_run(), new_run()
    for run in (old, other):
        target.start(run, Command("true", {}))
        follow(target, run)
        os.utime(folder_of(host, run), (0, 0))
    assert isinstance(target.poll(old, 0), Exited)
    newer = new_run(fence=old.fence)
    target.start(newer, Command("true", {}))
    follow(target, newer)
    eventually(lambda: target.poll(old, 0) == Absent(), "it is forgotten")
    assert isinstance(target.poll(other, 0), Exited)


def test_a_quick_run_needs_one_call_and_its_end_is_what_a_poll_says(host: Sshd) -> None:
    target = target_of(host)

    def quick() -> Run | None:
        """Nothing is quick where everything else has the machine."""
        run = new_run()
        ended = target.start(run, Command("printf 'a\\0b'; exit 3", {}))
        if isinstance(ended, Running):
            return None
        assert ended == Exited(3, b"a\0b", 3)
        assert target.poll(run, 0) == ended
        return run

    run = eventually(quick, "a run has ended by the first answer")
    assert target.start(run, Command("exit 4", {})) is None
    slow = new_run()
    begun = target.start(slow, Command("sleep 600", {}))
    assert begun == Running(b"", 0)
    target.abort(slow, grace_seconds=0)
