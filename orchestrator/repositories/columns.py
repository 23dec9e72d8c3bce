"""The columns of a table as this version of the code knows them."""

from orchestrator.models.base import Base


def columns(table: type[Base], alias: str) -> str:
    """All columns by name: `*` would change with a migration, under statements that are prepared."""
    return ", ".join(f"{alias}.{column.name}" for column in table.__table__.columns)
