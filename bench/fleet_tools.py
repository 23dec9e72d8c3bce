"""How Ansible, pyinfra and Fabric do `true` on many hosts, each as its documentation says is cheapest."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench import world
from tests.sshd import Sshd

TOOLS_DIR = world.ROOT / ".bench-tools"
PACKAGES = ("ansible-core", "fabric", "pyinfra")

_FABRIC = """
import json, sys
from fabric import Connection, ThreadingGroup
hosts, port, user, key, known, parallel = json.load(sys.stdin)
for at in range(0, len(hosts), parallel):
    reach = {"key_filename": key, "look_for_keys": False, "allow_agent": False}
    made = [Connection(each, user=user, port=port, connect_kwargs=reach) for each in hosts[at:at + parallel]]
    for each in made:
        each.client.load_host_keys(known)
    with ThreadingGroup.from_connections(made) as group:
        assert not group.run("true", hide=True).failed
"""


def _bin(name: str) -> str:
    """A program of the others, which are installed first where they are not there."""
    if not (TOOLS_DIR / ".installed").exists():
        world.say(f"fleet: installing {', '.join(PACKAGES)} into {TOOLS_DIR.name}")
        subprocess.run([sys.executable, "-m", "venv", TOOLS_DIR], check=True)
        subprocess.run([TOOLS_DIR / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
        (TOOLS_DIR / ".installed").touch()
    return str(TOOLS_DIR / "bin" / name)


def _run(words: list[str], folder: Path, *, stdin: str = "", env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        words,
        input=stdin,
        text=True,
        check=False,
        cwd=folder,
        capture_output=True,
        env={**os.environ, **(env or {})},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")


def _ansible(server: Sshd, hosts: list[str], *, parallel: int) -> None:
    inventory = server.folder / "ansible.ini"
    inventory.write_text("\n".join(hosts))
    options = f"-o ControlMaster=no -o UserKnownHostsFile={server.known_hosts} -o IdentitiesOnly=yes"
    env = {"ANSIBLE_SSH_ARGS": options, "ANSIBLE_HOME": str(server.folder / "ansible")}
    reach = ["-u", server.user, "--private-key", str(server.identity), "-e", f"ansible_port={server.port}"]
    words = [
        _bin("ansible"),
        "all",
        "-i",
        str(inventory),
        "-f",
        str(parallel),
        *reach,
        "-m",
        "raw",
        "-a",
        "true",
    ]
    _run(words, server.folder, env=env)


def _pyinfra(server: Sshd, hosts: list[str], *, parallel: int) -> None:
    inventory = server.folder / "inventory.py"
    reach = {
        "ssh_user": server.user,
        "ssh_port": server.port,
        "ssh_key": str(server.identity),
        "ssh_known_hosts_file": str(server.known_hosts),
    }
    inventory.write_text(f"hosts = {[(host, reach) for host in hosts]!r}\n")
    words = [_bin("pyinfra"), "-y", "--parallel", str(parallel), str(inventory), "exec", "--", "true"]
    _run(words, server.folder)


def _fabric(server: Sshd, hosts: list[str], *, parallel: int) -> None:
    given = (hosts, server.port, server.user, str(server.identity), str(server.known_hosts), parallel)
    _run([python(), "-c", _FABRIC], server.folder, stdin=json.dumps(given))


TOOLS: dict[str, Callable[..., None]] = {
    "Ansible (`raw`, -f 50)": _ansible,
    "pyinfra (`exec`, --parallel 50)": _pyinfra,
    "Fabric (ThreadingGroup of 50)": _fabric,
}


def python() -> str:
    """The Python that has them, and nothing of ours."""
    return _bin("python")


def install() -> None:
    """Before anything is measured."""
    python()
