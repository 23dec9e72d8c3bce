"""How Alembic reaches the database: through Flask-Migrate's application where there is one, else through the settings."""

from alembic import context
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.base import ischema_names

from orchestrator.config import Settings
from orchestrator.db import make_engine
from orchestrator.models import Base
from orchestrator.models.base import Xid8


def _engine() -> Engine:
    given = context.config.attributes.get("engine")
    return given if given is not None else make_engine(Settings.from_env())


def _ignore_empty(migration_context, revision, directives) -> None:  # type: ignore[no-untyped-def]
    if (
        context.config.cmd_opts
        and getattr(context.config.cmd_opts, "autogenerate", False)
        and directives[0].upgrade_ops.is_empty()
    ):
        directives[:] = []


def run() -> None:
    """Run the migrations in one transaction."""
    # `flask db check` compares columns of this type, which SQLAlchemy does not know.
    ischema_names["xid8"] = Xid8
    with _engine().connect() as connection:
        connection.exec_driver_sql("SET lock_timeout = '5s'")
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            compare_server_default=False,
            process_revision_directives=_ignore_empty,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
