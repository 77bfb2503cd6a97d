"""The order in which the timeline's events became visible, for whoever reads it like a log."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-22T16:00:00:000002"
VERSION = "1.38.0"
DESCRIPTION = "The order in which the timeline's events became visible, for whoever reads it like a log."

FORWARDS = """
-- Ids are handed out before the commit: a reader that goes by id would pass over an event whose transaction is still open.
-- By transaction it cannot: once every older transaction has ended, nothing appears before the newest event seen.
ALTER TABLE membership.event ADD COLUMN recorded_in bigint NOT NULL DEFAULT 0;
ALTER TABLE membership.event ALTER COLUMN recorded_in SET DEFAULT pg_current_xact_id()::text::bigint;
COMMENT ON COLUMN membership.event.recorded_in IS 'the transaction that wrote it; 0 for events from before this column';
CREATE INDEX event_log ON membership.event (recorded_in, id);
"""

BACKWARDS = """
ALTER TABLE membership.event DROP COLUMN recorded_in;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="membership", description=DESCRIPTION)

    async def up() -> None:
        await execute(FORWARDS)

    async def down() -> None:
        await execute(BACKWARDS)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
