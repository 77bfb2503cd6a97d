"""The nightly order: pending points become usable, tiers go up, holds and lots expire, tiers go down; then referrals that came
true are rewarded.

Every step looks only at what is due by the moment given, so a night that was missed is made up by the next, and a second
run of the same night finds nothing left to do.
"""

from datetime import datetime

import msgspec

import database
from loyalty.ledger import lock_account_by_id, repay
from loyalty.posting_sql import CREATE_POSTING, post_all
from loyalty.programme import the_programme
from loyalty.redemption import release
from loyalty.referrals import reward_referrals
from loyalty.tier_reviews import raise_all, review


class NightlyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one night did."""

    lots_activated: int
    tiers_gained: int
    holds_expired: int
    lots_expired: int
    points_expired: int
    tiers_lost: int
    referrals_rewarded: int


async def run_nightly(at: datetime) -> NightlyResult:
    """Do everything that is due by `at`, each step in a transaction of its own."""
    async with database.transaction():
        lots_activated = await _activate(at)
    async with database.transaction():
        tiers_gained = await raise_all(await the_programme(), at)
    async with database.transaction():
        holds_expired = await _expire_holds(at)
    async with database.transaction():
        lots_expired, points_expired = await _expire_lots(at)
    async with database.transaction():
        tiers_lost = await review(await the_programme(), at)
    referrals_rewarded = await reward_referrals(at)
    return NightlyResult(
        lots_activated=lots_activated,
        tiers_gained=tiers_gained,
        holds_expired=holds_expired,
        lots_expired=lots_expired,
        points_expired=points_expired,
        tiers_lost=tiers_lost,
        referrals_rewarded=referrals_rewarded,
    )


async def _activate(at: datetime) -> int:
    """Tell of lots that have become usable, which they did by themselves, by their date."""
    await _lock_accounts("SELECT account_id FROM loyalty.lot WHERE pending AND activates_at <= $1", at)
    return await database.execute(
        "WITH active AS (UPDATE loyalty.lot SET pending = false WHERE pending AND activates_at <= $1 "
        "RETURNING id, account_id, remaining, activates_at, store_id) "
        "INSERT INTO membership.event (member_id, kind, ref, at, store_id, data) SELECT member_id, unit || '_activated', "
        "'lot:' || active.id, activates_at, store_id, jsonb_build_object(unit, remaining) FROM active "
        "JOIN loyalty.account ON account.id = account_id WHERE remaining > 0 ORDER BY active.id ON CONFLICT (kind, ref) DO NOTHING",
        at,
    )


async def _expire_holds(at: datetime) -> int:
    await _lock_accounts(
        "SELECT lot.account_id FROM loyalty.hold JOIN loyalty.lot_hold ON hold_id = hold.id JOIN loyalty.lot ON lot.id = lot_id "
        "WHERE status = 'held' AND hold.expires_at <= $1",
        at,
    )
    due = await database.rows("SELECT id FROM loyalty.hold WHERE status = 'held' AND expires_at <= $1", at)
    if due:
        await release([row["id"] for row in due], "expired")
        indebted = await database.rows(
            "SELECT DISTINCT lot.account_id FROM loyalty.lot_hold JOIN loyalty.lot ON lot.id = lot_id "
            "JOIN loyalty.account ON account.id = lot.account_id WHERE hold_id = ANY($1::bigint[]) AND debt > 0 ORDER BY 1",
            [row["id"] for row in due],
        )
        for row in indebted:
            await repay(await lock_account_by_id(row["account_id"]), at=at)
    return len(due)


async def _expire_lots(at: datetime) -> tuple[int, int]:
    """Held points outlive their lot until the hold is settled: the customer is at the till with them."""
    await _lock_accounts("SELECT account_id FROM loyalty.lot WHERE remaining > held AND expires_at <= $1", at)
    await database.execute(CREATE_POSTING)
    lots = await database.execute(
        "INSERT INTO posting (account_id, amount, kind, event_at, lot_id) "
        "SELECT account_id, held - remaining, 'expire', expires_at, id "
        "FROM loyalty.lot WHERE remaining > held AND expires_at <= $1 ORDER BY expires_at, id",
        at,
    )
    points = await database.value("SELECT coalesce(-sum(amount), 0)::bigint FROM posting")
    await post_all()
    await database.execute(
        "WITH used AS (INSERT INTO loyalty.lot_use (entry_id, lot_id, points) SELECT entry_id, lot_id, -amount FROM posting) "
        "UPDATE loyalty.lot SET remaining = remaining + amount FROM posting WHERE lot.id = lot_id"
    )
    await database.execute("DROP TABLE posting")
    return lots, points


async def _lock_accounts(which: str, at: datetime) -> None:
    await database.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM loyalty.account WHERE id IN ({which}) ORDER BY id FOR NO KEY UPDATE) locked",
        at,
    )
