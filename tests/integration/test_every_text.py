"""Whatever people, programs and targets write is text on every page, in whatever field they write it."""

import re
from typing import Any

import pytest
from sqlalchemy import ARRAY, JSON, text

from api import access
from orchestrator.domain.statuses import Outcome
from orchestrator.models import Base
from orchestrator.services import attempts
from orchestrator.services.attempts import Ended
from tests.integration.api_world import ApiWorld, world
from tests.integration.test_api_deployments import begin, run, write

__all__ = ["world"]

SHOWN = {
    "api_tokens.name",
    "applications.description",
    "attempts.trouble",
    "delivery_tries.detail",
    "deployments.failure",
    "deployments.reason",
    "drift_checks.detail",
    "events.data",
    "locks.reason",
    "log_chunks.data",
    "pipelines.source",
    "plans.document",
    "releases.artifact",
    "releases.changes",
    "schedules.last_outcome",
    "schedules.reason",
    "steps.failure",
    "target_health.detail",
    "users.email",
    "webhooks.disabled_because",
    "webhooks.name",
    "webhooks.settings",
    "window_rules.document",
}
"""What may hold anything, and is on a page."""

SHOWN_ONLY_AS_AN_EVENT = {
    "approvals.reason",
    "health_watches.because",
    "identities.issuer",
    "identities.subject",
}
SHOWN_TO_PROGRAMS_ONLY = {
    "attempts.failure",
    "attempts.node",
    "attempts.worker",
    "deployments.health",
    "hook_receipts.answer",
    "hook_receipts.key",
    "hooks.sender",
    "hooks.tag_prefix",
    "idempotency_keys.key",
    "pipelines.document",
    "steps.target",
    "targets.settings",
}

NAMES = {
    "api_tokens.applications",
    "api_tokens.environments",
    "applications.name",
    "approvals.teams",
    "deployments.approval_rules",
    "deployments.environment",
    "deployments.promote_after",
    "environments.name",
    "grants.environments",
    "grants.team",
    "health_watches.environment",
    "locks.environment",
    "releases.name",
    "releases.version",
    "schedules.cron",
    "schedules.environment",
    "schedules.from_environment",
    "schedules.zone",
    "steps.target_name",
    "targets.environment",
    "targets.kind",
    "targets.name",
    "users.teams",
    "users.username",
    "webhooks.applications",
    "webhooks.environments",
    "webhooks.events",
    "webhooks.kind",
    "window_rules.environment",
}
"""What holds letters, digits and a few signs: its pattern is in the schema of the API or in the reader of pipelines."""

OURS = {
    "api_tokens.hash",
    "api_tokens.hint",
    "api_tokens.scopes",
    "approvals.role",
    "attempts.outcome",
    "deliveries.status",
    "deployments.ending",
    "deployments.event_hash",
    "deployments.held_by",
    "deployments.on_failure",
    "deployments.plan_hash",
    "deployments.side",
    "deployments.status",
    "deployments.strategy",
    "deployments.traceparent",
    "deployments.unanswered",
    "deployments.when_closed",
    "drift_checks.state",
    "events.hash",
    "events.kind",
    "events.subject",
    "grants.role",
    "health_watches.soaks",
    "heartbeats.source",
    "holds.kind",
    "hooks.secret",
    "idempotency_keys.request_hash",
    "releases.artifact_sha256",
    "releases.status",
    "sign_ins.current_token_id",
    "sign_ins.ended_because",
    "sign_ins.id",
    "steps.status",
    "users.password_hash",
    "users.role",
    "webhooks.secrets",
}
"""Words, digests and lists of the code's own."""

QUERY = (
    "application",
    "environment",
    "version",
    "q",
    "status",
    "subject",
    "name",
    "zone",
    "at",
    "next",
    "reason",
    "kind",
)
PIPELINE = """\
application: texts
description: {description}
environments:
  staging:
    targets: [{{name: web-a, kind: noop}}]
    approvals: [{{role: operator}}]
  lab:
    targets: [{{name: web-a, kind: noop}}]
deploy:
  - run: {script}
    name: {title}
# {source}
"""


def mark(column: str) -> str:
    return f"<b>{column}</b>\"'"


def quoted(column: str) -> str:
    return "'" + mark(column).replace("'", "''") + "'"


def test_every_column_that_holds_text_is_of_one_kind() -> None:
    kinds = (SHOWN, SHOWN_ONLY_AS_AN_EVENT, SHOWN_TO_PROGRAMS_ONLY, NAMES, OURS)
    found = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, ARRAY | JSON) or column.type.python_type in {str, bytes}
    }
    assert found == set().union(*kinds)
    assert sum(map(len, kinds)) == len(set().union(*kinds))


@pytest.fixture(scope="module")
def ids(world: ApiWorld) -> dict[str, Any]:
    """Something of every kind that a page shows; its texts are markup."""
    source = PIPELINE.format(
        description=quoted("applications.description"),
        script=quoted("pipelines.source"),
        title=quoted("plans.document"),
        source="x",
    )
    assert world.apply("texts", source).status_code == 201
    release = {"name": "texts", "version": "1.0"}
    release |= {"changes": mark("releases.changes"), "artifact": mark("releases.artifact")}
    made = {"release_id": post(world, "/releases/", release)}
    good = world.deploy("texts", "1.0", "lab")["id"]
    run(world, good)
    bad = {
        "application": "texts",
        "version": "1.0",
        "environment": "lab",
        "reason": mark("deployments.reason"),
    }
    made["deployment_id"] = post(world, "/deployments/", bad, status=202)
    claim = begin(world, made["deployment_id"])
    assert claim is not None
    write(world, claim, mark("log_chunks.data").encode())
    with world.database.transaction() as session:
        attempts.finish(session, claim, Ended(Outcome.FAILED, 1, mark("steps.failure")), None)
    waits, running = (world.deploy("texts", "1.0", environment)["id"] for environment in ("staging", "lab"))
    assert begin(world, running) is not None
    post(world, "/locks/", {"application": "texts", "reason": mark("locks.reason"), "warning_only": True})
    dated = {"from": "2020-01-01T00:00", "to": "2090-01-01T00:00"}
    rule = {"environment": "lab", "zone": "UTC", "name": mark("window_rules.document"), "dated": dated}
    post(world, "/windows/", rule)
    recurring = {"application": "texts", "environment": "lab", "cron": "0 9 * * *", "zone": "UTC"}
    post(world, "/schedules/", {**recurring, "reason": mark("schedules.reason")})
    hook = {"name": mark("webhooks.name"), "settings": {"url": "https://hooks.example/x"}, "events": ["*"]}
    made["webhook_id"] = post(world, "/webhooks/", hook)
    made["delivery_id"] = post(world, f"/webhooks/{made['webhook_id']}/test", {}, status=202)
    person = {"username": "texts", "password": "correct horse battery"}
    post(world, "/users/", {**person, "email": f"{mark('users.email')}@example.com"})
    with world.database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))  # also what never changes
        for statement in (
            "UPDATE deployments SET failure = :failure WHERE id = :bad",
            "UPDATE events SET data = jsonb_build_object('reason', CAST(:data AS text)) WHERE deployment_id = :bad",
            "UPDATE schedules SET last_outcome = :outcome",
            "UPDATE webhooks SET settings = jsonb_build_object('url', CAST(:settings AS text)), "
            "disabled_at = clock_timestamp(), disabled_because = :disabled",
            "INSERT INTO delivery_tries (delivery_id, milliseconds, code, detail) VALUES (:delivery, 1, 500, :tried)",
            "UPDATE attempts SET trouble = :trouble WHERE deployment_id = :running",
            "INSERT INTO health_watches (deployment_id, application_id, environment, release_id, soaks, counts_from, "
            "checked_at, because) SELECT id, application_id, environment, release_id, '{}', now(), now(), '' "
            "FROM deployments WHERE id = :good",
            "INSERT INTO drift_checks (target_id, deployment_id, state, detail, since, checked_at, due_at) "
            "SELECT target_id, :good, 'differs', :drift, now(), now(), now() FROM steps WHERE deployment_id = :good",
            "INSERT INTO target_health (target_id, deployment_id, healthy, detail, counts_from, checked_at, due_at) "
            "SELECT target_id, :good, false, :health, now(), now(), now() FROM steps WHERE deployment_id = :good",
        ):
            values = {
                "good": good,
                "bad": made["deployment_id"],
                "delivery": made["delivery_id"],
                "running": running,
                "trouble": mark("attempts.trouble"),
                "failure": mark("deployments.failure"),
                "data": mark("events.data"),
                "outcome": mark("schedules.last_outcome"),
                "settings": mark("webhooks.settings"),
                "disabled": mark("webhooks.disabled_because"),
                "tried": mark("delivery_tries.detail"),
                "drift": mark("drift_checks.detail"),
                "health": mark("target_health.detail"),
            }
            used = set(re.findall(r":(\w+)", statement))
            session.execute(text(statement), {name: values[name] for name in used})
        step = session.execute(
            text("SELECT id, target_id FROM steps WHERE deployment_id = :id"), {"id": made["deployment_id"]}
        ).one()
    return {**made, "step_id": step.id, "target_id": step.target_id, "waits": waits, "running": running}


def post(world: ApiWorld, path: str, body: dict[str, Any], *, status: int = 201) -> int:
    answer = world.admin.post(path, json=body)
    assert answer.status_code == status, answer.text
    return int(answer.get_json()["id"])


def addresses(world: ApiWorld, ids: dict[str, Any]) -> list[str]:
    """Every page, of what there is; and again with markup in all that an address can ask for."""
    routes = access.routes(world.app, pages=True)
    paths = [path for path, method, _ in routes if method == "GET" and not path.startswith("/static")]
    known = {**ids, "name": "texts", "environment": "lab"}
    made = [re.sub(r"{(\w+)}", lambda found: str(known[found[1]]), path) for path in paths]
    more = [
        f"/deployments/{ids['waits']}",
        f"/deployments/{ids['running']}",
        "/deploy?application=texts&version=1.0&environment=lab",
        "/calendar?environment=lab",
        "/locks?all=true",
        "/pipeline?application=texts",
        f"/audit?subject=deployment:{ids['deployment_id']}",
    ]
    asked = "&".join(f"{name}={mark(name)}" for name in QUERY).replace(" ", "%20")
    return [*made, *more, *(f"{path}?{asked}" for path in made)]


def test_all_of_it_is_text_wherever_it_is_shown(world: ApiWorld, ids: dict[str, Any]) -> None:
    client = world.client()
    form = {"username": "admin", "password": "correct horse battery"}
    client.post("/login", data=form, headers={"Origin": "http://localhost"})
    made = {"name": mark("api_tokens.name"), "scopes": ["read"]}
    assert world.admin.post("/tokens/", json=made).status_code == 201
    texts: dict[str, str] = {}
    for path in addresses(world, ids):
        with client.get(path) as answer:
            assert answer.status_code in {200, 204, 303, 403, 404, 422}, path
            if answer.mimetype == "text/html":
                texts[path] = answer.text
    assert len(texts) > 60
    raw = [path for path, page in texts.items() if "<b>" in page or re.search("&lt;/b&gt;[\"']", page)]
    assert raw == []
    seen = set(re.findall(r"&lt;b&gt;([a-z_.]+)&lt;/b&gt;", " ".join(texts.values())))
    assert SHOWN - seen == set()
