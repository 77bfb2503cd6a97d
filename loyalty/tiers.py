"""Tiers: what a member has reached by spending."""

from datetime import datetime, timedelta

import msgspec

import database
from loyalty.programme import Programme, TierLevel


class TierProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a member stands. `to_next` is minor units still to spend; None at the top or without tiers."""

    code: str | None
    to_next: int | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A member's tier and the spend that counts towards the next."""

    tier: TierLevel | None
    qualifying: int


def window_start(programme: Programme, at: datetime) -> datetime:
    """From when spend counts at a moment: the same day, `tier_months` earlier, or the month's last day before it."""
    month = at.year * 12 + at.month - 1 - programme.tier_months
    first = at.replace(year=month // 12, month=month % 12 + 1, day=1)
    following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return min(first + timedelta(days=at.day - 1), following - timedelta(days=1))


async def standing(member_id: int, programme: Programme, at: datetime) -> Standing:
    """The member's tier and qualifying spend."""
    row = await database.row(
        "SELECT (SELECT tier_id FROM loyalty.standing WHERE member_id = $1) AS tier_id, coalesce(sum(total), 0)::bigint "
        "AS qualifying FROM stores.receipt WHERE member_id = $1 AND business_time > $2 AND business_time <= $3",
        member_id,
        window_start(programme, at),
        at,
    )
    assert row is not None
    tier = next((tier for tier in programme.tiers if tier.id == row["tier_id"]), None)
    return Standing(tier=tier, qualifying=row["qualifying"])


async def promote(
    member_id: int, programme: Programme, reached: Standing, *, at: datetime, store_id: int | None
) -> TierProgress:
    """Raise the member at once if the spend reaches a higher tier; where they stand then."""
    tier = programme.tier_of_spend(reached.qualifying)
    if tier is not None and (reached.tier is None or tier.threshold > reached.tier.threshold):
        await database.execute(_PROMOTE, member_id, tier.id, at, store_id, tier.code)
        reached = Standing(tier=tier, qualifying=reached.qualifying)
    return progress(programme, reached)


def progress(programme: Programme, standing: Standing) -> TierProgress:
    """What to tell the member."""
    following = programme.next_tier(max(standing.qualifying, standing.tier.threshold if standing.tier else 0))
    return TierProgress(
        code=standing.tier.code if standing.tier else None,
        to_next=following.threshold - standing.qualifying if following else None,
    )


_PROMOTE = """
WITH raised AS (
    INSERT INTO loyalty.standing (member_id, tier_id, since) VALUES ($1, $2, $3)
    ON CONFLICT (member_id) DO UPDATE SET (tier_id, since) = (excluded.tier_id, excluded.since)
)
INSERT INTO membership.event (member_id, kind, ref, at, store_id, data)
VALUES ($1, 'tier_gained', 'tier:' || $1::bigint || ':' || $5::text || ':' || extract(epoch FROM $3::timestamptz)::bigint, $3, $4,
    jsonb_build_object('tier', $5::text))
ON CONFLICT (kind, ref) DO NOTHING
"""


async def evaluate_tiers(programme: Programme, at: datetime) -> int:
    """Raise every member whose spend within the window reaches a higher tier, set-based; how many were."""
    return await database.execute(
        """
        WITH spent AS (
            SELECT member_id, sum(total) AS qualifying FROM stores.receipt
            WHERE member_id IS NOT NULL AND business_time > $1 AND business_time <= $2 GROUP BY 1
        ), reached AS (
            SELECT spent.member_id, t.id AS tier_id, t.code, t.threshold FROM spent
            JOIN LATERAL (SELECT * FROM loyalty.tier WHERE threshold <= qualifying ORDER BY threshold DESC LIMIT 1) t ON true
            LEFT JOIN loyalty.standing s ON s.member_id = spent.member_id
            LEFT JOIN loyalty.tier current ON current.id = s.tier_id
            WHERE current.id IS NULL OR current.threshold < t.threshold
        ), raised AS (
            INSERT INTO loyalty.standing (member_id, tier_id, since) SELECT member_id, tier_id, $2 FROM reached
            ON CONFLICT (member_id) DO UPDATE SET (tier_id, since) = (excluded.tier_id, excluded.since)
        )
        INSERT INTO membership.event (member_id, kind, ref, at, data)
        SELECT member_id, 'tier_gained', 'tier:' || member_id || ':' || code || ':' || extract(epoch FROM $2)::bigint, $2,
            jsonb_build_object('tier', code) FROM reached ON CONFLICT (kind, ref) DO NOTHING
        """,
        window_start(programme, at),
        at,
    )
