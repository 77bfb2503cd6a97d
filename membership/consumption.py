"""The rollup: what each member has bought, kept in the transaction of each receipt."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

import database
from stores.receipts import Receipt
from stores.scope import Scope, codes, in_scope


class Consumption(msgspec.Struct, frozen=True, kw_only=True):
    """A member's purchases so far. Spend is minor units net of returns; `average_days` lies between purchases."""

    first_purchase: datetime | None = None
    last_purchase: datetime | None = None
    receipts: int = 0
    units: int = 0
    spend: int = 0
    returns: int = 0
    returned: int = 0
    stores: int = 0

    @property
    def average_days(self) -> float | None:
        if self.receipts < 2 or self.first_purchase is None or self.last_purchase is None:
            return None
        return (self.last_purchase - self.first_purchase).total_seconds() / 86400 / (self.receipts - 1)


async def roll_up(member_id: int, receipt: Receipt, receipt_id: int) -> None:
    """Add one receipt to the member's rollup and timeline. The member's row is locked by the caller."""
    sale = receipt.kind == "sale"
    gross = sum(line.amount for line in receipt.lines if line.quantity > 0 and line.unit_price > 0)
    await database.execute(
        _ROLL_UP_ONE,
        member_id,
        receipt.business_time,
        sale,
        sum(line.quantity for line in receipt.lines),
        receipt.total,
        gross,
        receipt.store_id,
        receipt_id,
        msgspec.json.encode({"total": receipt.total, "lines": len(receipt.lines)}).decode(),
    )


_ROLL_UP_ONE = """
WITH rolled AS (
    INSERT INTO membership.consumption AS c (member_id, first_purchase, last_purchase, receipts, units, spend, gross_receipts,
        gross_spend, gross_last_purchase, returns, returned, store_ids)
    VALUES ($1, CASE WHEN $3 THEN $2::timestamptz END, CASE WHEN $3 THEN $2::timestamptz END, $3::bool::int, $4::bigint,
        $5::bigint, ($6 > 0)::int, $6::bigint, CASE WHEN $6 > 0 THEN $2::timestamptz END, (NOT $3)::int,
        CASE WHEN $3 THEN 0 ELSE -$5::bigint END, ARRAY[$7::bigint])
    ON CONFLICT (member_id) DO UPDATE SET
        first_purchase = least(c.first_purchase, excluded.first_purchase),
        last_purchase = greatest(c.last_purchase, excluded.last_purchase),
        receipts = c.receipts + excluded.receipts, units = c.units + excluded.units, spend = c.spend + excluded.spend,
        gross_receipts = c.gross_receipts + excluded.gross_receipts, gross_spend = c.gross_spend + excluded.gross_spend,
        gross_last_purchase = greatest(c.gross_last_purchase, excluded.gross_last_purchase),
        returns = c.returns + excluded.returns, returned = c.returned + excluded.returned,
        store_ids = CASE WHEN c.store_ids @> excluded.store_ids THEN c.store_ids ELSE c.store_ids || excluded.store_ids END
)
INSERT INTO membership.event (member_id, kind, ref, at, store_id, data)
VALUES ($1, CASE WHEN $3 THEN 'bought' ELSE 'returned' END, 'receipt:' || $8::bigint, $2, $7, $9::jsonb)
"""


async def roll_up_imported() -> None:
    """Add the receipts of `imported_receipt` to rollups and timelines, set-based."""
    await database.execute(_ROLL_UP_IMPORTED)
    await database.execute(
        "INSERT INTO membership.event (member_id, kind, ref, at, store_id, data) "
        "SELECT member_id, CASE kind WHEN 'sale' THEN 'bought' ELSE 'returned' END, 'receipt:' || id, business_time, store_id, "
        "jsonb_build_object('total', total, 'lines', line_count) FROM imported_receipt "
        "WHERE member_id IS NOT NULL AND kind <> 'adjustment' ORDER BY member_id, business_time, id"
    )


_ROLL_UP_IMPORTED = """
INSERT INTO membership.consumption AS c (member_id, first_purchase, last_purchase, receipts, units, spend, gross_receipts,
    gross_spend, gross_last_purchase, returns, returned, store_ids)
SELECT member_id, min(business_time) FILTER (WHERE kind = 'sale'), max(business_time) FILTER (WHERE kind = 'sale'),
    count(*) FILTER (WHERE kind = 'sale'), sum(units), sum(total), count(*) FILTER (WHERE gross > 0), sum(gross),
    max(business_time) FILTER (WHERE gross > 0), count(*) FILTER (WHERE kind = 'return'),
    coalesce(-sum(total) FILTER (WHERE kind = 'return'), 0), array_agg(DISTINCT store_id)
FROM imported_receipt WHERE member_id IS NOT NULL AND kind <> 'adjustment'
GROUP BY member_id ORDER BY member_id
ON CONFLICT (member_id) DO UPDATE SET
    first_purchase = least(c.first_purchase, excluded.first_purchase),
    last_purchase = greatest(c.last_purchase, excluded.last_purchase),
    receipts = c.receipts + excluded.receipts, units = c.units + excluded.units, spend = c.spend + excluded.spend,
    gross_receipts = c.gross_receipts + excluded.gross_receipts, gross_spend = c.gross_spend + excluded.gross_spend,
    gross_last_purchase = greatest(c.gross_last_purchase, excluded.gross_last_purchase),
    returns = c.returns + excluded.returns, returned = c.returned + excluded.returned,
    store_ids = ARRAY(SELECT DISTINCT unnest(c.store_ids || excluded.store_ids) ORDER BY 1)
"""


async def recompute(member_ids: Sequence[int]) -> None:
    """Make the rollups of members anew from their receipts, as their receipts one by one would have made them."""
    await database.execute("DELETE FROM membership.consumption WHERE member_id = ANY($1::bigint[])", list(member_ids))
    await database.execute(
        _ROLL_UP_IMPORTED.replace("FROM imported_receipt", "FROM stores.receipt").replace(
            "member_id IS NOT NULL", "member_id = ANY($1::bigint[])"
        ),
        list(member_ids),
    )


async def consumption_of(member_id: int, *, stores: Scope = None) -> Consumption:
    """The member's rollup; all zero before the first purchase. Within `stores` it is summed up from the receipts there,
    because the rollup tells of every store."""
    if stores is not None:
        row = await database.row(_WITHIN_STORES, member_id, codes(stores))
        assert row is not None
        return Consumption(**dict(row))
    row = await database.row(
        "SELECT first_purchase, last_purchase, receipts, units, spend, returns, returned, cardinality(store_ids) AS stores "
        "FROM membership.consumption WHERE member_id = $1",
        member_id,
    )
    return Consumption(**dict(row)) if row else Consumption()


_WITHIN_STORES = f"""
SELECT min(business_time) FILTER (WHERE kind = 'sale') AS first_purchase, max(business_time) FILTER (WHERE kind = 'sale')
    AS last_purchase, count(*) FILTER (WHERE kind = 'sale') AS receipts, coalesce(sum(units), 0)::bigint AS units,
    coalesce(sum(total), 0)::bigint AS spend, count(*) FILTER (WHERE kind = 'return') AS returns,
    coalesce(-sum(total) FILTER (WHERE kind = 'return'), 0)::bigint AS returned, count(DISTINCT store_id) AS stores
FROM stores.receipt WHERE member_id = $1 AND kind <> 'adjustment' AND {in_scope("store_id", 2)}
"""
