"""Idempotency keys."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-22T12:00:00:000006"  # unlike every other domain's: Piccolo forgets by id alone when it goes backwards
VERSION = "1.38.0"
DESCRIPTION = "Idempotency keys."

FORWARDS = """
CREATE SCHEMA api;

CREATE TABLE api.idempotency (
    principal text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
    request_hash bytea NOT NULL,
    status integer NOT NULL,
    response bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);
-- One round trip: nobody else works on the key (held until the transaction ends), and what it answered, if it did.
CREATE FUNCTION api.claim_key(principal text, key text, OUT free boolean, OUT request_hash bytea, OUT status integer,
        OUT response bytea) LANGUAGE plpgsql AS $$
BEGIN
    free := pg_try_advisory_xact_lock(hashtextextended(principal || '/' || key, 0));
    IF free THEN
        SELECT i.request_hash, i.status, i.response INTO request_hash, status, response
        FROM api.idempotency i WHERE (i.principal, i.key) = (claim_key.principal, claim_key.key);
    END IF;
END $$;
CREATE INDEX idempotency_by_age ON api.idempotency (created_at);
"""

BACKWARDS = "DROP SCHEMA api CASCADE"


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="api", description=DESCRIPTION)

    async def up() -> None:
        await execute(FORWARDS)

    async def down() -> None:
        await execute(BACKWARDS)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
