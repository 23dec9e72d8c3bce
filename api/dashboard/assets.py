"""Scripts, styles and pictures of the pages. Their addresses hold a digest of them all, so browsers keep them for good."""

import hashlib
from pathlib import Path

from flask import Response, send_from_directory

from api.auth import requires
from api.dashboard import renewal
from orchestrator.domain.access import Permission

FOLDER = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"


def _digest() -> str:
    made = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            made.update(f"{path.relative_to(FOLDER)}\0".encode() + path.read_bytes())
    return made.hexdigest()[:12]


DIGEST = _digest()


def url(name: str) -> str:
    """Where a file is served."""
    return f"/static/{DIGEST}/{name}"


@requires(Permission.PUBLIC, is_counted=False)
@renewal.never("a file")
def serve(digest: str, name: str) -> Response:
    """One of the files; NotFound for anything outside of their folder."""
    answer = send_from_directory(FOLDER, name)
    answer.headers["Cache-Control"] = FOREVER if digest == DIGEST else "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
