"""`python -m tests.python_sshd FOLDER PORT NAME=VALUE...`: an SSH server for the tests of who has no sshd.

It lets in who has a key of FOLDER/authorized_keys, runs command lines with `sh` in the user's home, and carries connections on.
"""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


class _Server(asyncssh.SSHServer):
    def auth_completed(self) -> None:
        sys.stderr.write("Accepted publickey\n")

    def connection_requested(self, *_: object) -> bool:
        return True


async def _run(process: "asyncssh.SSHServerProcess[bytes]", environment: dict[str, str]) -> None:
    """Not by `process.redirect`: that gives no exit code where a command ends without reading what it is sent."""
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
    feeding = asyncio.create_task(_carry(process.stdin, child.stdin))
    await asyncio.gather(_carry(child.stdout, process.stdout), _carry(child.stderr, process.stderr))
    code = await child.wait()
    feeding.cancel()
    process.exit(code)


async def _carry(source: Any, sink: Any) -> None:
    """Until there is no more of it, or nobody there to take it."""
    with suppress(OSError, asyncssh.Error):
        while piece := await source.read(65_536):
            sink.write(piece)
            await sink.drain()
    if isinstance(sink, asyncio.StreamWriter):
        sink.close()


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
