"""A member's receipts."""

from datetime import datetime

import msgspec

import database
from stores.scope import Scope, codes, in_scope


class MemberReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """One receipt of a member. `total` in minor units, negative on a return."""

    id: int
    store: str
    till: str
    number: str
    kind: str
    business_time: datetime
    total: int
    lines: int


async def receipts_of(
    member_id: int, *, before: int | None = None, limit: int = 50, stores: Scope = None
) -> list[MemberReceipt]:
    """Newest first, from before the receipt `before`; only those of `stores` when given."""
    rows = await database.rows(
        "SELECT r.id, s.code AS store, r.till, r.number, r.kind, r.business_time, r.total, r.line_count AS lines "
        "FROM stores.receipt r JOIN stores.store s ON s.id = r.store_id WHERE r.member_id = $1 "
        "AND ($2::bigint IS NULL OR (r.business_time, r.id) < (SELECT business_time, id FROM stores.receipt WHERE id = $2)) "
        f"AND {in_scope('r.store_id', 4)} ORDER BY r.business_time DESC, r.id DESC LIMIT $3",
        member_id,
        before,
        limit,
        codes(stores),
    )
    return [MemberReceipt(**dict(row)) for row in rows]


async def last_basket(member_id: int, *, stores: Scope = None) -> list[str]:
    """SKUs of goods in the member's newest sale in view."""
    rows = await database.rows(
        "SELECT DISTINCT sku FROM stores.receipt_line JOIN stores.product ON product.id = product_id AND kind = 'goods' "
        "WHERE receipt_id = (SELECT id FROM stores.receipt WHERE member_id = $1 AND kind = 'sale' "
        f"AND {in_scope('store_id', 2)} ORDER BY business_time DESC, id DESC LIMIT 1) ORDER BY sku LIMIT 20",
        member_id,
        codes(stores),
    )
    return [row["sku"] for row in rows]
