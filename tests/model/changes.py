"""What must not have become so since the last look: ends that changed, starts that nobody allowed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from tests.model.book import Book
from tests.model.evidence import Evidence


@dataclass
class Changes:
    """What the model saw when it looked last."""

    book: Book
    _ended_steps: dict[int, str] = field(default_factory=dict)
    _answers: int = 0
    _starts: int = 0
    _statuses: int = 0

    def look(self, now: Evidence) -> list[str]:
        """Everything that speaks against what became so."""
        return [*self._changed_ends(now), *self._forbidden_starts(now), *self._standstill(now)]

    def _changed_ends(self, now: Evidence) -> Iterator[str]:
        """Steps that had ended and are something else now, though nobody said since that their targets are to be tried again."""
        heard, self._answers = self._answers, len(now.tries_again)
        tried_again = {place for places in now.tries_again[heard:] for place in places}
        for step in now.steps:
            before = self._ended_steps.get(step.id, step.status)
            reopened = (
                before in {"failed", "skipped"} and (step.deployment_id, step.target_name) in tried_again
            )
            if before != step.status and not reopened:
                yield f"step {step.id} was {before} and is {step.status}"
            if step.status in {"succeeded", "failed", "skipped", "cancelled"}:
                self._ended_steps[step.id] = step.status
            else:
                self._ended_steps.pop(step.id, None)

    def _forbidden_starts(self, now: Evidence) -> Iterator[str]:
        """I11: starts since the last look; whatever anybody said was said before them, for a rule begins with that."""
        fresh, self._starts = now.starts[self._starts :], len(now.starts)
        environments = {row.id: row.environment for row in now.deployments}
        for start in fresh:
            id_, at = start.deployment_id, datetime.fromisoformat(start.at)
            for why in self.book.against(id_, environments[id_], at=at):
                yield f"I11: deployment {id_} started at {start.at} in {environments[id_]}: {why}"

    def _standstill(self, now: Evidence) -> Iterator[str]:
        """In the order of the commits: after a rollback that went wrong nothing starts until somebody says so."""
        rows = {row.id: row for row in now.deployments}
        in_doubt = {step.deployment_id for step in now.steps if step.status == "unknown"}
        for change in now.statuses[self._statuses :]:
            row = rows[change.deployment_id]
            if change.old == "pending" and change.new == "running" and row.environment in self.book.halted:
                yield f"I11: deployment {row.id} started in {row.environment}, where a rollback had failed"
            went_wrong = change.new == "failed" or (change.new == "cancelled" and row.id in in_doubt)
            if row.rolls_back_id and went_wrong:
                self.book.halted.add(row.environment)
        self._statuses = len(now.statuses)
        locked = sorted(halt.environment for halt in now.halts)
        if locked != sorted(self.book.halted):
            yield f"rollbacks went wrong in {sorted(self.book.halted)} and locked is {locked}"
