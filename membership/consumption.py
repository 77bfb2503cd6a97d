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
    """Add one receipt to the member's rollup and timeline. The member's account is locked by the caller."""
    sql, values = database.named(
        f"WITH receipt AS (SELECT :receipt_id::bigint AS id), {ROLLING_UP} SELECT 1",
        {**rolling_up(member_id, receipt), "receipt_id": receipt_id},
    )
    await database.execute(sql, *values)


def rolling_up(member_id: int, receipt: Receipt) -> dict[str, object]:
    """The values of `ROLLING_UP`."""
    return {
        "member_id": member_id,
        "store_id": receipt.store_id,
        "business_time": receipt.business_time,
        "sale": receipt.kind == "sale",
        "total": receipt.total,
        "gross": receipt.gross,
        "units": receipt.units,
        "line_count": len(receipt.lines),
    }


# The CTEs that add the receipt whose id `receipt` has, if any.
ROLLING_UP = """
rolled AS (
    INSERT INTO membership.consumption AS c (member_id, first_purchase, last_purchase, receipts, units, spend, gross_receipts,
        gross_spend, gross_last_purchase, returns, returned, store_ids)
    SELECT :member_id::bigint, CASE WHEN :sale THEN :business_time::timestamptz END,
        CASE WHEN :sale THEN :business_time::timestamptz END, :sale::bool::int, :units::bigint, :total::bigint,
        (:gross::bigint > 0)::int, :gross::bigint, CASE WHEN :gross::bigint > 0 THEN :business_time::timestamptz END,
        (NOT :sale)::int, CASE WHEN :sale THEN 0 ELSE -:total::bigint END, ARRAY[:store_id::bigint] FROM receipt
    ON CONFLICT (member_id) DO UPDATE SET
        first_purchase = least(c.first_purchase, excluded.first_purchase),
        last_purchase = greatest(c.last_purchase, excluded.last_purchase),
        receipts = c.receipts + excluded.receipts, units = c.units + excluded.units, spend = c.spend + excluded.spend,
        gross_receipts = c.gross_receipts + excluded.gross_receipts, gross_spend = c.gross_spend + excluded.gross_spend,
        gross_last_purchase = greatest(c.gross_last_purchase, excluded.gross_last_purchase),
        returns = c.returns + excluded.returns, returned = c.returned + excluded.returned,
        store_ids = CASE WHEN c.store_ids @> excluded.store_ids THEN c.store_ids ELSE c.store_ids || excluded.store_ids END
), bought AS (
    INSERT INTO membership.event (member_id, kind, ref, at, store_id, data)
    SELECT :member_id::bigint, CASE WHEN :sale THEN 'bought' ELSE 'returned' END, 'receipt:' || receipt.id,
        :business_time::timestamptz, :store_id::bigint,
        jsonb_build_object('total', :total::bigint, 'lines', :line_count::int) FROM receipt
    RETURNING id
)
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
