"""The kind `command` among real processes: races, kills, and what its supervisor costs nobody."""

import multiprocessing
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.embedded import guardian
from orchestrator.targets import processes
from orchestrator.targets import runs as files
from orchestrator.targets.base import (
    ABORTED_CODE,
    Absent,
    Command,
    Exited,
    Lost,
    Running,
    SupportsWait,
    TargetError,
    TargetUnreachableError,
)
from orchestrator.targets.command import CommandTarget, prune
from orchestrator.testing import follow, new_run, until_written
from tests.servers import is_gone


@pytest.fixture
def runs_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs"
    for folder in (tmp_path / "runs" / "runs").glob("[!.]*"):  # also of a test that failed
        if left := files.processes(folder):
            left.kill()


@pytest.fixture
def target(runs_dir: Path) -> CommandTarget:
    return CommandTarget.from_settings({}, runs_dir=str(runs_dir))


def bearing(name: str) -> list[int]:
    """Find the living processes with that run's name in their environment, by other means than the code."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"DEPLOYMENT_RUN={name}".encode() in environ.split(b"\0"):
                found.append(int(entry.name))
    return found


def test_environment_is_exactly_what_was_given(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    settings = {"variables": {"COLOUR": "target", "SHAPE": "round"}}
    target = CommandTarget.from_settings(settings, runs_dir=str(runs_dir))
    run = new_run()
    target.start(run, Command("exec /usr/bin/env -0", {"COLOUR": "command"}))
    variables = dict(item.split("=", 1) for item in follow(target, run)[0].decode().split("\0") if item)
    for of_the_shell in ("PWD", "OLDPWD", "SHLVL", "_"):
        variables.pop(of_the_shell, None)
    assert variables.pop("DEPLOYMENT_RUN_ID")
    assert variables.pop("HOME").startswith("/")
    assert variables == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "COLOUR": "command",
        "SHAPE": "round",
        "DEPLOYMENT_RUN": run.name,
    }


def test_command_starts_with_clean_signals_files_and_umask(target: CommandTarget) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    previous = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGHUP)]
    try:
        run = new_run()
        target.start(run, Command("umask; ls /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status", {}))
    finally:
        for number, handler in previous:
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
    lines = follow(target, run)[0].decode().split("\n")
    assert lines[0] == "0022"
    assert lines[1:5] == ["0", "1", "2", "3"]  # 3 is ls reading the folder
    blocked, ignored = (int(line.split()[1], 16) for line in lines[5:7])
    of_the_c_library = 1 << (32 - 1) | 1 << (33 - 1)
    assert blocked == 0
    assert ignored & ~of_the_c_library == 0


def test_run_starts_in_its_directory_or_says_that_it_cannot(tmp_path: Path, runs_dir: Path) -> None:
    for directory, code in ((str(tmp_path), 0), (str(tmp_path / "missing"), 126)):
        target = CommandTarget.from_settings({"directory": directory}, runs_dir=str(runs_dir))
        run = new_run()
        target.start(run, Command("pwd", {}))
        output, answer = follow(target, run)
        assert directory in output.decode()
        assert isinstance(answer, Exited)
        assert answer.code == code


def test_start_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = CommandTarget.from_settings({}, runs_dir=str(tmp_path / "file" / "runs"))
    with pytest.raises(TargetError, match="Not a directory"):
        target.start(new_run(), Command("true", {}))


def test_claim_that_fails_keeps_the_name_free(target: CommandTarget, runs_dir: Path) -> None:
    (runs_dir / "runs").mkdir(parents=True)
    (runs_dir / "incoming").mkdir()
    run = new_run()
    with pytest.raises(TargetUnreachableError, match="locks"):  # its lock cannot be made
        target.start(run, Command("true", {}))
    assert target.poll(run, 0) == Absent()
    assert list((runs_dir / "incoming").iterdir()) == []


def test_noise_of_what_was_left_running_does_not_move_the_end(target: CommandTarget, tmp_path: Path) -> None:
    run = new_run()
    begun, gate, grown = (tmp_path / name for name in ("begun", "gate", "grown"))
    waits = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    noise = f"head -c 400000 /dev/zero; : >{begun}; {waits}; echo more; : >{grown}"
    ends = f"while [ ! -e {begun} ]; do sleep 0.02; done"
    target.start(run, Command(f"head -c 300000 /dev/zero; ({noise}) & {ends}", {}))
    target.wait(run, 60)
    first = target.poll(run, 0)
    assert isinstance(first, Running)
    size = target.runs.folder(run.name).joinpath("output").stat().st_size
    gate.touch()
    while not grown.exists():
        time.sleep(0.02)
    answer = follow(target, run, first.offset)[1]
    assert isinstance(answer, Exited)
    assert answer.offset == size


def test_secrets_are_removed_when_the_end_was_seen(target: CommandTarget) -> None:
    run = new_run()
    target.start(run, Command("true", {"PASSWORD": "hunter2"}))
    follow(target, run)
    kept = [path for path in target.runs.folder(run.name).rglob("*") if path.is_file()]
    assert kept
    assert all(b"hunter2" not in path.read_bytes() for path in kept)


def test_wait_returns_when_the_run_ends_and_not_before(target: CommandTarget, tmp_path: Path) -> None:
    assert isinstance(target, SupportsWait)
    gate = tmp_path / "gate"
    run = new_run()
    target.wait(run, 600)  # absent: nothing to wait for
    target.start(run, Command(f"while [ ! -e {shlex.quote(str(gate))} ]; do sleep 0.02; done; exit 2", {}))
    target.wait(run, 0.05)
    assert isinstance(target.poll(run, 0), Running)
    gate.touch()
    target.wait(run, 600)
    assert target.poll(run, 0) == Exited(2, b"", 0)
    target.wait(run, 600)


def test_supervisors_that_ended_are_reaped(target: CommandTarget) -> None:
    for _ in range(5):
        run = new_run()
        target.start(run, Command("true", {}))
        follow(target, run)
    last = new_run()
    target.start(last, Command("true", {}))
    follow(target, last)
    deadline = time.monotonic() + 10
    while (zombies := zombie_children()) and time.monotonic() < deadline:
        target.start(last, Command("true", {}))
    assert zombies == []


def test_a_supervisor_does_not_wait_for_a_folder_that_was_removed(
    target: CommandTarget, runs_dir: Path, tmp_path: Path
) -> None:
    run, gate = new_run(), tmp_path / "gate"
    target.start(run, Command(f"until [ -e {gate} ]; do sleep 0.05; done", {"PATH": os.defpath}))
    folder = runs_dir / "runs" / run.name
    supervisor = int((folder / "pid").read_text())
    shutil.rmtree(folder)
    gate.touch()
    assert guardian.wait_until(lambda: is_gone(supervisor), seconds=30)


def zombie_children() -> list[int]:
    zombies = []
    for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z" and "sh" in Path(f"/proc/{child}/stat").read_text():
            zombies.append(int(child))
    return zombies


def test_prune_forgets_old_ended_runs_only(target: CommandTarget, runs_dir: Path) -> None:
    ended, running = new_run(), new_run()
    target.start(ended, Command("true", {}))
    follow(target, ended)
    target.start(running, Command("sleep 600", {}))
    assert prune(str(runs_dir), older_than_seconds=3600, still_wanted=lambda _: ()) == 0
    assert isinstance(target.poll(ended, 0), Exited)
    leftover = runs_dir / "incoming" / "left-by-a-killed-worker"
    leftover.mkdir()
    assert prune(str(runs_dir), older_than_seconds=-1, still_wanted=lambda names: names) == 0
    assert prune(str(runs_dir), older_than_seconds=-1, still_wanted=lambda _: ()) == 1
    assert target.poll(ended, 0) == Absent()
    assert not leftover.exists()
    assert isinstance(target.poll(running, 0), Running)
    target.abort(running, grace_seconds=1)


def start_many(runs_dir: str, ledger: str, arguments: tuple[str, str, int]) -> None:
    name, fence, count = arguments
    barrier = threading.Barrier(count)

    def start_one(_: int) -> None:
        target = CommandTarget.from_settings({}, runs_dir=runs_dir)
        barrier.wait()
        target.start(
            new_run(name=name, fence=fence), Command(f"echo start >>{shlex.quote(ledger)}; sleep 1", {})
        )

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(start_one, range(count)))


def test_of_200_starts_at_once_exactly_one_happens(runs_dir: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    context = multiprocessing.get_context("spawn")
    arguments = ("7-1-1", "shop/production/web", 50)
    starters = [
        context.Process(target=start_many, args=(str(runs_dir), str(ledger), arguments)) for _ in range(4)
    ]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert [starter.exitcode for starter in starters] == [0] * 4
    target = CommandTarget.from_settings({}, runs_dir=str(runs_dir))
    run = new_run(name="7-1-1", fence="shop/production/web")
    assert follow(target, run)[1] == Exited(0, b"", 0)
    assert ledger.read_text() == "start\n"
    assert list((runs_dir / "incoming").iterdir()) == []


@pytest.mark.parametrize("cgroups", [True, False])
def test_supervisor_killed_at_any_moment_leaves_nothing_and_no_lie(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, cgroups: bool
) -> None:
    target = CommandTarget(files.Runs(runs_dir, cgroups=cgroups))
    chance = random.Random(20261123)
    delay_seconds = 0.0
    real = os.posix_spawn

    def spawn_and_kill(*args: Any, **kwargs: Any) -> int:
        pid = real(*args, **kwargs)
        pidfd = os.pidfd_open(pid)

        def kill() -> None:
            time.sleep(delay_seconds)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)

        threading.Thread(target=kill).start()
        return pid

    monkeypatch.setattr(os, "posix_spawn", spawn_and_kill)
    seen: set[str] = set()
    for number in range(300):
        if number >= 30 and "Lost" in seen:
            break
        delay_seconds = chance.uniform(0, 0.015 * (1 + number / 30))  # a busy machine begins it later
        run = new_run()
        try:
            target.start(run, Command("setsid sleep 600 & sleep 600", {}))
        except TargetUnreachableError:
            seen.add("not started")
        answer = follow(target, run)[1]
        while isinstance(answer, Absent) and bearing(run.name):
            answer = follow(target, run)[1]
        assert isinstance(answer, Absent | Lost)
        assert bearing(run.name) == []
        assert target.poll(run, 0) == answer
        seen.add(type(answer).__name__)
    assert "Lost" in seen


def test_poller_never_sees_a_living_run_lost(target: CommandTarget) -> None:
    answers: list[object] = []
    for _ in range(30):
        run = new_run(fence="shop/production/web", token=len(answers) + 1)
        starter = threading.Thread(target=target.start, args=(run, Command("sleep 0.02; echo x", {})))
        starter.start()
        while not isinstance(answer := target.poll(run, 0), Exited):
            answers.append(answer)
        starter.join()
        assert answer == Exited(0, b"x\n", 2)
    assert not [answer for answer in answers if isinstance(answer, Lost)]
    assert [answer for answer in answers if isinstance(answer, Running)]


WORKER = """
import os, signal, sys
from orchestrator.targets.base import Command, Run
from orchestrator.targets.command import CommandTarget
target = CommandTarget.from_settings({}, runs_dir=sys.argv[1])
target.start(Run(sys.argv[2], "f", 1), Command(sys.argv[3], {}))
os.killpg(0, getattr(signal, sys.argv[4]))
signal.pause()
"""


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_run_survives_its_worker(target: CommandTarget, runs_dir: Path, tmp_path: Path, number: str) -> None:
    run = new_run(fence="f")
    gate = tmp_path / "gate"
    script = f"echo one; while [ ! -e {shlex.quote(str(gate))} ]; do sleep 0.02; done; echo two"
    subprocess.run(
        [sys.executable, "-c", WORKER, str(runs_dir), run.name, script, number],
        start_new_session=True, stderr=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip
    first = until_written(target, run, b"one\n")
    gate.touch()
    output, ended = follow(target, run, len(first))
    assert output == b"two\n"
    assert isinstance(ended, Exited)
    assert (ended.code, ended.offset) == (0, 8)


def test_worker_killed_while_it_starts_a_run_does_not_lose_it(target: CommandTarget, runs_dir: Path) -> None:
    """The answer of the supervisor meets a closed pipe."""
    kill_at_spawn = WORKER.replace(
        "target = ",
        "import threading; real = os.posix_spawn\n"
        "def spawn(*args, **kwargs):\n    real(*args, **kwargs); os.kill(os.getpid(), 9)\n"
        "os.posix_spawn = spawn\ntarget = ",
    )
    for _ in range(5):
        run = new_run(fence="f")
        subprocess.run(
            [sys.executable, "-c", kill_at_spawn, str(runs_dir), run.name, "echo done", "SIGKILL"],
            start_new_session=True, timeout=60, check=False,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while target.poll(run, 0) == Absent() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert follow(target, run)[0] == b"done\n"


def test_abort_is_finished_by_another_worker(target: CommandTarget, runs_dir: Path) -> None:
    run = new_run(fence="f")
    target.start(run, Command("trap 'echo term' TERM; echo up; while :; do sleep 0.05; done", {}))
    until_written(target, run, b"up")
    abort = "target.abort(Run(sys.argv[2], 'f', 1), grace_seconds=600)"
    script = WORKER[: WORKER.index("target.start")] + abort
    worker = subprocess.Popen([sys.executable, "-c", script, str(runs_dir), run.name], start_new_session=True)
    until_written(target, run, b"term")
    worker.kill()
    worker.wait()
    assert isinstance(target.poll(run, 0), Running)
    target.abort(run, grace_seconds=0.1)
    assert bearing(run.name) == []
    answer = follow(target, run)[1]
    assert isinstance(answer, Exited)
    assert answer.code == ABORTED_CODE


def test_program_that_drops_its_environment_is_ended_where_there_are_cgroups(
    target: CommandTarget, tmp_path: Path
) -> None:
    probe = processes.make_cgroup(f"probe-{os.getpid()}")
    processes.remove_cgroup(probe)
    if not probe:
        pytest.skip("no cgroup can be made here")
    run = new_run()
    target.start(run, Command("env -i setsid sleep 600 & echo $!; sleep 600", {}))
    pid = int(until_written(target, run, b"\n"))
    target.abort(run, grace_seconds=0)
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
