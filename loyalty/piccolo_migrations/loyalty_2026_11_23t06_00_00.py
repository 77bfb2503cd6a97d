"""What bringing a member is worth."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-23T06:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "What bringing a member is worth."

FORWARDS = """
CREATE TABLE loyalty.referral_rule (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    active boolean NOT NULL DEFAULT false,
    spend_min bigint NOT NULL DEFAULT 0 CHECK (spend_min >= 0),
    window_days integer NOT NULL DEFAULT 14 CHECK (window_days >= 0),
    referrer_points integer NOT NULL DEFAULT 100 CHECK (referrer_points >= 0),
    referee_points integer NOT NULL DEFAULT 100 CHECK (referee_points >= 0),
    rewards_max integer NOT NULL DEFAULT 10 CHECK (rewards_max > 0),
    period_days integer NOT NULL DEFAULT 365 CHECK (period_days > 0)
);
COMMENT ON COLUMN loyalty.referral_rule.window_days IS 'how long the first purchase has to stay unreturned';
INSERT INTO loyalty.referral_rule DEFAULT VALUES;

-- Processes keep the chain's settings with the programme.
CREATE TRIGGER revise AFTER UPDATE ON stores.chain FOR EACH STATEMENT EXECUTE FUNCTION loyalty.revise();
"""

BACKWARDS = """
DROP TRIGGER revise ON stores.chain;
DROP TABLE loyalty.referral_rule;
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
