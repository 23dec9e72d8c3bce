"""Who this installation is."""

from sqlalchemy import text
from sqlalchemy.orm import Session

_READ = text("SELECT id FROM origins")


def read(session: Session) -> str:
    """The name of this installation, made with its database and never changed."""
    return str(session.execute(_READ).scalar_one())
