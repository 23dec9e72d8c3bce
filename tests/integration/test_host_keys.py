"""Recording the keys of hosts at the command line, with a real sshd, OpenSSH's programs as judges."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import main
from orchestrator.targets.base import Absent
from orchestrator.targets.ssh import SshTarget
from orchestrator.testing import new_run
from tests.ports import free_port
from tests.sshd import Sshd, needs_sshd, serving

pytestmark = needs_sshd


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sshd]:
    with serving(tmp_path / "data") as server:
        server.known_hosts.unlink()
        yield server


def scan(host: Sshd, *more: str, input: str | None = None) -> Result:
    words = ["targets", "scan", f"127.0.0.1:{host.port}", "--file", str(host.known_hosts), *more]
    return CliRunner().invoke(main, words, input=input)


def fingerprint(host: Sshd) -> str:
    """As OpenSSH's own program says it."""
    words = ["ssh-keygen", "-l", "-f", str(host.folder / "host_key.pub")]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[1]


def reaches(host: Sshd) -> bool:
    target = SshTarget.from_settings(host.settings(), runs_dir=str(host.folder / "runs"))
    return target.poll(new_run(), 0) == Absent()


def test_a_recorded_key_is_what_workers_accept(host: Sshd) -> None:
    done = scan(host, input="y\n")
    assert done.exit_code == 0, done.output
    assert fingerprint(host) in done.stdout
    assert reaches(host)
    assert " by " in host.known_hosts.read_text()
    assert "All of them are recorded" in scan(host).stderr


def test_who_does_not_say_yes_records_nothing(host: Sshd) -> None:
    assert scan(host, input="n\n").exit_code != 0
    assert not host.known_hosts.exists()


def test_a_changed_key_is_recorded_only_by_who_says_so_and_the_old_one_stays_to_be_read(host: Sshd) -> None:
    assert scan(host, "--yes").exit_code == 0
    old = host.known_hosts.read_text()
    host.new_host_key()
    refused = scan(host, "--yes")
    assert refused.exit_code != 0
    assert "has another key than the recorded one" in refused.stderr
    assert host.known_hosts.read_text() == old
    assert scan(host, "--yes", "--replace").exit_code == 0
    assert reaches(host)
    assert f"# {old.strip()} (replaced: recorded " in host.known_hosts.read_text()


def test_keys_of_a_host_behind_another_one_come_by_stdin(host: Sshd) -> None:
    words = ["ssh-keyscan", "-p", str(host.port), "127.0.0.1"]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    done = CliRunner().invoke(
        main, ["targets", "scan", "-", "--yes", "--file", str(host.known_hosts)], input=found
    )
    assert done.exit_code == 0, done.output
    assert reaches(host)


def test_nobody_there_is_said(host: Sshd) -> None:
    words = ["targets", "scan", f"127.0.0.1:{free_port()}", "--file", str(host.known_hosts)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code != 0
    assert "nobody shows a key" in done.stderr


def test_a_port_that_cannot_be_is_refused(host: Sshd) -> None:
    assert "from 1 to 65535" in CliRunner().invoke(main, ["targets", "scan", "web-a:ssh"]).stderr
