"""Imports that go on where they stopped; profiles of files."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-23T08:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "Imports that go on where they stopped; profiles of files."

FORWARDS = """
ALTER TABLE stores.import_run
    ADD COLUMN digest text NOT NULL DEFAULT '',
    ADD COLUMN status text NOT NULL DEFAULT 'finished' CHECK (status IN ('running', 'finished', 'undone')),
    ADD COLUMN rows_done bigint NOT NULL DEFAULT 0,
    ADD COLUMN undone_at timestamptz,
    ADD CHECK ((status = 'undone') = (undone_at IS NOT NULL));
COMMENT ON COLUMN stores.import_run.digest IS 'of the file and the options: the same again goes on where a run stopped';
CREATE UNIQUE INDEX import_run_running ON stores.import_run (kind, digest) WHERE status = 'running';

CREATE TABLE stores.import_reject (
    import_id bigint NOT NULL REFERENCES stores.import_run,
    row_no bigint NOT NULL,
    column_name text NOT NULL,
    reason text NOT NULL
);
COMMENT ON TABLE stores.import_reject IS 'kept until the run is finished and its reject file is written';
CREATE INDEX import_reject_of_run ON stores.import_reject (import_id, row_no);

CREATE TABLE stores.import_profile (
    name text PRIMARY KEY CHECK (name ~ '^[a-z0-9_-]{1,64}$'),
    kind text NOT NULL,
    columns jsonb NOT NULL
);
COMMENT ON COLUMN stores.import_profile.columns IS 'what each column of the file is called here; empty for one to pass over';
"""

BACKWARDS = """
DROP TABLE stores.import_profile, stores.import_reject;
ALTER TABLE stores.import_run DROP COLUMN digest, DROP COLUMN status, DROP COLUMN rows_done, DROP COLUMN undone_at;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="stores", description=DESCRIPTION)

    async def up() -> None:
        await execute(FORWARDS)

    async def down() -> None:
        await execute(BACKWARDS)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
