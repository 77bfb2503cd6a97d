"""Points for imported receipts, posted set-based with the time of the purchase.

Works on the temporary table `imported_receipt` of stores/history.py, inside the import's transaction.
"""

from datetime import UTC, datetime

import msgspec

import database
from loyalty.ledger import repay
from loyalty.locks import lock_account_by_id
from loyalty.posting_sql import CREATE_POSTING, post_all
from loyalty.programme import Programme, ensure_base_rule, the_programme
from loyalty.rules import Caps, Conditions
from loyalty.tiers import recount
from stores.money import shown


class HistoryAward(msgspec.Struct, frozen=True, kw_only=True):
    """What an import earned."""

    entries: int = 0
    earned: int = 0
    clawed_back: int = 0


async def lock_accounts_of_import() -> None:
    """Open and lock the accounts of every member in the import, before anything else of theirs is touched.

    Sorted and first, as the till does it, so that an import and a till cannot wait for each other in a circle.
    """
    await database.execute(
        "INSERT INTO loyalty.account (member_id) SELECT DISTINCT member_id FROM imported_receipt WHERE member_id IS NOT NULL "
        "ORDER BY 1 ON CONFLICT (member_id, unit) DO NOTHING"
    )
    await database.execute(
        "SELECT count(*) FROM (SELECT 1 FROM loyalty.account WHERE unit = 'points' AND member_id IN "
        "(SELECT member_id FROM imported_receipt) ORDER BY id FOR NO KEY UPDATE) locked"
    )


async def award_imported() -> HistoryAward:
    """Award the base rule to imported sales and claw back what their returns undo.

    Only the base rule: bonuses are promises made at a till on a day, and history was not promised any.
    """
    await ensure_base_rule()
    programme = await the_programme()
    await database.execute(CREATE_POSTING)
    earned = await _post_sales(programme)
    excluding = bool(programme.earn_excluded or await database.value(_EXCLUDING))
    clawed_back = int(await database.value(_clawback(excluding)))
    await database.execute("ANALYZE posting (entry_id, account_id, kind, lot_id)")
    entries = await post_all()
    await _open_lots(programme)
    await database.execute("DROP TABLE posting")
    return HistoryAward(entries=entries, earned=earned, clawed_back=clawed_back)


async def settle_imported() -> None:
    """What the receipts count towards tiers, and what their points repay."""
    rows = await database.rows("SELECT DISTINCT member_id FROM imported_receipt WHERE member_id IS NOT NULL")
    members = [row["member_id"] for row in rows]
    # Of tables filled a moment ago there are no statistics yet, and without them the next statements loop for minutes.
    for columns in ("stores.receipt (member_id, kind)", "loyalty.entry (receipt_id, kind)"):
        await database.execute(f"ANALYZE {columns}")
    await recount(members)
    indebted = await database.rows(
        "SELECT id FROM loyalty.account WHERE member_id = ANY($1::bigint[]) AND debt > 0 ORDER BY id", members
    )
    for row in indebted:
        await repay(await lock_account_by_id(row["id"]), at=datetime.now(UTC))


async def _post_sales(programme: Programme) -> int:
    """Each sale by the newest version of a base rule without conditions that held on its day."""
    earned = 0
    for dated in reversed(programme.rules):
        rule = dated.rule
        if (
            rule.kind != "base"
            or rule.conditions != Conditions()
            or rule.per_item
            or rule.caps != Caps()
            or not rule.active
        ):
            continue
        earned += await database.value(
            _EARN,
            rule.points,
            rule.per,
            rule.code,
            rule.version,
            f"{rule.points} per {shown(rule.per, programme.chain.currency)} on {programme.chain.currency} ",
            programme.chain.exponent,
            dated.valid_from,
            dated.valid_to,
            sorted(programme.earn_excluded),
        )
    return earned


def _under(category: str, paths: str) -> str:
    """SQL for whether a category is one of several or within one."""
    return f"EXISTS (SELECT FROM {paths} AS path WHERE {category} = path OR starts_with({category}, path || '/'))"


_EXCLUDED = _under("p.category", "jsonb_array_elements_text(coalesce(earned.excluded, '[]'))")


_EARN = f"""
WITH counted AS (
    SELECT i.*, eligible - CASE WHEN $9::text[] = '{{}}' THEN 0 ELSE (
        SELECT coalesce(sum(l.amount), 0)::bigint FROM stores.receipt_line l JOIN stores.product p ON p.id = l.product_id
        WHERE l.receipt_id = i.id AND p.kind = 'goods' AND {_under("p.category", "unnest($9::text[])")}) END AS base
    FROM imported_receipt i WHERE i.kind = 'sale' AND i.eligible > 0
), sale AS (
    SELECT i.*, base * $1::bigint / $2::bigint AS points, a.id AS account_id FROM counted i
    JOIN loyalty.account a ON a.member_id = i.member_id AND a.unit = 'points'
    WHERE base > 0 AND ($7::timestamptz IS NULL OR i.business_time >= $7) AND ($8::timestamptz IS NULL OR i.business_time < $8)
        AND NOT EXISTS (SELECT FROM posting p WHERE p.receipt_id = i.id)
), posted AS (
    INSERT INTO posting (account_id, amount, kind, event_at, store_id, receipt_id, explanation, lot_id, sale_id)
    SELECT account_id, points, 'earn', business_time, store_id, id,
        jsonb_build_object('rules', jsonb_build_array(jsonb_build_object('rule', $3::text, 'version', $4::int, 'points', points,
            'because', $5::text || round(base / 10.0 ^ $6::int, $6::int))))
            || CASE WHEN $9::text[] = '{{}}' THEN '{{}}' ELSE jsonb_build_object('excluded', $9::text[]) END,
        nextval('loyalty.lot_id_seq'), id
    FROM sale WHERE points > 0 ORDER BY business_time, id
    RETURNING amount
)
SELECT coalesce(sum(amount), 0)::bigint FROM posted
"""


# For each return of a sale: what the sale was worth after the returns before it, less after it. The sale's own lot covers it
# unless part was spent: then it gives what it has, as a return at the till would.
def _clawback(excluding: bool) -> str:
    """Without the categories that a sale did not earn on, if any did not: what is joined for them costs a fifth of an import."""
    of_sale = "JOIN earned USING (sale_id)" if excluding else ""
    not_excluded = f"AND NOT {_EXCLUDED}" if excluding else ""
    only_counted = f"{of_sale} WHERE true {not_excluded}"
    eligible = (
        "sale.eligible"
        if not excluding
        else f"""sale.eligible - CASE WHEN earned.excluded IS NULL THEN 0 ELSE (
            SELECT coalesce(sum(l.amount), 0)::bigint FROM stores.receipt_line l JOIN stores.product p ON p.id = l.product_id
            WHERE l.receipt_id = sale.id AND p.kind = 'goods' AND {_EXCLUDED}) END"""
    )
    return f"""
WITH line AS (
    SELECT l.original_id AS sale_id, i.id AS return_id, i.business_time, i.store_id, l.amount, p.category
    FROM imported_receipt i JOIN stores.receipt_line l ON l.receipt_id = i.id AND l.original_id IS NOT NULL
    JOIN stores.product p ON p.id = l.product_id AND p.kind = 'goods'
    WHERE i.kind = 'return'
), earned AS (
    SELECT sale_id, account_id, lot_id, amount AS free, explanation->'rules'->0 AS base, explanation->'excluded' AS excluded FROM posting
    UNION ALL
    SELECT lot.receipt_id, lot.account_id, lot.id, lot.remaining - lot.held, entry.explanation->'rules'->0, entry.explanation->'excluded'
    FROM loyalty.lot JOIN loyalty.entry ON entry.id = lot.entry_id WHERE lot.receipt_id IN (SELECT sale_id FROM line)
        AND entry.kind = 'earn'
), back AS (
    SELECT p.sale_id, p.return_id, p.business_time, p.store_id, -sum(p.amount) AS amount
    FROM line p {only_counted} GROUP BY 1, 2, 3, 4
), before AS (
    SELECT b.sale_id, -coalesce(sum(l.amount), 0) AS amount FROM (SELECT DISTINCT sale_id FROM back) b
    {of_sale}
    JOIN stores.receipt_line l ON l.original_id = b.sale_id
    JOIN stores.product p ON p.id = l.product_id AND p.kind = 'goods'
    WHERE l.receipt_id NOT IN (SELECT id FROM imported_receipt) {not_excluded} GROUP BY 1
), running AS (
    SELECT back.*, earned.account_id, earned.lot_id, earned.free, rule.points AS per_points, rule.per,
        {eligible} AS eligible,
        -- Sums of bigints are numeric; brought back, so that division rounds down as the till's does.
        (coalesce(before.amount, 0) + sum(back.amount) OVER w - back.amount)::bigint AS returned_before,
        (coalesce(before.amount, 0) + sum(back.amount) OVER w)::bigint AS returned_after
    FROM back JOIN stores.receipt sale ON sale.id = back.sale_id
    JOIN earned USING (sale_id)
    JOIN loyalty.earn_rule rule ON (rule.code, rule.version) = (base->>'rule', (base->>'version')::int)
    LEFT JOIN before USING (sale_id)
    WINDOW w AS (PARTITION BY back.sale_id ORDER BY back.business_time, back.return_id)
), due AS (
    SELECT running.*, greatest(eligible - returned_before, 0) * per_points / per
        - greatest(eligible - returned_after, 0) * per_points / per AS due FROM running
), taken AS (
    SELECT due.*, (least(sum(due) OVER w, free) - least(sum(due) OVER w - due, free))::bigint AS points
    FROM due WINDOW w AS (PARTITION BY sale_id ORDER BY business_time, return_id)
), posted AS (
    INSERT INTO posting (account_id, amount, kind, reason, event_at, store_id, receipt_id, explanation, lot_id, sale_id)
    SELECT account_id, -points, 'clawback', 'goods returned', business_time, store_id, return_id,
        jsonb_build_object('sale', sale_id, 'due', due, 'not_recovered', due - points), lot_id, sale_id
    FROM taken WHERE points > 0 ORDER BY business_time, return_id
    RETURNING amount
)
SELECT coalesce(-sum(amount), 0)::bigint FROM posted
"""


_EXCLUDING = """
SELECT EXISTS (
    SELECT FROM imported_receipt i JOIN stores.receipt_line l ON l.receipt_id = i.id
    JOIN loyalty.entry e ON e.receipt_id = l.original_id AND e.kind = 'earn'
    WHERE i.kind = 'return' AND e.explanation ? 'excluded')
"""


async def _open_lots(programme: Programme) -> None:
    await database.execute(
        "INSERT INTO loyalty.lot (id, account_id, entry_id, receipt_id, points, remaining, activates_at, expires_at, store_id) "
        "SELECT e.lot_id, e.account_id, e.entry_id, e.receipt_id, e.amount, e.amount + coalesce(c.amount, 0), e.activates_at, "
        "loyalty.expiry(e.activates_at, $2, $3, $4), e.store_id FROM (SELECT *, event_at + make_interval(days => $1) AS activates_at "
        "FROM posting WHERE kind = 'earn') e LEFT JOIN (SELECT lot_id, sum(amount)::bigint AS amount FROM posting "
        "WHERE kind = 'clawback' GROUP BY 1) c USING (lot_id) ORDER BY e.lot_id",
        programme.pending_days,
        programme.expiry_months,
        programme.chain.time_zone,
        programme.expiry_rounding,
    )
    await database.execute(
        "UPDATE loyalty.lot SET remaining = remaining + c.amount FROM (SELECT lot_id, sum(amount)::bigint AS amount FROM posting "
        "WHERE kind = 'clawback' AND lot_id NOT IN (SELECT lot_id FROM posting WHERE kind = 'earn') GROUP BY 1) c "
        "WHERE lot.id = c.lot_id"
    )
    await database.execute(
        "INSERT INTO loyalty.lot_use (entry_id, lot_id, points) SELECT entry_id, lot_id, -amount FROM posting WHERE kind = 'clawback'"
    )
