"""Points that move with a merge."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-23T04:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "Points that move with a merge."

FORWARDS = """
ALTER TABLE loyalty.account ADD COLUMN moved_to bigint REFERENCES loyalty.account;
COMMENT ON COLUMN loyalty.account.moved_to IS 'whose account this one''s points went to when the members were merged';

ALTER TABLE loyalty.entry DROP CONSTRAINT entry_kind_check;
ALTER TABLE loyalty.entry ADD CONSTRAINT entry_kind_check CHECK (kind IN
    ('earn', 'bonus', 'spend', 'restore', 'clawback', 'expire', 'adjust', 'transfer_in', 'transfer_out'));
ALTER TABLE loyalty.entry ADD CONSTRAINT entry_transfer_check CHECK (
    (kind <> 'transfer_in' OR amount > 0) AND (kind <> 'transfer_out' OR amount < 0));
"""

BACKWARDS = """
ALTER TABLE loyalty.entry DROP CONSTRAINT entry_transfer_check;
ALTER TABLE loyalty.account DROP COLUMN moved_to;
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="loyalty", description=DESCRIPTION)

    async def up() -> None:
        await execute(FORWARDS)

    async def down() -> None:
        await execute(BACKWARDS)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
