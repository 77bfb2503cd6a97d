"""Policies, money beside points, debts, and who issued what was redeemed where."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-24T01:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "Policies, money beside points, debts, and who issued what was redeemed where."

FORWARDS = """
ALTER TABLE loyalty.programme
    ADD COLUMN expiry_rounding text NOT NULL DEFAULT 'month' CHECK (expiry_rounding IN ('none', 'month', 'quarter', 'year')),
    ADD COLUMN pending_date date,
    ADD COLUMN pending_event text CHECK (pending_event ~ '^[a-z0-9_-]{1,64}$'),
    ADD COLUMN clawback text NOT NULL DEFAULT 'within_balance' CHECK (clawback IN ('only_pending', 'within_balance', 'allow_debt')),
    ADD COLUMN earn_on_tax boolean NOT NULL DEFAULT true,
    ADD COLUMN earn_excluded text[] NOT NULL DEFAULT '{}',
    ADD COLUMN member_day_max bigint CHECK (member_day_max > 0),
    ADD COLUMN point_cost_milli bigint CHECK (point_cost_milli >= 0),
    ADD COLUMN breakage_milli integer CHECK (breakage_milli BETWEEN 0 AND 1000),
    ADD COLUMN offline_points_max bigint NOT NULL DEFAULT 0 CHECK (offline_points_max >= 0),
    ADD COLUMN claim_days integer NOT NULL DEFAULT 30 CHECK (claim_days >= 0),
    ADD COLUMN transfer_day_max bigint NOT NULL DEFAULT 0 CHECK (transfer_day_max >= 0),
    ADD COLUMN topup_bonus_milli integer NOT NULL DEFAULT 0 CHECK (topup_bonus_milli BETWEEN 0 AND 1000),
    ADD CHECK (num_nonnulls(nullif(pending_days, 0), pending_date, pending_event) <= 1);
COMMENT ON COLUMN loyalty.programme.expiry_months IS 'from activation, then rounded up by expiry_rounding; null never expires';
COMMENT ON COLUMN loyalty.programme.clawback IS 'what covers a return when the points are spent: its own pending lots, whatever is there, or a debt';
COMMENT ON COLUMN loyalty.programme.point_cost_milli IS 'thousandths of a minor unit that a point is reckoned at; null is point_value';
COMMENT ON COLUMN loyalty.programme.breakage_milli IS 'share of points expected to expire, in thousandths; null estimates it from what has';
COMMENT ON COLUMN loyalty.programme.transfer_day_max IS 'points a member may give away in a day; 0 allows none';

DROP FUNCTION loyalty.expiry(timestamptz, integer, text);
-- lots.expiry says the same in Python.
CREATE FUNCTION loyalty.expiry(activates_at timestamptz, months integer, zone text, rounding text)
    RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE rounding WHEN 'none' THEN (activates_at AT TIME ZONE zone + months * interval '1 month') AT TIME ZONE zone
        ELSE (date_trunc(rounding, date_trunc('month', activates_at AT TIME ZONE zone) + months * interval '1 month')
            + CASE rounding WHEN 'year' THEN interval '1 year' WHEN 'quarter' THEN interval '3 months' ELSE interval '1 month' END)
            AT TIME ZONE zone END
$$;

ALTER TABLE loyalty.account DROP CONSTRAINT account_unit_check, DROP CONSTRAINT account_balance_check;
ALTER TABLE loyalty.account
    ADD CONSTRAINT account_unit_check CHECK (unit IN ('points', 'money')),
    ADD COLUMN debt bigint NOT NULL DEFAULT 0 CHECK (debt >= 0),
    ADD COLUMN frozen_at timestamptz,
    ADD CONSTRAINT account_balance_check CHECK (balance >= -debt),
    ADD CHECK (unit = 'points' OR debt = 0);
COMMENT ON COLUMN loyalty.account.debt IS 'points clawed back that were spent already; balance = what the lots hold less this';

ALTER TABLE loyalty.entry ADD COLUMN unit text NOT NULL DEFAULT 'points';
COMMENT ON COLUMN loyalty.entry.unit IS 'a copy of its account''s, for statements over millions; the verification compares them';
ALTER TABLE loyalty.entry DROP CONSTRAINT entry_kind_check, DROP CONSTRAINT entry_amount_check, DROP CONSTRAINT entry_check, DROP CONSTRAINT entry_check1;
ALTER TABLE loyalty.entry
    ADD CONSTRAINT entry_kind_check CHECK (kind IN ('earn', 'bonus', 'spend', 'restore', 'clawback', 'expire', 'adjust',
        'transfer_in', 'transfer_out', 'opening', 'topup', 'cash_out', 'repay')),
    ADD CONSTRAINT entry_amount_check CHECK ((amount = 0) = (kind = 'repay')),
    ADD CONSTRAINT entry_in_check CHECK (kind NOT IN ('earn', 'bonus', 'restore', 'opening', 'topup') OR amount > 0),
    ADD CONSTRAINT entry_out_check CHECK (kind NOT IN ('spend', 'clawback', 'expire', 'cash_out') OR amount < 0);
COMMENT ON COLUMN loyalty.entry.kind IS 'repay moves points from lots to a debt, which changes both and the balance not';
CREATE INDEX entry_movement ON loyalty.entry (unit, posted_at) INCLUDE (kind, amount);

CREATE TABLE loyalty.debt_move (
    entry_id bigint PRIMARY KEY REFERENCES loyalty.entry,
    points bigint NOT NULL CHECK (points <> 0)
);
COMMENT ON COLUMN loyalty.debt_move.points IS 'that the entry left owed; negative where it repaid them';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON loyalty.debt_move
    FOR EACH STATEMENT EXECUTE FUNCTION stores.refuse_change();

ALTER TABLE loyalty.lot
    ADD COLUMN store_id bigint,
    ADD COLUMN pending boolean NOT NULL DEFAULT false,
    ADD COLUMN awaits text;
COMMENT ON COLUMN loyalty.lot.store_id IS 'who issued the points, wherever they have been moved since';
COMMENT ON COLUMN loyalty.lot.pending IS 'its activation has not been told yet';
COMMENT ON COLUMN loyalty.lot.awaits IS 'the event that activates it; activates_at is far away until then';
CREATE INDEX lot_pending ON loyalty.lot (activates_at) WHERE pending;
ALTER TABLE loyalty.lot_use
    ADD COLUMN settles boolean NOT NULL DEFAULT false,
    ADD COLUMN issued_by bigint,
    ADD COLUMN redeemed_by bigint,
    ADD COLUMN posted_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN loyalty.lot_use.settles IS 'a store took points that another may have issued, or gave them back: copies of both stores, so that a settlement joins nothing';
UPDATE loyalty.lot SET store_id = entry.store_id FROM loyalty.entry WHERE entry.id = entry_id;
ALTER TABLE loyalty.lot_use DISABLE TRIGGER append_only;
UPDATE loyalty.lot_use SET settles = true, issued_by = lot.store_id, redeemed_by = entry.store_id, posted_at = entry.posted_at
    FROM loyalty.entry, loyalty.lot WHERE entry.id = lot_use.entry_id AND lot.id = lot_use.lot_id AND entry.kind IN ('spend', 'restore');
ALTER TABLE loyalty.lot_use ENABLE TRIGGER append_only;
CREATE INDEX lot_use_settling ON loyalty.lot_use (posted_at) INCLUDE (points, issued_by, redeemed_by) WHERE settles;
"""

BACKWARDS = """
DROP INDEX loyalty.lot_use_settling;
ALTER TABLE loyalty.lot_use DROP COLUMN settles, DROP COLUMN issued_by, DROP COLUMN redeemed_by, DROP COLUMN posted_at;
ALTER TABLE loyalty.lot DROP COLUMN store_id, DROP COLUMN pending, DROP COLUMN awaits;
DROP TABLE loyalty.debt_move;
DROP INDEX loyalty.entry_movement;
ALTER TABLE loyalty.entry DROP CONSTRAINT entry_in_check, DROP CONSTRAINT entry_out_check, DROP COLUMN unit;
ALTER TABLE loyalty.account DROP COLUMN debt CASCADE, DROP COLUMN frozen_at;
DROP FUNCTION loyalty.expiry(timestamptz, integer, text, text);
CREATE FUNCTION loyalty.expiry(activates_at timestamptz, months integer, zone text)
    RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (date_trunc('month', activates_at AT TIME ZONE zone) + (months + 1) * interval '1 month') AT TIME ZONE zone
$$;
ALTER TABLE loyalty.programme DROP COLUMN expiry_rounding, DROP COLUMN pending_date CASCADE, DROP COLUMN pending_event CASCADE,
    DROP COLUMN clawback, DROP COLUMN earn_on_tax, DROP COLUMN earn_excluded, DROP COLUMN member_day_max, DROP COLUMN point_cost_milli,
    DROP COLUMN breakage_milli, DROP COLUMN offline_points_max, DROP COLUMN claim_days, DROP COLUMN transfer_day_max,
    DROP COLUMN topup_bonus_milli;
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
