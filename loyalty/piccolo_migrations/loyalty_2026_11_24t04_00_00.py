"""Tiers by metric and period, and what counts towards them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-24T04:00:00:000003"
VERSION = "1.38.0"
DESCRIPTION = "Tiers by metric and period, and what counts towards them."

FORWARDS = """
ALTER TABLE loyalty.programme
    ADD COLUMN tier_metric text NOT NULL DEFAULT 'spend' CHECK (tier_metric IN ('spend', 'points', 'visits')),
    ADD COLUMN tier_period text NOT NULL DEFAULT 'rolling' CHECK (tier_period IN ('rolling', 'calendar', 'anniversary')),
    ADD COLUMN tier_grace_days integer NOT NULL DEFAULT 0 CHECK (tier_grace_days >= 0),
    ADD COLUMN tier_downgrade text NOT NULL DEFAULT 'one_level' CHECK (tier_downgrade IN ('one_level', 're_evaluate'));
COMMENT ON COLUMN loyalty.programme.tier_months IS 'length of a rolling period; calendar and anniversary years have twelve';
ALTER TABLE loyalty.tier
    ADD COLUMN version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    ADD COLUMN benefits jsonb NOT NULL DEFAULT '[]';
COMMENT ON COLUMN loyalty.tier.threshold IS 'of the programme''s metric within its period: minor units net of returns, points, or visits';

-- What counts towards tiers, a row for each day with any. Derived from receipts and their points, and kept beside them so that a
-- checkout need not add up a year of receipts.
CREATE TABLE loyalty.qualifying (
    member_id bigint NOT NULL REFERENCES membership.member,
    day date NOT NULL,
    spend bigint NOT NULL DEFAULT 0,
    points bigint NOT NULL DEFAULT 0,
    visits integer NOT NULL DEFAULT 0,
    PRIMARY KEY (member_id, day)
);
COMMENT ON TABLE loyalty.qualifying IS 'by the day of the sale in the chain''s zone; what comes back is taken off the day it was bought';

-- The one definition: checkout keeps to it, imports and merges call it, and the verification compares.
-- Planned at each call, for the members there are: one plan for ten of them and for all is a loop in a loop.
CREATE FUNCTION loyalty.qualifying_of(members bigint[])
    RETURNS TABLE (member_id bigint, day date, spend bigint, points bigint, visits integer) LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY EXECUTE $query$
    WITH mine AS MATERIALIZED (
        SELECT id, r.member_id, business_time, total, kind FROM stores.receipt r
        WHERE r.member_id = ANY($1) AND kind IN ('sale', 'return')
    ), returned AS MATERIALIZED (
        SELECT mine.id, mine.member_id, mine.business_time, l.original_id, sum(l.amount) AS amount
        FROM mine JOIN stores.receipt_line l ON l.receipt_id = mine.id WHERE kind = 'return' GROUP BY 1, 2, 3, 4
    ), sale AS (
        -- Summed rather than joined: inside an import nothing has statistics, and a join of these would be a loop in a loop.
        SELECT sale_id, max(part.member_id) AS member_id, max(business_time) AS business_time, sum(spend) AS spend,
            sum(part.points) AS points
        FROM (
            SELECT id AS sale_id, mine.member_id, business_time, total AS spend, 0::bigint AS points FROM mine WHERE kind = 'sale'
            UNION ALL
            SELECT original_id, NULL, NULL, amount, 0 FROM returned WHERE original_id IS NOT NULL
            UNION ALL
            SELECT CASE e.kind WHEN 'earn' THEN e.receipt_id ELSE (e.explanation->>'sale')::bigint END, NULL, NULL, 0, e.amount
            FROM mine JOIN loyalty.entry e ON e.receipt_id = mine.id WHERE e.unit = 'points' AND e.kind IN ('earn', 'clawback')
        ) part GROUP BY 1 HAVING max(part.member_id) IS NOT NULL
    )
    SELECT counted.member_id, (business_time AT TIME ZONE (SELECT time_zone FROM stores.chain))::date, sum(counted.spend)::bigint,
        sum(counted.points)::bigint, sum(counted.visits)::integer
    FROM (
        SELECT sale.member_id, business_time, sale.spend, sale.points, (sale.spend > 0)::int AS visits FROM sale
        UNION ALL
        SELECT returned.member_id, business_time, amount, 0, 0 FROM returned WHERE original_id IS NULL
    ) counted GROUP BY 1, 2
    $query$ USING members;
END $$;

ALTER TABLE loyalty.standing
    ADD COLUMN until timestamptz,
    ADD COLUMN earned_id bigint REFERENCES loyalty.tier,
    ADD COLUMN granted_id bigint REFERENCES loyalty.tier,
    ADD COLUMN granted_until timestamptz;
UPDATE loyalty.standing SET earned_id = tier_id, until = since + make_interval(months => tier_months) FROM loyalty.programme;
INSERT INTO loyalty.qualifying SELECT q.* FROM loyalty.qualifying_of(
    (SELECT array_agg(DISTINCT member_id) FROM stores.receipt WHERE member_id IS NOT NULL)) q;
ALTER TABLE loyalty.standing
    ADD CHECK ((granted_id IS NULL) = (granted_until IS NULL)),
    ADD CHECK (earned_id IS NOT NULL OR granted_id IS NOT NULL);
COMMENT ON COLUMN loyalty.standing.tier_id IS 'the higher of earned and granted: what the member has';
COMMENT ON COLUMN loyalty.standing.until IS 'how long the earned tier is safe; then it is looked at again';
COMMENT ON COLUMN loyalty.standing.granted_id IS 'given by hand: a floor under what is earned';
CREATE INDEX standing_due ON loyalty.standing (until);
CREATE INDEX standing_granted ON loyalty.standing (granted_until) WHERE granted_until IS NOT NULL;
INSERT INTO loyalty.version (what, code, version, body) SELECT 'tier', code, 1, to_jsonb(t) - 'id' FROM loyalty.tier t;
INSERT INTO loyalty.version (what, code, version, body) SELECT 'programme', 'programme', 1, to_jsonb(p) - 'id' - 'revision' FROM loyalty.programme p;
"""

BACKWARDS = """
DROP FUNCTION loyalty.qualifying_of(bigint[]);
DROP TABLE loyalty.qualifying;
DELETE FROM loyalty.standing WHERE earned_id IS NULL;
ALTER TABLE loyalty.standing DROP COLUMN until, DROP COLUMN earned_id CASCADE, DROP COLUMN granted_id CASCADE, DROP COLUMN granted_until CASCADE;
ALTER TABLE loyalty.tier DROP COLUMN version, DROP COLUMN benefits;
ALTER TABLE loyalty.programme DROP COLUMN tier_metric, DROP COLUMN tier_period, DROP COLUMN tier_grace_days, DROP COLUMN tier_downgrade;
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
