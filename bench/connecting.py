"""`python -m bench.connecting WAY FOLDER PORT USER`: `true` on the hosts that stdin lists, twice, over connections that stay open.

It prints what that took. Nothing of the orchestrator is imported where another transport is measured, whose Python has none of it.
"""

import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from bench import cpu

PARALLEL = 50
PARAMIKO = "paramiko"
_CHEAP_EXCHANGE = ("-o", "KexAlgorithms=curve25519-sha256")
_ADOPTS_ORPHANS = 36
"""PR_SET_CHILD_SUBREAPER, prctl(2): the processes that keep OpenSSH's connections stay ours."""

Call = Callable[[str], int]


def _asyncssh(folder: str, port: int, user: str) -> Call:
    """As workers do it."""
    from orchestrator.targets import ssh_transport  # noqa: PLC0415 - see above
    from orchestrator.targets.ssh_hosts import Hop, Way  # noqa: PLC0415

    def call(host: str) -> int:
        way = Way(Hop(host, user, port), None, f"{folder}/id", Path(folder, "known_hosts"))
        return ssh_transport.call(way, "true", b"", seconds=120).code

    return call


def _openssh(folder: str, port: int, user: str, *more: str) -> Call:
    """A master of its own for each host, to which the second call goes by its socket."""
    Path(folder, "c").mkdir()
    words = ["ssh", "-F", "none", "-p", str(port), "-l", user, "-i", f"{folder}/id", *more]
    for option in (
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={folder}/known_hosts",
        "ControlMaster=auto",
        "ControlPersist=1h",
    ):
        words += ["-o", option]

    def call(host: str) -> int:
        # Not %C: to it all these names are the same address, which would share one connection.
        socket = f"ControlPath={folder}/c/{hashlib.sha256(host.encode()).hexdigest()[:16]}"
        return subprocess.run(
            [*words, "-o", socket, host, "true"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode

    return call


def _paramiko(folder: str, port: int, user: str) -> Call:
    """A client for each host, which is kept."""
    import paramiko  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - only its own Python has it

    clients: dict[str, paramiko.SSHClient] = {}

    def call(host: str) -> int:
        if host not in clients:
            client = paramiko.SSHClient()
            client.load_host_keys(f"{folder}/known_hosts")
            client.connect(
                host,
                port,
                user,
                key_filename=f"{folder}/id",
                look_for_keys=False,
                allow_agent=False,
                timeout=120,
                banner_timeout=120,
            )
            clients[host] = client
        _, said, _ = clients[host].exec_command("true")
        return int(said.channel.recv_exit_status())

    return call


WAYS: dict[str, Callable[[str, int, str], Call]] = {
    "asyncssh": _asyncssh,
    "OpenSSH with ControlMaster": _openssh,
    "OpenSSH with ControlMaster, curve25519": lambda *about: _openssh(*about, *_CHEAP_EXCHANGE),
    PARAMIKO: _paramiko,
}


def main(way: str, folder: str, port: str, user: str) -> int:
    """Call each host twice."""
    ctypes.CDLL(None).prctl(_ADOPTS_ORPHANS, 1, 0, 0, 0)
    first, *hosts = sys.stdin.read().split()
    call = WAYS[way](folder, int(port), user)
    try:
        call(first)  # what is imported and read only once
        before = _kib()
        with ThreadPoolExecutor(PARALLEL) as threads:
            taken = []
            for _ in range(2):
                begun, spent = time.monotonic(), _spent()
                if any(threads.map(call, hosts)):
                    raise RuntimeError("`true` failed")
                taken.append(((_spent() - spent) * 1000 / len(hosts), time.monotonic() - begun))
            kib = (_kib() - before) / len(hosts)
    finally:
        _end_children()
    (first_ms, first_s), (again_ms, again_s) = taken
    figures = {"first_ms": first_ms, "first_s": first_s, "again_ms": again_ms, "again_s": again_s}
    print(json.dumps({**figures, "kib": kib}), flush=True)
    os._exit(0)  # paramiko's threads wait for their hosts


def _spent() -> float:
    """Processor time of this process with all its children, those that have ended too."""
    return cpu.seconds([os.getpid()])


def _kib() -> int:
    """The memory of this process and of its children, what they share counted in part (proc(5))."""
    found = 0
    for pid in ("self", *_children()):
        with suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            found += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return found


def _children() -> list[str]:
    ours = os.getpid()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if (
                entry.name.isdigit()
                and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == ours
            ):
                found.append(entry.name)
    return found


def _end_children() -> None:
    for pid in _children():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
