"""The chain at a glance: live figures for the start page, bounded to the stores in view."""

from datetime import datetime

import msgspec

import database
from stores.scope import Scope, codes, in_scope


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and sums as of the newest receipt. Money in minor units; `member_share` is the members' part of sales."""

    members: int
    receipts: int
    sales: int
    member_share: float
    points_outstanding: int
    newest: datetime | None


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """One month's sales net of returns, in minor units."""

    month: str
    sales: int


class League(msgspec.Struct, frozen=True, kw_only=True):
    """A store's last thirty days of data."""

    code: str
    name: str
    region: str
    receipts: int
    sales: int
    member_share: float


async def figures(*, stores: Scope) -> Figures:
    """Headline figures. With `stores`, members are those who bought there and points are left to the chain."""
    row = await database.row(
        "SELECT CASE WHEN $1::text[] IS NULL THEN (SELECT count(*) FROM membership.member WHERE status = 'active') "
        "ELSE count(DISTINCT r.member_id) END AS members, count(*) FILTER (WHERE r.kind = 'sale') AS receipts, "
        "coalesce(sum(r.total), 0)::bigint AS sales, "
        "coalesce(sum(r.total) FILTER (WHERE r.member_id IS NOT NULL)::float / nullif(sum(r.total), 0), 0) AS member_share, "
        "CASE WHEN $1 IS NULL THEN (SELECT coalesce(sum(balance), 0) FROM loyalty.account WHERE unit = 'points') ELSE 0 END::bigint "
        "AS points_outstanding, max(r.business_time) AS newest "
        f"FROM stores.receipt r WHERE r.kind <> 'adjustment' AND {in_scope('r.store_id', 1)}",
        codes(stores),
    )
    assert row is not None
    return Figures(**dict(row))


async def months(*, stores: Scope, zone: str, limit: int = 24) -> list[Month]:
    """Sales by month, the oldest first."""
    rows = await database.rows(
        "SELECT to_char(date_trunc('month', r.business_time AT TIME ZONE $2), 'YYYY-MM') AS month, sum(r.total)::bigint AS sales "
        f"FROM stores.receipt r WHERE r.kind <> 'adjustment' AND {in_scope('r.store_id', 1)} "
        "GROUP BY 1 ORDER BY 1 DESC LIMIT $3",
        codes(stores),
        zone,
        limit,
    )
    return [Month(**dict(row)) for row in reversed(rows)]


async def league(*, stores: Scope) -> list[League]:
    """Stores by sales over the last thirty days that there is data for."""
    rows = await database.rows(
        "SELECT s.code, s.name, s.region, count(*) FILTER (WHERE r.kind = 'sale') AS receipts, sum(r.total)::bigint AS sales, "
        "coalesce(sum(r.total) FILTER (WHERE r.member_id IS NOT NULL)::float / nullif(sum(r.total), 0), 0) AS member_share "
        "FROM stores.receipt r JOIN stores.store s ON s.id = r.store_id WHERE r.kind <> 'adjustment' "
        f"AND r.business_time > (SELECT max(business_time) FROM stores.receipt WHERE {in_scope('store_id', 1)}) "
        f"- interval '30 days' AND {in_scope('r.store_id', 1)} GROUP BY s.id ORDER BY sales DESC",
        codes(stores),
    )
    return [League(**dict(row)) for row in rows]


class SegmentMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member of an RFM segment. `monetary` in minor units."""

    number: str
    name: str
    recency_days: int
    frequency: int
    monetary: int


async def segment_members(run_id: int, segment: str, *, limit: int = 100) -> list[SegmentMember]:
    """The most valuable members of a segment in a run."""
    rows = await database.rows(
        "SELECT card.number, member.name, recency_days, frequency, monetary FROM segmentation.rfm_score s "
        "JOIN membership.member ON member.id = s.member_id AND member.status = 'active' "
        "JOIN membership.card ON card.member_id = member.id AND card.status = 'active' "
        "WHERE run_id = $1 AND segment = $2 ORDER BY monetary DESC, member.id LIMIT $3",
        run_id,
        segment,
        limit,
    )
    return [SegmentMember(**dict(row)) for row in rows]
