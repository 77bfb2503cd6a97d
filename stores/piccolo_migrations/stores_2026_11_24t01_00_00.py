"""Deposits among the products."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-24T01:00:00:000001"
VERSION = "1.38.0"
DESCRIPTION = "Deposits among the products."

FORWARDS = """
ALTER TABLE stores.product DROP CONSTRAINT product_kind_check;
ALTER TABLE stores.product ADD CONSTRAINT product_kind_check CHECK (kind IN ('goods', 'service', 'gift_card', 'deposit'));
COMMENT ON COLUMN stores.receipt_line.tax IS 'minor units of tax that the amount contains';
"""

BACKWARDS = """
UPDATE stores.product SET kind = 'service' WHERE kind = 'deposit';
ALTER TABLE stores.product DROP CONSTRAINT product_kind_check;
ALTER TABLE stores.product ADD CONSTRAINT product_kind_check CHECK (kind IN ('goods', 'service', 'gift_card'));
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
