"""Tiers: what a member has reached, keeps for a period, and is given by hand.

What counts is kept by day in `loyalty.qualifying`. A tier is gained at once; it is safe until its period ends, and looked at
again then, by the nightly order.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import msgspec

import database
from loyalty.errors import UnknownTier
from loyalty.locks import lock_account
from loyalty.programme import Programme, TierLevel
from membership.cards import member_of_card


class TierProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a member stands. `to_next` is what of the metric is missing; None at the top or without tiers. `until` is how long
    the tier is safe."""

    code: str | None
    to_next: int | None
    until: datetime | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A member's tier and what counts towards the next."""

    tier: TierLevel | None
    qualifying: int
    earned: TierLevel | None = None
    granted: TierLevel | None = None
    granted_until: datetime | None = None
    until: datetime | None = None


def add_months(day: date, months: int) -> date:
    """The same day so many months on, or the month's last before it."""
    month = day.year * 12 + day.month - 1 + months
    first = date(month // 12, month % 12 + 1, 1)
    following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    return min(first + timedelta(days=day.day - 1), following - timedelta(days=1))


def window(programme: Programme, today: date, joined: date) -> tuple[date, date]:
    """The first day that counts on a day, and the first after the period that the day is in.

    A rolling period ends so many months after the day itself; an anniversary year runs from the day a member joined, which is
    28 February in other years for whoever joined on the 29th.
    """
    if programme.tier_period == "rolling":
        return add_months(today, -programme.tier_months) + timedelta(days=1), add_months(today, programme.tier_months)
    if programme.tier_period == "calendar":
        return date(today.year, 1, 1), date(today.year + 1, 1, 1)
    years = today.year - joined.year
    if add_months(joined, 12 * years) > today:
        years -= 1
    return add_months(joined, 12 * years), add_months(joined, 12 * (years + 1))


def safe_until(programme: Programme, today: date, joined: date) -> datetime:
    """How long a tier reached on a day is safe: a rolling period from then, or the rest of this year and the next."""
    _, ends = window(programme, today, joined)
    if programme.tier_period == "calendar":
        ends = date(ends.year + 1, 1, 1)
    elif programme.tier_period == "anniversary":
        ends = window(programme, ends, joined)[1]
    return datetime(ends.year, ends.month, ends.day, tzinfo=programme.chain.zone)


async def standing(member_id: int, programme: Programme, at: datetime) -> Standing:
    """The member's tier and what counts at a moment."""
    today = at.astimezone(programme.chain.zone).date()
    return (await standings([member_id], programme, today))[member_id].standing


class Stands(msgspec.Struct, frozen=True):
    standing: Standing
    joined: date


async def standings(member_ids: Sequence[int], programme: Programme, today: date) -> dict[int, Stands]:
    """Where members stand on a day, and when they joined."""
    zone = programme.chain.zone
    rows = await database.rows(
        "SELECT m.id, m.registered_at, s.tier_id, s.earned_id, s.granted_id, s.until, s.granted_until FROM membership.member m "
        "LEFT JOIN loyalty.standing s ON s.member_id = m.id WHERE m.id = ANY($1::bigint[]) ORDER BY m.id",
        list(member_ids),
    )
    joined = {row["id"]: row["registered_at"].astimezone(zone).date() for row in rows}
    first = [window(programme, today, joined[row["id"]])[0] for row in rows]
    counted = await counted_between([row["id"] for row in rows], first, [today] * len(rows), programme)
    return {
        row["id"]: Stands(
            Standing(
                tier=programme.tier_by_id(row["tier_id"]),
                qualifying=counted[row["id"]],
                earned=programme.tier_by_id(row["earned_id"]),
                granted=programme.tier_by_id(row["granted_id"]),
                granted_until=row["granted_until"],
                until=row["until"],
            ),
            joined[row["id"]],
        )
        for row in rows
    }


async def counted_between(
    member_ids: Sequence[int], first: Sequence[date], last: Sequence[date], programme: Programme
) -> dict[int, int]:
    """What counts of each member from a day to a day, both included."""
    rows = await database.rows(
        f"SELECT w.member_id, (SELECT coalesce(sum({programme.tier_metric}), 0)::bigint FROM loyalty.qualifying q "
        "WHERE q.member_id = w.member_id AND day BETWEEN w.first AND w.last) AS counted "
        "FROM unnest($1::bigint[], $2::date[], $3::date[]) AS w (member_id, first, last)",
        list(member_ids),
        list(first),
        list(last),
    )
    return {row["member_id"]: row["counted"] for row in rows}


async def count(member_id: int, day: date, *, spend: int, points: int, visits: int) -> None:
    """Add to what counts on a day; a return takes off the day of its sale."""
    sql, values = database.named(
        f"WITH receipt AS (SELECT 1), {COUNTING} SELECT 1",
        counting(member_id, day, spend=spend, points=points, visits=visits),
    )
    await database.execute(sql, *values)


def counting(member_id: int, day: date, *, spend: int, points: int, visits: int) -> dict[str, object]:
    """The values of `COUNTING`."""
    return {"member_id": member_id, "day": day, "spend": spend, "points_counted": points, "visits": visits}


# The CTE that counts a receipt, if `receipt` has one.
COUNTING = """
counted AS (
    INSERT INTO loyalty.qualifying AS q (member_id, day, spend, points, visits)
    SELECT :member_id::bigint, :day::date, :spend::bigint, :points_counted::bigint, :visits::int FROM receipt
    ON CONFLICT (member_id, day) DO UPDATE SET spend = q.spend + excluded.spend, points = q.points + excluded.points,
        visits = q.visits + excluded.visits
)
"""


async def recount(member_ids: list[int]) -> None:
    """Make what counts anew from receipts and entries: after a merge, or an import."""
    await database.execute("DELETE FROM loyalty.qualifying WHERE member_id = ANY($1::bigint[])", member_ids)
    await database.execute(
        "INSERT INTO loyalty.qualifying SELECT q.* FROM loyalty.qualifying_of($1::bigint[]) q", member_ids
    )


def risen(programme: Programme, standing: Standing, *, at: datetime, joined: datetime) -> Standing:
    """Where a member stands who is raised at once if what counts reaches more than they have earned."""
    tier = programme.tier_reached(standing.qualifying)
    if not is_above(tier, standing.earned):
        return standing
    zone = programme.chain.zone
    until = safe_until(programme, at.astimezone(zone).date(), joined.astimezone(zone).date())
    became = msgspec.structs.replace(standing, earned=tier, until=until)
    return msgspec.structs.replace(became, tier=_higher(became))


async def promote(member_id: int, before: Standing, became: Standing, *, at: datetime, store_id: int | None) -> None:
    """Write that a member has risen, if they have. Their account is locked by the caller."""
    if became.earned != before.earned:
        await settle_standings(
            [Change(member_id=member_id, before=before.tier, became=became)], at=at, store_id=store_id
        )


async def grant(
    number: str, tier: str, *, until: datetime, programme: Programme, at: datetime, store_id: int | None = None
) -> TierProgress:
    """Give a tier by hand until a moment: a floor, above which the member still rises by themselves. Raises `UnknownTier`."""
    level = next((level for level in programme.tiers if level.code == tier), None)
    if level is None:
        raise UnknownTier(code=tier)
    async with database.transaction():
        member_id = (await lock_account(await member_of_card(number))).member_id
        now = await standing(member_id, programme, at)
        became = msgspec.structs.replace(now, granted=level, granted_until=until)
        change = Change(member_id=member_id, before=now.tier, became=became)
        [settled] = await settle_standings([change], at=at, store_id=store_id)
        return progress(programme, settled)


async def withdraw(number: str, *, programme: Programme, at: datetime) -> TierProgress:
    """Take back what was given by hand; what is earned stays."""
    async with database.transaction():
        member_id = (await lock_account(await member_of_card(number))).member_id
        now = await standing(member_id, programme, at)
        became = msgspec.structs.replace(now, granted=None, granted_until=None)
        [settled] = await settle_standings([Change(member_id=member_id, before=now.tier, became=became)], at=at)
        return progress(programme, settled)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a member has from now on."""

    member_id: int
    before: TierLevel | None
    became: Standing


async def settle_standings(changes: Sequence[Change], *, at: datetime, store_id: int | None = None) -> list[Standing]:
    """Write what members have earned and been given, and tell of it where their tier is another."""
    settled = [msgspec.structs.replace(change.became, tier=_higher(change.became)) for change in changes]
    columns = [
        (
            change.member_id,
            now.tier.id if now.tier else None,
            now.until,
            now.earned.id if now.earned else None,
            now.granted.id if now.granted else None,
            now.granted_until,
            now.tier.code if now.tier else None,
            change.before.code if change.before else None,
            is_above(now.tier, change.before),
        )
        for change, now in zip(changes, settled, strict=True)
    ]
    await database.execute(_SETTLE, at, store_id, *(list(column) for column in zip(*columns, strict=True)))
    return settled


_SETTLE = """
WITH change AS (
    SELECT * FROM unnest($3::bigint[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::timestamptz[], $9::text[],
        $10::text[], $11::bool[])
        AS c (member_id, tier_id, until, earned_id, granted_id, granted_until, code, before, above)
), gone AS (
    DELETE FROM loyalty.standing USING change WHERE standing.member_id = change.member_id AND change.tier_id IS NULL
), kept AS (
    INSERT INTO loyalty.standing AS s (member_id, tier_id, since, until, earned_id, granted_id, granted_until)
    SELECT member_id, tier_id, $1, until, earned_id, granted_id, granted_until FROM change WHERE tier_id IS NOT NULL
    ON CONFLICT (member_id) DO UPDATE SET since = CASE WHEN s.tier_id = excluded.tier_id THEN s.since ELSE excluded.since END,
        tier_id = excluded.tier_id, until = excluded.until, earned_id = excluded.earned_id, granted_id = excluded.granted_id,
        granted_until = excluded.granted_until
)
INSERT INTO membership.event (member_id, kind, ref, at, store_id, data)
SELECT member_id, CASE WHEN above THEN 'tier_gained' ELSE 'tier_lost' END,
    'tier:' || member_id || ':' || coalesce(code, 'none') || ':' || extract(epoch FROM $1::timestamptz), $1, $2,
    jsonb_strip_nulls(jsonb_build_object('tier', code, 'from', before))
FROM change WHERE code IS DISTINCT FROM before ON CONFLICT (kind, ref) DO NOTHING
"""


def _higher(standing: Standing) -> TierLevel | None:
    levels = [level for level in (standing.earned, standing.granted) if level is not None]
    return max(levels, key=lambda level: level.threshold, default=None)


def is_above(tier: TierLevel | None, other: TierLevel | None) -> bool:
    return tier is not None and (other is None or tier.threshold > other.threshold)


def progress(programme: Programme, standing: Standing) -> TierProgress:
    """What to tell the member."""
    following = programme.next_tier(max(standing.qualifying, standing.tier.threshold if standing.tier else 0))
    return TierProgress(
        code=standing.tier.code if standing.tier else None,
        to_next=following.threshold - standing.qualifying if following else None,
        until=standing.until if standing.tier and standing.tier == standing.earned else None,
    )
