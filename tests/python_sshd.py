"""`python -m tests.python_sshd FOLDER PORT NAME=VALUE...`: an SSH server for the tests of who has no sshd.

It lets in who has a key of FOLDER/authorized_keys, runs command lines with `sh` in the user's home, and carries connections on.
"""

import asyncio
import os
import sys
from pathlib import Path

import asyncssh

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class _Server(asyncssh.SSHServer):
    def auth_completed(self) -> None:
        sys.stderr.write("Accepted publickey\n")

    def connection_requested(self, *_: object) -> bool:
        return True


async def _run(process: "asyncssh.SSHServerProcess[bytes]", environment: dict[str, str]) -> None:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *("sh", "-c", process.command or ""),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={"PATH": _PATH, "HOME": str(Path.home()), **environment},
        cwd=Path.home(),
        start_new_session=True,
    )
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    code = await child.wait()
    await process.stdout.drain()
    await process.stderr.drain()
    process.exit(code)


async def _serve(folder: Path, port: int, environment: dict[str, str]) -> None:
    listening = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=_Server,
        server_host_keys=[folder / "host_key"],
        authorized_client_keys=str(folder / "authorized_keys"),
        process_factory=lambda process: _run(process, environment),
        encoding=None,
    )
    sys.stderr.write("Server listening\n")
    await listening.wait_closed()


if __name__ == "__main__":
    os.umask(0o022)
    settings = dict(each.split("=", 1) for each in sys.argv[3:])
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), settings))
