"""From events to deliveries: none is passed over, however late it commits, and none comes twice."""

from sqlalchemy import text

from orchestrator.repositories import outbox
from orchestrator.services import releases
from tests.integration.webhook_world import WebhookWorld, hooks

__all__ = ["hooks"]


def test_an_event_that_commits_late_is_not_passed_over(hooks: WebhookWorld) -> None:
    webhook, _ = hooks.make("release.created")
    slow, quick = hooks.world.database.transaction(), hooks.world.database.transaction()
    record = {"name": "shop", "artifact": "", "changes": "", "actor": hooks.world.actor}
    with slow as session:
        releases.create(session, version="1.0", **record)
        with quick as other:
            releases.create(other, version="2.0", **record)
        with hooks.world.database.transaction() as third:
            outbox.advance(third, limit=1000)
        assert hooks.kinds(webhook) == []
    hooks.look()
    assert hooks.kinds(webhook) == ["release.created"] * 2
    events = hooks.world.column("SELECT event_id FROM deliveries ORDER BY id")
    assert events == hooks.world.column("SELECT id FROM events WHERE kind = 'release.created' ORDER BY id")


def test_pages_of_events_skip_none_and_double_none(hooks: WebhookWorld) -> None:
    hooks.make("release.created")
    with hooks.world.database.transaction() as session:
        for number in range(7):
            releases.create(
                session,
                name="shop",
                version=f"1.{number}",
                artifact="",
                changes="",
                actor=hooks.world.actor,
            )
    hooks.settle()
    found: list[int] = []
    while not found or found[-1]:
        with hooks.world.database.transaction() as session:
            found.append(outbox.advance(session, limit=3))
    assert sum(found) >= 7
    events = hooks.world.column("SELECT event_id FROM deliveries ORDER BY event_id")
    assert events == hooks.world.column("SELECT id FROM events WHERE kind = 'release.created' ORDER BY id")


def test_two_clocks_at_once_make_no_delivery_twice(hooks: WebhookWorld) -> None:
    webhook, _ = hooks.make("release.created")
    hooks.world.release("1.0")
    hooks.settle()
    with hooks.world.database.transaction() as session, hooks.world.database.transaction() as other:
        assert outbox.advance(session, limit=1000) > 0
        assert outbox.advance(other, limit=1000) == 0
    assert hooks.look() == 0
    assert hooks.kinds(webhook) == ["release.created"]


def test_each_is_told_what_it_wants(hooks: WebhookWorld) -> None:
    production, _ = hooks.make("deployment.*", environments=["production"])
    releases_only, _ = hooks.make("release.created", applications=["shop"])
    everything, _ = hooks.make("*")
    hooks.world.release("1.0")
    hooks.world.run_to_end(hooks.world.request("1.0"))
    staging = hooks.world.scalar("SELECT count(*) FROM events WHERE subject LIKE 'deployment:%'")
    hooks.world.request("1.0", "production")
    hooks.look()
    assert hooks.kinds(production) == ["deployment.requested"]
    assert hooks.kinds(releases_only) == ["release.created"]
    told = hooks.kinds(everything)
    assert told.count("deployment.requested") == 2
    assert len([kind for kind in told if str(kind).startswith(("deployment.", "step."))]) == staging + 1


def test_nothing_is_told_of_what_was_before(hooks: WebhookWorld) -> None:
    hooks.world.release("1.0")
    webhook, _ = hooks.make("release.*")
    hooks.world.release("2.0")
    hooks.look()
    assert hooks.kinds(webhook) == ["release.created"]


def test_without_webhooks_nothing_is_read_and_the_cursor_goes_on(hooks: WebhookWorld) -> None:
    hooks.world.release("1.0")
    before = hooks.world.scalar("SELECT xid::text FROM outbox")
    assert hooks.look() == 0
    assert int(str(hooks.world.scalar("SELECT xid::text FROM outbox"))) > int(str(before))


def test_a_restored_database_goes_on_where_it_was(hooks: WebhookWorld) -> None:
    """On a new server the numbers of transactions begin anew, so those that came with the database say nothing there."""
    hooks.make("release.created")
    hooks.world.release("told")
    hooks.look()
    insert = """
        INSERT INTO events (subject, seq, kind, at, data, hash, xid)
        SELECT :subject, 1, 'release.created', now(), '{}', '', CAST(CAST(txid_current() + :more AS text) AS xid8)
    """
    hooks.world.execute(insert, subject="release:-1", more=1_000_000)
    hooks.world.execute(
        "UPDATE outbox o SET xid = e.xid, id = e.id FROM (SELECT xid, id FROM events ORDER BY id DESC LIMIT 1) e"
    )
    hooks.world.execute(insert, subject="release:-2", more=1_000_500)
    hooks.world.release("new")
    for _ in range(3):
        hooks.look()
    told = hooks.world.column(
        "SELECT e.data->>'version' FROM deliveries d JOIN events e ON e.id = d.event_id ORDER BY d.id"
    )
    assert told == ["told", None, "new"]


def test_reading_what_is_new_uses_the_index(hooks: WebhookWorld) -> None:
    plan = """
        EXPLAIN SELECT id FROM events WHERE xid >= '5' AND (xid, id) > ('5', 0) AND xid < '9' AND id > 0 ORDER BY xid, id LIMIT 10
    """
    with hooks.world.database.reading() as session:
        session.execute(text("SET enable_seqscan = off"))
        session.execute(text("SET enable_sort = off"))
        lines = "\n".join(session.execute(text(plan)).scalars())
    assert "ix_events_telling" in lines
