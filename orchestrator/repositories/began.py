"""Which steps count as begun: what was started may have changed its target, what only could not be reached has not."""

BEGAN = """(s.started_at IS NOT NULL AND (s.status <> 'failed' OR EXISTS (
        SELECT 1 FROM attempts a WHERE a.step_id = s.id AND a.outcome IS DISTINCT FROM 'unreachable')))"""
"""Of a step `s`."""
