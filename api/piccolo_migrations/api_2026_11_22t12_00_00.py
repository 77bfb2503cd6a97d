"""Idempotency keys."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-22T12:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "Idempotency keys."

FORWARDS = """
CREATE SCHEMA api;

CREATE TABLE api.idempotency (
    principal text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
    request_hash bytea NOT NULL,
    status integer,
    response bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);
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
