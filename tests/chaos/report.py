"""What a run saw, as a table for people and as JSON."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from tests.chaos.evidence import Evidence
from tests.chaos.invariants import INVARIANTS, Violation

LOST = {"I4"}
DOUBLED = {"I2", "I3"}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all are not above; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


@dataclass
class Report:
    """Figures, and what speaks against us."""

    deployments: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    """How many commands were started, by the kind of target."""
    reached: tuple[str, ...] = ()
    """The kinds of targets there were."""
    output_bytes: int = 0
    accepted: int = 0
    followed: int = 0
    """How many deployments followers saw to the end, each counted once a follower."""
    connections: int = 0
    seed: int = 0
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    phases: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    stuck: list[int] = field(default_factory=list)
    stuck_notes: list[str] = field(default_factory=list)
    longest_standstill: float = 0.0
    recovery: list[float] = field(default_factory=list)
    able_recovery: list[float] = field(default_factory=list)
    slowest: list[str] = field(default_factory=list)
    requests: int = 0
    repeated: int = 0
    extra: dict[str, str] = field(default_factory=dict)
    """What one scenario has to say besides."""

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """What was carried out."""
        kinds = {step.id: step.kind for step in evidence.steps}
        return cls(
            deployments=dict(Counter(row.status for row in evidence.deployments.values())),
            attempts=dict(Counter(row.outcome or "open" for row in evidence.attempts)),
            starts=dict(
                Counter(kinds.get(entry.step_id, "nowhere") for entry in evidence.ledger if entry.kind == "S")
            ),
            output_bytes=sum(row.output_bytes for row in evidence.attempts),
            requests=evidence.requests[0],
            repeated=evidence.requests[1],
            followed=sum(each.end is not None for each in evidence.followed),
            connections=sum(each.connections for each in evidence.followed),
            accepted=len({i for ids in evidence.accepted.values() for i in ids}),
        )

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations and not self.stuck

    def count(self, names: set[str]) -> int:
        """How many violations are of these."""
        return sum(each.invariant in names for each in self.violations)

    def table(self) -> str:
        """For people, in Markdown."""
        lines = [f"{sum(self.faults.values())} faults, seed {self.seed}, {self.seconds / 60:.1f} minutes", ""]
        lines += _table("fault", _by_number(self.faults))
        lines += _table("a kill of a worker came", _by_number(self.phases))
        lines += _table(
            "deployments", {**_by_number(self.deployments), "all": sum(self.deployments.values())}
        )
        figures: dict[str, Any] = {
            "accepted with 202": self.accepted,
            "commands started": sum(self.starts.values()),
            **{f"of these at `{kind}`": self.starts.get(kind, 0) for kind in self.reached},
            "bytes of output": f"{self.output_bytes:,}",
            "requests answered, sent again": f"{self.requests}, {self.repeated}",
            "followed to the end, over connections": f"{self.followed}, {self.connections}",
            "lost": self.count(LOST),
            "doubled": self.count(DOUBLED),
            "untrue": self.count(set(INVARIANTS) - LOST - DOUBLED),
            "stuck": len(self.stuck),
            "other trouble": self.count({each.invariant for each in self.violations} - set(INVARIANTS)),
            **self.extra,
        }
        if self.recovery:
            figures |= {
                "longest standstill after the last heal": f"{self.longest_standstill:.1f} s",
                "faults that held something up": len(self.recovery),
                "recovery p50 / p99 / max": _spread(self.able_recovery),
                "the same, whatever else broke meanwhile": _spread(self.recovery),
            }
        lines += _table("figure", figures)
        return "\n".join([*lines, *self._evidence()])

    def json(self) -> str:
        """For programs."""
        return json.dumps(asdict(self), indent=2)

    def _evidence(self) -> list[str]:
        found = [f"VIOLATED {each.invariant}: {each.text}" for each in self.violations]
        found += [f"STUCK {note}" for note in self.stuck_notes] or [f"STUCK {i}" for i in self.stuck]
        return [*found, *(f"slow: {line}" for line in self.slowest[:5])]


def _table(head: str, rows: dict[str, Any]) -> list[str]:
    lines = [f"| {head} | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items()), ""]
    return lines if rows else []


def _by_number(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda row: -row[1]))


def _spread(values: list[float]) -> str:
    parts = (percentile(values, 0.5), percentile(values, 0.99), max(values, default=0.0))
    return " / ".join(f"{each:.1f} s" for each in parts)
