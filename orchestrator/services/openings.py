"""What the windows and freezes of an environment say now."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from orchestrator import recurrence
from orchestrator.domain.window_reading import RuleDraft, read_rule
from orchestrator.domain.windows import Opening, Rule, RuleKind, evaluate

MOST_READ = 2000
_read: dict[tuple[int, float], RuleDraft] = {}
"""Rules by id and when they were made: a rule never changes."""


def opening(
    found: Mapping[str, Any] | None,
    now: datetime,
    *,
    since: datetime | None = None,
    only_freezes: bool = False,
) -> Opening | None:
    """What the rules of an environment say to an application with these labels; None where none of them is for it.

    `since`: from when on to look for the beginning of an opening that lasts.
    """
    rules = [rule for rule in rules_for(found) if rule.kind is RuleKind.FREEZE or not only_freezes]
    return evaluate(rules, now, occurrences=recurrence.occurrences, since=since) if rules else None


def opening_for(row: Row[Any], rules: Mapping[str, Any] | None, now: datetime) -> Opening | None:
    """As `opening`, for a deployment: it waited for an opening that began after it was requested.

    Windows that are overridden for it say nothing.
    """
    most = timedelta(seconds=row.jitter_seconds)
    since = min(now, max(row.created_at, now - most)) if most else None
    return opening(rules, now, since=since, only_freezes=row.override_windows)


def rules_for(found: Mapping[str, Any] | None) -> list[Rule]:
    """The rules of an environment that are for an application with these labels."""
    if found is None:
        return []
    labels = found["labels"] or {}
    return [rule for each in found["rules"] if (rule := _for(each, labels))]


def _for(found: Mapping[str, Any], labels: Mapping[str, str]) -> Rule | None:
    draft = rule_of(found["id"], float(found["made_at"]), found["document"])
    if any(labels.get(key) not in values for key, values in draft.labels.items()):
        return None
    return draft.as_rule(found["id"])


def rule_of(rule_id: int, made_at: float, document: Mapping[str, Any]) -> RuleDraft:
    """The rule as it was read when it was made (seconds since the epoch)."""
    draft = _read.get((rule_id, made_at))
    if draft is None:
        draft = read_rule(document, check=recurrence.check)
        if len(_read) >= MOST_READ:
            _read.clear()
        _read[rule_id, made_at] = draft
    return draft
