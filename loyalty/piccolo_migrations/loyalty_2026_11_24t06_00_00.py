"""The accounts that have become part of one: limits on a person count what each of their cards has had."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-24T06:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "Accounts with those that have become part of them."

FORWARDS = """
CREATE INDEX account_moved ON loyalty.account (moved_to) WHERE moved_to IS NOT NULL;
CREATE FUNCTION loyalty.with_absorbed(account bigint) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    WITH RECURSIVE own AS (
        SELECT account AS id UNION SELECT a.id FROM own JOIN loyalty.account a ON a.moved_to = own.id
    ) SELECT id FROM own
$$;
COMMENT ON FUNCTION loyalty.with_absorbed IS 'an account and those that merges have made part of it';
"""

BACKWARDS = """
DROP FUNCTION loyalty.with_absorbed;
DROP INDEX loyalty.account_moved;
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
