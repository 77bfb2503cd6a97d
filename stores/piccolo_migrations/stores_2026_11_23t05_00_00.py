"""When stores are open."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-23T05:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "When stores are open."

FORWARDS = """
ALTER TABLE stores.store ADD COLUMN hours jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(hours) = 'object');
COMMENT ON COLUMN stores.store.hours IS 'spans such as 10:00-22:00 by weekday, in the store''s time zone; empty is always';
"""

BACKWARDS = """
ALTER TABLE stores.store DROP COLUMN hours;
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
