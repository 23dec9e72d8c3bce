"""Everything that happened, and whether the record of it is whole."""

from collections.abc import Iterator

from flask import Response

from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from api.pagination import window
from api.schemas import audit as schemas
from orchestrator.domain.access import Permission
from orchestrator.domain.audit import Seal, verify
from orchestrator.presenting.json import dumps
from orchestrator.repositories import events

MOST_VERIFIED = 20_000
READ_AT_ONCE = 1000
MOST_FAULTS = 20


@blueprint.route("/audit", methods=["GET"])
@frame.page_for(Permission.OPERATE)
@renewal.told_everything()
def audit() -> Response:
    """What happened, the newest first."""
    query = frame.read_query(schemas.AuditQuery)
    subject = query["subject"]
    part = window(f"audit-page:{subject or ''}", query)
    found = events.newest(session(), subject=subject, before=part.after, skip=part.skip, limit=part.one_more)
    shown = part.answer(found, lambda row: row, key=lambda row: row.id)
    return frame.renewing(
        "audit.html", found=shown["items"], next_cursor=shown["next_cursor"], subject=subject
    )


@blueprint.route("/audit/verification", methods=["GET"])
@frame.page_for(Permission.OPERATE)
@renewal.never("it says what was so when it was asked")
def audit_verification() -> Response:
    """Whether the chains are whole: of one subject, or of everything as far as it can be read while somebody waits."""
    subject = frame.read_query(schemas.AuditQuery)["subject"]
    reading = _Reading(subject)
    faults = [fault.says for fault in verify(reading.lines())]
    return frame.render(
        "audit_verification.html",
        subject=subject,
        entries=reading.seal.entries,
        is_all=reading.is_all,
        faults=faults[:MOST_FAULTS],
        more_faults=max(0, len(faults) - MOST_FAULTS),
    )


class _Reading:
    """Reads entries as an export would have them, up to MOST_VERIFIED."""

    def __init__(self, subject: str | None) -> None:
        self._subject = subject
        self.seal = Seal()
        self.is_all = False

    def lines(self) -> Iterator[bytes]:
        """Each entry as it is exported, and the seal over them."""
        after = 0
        while self.seal.entries < MOST_VERIFIED:
            found = events.page(session(), subject=self._subject, after=after, skip=0, limit=READ_AT_ONCE)
            for row in found:
                entry = schemas.present(row)
                line = dumps(entry)
                self.seal.add_line(line)
                after = row.id
                yield line
            if len(found) < READ_AT_ONCE:
                self.is_all = True
                break
        yield dumps(self.seal.document())
