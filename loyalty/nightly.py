"""The nightly order: pending points become usable, tiers go up, holds and lots expire, tiers go down; then referrals that came
true are rewarded.

Every step looks only at what is due by the moment given, so a night that was missed is made up by the next, and a second
run of the same night finds nothing left to do. A step does so many accounts at a time, each time in a transaction of its own and
with nothing but their rows: tills sell meanwhile, and what they do to an account is done before the night has it, or after.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import msgspec

import database
from loyalty.locks import lock_accounts_by_id
from loyalty.posting_sql import CREATE_POSTING, post_all
from loyalty.programme import the_programme
from loyalty.redemption import expire
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
    """Do everything that is due by `at`."""
    activated = await database.batch_by_batch(await _due_accounts(_ACTIVATING, at), partial(_activate, at=at))
    tiers_gained = await raise_all(await the_programme(), at)
    holds = await database.rows(
        "SELECT id FROM loyalty.hold WHERE status = 'held' AND expires_at <= $1 ORDER BY id", at
    )
    holds_expired = await database.batch_by_batch([row["id"] for row in holds], partial(expire, at=at))
    expired = await database.batch_by_batch(await _due_accounts(_EXPIRING, at), partial(_expire_lots, at=at))
    tiers_lost = await review(await the_programme(), at)
    referrals_rewarded = await reward_referrals(at)
    return NightlyResult(
        lots_activated=sum(activated),
        tiers_gained=tiers_gained,
        holds_expired=sum(holds_expired),
        lots_expired=sum(lots for lots, _ in expired),
        points_expired=sum(points for _, points in expired),
        tiers_lost=tiers_lost,
        referrals_rewarded=referrals_rewarded,
    )


async def _due_accounts(due: str, at: datetime) -> list[int]:
    rows = await database.rows(f"SELECT DISTINCT account_id FROM loyalty.lot WHERE {due} ORDER BY 1", at)
    return [row["account_id"] for row in rows]


# Held points outlive their lot until the hold is settled: the customer is at the till with them.
_ACTIVATING = "pending AND activates_at <= $1"
_EXPIRING = "remaining > held AND expires_at <= $1"


async def _activate(account_ids: Sequence[int], *, at: datetime) -> int:
    """Tell of lots that have become usable, which they did by themselves, by their date."""
    await lock_accounts_by_id(account_ids)
    return await database.execute(
        f"WITH active AS (UPDATE loyalty.lot SET pending = false WHERE {_ACTIVATING} AND account_id = ANY($2::bigint[]) "
        "RETURNING id, account_id, remaining, activates_at, store_id) "
        "INSERT INTO membership.event (member_id, kind, ref, at, store_id, data) SELECT member_id, unit || '_activated', "
        "'lot:' || active.id, activates_at, store_id, jsonb_build_object(unit, remaining) FROM active "
        "JOIN loyalty.account ON account.id = account_id WHERE remaining > 0 ORDER BY active.id ON CONFLICT (kind, ref) DO NOTHING",
        at,
        list(account_ids),
    )


async def _expire_lots(account_ids: Sequence[int], *, at: datetime) -> tuple[int, int]:
    """How many lots of these accounts have expired, and how many points in them. Of these only: what has come due since on another
    account is changed by tills, because nobody holds it, and is the next night's."""
    await lock_accounts_by_id(account_ids)
    await database.execute(CREATE_POSTING)
    lots = await database.execute(
        "INSERT INTO posting (account_id, amount, kind, event_at, lot_id) "
        f"SELECT account_id, held - remaining, 'expire', expires_at, id FROM loyalty.lot WHERE {_EXPIRING} "
        "AND account_id = ANY($2::bigint[]) ORDER BY expires_at, id",
        at,
        list(account_ids),
    )
    points = await database.value("SELECT coalesce(-sum(amount), 0)::bigint FROM posting")
    await post_all()
    await database.execute(
        "WITH used AS (INSERT INTO loyalty.lot_use (entry_id, lot_id, points) SELECT entry_id, lot_id, -amount FROM posting) "
        "UPDATE loyalty.lot SET remaining = remaining + amount FROM posting WHERE lot.id = lot_id"
    )
    await database.execute("DROP TABLE posting")
    return lots, points
