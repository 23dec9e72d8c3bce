"""`releasectl up`: the whole stack with stand-in processes, and what is left when it is killed."""

import http.server
import io
import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from orchestrator.embedded import guardian, processes
from orchestrator.embedded.output import Output
from orchestrator.embedded.processes import Processes, Site
from orchestrator.embedded.spec import ProcessSpec, StartFailedError
from orchestrator.embedded.stack import Stack, StackOptions
from tests.servers import is_gone, passable_path

__all__ = ["passable_path"]

WEB = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ["DATABASE_URL"].encode())
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""


def shell(name: str, script: str, **more: object) -> ProcessSpec:
    spec = {"name": name, "argv": ("/bin/sh", "-c", script), "env": {"PATH": os.defpath}, "cwd": "/"}
    return ProcessSpec(**{**spec, **more})  # type: ignore[arg-type]  # a shorthand of the tests


def stand_ins(site: Site) -> Processes:
    """The real table with programs that need neither api nor workers."""
    web = ProcessSpec(
        name="web",
        argv=(sys.executable, "-c", WEB.format(port=site.port)),
        env=site.env,
        cwd="/",
        healthy=lambda: answers(f"http://127.0.0.1:{site.port}/"),
    )
    first_admin = (
        'test -e made && echo "{}" || { echo \'{"username": "admin", "password": "pw"}\'; : > made; }'
    )
    return Processes(
        migrate=shell("migrate", 'test -n "$DATABASE_URL"', env=site.env),
        first_admin=shell("first-admin", first_admin, cwd=str(site.data_dir)),
        services=(web, shell("worker1", "exec sleep 600")),
    )


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


# The stack.


def options(data_dir: Path, **env: str) -> StackOptions:
    return StackOptions(data_dir=data_dir, env={"PATH": os.defpath, **env}, port=18_000, durable=False)


def test_the_stack_serves_says_where_it_is_and_leaves_nothing(passable_path: Path) -> None:
    log = io.StringIO()
    said: list[str] = []
    with Stack(
        options(passable_path / "data"), output=Output(log), progress=said.append, table=stand_ins
    ) as stack:
        note = passable_path / "data" / "up.json"
        assert json.loads(note.read_text()) == {
            "url": stack.url,
            "flower_url": stack.flower_url,
            "pid": os.getpid(),
        }
        assert stat.S_IMODE(note.stat().st_mode) == 0o600
        assert answers(stack.url)
        assert stack.admin is not None
        assert (stack.admin.username, stack.admin.password) == ("admin", "pw")
        assert len(stack.env["SECRET_KEY"]) == 64
        pids = [stack.supervisor.process(name).pid for name in stack.supervisor.names()]
        assert stack.supervisor.names() == ["postgres", "valkey", "web", "worker1"]
        first_key = stack.env["SECRET_KEY"]
    assert not note.exists()
    assert all(is_gone(pid) for pid in pids)
    assert "postgres   | " in log.getvalue()
    assert '"pw"' not in log.getvalue()
    with Stack(
        options(passable_path / "data"), output=Output(log), progress=said.append, table=stand_ins
    ) as stack:
        assert stack.admin is None
        assert stack.env["SECRET_KEY"] == first_key


def test_a_second_stack_beside_the_first_takes_other_ports(passable_path: Path) -> None:
    said: list[str] = []
    quiet = Output.nowhere()
    with (
        Stack(options(passable_path / "one"), output=quiet, progress=lambda _: None, table=stand_ins) as one,
        Stack(options(passable_path / "two"), output=quiet, progress=said.append, table=stand_ins) as two,
    ):
        assert one.url != two.url
        assert [answers(one.url), answers(two.url)] == [True, True]
        assert one.env["DATABASE_URL"] != two.env["DATABASE_URL"]
    assert f"is taken: web uses {two.url.rpartition(':')[2]}" in "\n".join(said)


def test_stores_that_are_given_are_used_and_none_is_started(passable_path: Path) -> None:
    given = {"DATABASE_URL": "postgresql://given/db", "REDIS_URL": "redis://given/0"}
    stack = Stack(
        options(passable_path / "data", **given),
        output=Output.nowhere(),
        progress=lambda _: None,
        table=stand_ins,
    )
    with stack:
        assert stack.supervisor.names() == ["web", "worker1"]
        assert stack.env["DATABASE_URL"] == "postgresql://given/db"


def test_failed_migrations_stop_the_start_and_the_stores(passable_path: Path) -> None:
    def table(site: Site) -> Processes:
        good = stand_ins(site)
        return Processes(shell("migrate", "echo bad revision >&2; exit 1"), good.first_admin, good.services)

    stack = Stack(
        options(passable_path / "data"), output=Output.nowhere(), progress=lambda _: None, table=table
    )
    with pytest.raises(StartFailedError, match="bad revision"), stack:
        pytest.fail("it started all the same")
    assert stack.supervisor.names() == []


def test_the_table_holds_every_process_of_an_installation(passable_path: Path) -> None:
    site = Site(
        data_dir=passable_path,
        redis_url="redis://x",
        port=8000,
        stream_port=8001,
        flower_port=5555,
        workers=2,
        env={},
    )
    table = processes.of(site)
    assert [spec.name for spec in table.services] == ["web", "stream", "worker1", "worker2", "beat", "flower"]
    assert table.services[2].queues == ("deployments", "default")
    assert table.migrate.argv[1:] == ("-m", "orchestrator.bootstrap", "migrate")


# The command.

STANDING_IN = """
import sys
sys.path.insert(0, {root!r})
from orchestrator.cli.up import up
from orchestrator.embedded.stack import Stack
from tests.integration.test_up import stand_ins
Stack.__init__.__kwdefaults__["table"] = stand_ins
up()
"""


class Command:
    """`releasectl up` with stand-in processes, in a session of its own."""

    def __init__(self, data: Path) -> None:
        root = str(Path(__file__).parents[2])
        self.note = data / "up.json"
        self.popen = subprocess.Popen(
            [
                sys.executable,
                "-c",
                STANDING_IN.format(root=root),
                "--data-dir",
                str(data),
                "--port",
                "18100",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if not key.endswith("_URL")},
        )

    def wait_up(self) -> None:
        assert guardian.wait_until(lambda: self.note.exists() or self.popen.poll() is not None, seconds=60)
        assert self.popen.poll() is None, self.popen.communicate()

    def descendants(self) -> list[int]:
        children = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children")
        assert children.exists()
        return [
            int(pid)
            for task in children.parents[1].iterdir()
            for pid in (task / "children").read_text().split()
        ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_everything_in_order(passable_path: Path, number: signal.Signals) -> None:
    command = Command(passable_path / "data")
    command.wait_up()
    pids = command.descendants()
    command.popen.send_signal(number)
    out, err = command.popen.communicate(timeout=60)
    assert command.popen.returncode == 0, err
    assert "Log in as admin with the password pw" in out
    assert "http://127.0.0.1:181" in out
    assert "\x1b[" not in err
    assert "database system is shut down" in err
    assert len(pids) == 5
    assert all(is_gone(pid) for pid in pids)
    assert not command.note.exists()


def test_kill_9_of_up_leaves_no_process_behind(passable_path: Path) -> None:
    command = Command(passable_path / "data")
    command.wait_up()
    pids = command.descendants()
    command.popen.kill()
    command.popen.communicate()
    assert guardian.wait_until(lambda: all(is_gone(pid) for pid in pids), seconds=30)


def test_a_port_that_a_stranger_holds_is_passed_over(passable_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as stranger:
        taken = stranger.server_address[1]
        given = {"DATABASE_URL": "postgresql://given/db", "REDIS_URL": "redis://given/0"}
        wanted = StackOptions(data_dir=passable_path / "data", env=given, port=int(taken))
        with Stack(wanted, output=Output.nowhere(), progress=lambda _: None, table=stand_ins) as stack:
            assert stack.url != f"http://127.0.0.1:{taken}"
