"""The embedded stores keep their data and their secrets, whoever starts them and however they end."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg2
import pytest
import redis

from orchestrator.domain.errors import MisconfiguredError
from orchestrator.embedded import folder, guardian
from orchestrator.embedded.folder import DataFolder, FolderInUseError
from orchestrator.embedded.stores import EmbeddedStores
from tests.servers import passable_path

__all__ = ["passable_path"]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change its user for the stores")


def query(url: str, statement: str) -> object:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_both_stores_keep_their_data_over_a_restart(passable_path: Path) -> None:
    with EmbeddedStores(passable_path / "data") as stores:
        query(stores.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        redis.Redis.from_url(stores.redis_url).set("kept", "42")
    with EmbeddedStores(passable_path / "data") as stores:
        assert query(stores.database_url, "SELECT answer FROM kept") == 42
        assert redis.Redis.from_url(stores.redis_url).get("kept") == b"42"


def test_stores_are_durable_unless_told_otherwise(passable_path: Path) -> None:
    with EmbeddedStores(passable_path / "durable") as stores:
        client = redis.Redis.from_url(stores.redis_url, decode_responses=True)
        assert query(stores.database_url, "SHOW fsync") == "on"
        assert query(stores.database_url, "SHOW max_connections") == "200"
        assert client.config_get("append*")["appendonly"] == "yes"
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with EmbeddedStores(passable_path / "quick", durable=False) as stores:
        assert query(stores.database_url, "SHOW fsync") == "off"


def test_stores_want_a_password_and_hide_it(passable_path: Path) -> None:
    with EmbeddedStores(passable_path / "data") as stores:
        assert stores.postgres is not None
        assert stores.valkey is not None
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(stores.database_url.replace(stores.postgres.password, "wrong"))
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=stores.valkey.port).ping()
        for name, secret in (("postgres", stores.postgres.password), ("valkey", stores.valkey.password)):
            assert secret not in command_line(stores.supervisor.process(name).pid)
        private = (passable_path / "data/stores.json", passable_path / "data/valkey/valkey.conf")
        assert [mode(path) for path in private] == [0o600, 0o600]
        assert query(stores.database_url, "SHOW password_encryption") == "scram-sha-256"


def test_stores_listen_on_loopback_only(passable_path: Path) -> None:
    with EmbeddedStores(passable_path / "data", durable=False) as stores:
        assert stores.postgres is not None
        assert stores.valkey is not None
        for port in (stores.postgres.port, stores.valkey.port):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", port), timeout=5)


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_killed_store_comes_back_with_its_data(passable_path: Path, name: str) -> None:
    said: list[str] = []
    with EmbeddedStores(passable_path / "data", notice=said.append) as stores:
        query(stores.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        client = redis.Redis.from_url(stores.redis_url, retry=None)
        client.set("kept", "42")
        client.waitaof(1, 0, 5000)
        process = stores.supervisor.process(name)
        first_pid = process.pid
        os.kill(first_pid, signal.SIGKILL)
        healthy = process.spec.healthy
        assert healthy is not None
        assert guardian.wait_until(lambda: process.pid != first_pid and healthy(), seconds=60)
        assert query(stores.database_url, "SELECT answer FROM kept") == 42
        assert redis.Redis.from_url(stores.redis_url).get("kept") == b"42"
    assert [line for line in said if line.startswith(f"{name} was ended by SIGKILL; starting it again")]


def test_a_second_launcher_is_told_who_holds_the_folder(passable_path: Path) -> None:
    with DataFolder(passable_path / "data"), pytest.raises(FolderInUseError, match=f"process {os.getpid()} "):
        EmbeddedStores(passable_path / "data").start()
    with DataFolder(passable_path / "data") as free_again:
        assert free_again.is_held


def test_a_pid_file_that_names_a_stranger_is_no_obstacle_and_the_stranger_lives(passable_path: Path) -> None:
    with EmbeddedStores(passable_path / "data", durable=False) as stores:
        assert stores.postgres is not None
        data = stores.postgres.data
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n1\n1\n\n127.0.0.1\n\n")
        with EmbeddedStores(passable_path / "data", durable=False) as stores:
            assert query(stores.database_url, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_cluster_that_was_half_made_is_made_anew(passable_path: Path) -> None:
    half = passable_path / "data" / "postgres.new"
    half.mkdir(parents=True)
    (passable_path / "data").chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedStores(passable_path / "data", durable=False) as stores:
        assert query(stores.database_url, "SELECT 1") == 1


def test_a_lost_password_is_said_and_not_replaced(passable_path: Path) -> None:
    with EmbeddedStores(passable_path / "data", durable=False):
        pass
    (passable_path / "data/stores.json").unlink()
    with pytest.raises(MisconfiguredError, match=r"stores\.json does not hold the password"):
        EmbeddedStores(passable_path / "data").start()


@as_root
def test_root_runs_the_stores_as_nobody(passable_path: Path) -> None:
    with EmbeddedStores(passable_path / "data", durable=False) as stores:
        pids = [stores.supervisor.process(name).pid for name in ("postgres", "valkey")]
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids} == {65534}


@as_root
def test_a_folder_below_a_closed_home_is_used_without_opening_the_home(
    passable_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "SYSTEM_HOME", passable_path / "system")
    home = passable_path / "home"
    home.mkdir(mode=0o700)
    data = home / "checkout" / "data"
    with EmbeddedStores(data, durable=False) as stores:
        query(stores.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedStores(data, durable=False) as stores:
        assert query(stores.database_url, "SELECT answer FROM kept") == 42
    assert mode(home) == 0o700
    assert (data / "postgres").resolve().is_relative_to(passable_path / "system")
    shutil.rmtree(data)
    with EmbeddedStores(data, durable=False) as stores:
        assert query(stores.database_url, "SELECT to_regclass('kept')") is None


@as_root
def test_programs_that_nobody_cannot_read_are_copied(
    passable_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.embedded import binaries

    monkeypatch.setattr(binaries, "reachable", lambda _path, _account: False)
    with EmbeddedStores(passable_path / "data", durable=False) as stores:
        assert query(stores.database_url, "SELECT 1") == 1
        assert stores.postgres is not None
        assert stores.postgres.bin.is_relative_to(passable_path / "data" / "programs")


OWNER = """
import os, sys, time
from pathlib import Path
from orchestrator.embedded.stores import EmbeddedStores
with EmbeddedStores(Path(sys.argv[1])) as stores:
    pids = [stores.supervisor.process(name).pid for name in ("postgres", "valkey")]
    print(*pids, stores.supervisor.guardian_pid, stores.database_url, flush=True)
    sys.stdin.read()
"""


def test_kill_9_of_the_owner_closes_the_stores_and_frees_the_folder(passable_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), str(passable_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    with owner.stdout as stdout, owner.stdin:
        *pids, url = stdout.readline().split()
        query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        owner.kill()
        owner.wait()
    assert guardian.wait_until(
        lambda: all(guardian.start_ticks(int(pid)) is None for pid in pids), seconds=30
    )
    with EmbeddedStores(passable_path / "data") as stores:
        assert query(stores.database_url, "SELECT answer FROM kept") == 42


def test_servers_that_outlived_everyone_are_ended_before_a_new_start(passable_path: Path) -> None:
    """Owner and guardian are killed together: the stores are orphans until the next start on their folder."""
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(OWNER), str(passable_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    with owner.stdout as stdout, owner.stdin:
        postgres, valkey, guardian_pid, _ = stdout.readline().split()
        os.kill(owner.pid, signal.SIGSTOP)  # or it would start another guardian
        os.kill(int(guardian_pid), signal.SIGKILL)
        owner.kill()
        owner.wait()
    assert guardian.start_ticks(int(postgres)) is not None
    with EmbeddedStores(passable_path / "data") as stores:
        assert query(stores.database_url, "SELECT 1") == 1
        assert guardian.start_ticks(int(postgres)) is None
        assert guardian.start_ticks(int(valkey)) is None
