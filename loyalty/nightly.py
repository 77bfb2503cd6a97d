"""The nightly order: tiers up, then holds and lots expire, then referrals that came true are rewarded. Lots activate by
themselves, by their date.

Every step looks only at what is due by the moment given, so a night that was missed is made up by the next, and a second
run of the same night finds nothing left to do.
"""

from datetime import datetime

import msgspec

import database
from loyalty.posting_sql import CREATE_POSTING, post_all
from loyalty.programme import the_programme
from loyalty.redemption import release
from loyalty.referrals import reward_referrals
from loyalty.tiers import evaluate_tiers


class NightlyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one night did."""

    tiers_gained: int
    holds_expired: int
    lots_expired: int
    points_expired: int
    referrals_rewarded: int


async def run_nightly(at: datetime) -> NightlyResult:
    """Do everything that is due by `at`."""
    async with database.transaction():
        tiers_gained = await evaluate_tiers(await the_programme(), at)
    async with database.transaction():
        holds_expired = await _expire_holds(at)
    async with database.transaction():
        lots_expired, points_expired = await _expire_lots(at)
    referrals_rewarded = await reward_referrals(at)
    return NightlyResult(
        tiers_gained=tiers_gained,
        holds_expired=holds_expired,
        lots_expired=lots_expired,
        points_expired=points_expired,
        referrals_rewarded=referrals_rewarded,
    )


async def _expire_holds(at: datetime) -> int:
    await _lock_accounts("SELECT account_id FROM loyalty.hold WHERE status = 'held' AND expires_at <= $1", at)
    due = await database.rows("SELECT id FROM loyalty.hold WHERE status = 'held' AND expires_at <= $1", at)
    if due:
        await release([row["id"] for row in due], "expired")
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
