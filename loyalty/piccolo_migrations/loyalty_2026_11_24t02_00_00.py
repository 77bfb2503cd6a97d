"""Rules that give by the item, are capped, and can be ended."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-24T02:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "Rules that give by the item, are capped, and can be ended."

FORWARDS = """
ALTER TABLE loyalty.earn_rule
    ADD COLUMN name text NOT NULL DEFAULT '',
    ADD COLUMN per_item integer NOT NULL DEFAULT 0 CHECK (per_item >= 0),
    ADD COLUMN caps jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN active boolean NOT NULL DEFAULT true,
    ADD COLUMN published_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN published_by bigint REFERENCES stores.staff,
    DROP CONSTRAINT earn_rule_check1,
    ADD CHECK (kind = 'bonus' OR points > 0 OR per_item > 0);
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON loyalty.earn_rule FOR EACH STATEMENT EXECUTE FUNCTION stores.refuse_change();

-- What capped rules have given. Changed under the account's lock, and a budget's under that of its own row.
CREATE TABLE loyalty.rule_given (
    member_id bigint NOT NULL REFERENCES membership.member,
    code text NOT NULL,
    period text NOT NULL,
    points bigint NOT NULL CHECK (points >= 0),
    PRIMARY KEY (member_id, code, period)
);
COMMENT ON COLUMN loyalty.rule_given.code IS 'of a rule, or * for all together';
COMMENT ON COLUMN loyalty.rule_given.period IS 'a day in the chain''s zone, or all';
CREATE TABLE loyalty.rule_budget (
    code text PRIMARY KEY,
    points bigint NOT NULL DEFAULT 0 CHECK (points >= 0)
);

-- Every version of what is changed in place: tiers, rewards, the programme. Rules and voucher terms are versions themselves.
CREATE TABLE loyalty.version (
    what text NOT NULL,
    code text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    body jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    staff_id bigint REFERENCES stores.staff,
    PRIMARY KEY (what, code, version)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON loyalty.version
    FOR EACH STATEMENT EXECUTE FUNCTION stores.refuse_change();
"""

BACKWARDS = """
DROP TABLE loyalty.version, loyalty.rule_budget, loyalty.rule_given;
DROP TRIGGER keep ON loyalty.earn_rule;
ALTER TABLE loyalty.earn_rule DROP COLUMN name, DROP COLUMN per_item CASCADE, DROP COLUMN caps, DROP COLUMN active,
    DROP COLUMN published_at, DROP COLUMN published_by;
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
