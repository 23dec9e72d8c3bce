"""Which steps count as begun, and which as changing their target: as parts of SQL."""

from orchestrator.domain.undoing import CHANGING

BEGAN = """(s.started_at IS NOT NULL AND (s.status IN ('running', 'succeeded') OR EXISTS (
        SELECT 1 FROM attempts a WHERE a.step_id = s.id AND a.started_at IS NOT NULL
          AND (a.outcome IS NULL OR a.outcome NOT IN ('unreachable', 'unstarted')))))"""
"""Of a step `s`: what was started may have changed its target; what could not be reached, or was refused before, has not."""

_KINDS = ", ".join(f"'{each}'" for each in CHANGING)
CHANGES = f"p.document -> 'actions' -> CAST(s.action_index AS int) ->> 'kind' IN ({_KINDS})"
"""Of a step `s` and the plan `p` of its deployment: it brings what the release is; moving traffic or looking does not."""
