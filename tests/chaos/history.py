"""A record of the harness's own in its database: every status and every token that was ever committed."""

from psycopg2.extensions import connection as PgConnection  # noqa: N812  # it is a class

_RECORD = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.statuses (
    n bigserial PRIMARY KEY, deployment_id bigint, old text, new text, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE chaos.tokens (
    n bigserial PRIMARY KEY, attempt_id bigint, old bigint, new bigint, worker text,
    at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION chaos.note_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.statuses (deployment_id, old, new) VALUES (NEW.id, OLD.status, NEW.status);
    RETURN NULL;
END $$;
CREATE FUNCTION chaos.note_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.tokens (attempt_id, old, new, worker) VALUES (
        NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.token ELSE 0 END, NEW.token, NEW.worker);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_status AFTER UPDATE ON deployments
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION chaos.note_status();
CREATE TRIGGER chaos_token AFTER UPDATE ON attempts
    FOR EACH ROW WHEN (OLD.token IS DISTINCT FROM NEW.token) EXECUTE FUNCTION chaos.note_token();
CREATE TRIGGER chaos_first_token AFTER INSERT ON attempts
    FOR EACH ROW WHEN (NEW.token > 0) EXECUTE FUNCTION chaos.note_token();
"""


def record(connection: PgConnection) -> None:
    """Begin to record."""
    with connection.cursor() as cursor:
        cursor.execute(_RECORD)
