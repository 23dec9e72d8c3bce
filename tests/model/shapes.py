"""Pipelines for the examples: what the engine treats differently."""

import json

from hypothesis import strategies as st

from tests.model.system import APPLICATION


def _pipeline(
    kind: str,
    *,
    staging: int,
    production: int,
    strategy: dict[str, object],
    on_failure: str | dict[str, str],
    promoting: bool,
    approvals: list[dict[str, object]],
    actions: list[dict[str, object]],
) -> str:
    """YAML, which JSON is."""

    def targets(count: int) -> list[dict[str, object]]:
        zones = {"a": "north", "b": "south", "c": "north", "d": "south"}
        return [
            {"name": f"web-{letter}", "kind": kind, "labels": {"zone": zones[letter]}}
            for letter in "abcd"[:count]
        ]

    environments = {
        "staging": {"targets": targets(staging), "strategy": strategy},
        "production": {
            "targets": targets(production),
            "strategy": strategy,
            "after": ["staging"] if promoting else [],
            "on_failure": on_failure,
            "approvals": approvals,
        },
    }
    return json.dumps({"application": APPLICATION, "environments": environments, "deploy": actions})


strategies = st.builds(
    lambda kind, batch, parallel, failures, rolling: {
        "kind": kind,
        "max_parallel": parallel,
        "max_failures": failures,
        **({"batch": batch, **rolling} if kind == "rolling" else {}),
    },
    st.sampled_from(["all-at-once", "rolling"]),
    st.integers(1, 2),
    st.integers(1, 3),
    st.sampled_from([0, 0, 1]),
    st.sampled_from(
        [
            {},
            {"settle": "30s"},
            {"max_batch_failures": 0},
            {"zone": "zone", "bake": "90s"},
            {"mode": "sliding"},
            {"mode": "sliding", "zone": "zone", "bake": "90s"},
        ]
    ),
)
actions = st.builds(
    lambda retries, idempotent, timeout: {
        "run": "./install",
        "retries": retries,
        "idempotent": idempotent,
        "timeout": timeout,
    },
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["60s", "600s"]),
)
approvals = st.builds(
    lambda count, lasting: {"count": count, "role": "operator", **({"expires": lasting} if lasting else {})},
    st.integers(1, 2),
    st.sampled_from(["", "60s", "240s"]),
)
pipelines = st.builds(
    _pipeline,
    st.sampled_from(["simulated", "simulated-local"]),
    staging=st.integers(1, 2),
    production=st.integers(1, 4),
    strategy=strategies,
    on_failure=st.sampled_from(
        ["rollback", "fail", {"pause": "60s", "then": "rollback"}, {"pause": "2m", "then": "fail"}]
    ),
    promoting=st.booleans(),
    approvals=st.one_of(st.just([]), st.just([]), st.lists(approvals, min_size=1, max_size=1)),
    actions=st.lists(actions, min_size=1, max_size=2),
)
