# ruff: noqa: S101  # these are tests
"""Contract tests for plugins: subclass in your own test suite, give the fixture, and pytest runs them.

class TestMyTarget(TargetContract):
    kind = "mine"

    @pytest.fixture
    def target(self): return MyTarget.from_settings({...}, runs_dir="/unused")
"""

import copy
import itertools
import shlex
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from orchestrator import clock
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.targets.base import (
    ABORTED_CODE,
    Absent,
    Command,
    Exited,
    LateStartError,
    Lost,
    Poll,
    Run,
    Running,
    StaleTokenError,
    SupportsWait,
    Target,
    TargetBusyError,
)

PATIENCE_SECONDS = 60.0
PIECE_BYTES = 256 * 1024
_serial = itertools.count(1)


def new_run(*, fence: str = "", token: int = 1, name: str = "") -> Run:
    """Make a run that no other test has, on a fence of its own unless one is given."""
    unique = f"{uuid.uuid4().hex[:12]}-{next(_serial)}-1"
    return Run(name or unique, fence or f"shop/production/{unique}", token)


def follow(target: Target, run: Run, offset: int = 0) -> tuple[bytes, Poll]:
    """Poll until the run is not running; returns all it wrote from `offset` on, and how it ended.

    The end carries that same output: into how many answers it was cut on the way is nobody's promise.
    """
    output = b""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        answer = target.poll(run, offset)
        if isinstance(answer, Absent | Lost):
            return output, answer
        assert len(answer.output) <= PIECE_BYTES
        assert answer.offset == offset + len(answer.output)
        output, offset = output + answer.output, answer.offset
        if isinstance(answer, Exited):
            return output, replace(answer, output=output)
        if not answer.output:
            _pause(target, run)
    pytest.fail(f"{run.name} still runs after {PATIENCE_SECONDS:g} s; it wrote {output[-2000:]!r}")


def until_written(target: Target, run: Run, text: bytes) -> bytes:
    """Poll until the run has written `text`; returns all it wrote."""
    output = b""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        answer = target.poll(run, len(output))
        if isinstance(answer, Absent | Lost):
            pytest.fail(f"{run.name} is {answer}, it wrote {output!r}")
        output += answer.output
        if text in output:
            return output
        time.sleep(0.02)
    pytest.fail(f"{run.name} did not write {text!r} but {output!r}")


def _pause(target: Target, run: Run) -> None:
    if isinstance(target, SupportsWait):
        target.wait(run, 0.5)
    else:
        time.sleep(0.05)


class TargetContract:
    """What every kind of target that runs commands must keep.

    Override the methods whose default fits only a local kind.
    """

    kind: ClassVar[str] = ""
    ends_with_its_command: ClassVar[bool] = False
    """Whether what a command has started ends with it, as in a container."""

    @pytest.fixture
    def target(self) -> Target:
        """Return the target to test."""
        raise NotImplementedError("the test class must give the fixture `target`")

    @pytest.fixture
    def ledger(self, tmp_path: Path) -> Path:
        """Return a file which the scripts can append to and the test can read."""
        return tmp_path / "ledger"

    def fresh(self, target: Target) -> Target:
        """Return another object for the same target, as another worker would make it."""
        return copy.copy(target)

    def is_alive(self, pid: int) -> bool:
        """Say whether a process of the target lives."""
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state not in "ZX"

    def kill_supervisor(self, target: Target, run: Run) -> None:
        """Kill -9 what looks after the run, and nothing else."""
        pytest.skip(f"the kind {self.kind} has nothing that looks after a run and could be killed")

    def survivors(self, ledger: Path) -> list[int]:
        """Return the processes of which the script left the id in the ledger and which live."""
        return [pid for pid in map(int, ledger.read_text().split()) if self.is_alive(pid)]

    def test_unknown_setting_is_refused_by_name(self, target: Target) -> None:
        with pytest.raises(SettingsRefusedError) as refused:
            type(target).from_settings({"no-such-setting": 1}, runs_dir="/nowhere")
        assert refused.value.field == "no-such-setting"

    def test_run_that_was_never_started_is_absent(self, target: Target) -> None:
        assert target.poll(new_run(), 0) == Absent()

    @pytest.mark.parametrize("code", [0, 1, 7, 126, 127, 255])
    def test_exit_code_is_the_commands(self, target: Target, code: int) -> None:
        run = new_run()
        target.start(run, Command(f"exit {code}", {}))
        assert follow(target, run) == (b"", Exited(code, b"", 0))

    def test_command_killed_by_a_signal_exits_with_128_and_its_number(self, target: Target) -> None:
        run = new_run()
        target.start(run, Command("kill -9 $$", {}))
        assert follow(target, run) == (b"", Exited(128 + 9, b"", 0))

    def test_second_start_of_a_living_run_does_nothing(self, target: Target, ledger: Path) -> None:
        run = new_run()
        command = Command(f"echo start >>{shlex.quote(str(ledger))}; echo up; sleep 600", {})
        target.start(run, command)
        until_written(target, run, b"up")
        self.fresh(target).start(run, command)
        assert isinstance(target.poll(run, 0), Running)
        target.abort(run, grace_seconds=0)
        assert ledger.read_text() == "start\n"

    def test_second_start_of_an_ended_run_does_nothing(self, target: Target, ledger: Path) -> None:
        run = new_run()
        command = Command(f"echo start >>{shlex.quote(str(ledger))}; exit 3", {})
        for _ in range(3):
            target.start(run, command)
            assert follow(target, run)[1] == Exited(3, b"", 0)
        assert ledger.read_text() == "start\n"

    def test_output_comes_byte_for_byte_from_any_offset(self, target: Target) -> None:
        run = new_run()
        target.start(run, Command(r"printf '\000\377\376 a\r\n'; printf '\303' >&2; printf '\251\n'", {}))
        expected = b"\x00\xff\xfe a\r\n\xc3\xa9\n"
        assert follow(target, run)[0] == expected
        for offset in range(len(expected) + 1):
            assert target.poll(run, offset) == Exited(0, expected[offset:], len(expected))

    def test_long_output_comes_in_pieces_and_exited_comes_last(self, target: Target) -> None:
        run = new_run()
        script = 'i=0; while [ $i -lt 9000 ]; do i=$((i+1)); printf "%099d\\n" $i; done'
        target.start(run, Command(script, {}))
        output, last = follow(target, run)
        assert output == b"".join(b"%099d\n" % number for number in range(1, 9001))
        assert isinstance(last, Exited)
        assert last.offset == 900_000
        assert isinstance(target.poll(run, 0), Running)

    def test_another_object_reads_on_where_the_first_left(self, target: Target, ledger: Path) -> None:
        run = new_run()
        gate = shlex.quote(str(ledger))
        target.start(
            run, Command(f"echo one; while [ ! -e {gate} ]; do sleep 0.05; done; echo two; exit 4", {})
        )
        first = until_written(target, run, b"one\n")
        ledger.touch()
        output, answer = follow(self.fresh(target), run, len(first))
        assert output == b"two\n"
        assert isinstance(answer, Exited)
        assert (answer.code, answer.offset) == (4, 8)

    def test_environment_holds_what_was_given_and_nothing_of_the_workers(
        self, target: Target, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
        monkeypatch.setenv("SECRET_OF_THE_WORKER", "secret")
        run = new_run()
        value = 'it\'s $HOME `id` \\ "x"\nsecond line'
        target.start(run, Command('printf "%s" "$GREETING"; echo; env', {"GREETING": value}))
        output, _ = follow(target, run)
        assert output.startswith(value.encode() + b"\n")
        assert b"secret" not in output
        assert f"DEPLOYMENT_RUN={run.name}\n".encode() in output

    def test_input_of_the_command_is_empty(self, target: Target) -> None:
        run = new_run()
        target.start(run, Command("cat; echo read", {}))
        assert follow(target, run)[0] == b"read\n"

    def test_abort_sends_term_and_the_command_may_end_its_own_way(self, target: Target) -> None:
        run = new_run()
        target.start(run, Command("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done", {}))
        until_written(target, run, b"up")
        target.abort(run, grace_seconds=30)
        output, answer = follow(target, run)
        assert output.endswith(b"bye\n")  # some shells say before it that their sleep was terminated
        assert answer == Exited(5, output, len(output))

    def test_abort_leaves_nothing_not_even_daemons_that_ignore_term(
        self, target: Target, ledger: Path
    ) -> None:
        run = new_run()
        forever = f"trap '' TERM HUP; echo $$ >>{shlex.quote(str(ledger))}; while :; do sleep 1; done"
        daemon = f"(setsid sh -c {shlex.quote(forever)} &) &"
        child = f"sh -c {shlex.quote(forever)} &"
        waits = (
            f'while [ "$(wc -l <{shlex.quote(str(ledger))})" -lt 2 ]; do sleep 0.05; done; echo up; {forever}'
        )
        target.start(run, Command(f": >>{shlex.quote(str(ledger))}; {daemon} {child} {waits}", {}))
        until_written(target, run, b"up")
        target.abort(run, grace_seconds=0.2)
        assert len(ledger.read_text().split()) >= 2
        assert self.survivors(ledger) == []
        assert follow(target, run)[1] == Exited(ABORTED_CODE, b"up\n", 3) or isinstance(
            target.poll(run, 3), Exited
        )

    def test_abort_beats_a_command_that_keeps_forking(self, target: Target, ledger: Path) -> None:
        run = new_run()
        path = shlex.quote(str(ledger))
        script = f"""trap '' TERM
            hop() {{ (echo x >>{path}; sleep 0.01; hop) & exit; }}
            (hop) & until [ -s {path} ]; do sleep 0.05; done; echo up; while :; do sleep 1; done"""
        target.start(run, Command(script, {}))
        until_written(target, run, b"up")
        target.abort(run, grace_seconds=0.1)
        size = ledger.stat().st_size
        assert size > 0
        time.sleep(0.3)  # what still hops would write
        assert ledger.stat().st_size == size

    def test_abort_of_an_ended_run_ends_what_it_left(self, target: Target, ledger: Path) -> None:
        run = new_run()
        script = f"setsid sleep 600 & echo $! >>{shlex.quote(str(ledger))}; exit 1"
        target.start(run, Command(script, {}))
        assert follow(target, run)[1] == Exited(1, b"", 0)
        assert len(self.survivors(ledger)) == (not self.ends_with_its_command)
        target.abort(run, grace_seconds=5)
        assert self.survivors(ledger) == []
        assert target.poll(run, 0) == Exited(1, b"", 0)

    def test_what_a_success_left_running_stays_where_it_can(self, target: Target, ledger: Path) -> None:
        run = new_run()
        script = f"(while :; do echo noise; sleep 0.01; done) & echo $! >>{shlex.quote(str(ledger))}"
        target.start(run, Command(script, {}))
        answer = follow(target, run)[1]
        assert isinstance(answer, Exited)
        assert answer.code == 0
        assert len(self.survivors(ledger)) == (not self.ends_with_its_command)
        after = new_run(fence=run.fence)
        target.start(after, Command("echo next", {}))
        assert follow(target, after)[0] == b"next\n"
        target.abort(run, grace_seconds=5)
        assert self.survivors(ledger) == []

    def test_abort_before_the_start_prevents_it(self, target: Target, ledger: Path) -> None:
        run = new_run()
        target.abort(run, grace_seconds=5)
        assert target.poll(run, 0) == Exited(ABORTED_CODE, b"", 0)
        target.start(run, Command(f"echo start >>{shlex.quote(str(ledger))}", {}))
        assert target.poll(run, 0) == Exited(ABORTED_CODE, b"", 0)
        assert not ledger.exists()

    def test_second_abort_does_nothing(self, target: Target) -> None:
        run = new_run()
        target.start(run, Command("sleep 600", {}))
        for worker in (target, self.fresh(target)):
            worker.abort(run, grace_seconds=5)
            assert worker.poll(run, 0) == Exited(ABORTED_CODE, b"", 0)

    def test_stale_token_is_refused_by_start_and_by_abort(self, target: Target, ledger: Path) -> None:
        newer = new_run(token=12)
        target.start(newer, Command("true", {}))
        follow(target, newer)
        stale = new_run(fence=newer.fence, token=9)
        with pytest.raises(StaleTokenError):
            target.start(stale, Command(f"echo start >>{shlex.quote(str(ledger))}", {}))
        with pytest.raises(StaleTokenError):
            target.abort(stale, grace_seconds=0)
        assert target.poll(stale, 0) == Absent()
        assert not ledger.exists()
        equal = new_run(fence=newer.fence, token=12)
        target.start(equal, Command("true", {}))
        assert follow(target, equal)[1] == Exited(0, b"", 0)

    def test_start_that_comes_after_the_lease_is_refused(self, target: Target, ledger: Path) -> None:
        if not target.node_bound:
            pytest.skip(f"runs of the kind {self.kind} have no second node on which they could go on")
        run = new_run()
        command = Command(f"echo start >>{shlex.quote(str(ledger))}", {})
        with pytest.raises(LateStartError):
            target.start(replace(run, start_by=clock.monotonic() - 0.01), command)
        assert target.poll(run, 0) == Absent()
        assert not ledger.exists()
        target.start(replace(run, start_by=clock.monotonic() + PATIENCE_SECONDS), command)
        assert follow(target, run)[1] == Exited(0, b"", 0)

    def test_token_of_an_abort_counts_too(self, target: Target) -> None:
        run = new_run(token=12)
        target.abort(run, grace_seconds=0)
        with pytest.raises(StaleTokenError):
            target.start(new_run(fence=run.fence, token=11), Command("true", {}))

    def test_second_run_of_a_fence_is_refused_while_the_first_lives(
        self, target: Target, ledger: Path
    ) -> None:
        first = new_run(token=1)
        target.start(first, Command("echo up; sleep 600", {}))
        second = new_run(fence=first.fence, token=2)
        with pytest.raises(TargetBusyError):
            target.start(second, Command(f"echo start >>{shlex.quote(str(ledger))}", {}))
        assert target.poll(second, 0) == Absent()
        target.abort(first, grace_seconds=5)
        target.start(second, Command("echo two", {}))
        assert follow(target, second)[0] == b"two\n"
        assert not ledger.exists()

    def test_run_without_its_supervisor_is_lost_and_nothing_of_it_is_left(
        self, target: Target, ledger: Path
    ) -> None:
        run = new_run()
        path = shlex.quote(str(ledger))
        script = f"trap '' TERM; setsid sleep 600 & echo $! $$ >>{path}; echo up; while :; do sleep 1; done"
        target.start(run, Command(script, {}))
        until_written(target, run, b"up\n")
        self.kill_supervisor(target, run)
        output, answer = follow(target, run)
        assert output == b"up\n"
        assert isinstance(answer, Lost)
        assert len(ledger.read_text().split()) == 2
        assert self.survivors(ledger) == []
        assert isinstance(self.fresh(target).poll(run, 3), Lost)
        target.abort(run, grace_seconds=0)
        assert isinstance(target.poll(run, 3), Lost)
