"""Every byte that a run writes, once and in order, through real workers: whatever bytes they are."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.services import pipelines
from tests.acceptance.fleet import Fleet, eventually, fleet
from tests.integration.engine_world import World

SECRET = "correct horse battery staple"
PIPELINE = """
application: shop
secrets: [PASSPHRASE]
environments:
  staging:
    targets: [{name: web-a, kind: command}]
deploy:
  - run: |
%s
"""
# Every byte value, lines that end and one that does not, ten MiB without a newline, and what is no UTF-8.
EVERYTHING = r"""
python3 - <<'END'
import sys
out = sys.stdout.buffer
out.write(bytes(range(256)) * 50)
out.write(b"x" * 10_000_000 + b"\n")
out.write("\u00e4\u20ac\U0001f600".encode() * 1000 + b"\xc3")
END
"""
WRITTEN = (
    bytes(range(256)) * 50 + b"x" * 10_000_000 + b"\n" + "\u00e4\u20ac\U0001f600".encode() * 1000 + b"\xc3"
)


@pytest.fixture
def world(database: Database, settings: Settings) -> World:
    folder = settings.secrets_folder / "shop"
    folder.mkdir(parents=True)
    (folder / "PASSPHRASE").write_text(SECRET + "\n")
    (folder / "PASSPHRASE").chmod(0o600)
    made = World(database)
    made.release("1.0.0")
    return made


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    from tests.conftest import environment

    env = environment(settings.database_url, settings.redis_url, settings.data_dir)
    with fleet({**env, "LOG_LIMIT_BYTES": "20000000"}, tmp_path) as made:
        yield made


def deploy(world: World, workers: Fleet, script: str) -> int:
    indented = "".join(f"      {line}\n" for line in script.strip().splitlines())
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=PIPELINE % indented, actor=world.actor)
    deployment = world.request("1.0.0")
    if not workers.processes:
        workers.worker()
    eventually(lambda: world.status(deployment) in {"succeeded", "failed"}, "the deployment has ended")
    return deployment


def test_every_byte_is_kept_once_and_in_order(world: World, workers: Fleet) -> None:
    deployment = deploy(world, workers, EVERYTHING)
    assert world.status(deployment) == "succeeded"
    stored = world.stored_log(deployment)
    assert (len(stored), hashlib.sha256(stored).digest()) == (len(WRITTEN), hashlib.sha256(WRITTEN).digest())


def test_a_secret_reaches_the_command_and_nothing_else(world: World, workers: Fleet) -> None:
    encoded = base64.b64encode(SECRET.encode()).decode()
    script = """
printf %s "$PASSPHRASE" | base64
printf 'correct horse '
sleep 0.6
printf 'battery staple, %s and correct horse\\n' "$PASSPHRASE"
"""
    deployment = deploy(world, workers, script)
    assert world.stored_log(deployment).decode() == f"{encoded}\n***, *** and correct horse\n"
    texts = world.column("SELECT row_to_json(t)::text FROM (SELECT * FROM plans) t")
    texts += world.column("SELECT row_to_json(t)::text FROM (SELECT * FROM steps) t")
    texts += world.column("SELECT data::text FROM events")
    assert not [text for text in texts if SECRET in str(text)]
    assert not any(process.says(SECRET) for process in workers.processes)


def test_a_secret_that_is_not_there_fails_the_step_and_says_where_it_belongs(
    world: World, workers: Fleet, settings: Settings
) -> None:
    (settings.secrets_folder / "shop" / "PASSPHRASE").unlink()
    deployment = deploy(world, workers, "echo never")
    assert world.status(deployment) == "failed"
    why = str(world.scalar("SELECT failure FROM attempts WHERE deployment_id = :id", id=deployment))
    assert "PASSPHRASE is not there" in why
    assert world.stored_log(deployment) == b""


def test_of_too_much_output_the_beginning_and_the_end_are_kept(world: World, workers: Fleet) -> None:
    script = "echo begin; head -c 100000000 /dev/zero | tr '\\0' 'y'; echo; echo end"
    deployment = deploy(world, workers, script)
    assert world.status(deployment) == "succeeded"
    stored = world.stored_log(deployment)
    written = len(b"begin\n") + 100_000_000 + len(b"\nend\n")
    left_out = world.scalar("SELECT left_out_bytes FROM attempts WHERE deployment_id = :id", id=deployment)
    marker = f"\n[{left_out:,} bytes left out, see LOG_LIMIT_BYTES]\n".encode()
    assert stored.startswith(b"begin\nyyy")
    assert stored.endswith(b"yyy\nend\n")
    assert marker in stored
    assert len(stored) - len(marker) + int(str(left_out)) == written
    assert 20_000_000 <= len(stored) < 22_000_000
    assert (
        world.scalar("SELECT output_bytes FROM attempts WHERE deployment_id = :id", id=deployment) == written
    )
