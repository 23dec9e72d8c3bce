"""A receiver for targets of the kind `http`: takes runs over HTTP and carries them out on its own machine.

    releasectl-python examples/receiver/receiver.py --secret /etc/deployer/secret --folder /var/lib/deployer

It speaks the protocol of docs/http-targets.md. What really deploys is `CommandTarget`: the script of the run, under the
supervisor that also serves the kind `command`. Put your own deployer in its place and keep what the three calls promise.
"""

import argparse
import base64
import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from orchestrator.domain import standard_webhooks
from orchestrator.targets import base
from orchestrator.targets.command import CommandTarget

MOST_BODY_BYTES = 8 * 1024 * 1024
Said = tuple[int, dict[str, Any]]


class Deployer:
    """What the three calls do. Runs are kept as files, so a receiver that is started anew knows them all."""

    def __init__(self, folder: Path) -> None:
        self._target = CommandTarget.from_settings({}, runs_dir=str(folder))

    def start(self, run: base.Run, asked: Mapping[str, Any]) -> Said:
        """Start the run unless it is known already; an older token or a second run at the same time is refused."""
        self._target.start(run, base.Command(asked["script"], asked["variables"]))
        if "callback" in asked:
            threading.Thread(target=self._call_back, args=(run, asked["callback"]), daemon=True).start()
        return 202, {}

    def _call_back(self, run: base.Run, callback: Mapping[str, str]) -> None:
        """Say that the run is over, once it is; if nobody hears it, the run is asked for all the same."""
        offset = 0
        while isinstance(found := self._target.poll(run, offset), base.Running):
            if found.offset == offset:
                self._target.wait(run, 60.0)
            offset = found.offset
        body = json.dumps({"number": 1}).encode()
        signed = standard_webhooks.headers(
            [standard_webhooks.read_secret(callback["secret"])],
            message_id=f"{run.name}.1",
            timestamp=int(time.time()),
            body=body,
        )
        headers = {"Content-Type": "application/json", **signed}
        # The URL came in a call that was signed.
        request = urllib.request.Request(callback["url"], data=body, headers=headers)  # noqa: S310
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10):  # noqa: S310
            pass

    def status(self, run: base.Run, asked: Mapping[str, Any]) -> Said:
        """Where the run is, and what it wrote from `offset` on."""
        match self._target.poll(run, asked["offset"]):
            case base.Running(output=output):
                return 200, {"state": "running", "output": base64.b64encode(output).decode()}
            case base.Exited(code=code, output=output):
                return 200, {
                    "state": "exited",
                    "code": code,
                    "output": base64.b64encode(output).decode(),
                }
            case base.Lost(reason=reason):
                return 200, {"state": "lost", "reason": reason}
            case _:
                return 200, {"state": "absent"}

    def abort(self, run: base.Run, asked: Mapping[str, Any]) -> Said:
        """End the run and all it started, or see to it that it never starts."""
        self._target.abort(run, grace_seconds=asked["grace_seconds"])
        return 200, {"done": True}


class Handler(BaseHTTPRequestHandler):
    """One call: believed only with a signature that fits."""

    deployer: ClassVar[Deployer]
    keys: ClassVar[list[bytes]]

    def do_POST(self) -> None:
        """Answer in JSON whatever happens."""
        size = int(self.headers.get("Content-Length") or 0)
        if size > MOST_BODY_BYTES:
            self._say(413, {"detail": "too long"})
            return
        body = self.rfile.read(size)
        given = {name.lower(): value for name, value in self.headers.items()}
        why = standard_webhooks.verify(self.keys, given, body, now=int(time.time()))
        if why is not None:
            self._say(401, {"code": "not_believed", "detail": why})
            return
        calls = {
            "/runs": self.deployer.start,
            "/runs/status": self.deployer.status,
            "/runs/abort": self.deployer.abort,
        }
        if self.path not in calls:
            self._say(404, {"code": "not_found", "detail": "there is no such call"})
            return
        self._say(*self._done(calls[self.path], json.loads(body)))

    def _done(self, call: Callable[[base.Run, Mapping[str, Any]], Said], asked: Mapping[str, Any]) -> Said:
        run = base.Run(asked["run"], asked["fence"], asked["token"])
        try:
            return call(run, asked)
        except base.StaleTokenError as error:
            return 409, {"code": "stale_token", "detail": str(error)}
        except base.TargetBusyError as error:
            return 409, {"code": "busy", "detail": str(error)}
        except base.TargetUnreachableError as error:
            return 503, {"code": "try_again", "detail": str(error)}
        except base.TargetError as error:
            return 400, {"code": "refused", "detail": str(error)}

    def _say(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: the deployment's log has it all."""


def main() -> None:
    """Serve until it is ended; says where on its first line."""
    parser = argparse.ArgumentParser(description="Carries out runs of targets of the kind http.")
    parser.add_argument("--secret", type=Path, required=True, help="the file with the secret of the targets")
    parser.add_argument("--folder", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8800, help="0: any that is free")
    given = parser.parse_args()
    Handler.deployer = Deployer(given.folder)
    Handler.keys = [standard_webhooks.read_secret(line) for line in given.secret.read_text().split()]
    with ThreadingHTTPServer((given.address, given.port), Handler) as server:
        print(f"http://{given.address}:{server.server_port}/runs", flush=True)  # noqa: T201  # what it is asked for
        server.serve_forever()


if __name__ == "__main__":
    main()
