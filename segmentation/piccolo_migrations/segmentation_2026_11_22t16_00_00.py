"""Suggestions per store."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-22T16:00:00:000004"
VERSION = "1.38.0"
DESCRIPTION = "Suggestions per store."

FORWARDS = """
ALTER TABLE segmentation.related_product ADD COLUMN store_id bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN segmentation.related_product.store_id IS 'whose baskets were counted; 0 is all of them';
ALTER TABLE segmentation.related_product DROP CONSTRAINT related_product_pkey;
ALTER TABLE segmentation.related_product ADD PRIMARY KEY (run_id, store_id, product_id, rank);
"""

BACKWARDS = """
DELETE FROM segmentation.related_product WHERE store_id <> 0;
ALTER TABLE segmentation.related_product DROP COLUMN store_id;
ALTER TABLE segmentation.related_product ADD PRIMARY KEY (run_id, product_id, rank);
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="segmentation", description=DESCRIPTION)

    async def up() -> None:
        await execute(FORWARDS)

    async def down() -> None:
        await execute(BACKWARDS)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
