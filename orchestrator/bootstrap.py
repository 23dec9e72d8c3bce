"""Before anything runs: the tables, and the first admin.

`python -m orchestrator.bootstrap migrate` and `python -m orchestrator.bootstrap first-admin`.
"""

import sys
import time
from collections.abc import Callable, Sequence

import orjson
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from orchestrator import log
from orchestrator.config import Settings
from orchestrator.db import Database, make_engine
from orchestrator.domain.errors import OrchestratorError
from orchestrator.repositories import users as user_rows
from orchestrator.revisions import MIGRATIONS
from orchestrator.security import PasswordHasher, new_password
from orchestrator.services import users

_MIGRATION_LOCK = 72_617


def migrate(settings: Settings) -> None:
    """Bring the tables to the newest revision; of several that start at once, one does it and the others wait."""
    engine = make_engine(settings)
    try:
        # A session lock: should this process die, its connection goes and the lock with it.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # Asked again and again: a statement that waits holds a snapshot, for which CREATE INDEX CONCURRENTLY waits.
            while not connection.scalar(
                text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _MIGRATION_LOCK}
            ):
                time.sleep(0.2)
            config = migration_config()
            config.attributes["engine"] = engine
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def migration_config() -> Config:
    """Alembic's configuration for our migrations."""
    config = Config(str(MIGRATIONS / "alembic.ini"))
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def first_admin(settings: Settings) -> dict[str, str]:
    """Make the user `admin` with a new password if there is nobody yet; the password is told this once."""
    database = Database(settings)
    try:
        with database.reading() as session:
            if user_rows.is_anybody(session):
                return {}
        password = new_password()
        hashed = PasswordHasher(settings.bcrypt_rounds).hash(password)
        with database.transaction() as session:
            if user_rows.lock_registration(session):
                return {}
            new = users.NewUser(email="admin@localhost", username="admin", password_hash=hashed)
            users.register(session, new, actor=None, is_open=False)
        return {"username": "admin", "password": password}
    finally:
        database.close()


def main(argv: Sequence[str]) -> int:
    """Run one of the two commands; the exit code."""
    actions: dict[str, Callable[[Settings], dict[str, str] | None]] = {
        "migrate": migrate,
        "first-admin": first_admin,
    }
    if len(argv) != 1 or argv[0] not in actions:
        sys.stderr.write(f"usage: python -m orchestrator.bootstrap {' | '.join(actions)}\n")
        return 2
    try:
        settings = Settings.from_env()
        log.configure(settings.log_level)
        said = actions[argv[0]](settings)
    except OrchestratorError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    if said is not None:
        sys.stdout.write(orjson.dumps(said).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
