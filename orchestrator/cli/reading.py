"""Reads the log of a deployment, page by page, from where it was left."""

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.client import Client, Page, Record


@dataclass(slots=True)
class LogReader:
    """Remembers how far it has read; `complete` once the server said that no more will come."""

    client: Client
    deployment_id: int
    step: int | None = None
    tail: int | None = None
    """Begin with the last lines only."""
    cursor: str | None = None
    complete: bool = False

    def pages(self, *, most: int | None = None) -> Iterator[list[Record]]:
        """Pieces until nothing is left for now, or for `most` pages."""
        left = most
        while left is None or left > 0:
            page = self._page()
            moved = bool(page.items) and page.next_cursor not in {None, self.cursor}
            self.cursor = page.next_cursor or self.cursor
            if page.items:
                yield page.items
            if not moved:
                self.complete = page.complete
                return
            left = None if left is None else left - 1

    def _page(self) -> Page:
        if self.tail is not None and self.cursor is None:
            return self.client.last_lines(self.deployment_id, lines=self.tail, step=self.step)
        return self.client.log_page(self.deployment_id, cursor=self.cursor, step=self.step)
