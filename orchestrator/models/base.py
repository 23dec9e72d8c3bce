"""What every table has: names of constraints, an identity key, and when a row came and changed."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, DateTime, Identity, MetaData, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

Id = Annotated[int, mapped_column(BigInteger, Identity(always=False), primary_key=True)]
Json = dict[str, Any]


class Xid8(UserDefinedType[str]):
    """Postgres' 64-bit transaction id: orders what readers may already see."""

    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        return "xid8"


class Base(DeclarativeBase):
    """The one declarative base; its metadata is what the migrations are compared with."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy's own way to say it
        datetime: DateTime(timezone=True),
        int: BigInteger,
        str: Text,
        Json: JSONB,
    }


class Timestamps:
    """When the row was made and last changed, by Postgres' clock."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), sort_order=900)
    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.clock_timestamp(), onupdate=func.clock_timestamp(), sort_order=901
    )
