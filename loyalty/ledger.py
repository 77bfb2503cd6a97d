"""The ledger: append-only entries over an account, and the lots that back its balance.

Sum of entries = balance = sum of what the lots still hold, less the account's debt. Every function here runs inside the
caller's transaction and expects the account locked by `lock_account`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

import database
from loyalty.funds import LOT
from loyalty.locks import Account
from loyalty.lots import FAR, Lot, LotUse, split_spend


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """An entry to write. `event_at` is when it happened, whenever it is posted."""

    amount: int
    kind: str
    event_at: datetime
    reason: str = ""
    store_id: int | None = None
    staff_id: int | None = None
    receipt_id: int | None = None
    explanation: dict[str, Any] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A posted entry, and the lot it opened."""

    id: int
    balance_after: int
    lot_id: int | None = None


async def credit(
    account: Account,
    posting: Posting,
    *,
    activates_at: datetime,
    expires_at: datetime | None,
    awaits: str | None = None,
    issued_by: int | None = None,
) -> Entry:
    """Post points in, as a new lot, and let them repay a debt. `issued_by` is the store whose points they are where that is not
    the one of the posting."""
    assert posting.amount > 0
    row = await database.row(
        f"WITH {_post()}, lot AS (INSERT INTO loyalty.lot (account_id, entry_id, receipt_id, points, remaining, activates_at, "
        "expires_at, store_id, pending, awaits) SELECT $1, entry.id, $9, $2, $2, $12, $13, coalesce($15, $5), $12 > $7, $14 "
        "FROM entry RETURNING id) SELECT entry.id, balance_after, lot.id AS lot_id, debt FROM entry, lot, account",
        *_arguments(account, posting),
        activates_at,
        expires_at,
        awaits,
        issued_by,
    )
    assert row is not None
    if row["debt"]:
        await repay(account, at=posting.event_at)
    return Entry(id=row["id"], balance_after=row["balance_after"], lot_id=row["lot_id"])


async def debit(
    account: Account, posting: Posting, uses: Sequence[LotUse], *, held: bool = False, owed: int = 0
) -> Entry:
    """Post points out of given lots. `held` also releases them from the hold they were under; `owed` is what no lot covers and
    the member owes from now on."""
    assert posting.amount == -sum(use.points for use in uses) - owed < 0
    row = await database.row(
        f"WITH {_post('$14::bigint' if owed else '0')}, "
        "use AS (SELECT * FROM unnest($12::bigint[], $13::bigint[]) AS u (lot_id, points)), "
        "taken AS (UPDATE loyalty.lot SET remaining = remaining - use.points, "
        f"held = held - {'use.points' if held else '0'} FROM use WHERE lot.id = use.lot_id RETURNING lot.id, lot.store_id), "
        "used AS (INSERT INTO loyalty.lot_use (entry_id, lot_id, points, settles, issued_by, redeemed_by) "
        f"SELECT entry.id, use.lot_id, use.points, {_SETTLES}, CASE WHEN {_SETTLES} THEN taken.store_id END, "
        f"CASE WHEN {_SETTLES} THEN $5 END FROM entry, use JOIN taken ON taken.id = use.lot_id)"
        f"{_OWED if owed else ''} SELECT id, balance_after FROM entry",
        *_arguments(account, posting),
        [use.lot_id for use in uses],
        [use.points for use in uses],
        *((owed,) if owed else ()),
    )
    assert row is not None
    return Entry(**dict(row))


_SETTLES = "($3 IN ('spend', 'restore') AND $11 = 'points')"  # redeemed, or given back, where another may have issued
_OWED = """, owed AS (INSERT INTO loyalty.debt_move (entry_id, points) SELECT id, $14::bigint FROM entry)"""


async def restore(account: Account, posting: Posting, uses: Sequence[LotUse], *, expires_min: datetime | None) -> Entry:
    """Put points back into the very lots they came from, and let them repay a debt. A lot that has expired meanwhile lives until
    `expires_min`, if given."""
    assert posting.amount == sum(use.points for use in uses) > 0
    row = await database.row(
        f"WITH {_post()}, use AS (SELECT * FROM unnest($12::bigint[], $13::bigint[]) AS u (lot_id, points)), "
        "back AS (UPDATE loyalty.lot SET remaining = remaining + use.points, "
        "expires_at = CASE WHEN expires_at <= $7 THEN coalesce($14, expires_at) ELSE expires_at END FROM use "
        "WHERE lot.id = use.lot_id RETURNING lot.id, lot.store_id), "
        "used AS (INSERT INTO loyalty.lot_use (entry_id, lot_id, points, settles, issued_by, redeemed_by) "
        f"SELECT entry.id, use.lot_id, -use.points, {_SETTLES}, CASE WHEN {_SETTLES} THEN back.store_id END, "
        f"CASE WHEN {_SETTLES} THEN $5 END FROM entry, use JOIN back ON back.id = use.lot_id) "
        "SELECT entry.id, balance_after, debt FROM entry, account",
        *_arguments(account, posting),
        [use.lot_id for use in uses],
        [use.points for use in uses],
        expires_min,
    )
    assert row is not None
    if row["debt"]:
        await repay(account, at=posting.event_at)
    return Entry(id=row["id"], balance_after=row["balance_after"])


async def forgive(account: Account, posting: Posting) -> None:
    """Post that so much is owed no more, without points: somebody else owes it."""
    await database.execute(
        f"WITH {_post('-$2::bigint')} INSERT INTO loyalty.debt_move (entry_id, points) SELECT id, -$2::bigint FROM entry",
        *_arguments(account, posting),
    )


async def freeze_account(account: Account, *, at: datetime | None) -> None:
    """Let nothing be spent from an account, from a moment on; None lets it again."""
    await database.execute("UPDATE loyalty.account SET frozen_at = $2 WHERE id = $1", account.id, at)


async def repay(account: Account, *, at: datetime) -> None:
    """Let whatever is free, pending points too, pay what the account owes. An entry of nothing, because the balance counts the debt
    already."""
    debt = await database.value("SELECT debt FROM loyalty.account WHERE id = $1", account.id)
    rows = await database.rows(
        f"SELECT {LOT} FROM loyalty.lot WHERE account_id = $1 AND remaining > 0 AND remaining > held "
        "AND (expires_at IS NULL OR expires_at > $2) ORDER BY expires_at NULLS LAST, activates_at, id LIMIT $3",
        account.id,
        at,
        debt,
    )
    lots = [Lot(**dict(row)) for row in rows]
    points: int = min(debt, sum(lot.free for lot in lots))
    if points <= 0:
        return
    uses = split_spend(lots, points)
    posting = Posting(amount=0, kind="repay", reason="repaid what was owed", event_at=at)
    await database.execute(
        f"WITH {_post('-$14::bigint')}, "
        "use AS (SELECT * FROM unnest($12::bigint[], $13::bigint[]) AS u (lot_id, points)), "
        "taken AS (UPDATE loyalty.lot SET remaining = remaining - use.points FROM use WHERE lot.id = use.lot_id), "
        "used AS (INSERT INTO loyalty.lot_use (entry_id, lot_id, points) SELECT entry.id, use.lot_id, use.points FROM entry, use) "
        "INSERT INTO loyalty.debt_move (entry_id, points) SELECT id, -$14::bigint FROM entry",
        *_arguments(account, posting),
        [use.lot_id for use in uses],
        [use.points for use in uses],
        points,
    )


async def activate(account: Account, *, awaits: str, receipt_id: int, at: datetime, expires_at: datetime | None) -> int:
    """Let the lots of a receipt that wait for an event be used from now on; how many points they hold."""
    points = await database.value(
        "WITH woken AS (UPDATE loyalty.lot SET activates_at = $3, expires_at = $4, awaits = NULL "
        "WHERE account_id = $1 AND receipt_id = $2 AND awaits = $5 AND activates_at = $6 RETURNING remaining) "
        "SELECT coalesce(sum(remaining), 0)::bigint FROM woken",
        account.id,
        receipt_id,
        at,
        expires_at,
        awaits,
        FAR,
    )
    return int(points)


def earning(
    account: Account, posting: Posting, *, activates_at: datetime, expires_at: datetime | None, awaits: str | None
) -> dict[str, object]:
    """The values of `EARNING`."""
    return {
        "account_id": account.id,
        "member_id": account.member_id,
        "earned": posting.amount,
        "business_time": posting.event_at,
        "store_id": posting.store_id,
        "staff_id": posting.staff_id,
        "explanation": msgspec.json.encode(posting.explanation).decode(),
        "activates_at": activates_at,
        "expires_at": expires_at,
        "awaits": awaits,
    }


# The CTEs that award points for the receipt whose id `receipt` has, if any: `credit` in the statement that writes the receipt.
# The timeline tells of the points after it tells of what was `bought`.
EARNING = """
account AS (
    UPDATE loyalty.account SET balance = balance + :earned::bigint, version = version + 1,
        seal = loyalty.seal(seal, loyalty.entry_text(account.id, version + 1, :earned::bigint, balance + :earned::bigint, 'earn', '',
            :business_time::timestamptz, receipt.id, :explanation::jsonb))
    FROM receipt WHERE account.id = :account_id::bigint
    RETURNING account.id, version, balance, seal, receipt.id AS receipt_id
), entry AS (
    INSERT INTO loyalty.entry (account_id, unit, version, amount, balance_after, kind, reason, event_at, store_id, staff_id,
        receipt_id, explanation, seal)
    SELECT id, 'points', version, :earned::bigint, balance, 'earn', '', :business_time::timestamptz, :store_id::bigint,
        :staff_id::bigint, receipt_id, :explanation::jsonb, seal FROM account
    RETURNING id, account_id, balance_after, receipt_id
), lot AS (
    INSERT INTO loyalty.lot (account_id, entry_id, receipt_id, points, remaining, activates_at, expires_at, store_id, pending, awaits)
    SELECT account_id, id, receipt_id, :earned::bigint, :earned::bigint, :activates_at::timestamptz, :expires_at::timestamptz,
        :store_id::bigint, :activates_at::timestamptz > :business_time::timestamptz, :awaits::text FROM entry
), earned AS (
    INSERT INTO membership.event (member_id, kind, ref, at, store_id, data)
    SELECT :member_id::bigint, 'points_earn', 'entry:' || entry.id, :business_time::timestamptz, :store_id::bigint,
        jsonb_build_object('points', :earned::bigint, 'balance', balance_after) FROM entry, bought
)
"""


def _arguments(account: Account, posting: Posting) -> tuple[object, ...]:
    return (
        account.id,
        posting.amount,
        posting.kind,
        posting.reason,
        posting.store_id,
        posting.staff_id,
        posting.event_at,
        account.member_id,
        posting.receipt_id,
        msgspec.json.encode(posting.explanation).decode(),
        account.unit,
    )


def _post(owed: str = "0") -> str:
    """The CTEs of one entry. The account's row carries balance, version and the end of the chain, so that one update makes all
    three."""
    return f"""
account AS (
    UPDATE loyalty.account SET balance = balance + $2, version = version + 1, debt = debt + {owed},
        seal = loyalty.seal(seal, loyalty.entry_text(id, version + 1, $2, balance + $2, $3, $4, $7, $9, $10::jsonb))
    WHERE id = $1 RETURNING *
), entry AS (
    INSERT INTO loyalty.entry (account_id, unit, version, amount, balance_after, kind, reason, event_at, store_id, staff_id,
        receipt_id, explanation, seal)
    SELECT $1, $11, version, $2, balance, $3, $4, $7, $5, $6, $9, $10::jsonb, seal FROM account RETURNING id, balance_after
), noted AS (
    INSERT INTO membership.event (member_id, kind, ref, at, store_id, data)
    SELECT $8, $11 || '_' || $3, 'entry:' || id, $7, $5, jsonb_build_object($11, $2::bigint, 'balance', balance_after)
    FROM entry
)
"""
