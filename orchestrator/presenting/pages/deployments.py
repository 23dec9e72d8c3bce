"""The list of deployments as people see it: the newest that are asked for."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlencode

from sqlalchemy.orm import Session

from orchestrator.presenting.deployments import present
from orchestrator.presenting.pages.rendering import View, render
from orchestrator.repositories import deployments

MOST_SHOWN = 50
_LONGEST_NAME = 63
_LONGEST_ID = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which deployments: empty is all. `before`: only those that were requested before this one."""

    application: str = ""
    environment: str = ""
    status: str = ""
    before: int | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """From what `text` wrote; what is there beside it is left out."""
        sent = {name: values[0].replace("\0", "") for name, values in parse_qs(text).items()}
        names = {
            name: sent.get(name, "")[:_LONGEST_NAME] for name in ("application", "environment", "status")
        }
        before = sent.get("before", "")[:_LONGEST_ID]
        is_number = before.isascii() and before.isdecimal()
        return cls(**names, before=(int(before) or None) if is_number else None)

    @property
    def filters(self) -> dict[str, str]:
        """What was asked for, by name."""
        named = {
            "application": self.application,
            "environment": self.environment,
            "status": self.status,
        }
        return {name: value for name, value in named.items() if value}

    @property
    def text(self) -> str:
        """As a query."""
        return urlencode(self.filters | ({"before": str(self.before)} if self.before else {}))


def read(session: Session, asked: Asked) -> View:
    """One page of the list."""
    found = deployments.page(session, asked.filters, before_id=asked.before, skip=0, limit=MOST_SHOWN + 1)
    shown = found[:MOST_SHOWN]
    if not shown:
        empty = render("deployments_empty.html", is_filtered=bool(asked.filters or asked.before))
        return View({"empty": empty}, "deployments_frame.html")
    pieces = {f"deployment-{row.id}": render("deployments_line.html", each=present(row)) for row in shown}
    older = Asked(**asked.filters, before=shown[-1].id).text if len(found) > MOST_SHOWN else ""
    return View(pieces | {"older": render("deployments_older.html", older=older)}, "deployments_frame.html")
