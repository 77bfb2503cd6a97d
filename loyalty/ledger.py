"""The points ledger: append-only entries over an account, and the lots that back its balance.

Sum of entries = balance = sum of what the lots still hold. Every function here runs inside the caller's transaction and
expects the account locked by `lock_account`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

import database
from loyalty.lots import Lot, LotUse


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A locked account."""

    id: int
    member_id: int
    balance: int


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
    """A posted entry."""

    id: int
    balance_after: int


async def lock_account(member_id: int) -> Account:
    """The member's points account, opened if need be, locked until the transaction ends; the account that its points went to
    when the member was merged while this waited.

    The account's row is the lock of everything about the member's points: lots and holds are only touched under it.
    """
    row = await database.row(_LOCK, member_id)
    if row is None:
        await database.execute(
            "INSERT INTO loyalty.account (member_id) VALUES ($1) ON CONFLICT (member_id, unit) DO NOTHING", member_id
        )
        row = await database.row(_LOCK, member_id)
        assert row is not None
    if row["moved_to"] is not None:
        return await lock_account_by_id(row["moved_to"])
    return Account(id=row["id"], member_id=row["member_id"], balance=row["balance"])


async def lock_account_by_id(account_id: int) -> Account:
    """An account by its id, locked likewise."""
    row = await database.row(f"{_SELECT} WHERE id = $1 FOR NO KEY UPDATE", account_id)
    assert row is not None
    return Account(id=row["id"], member_id=row["member_id"], balance=row["balance"])


_SELECT = "SELECT id, member_id, balance, moved_to FROM loyalty.account"
_LOCK = f"{_SELECT} WHERE member_id = $1 AND unit = 'points' FOR NO KEY UPDATE"


async def open_lots(account_id: int) -> list[Lot]:
    """Every lot of the account that holds anything. Read after the lock, never in the same statement: that one's snapshot
    is from before it waited."""
    rows = await database.rows(
        "SELECT id, remaining - held AS free, activates_at, expires_at, receipt_id FROM loyalty.lot "
        "WHERE account_id = $1 AND remaining > 0",
        account_id,
    )
    return [Lot(**dict(row)) for row in rows]


async def lots_of_member(member_id: int) -> list[Lot]:
    """The member's open lots, unlocked: for showing and quoting."""
    account_id = await database.value(
        "SELECT id FROM loyalty.account WHERE member_id = $1 AND unit = 'points'", member_id
    )
    return await open_lots(account_id) if account_id is not None else []


async def credit(account: Account, posting: Posting, *, activates_at: datetime, expires_at: datetime | None) -> Entry:
    """Post points in, as a new lot."""
    assert posting.amount > 0
    row = await database.row(
        f"WITH {_POST}, lot AS (INSERT INTO loyalty.lot (account_id, entry_id, receipt_id, points, remaining, activates_at, "
        "expires_at) SELECT $1, entry.id, $9, $2, $2, $11, $12 FROM entry) SELECT id, balance_after FROM entry",
        *_arguments(account, posting),
        activates_at,
        expires_at,
    )
    assert row is not None
    return Entry(**dict(row))


async def debit(account: Account, posting: Posting, uses: Sequence[LotUse], *, held: bool = False) -> Entry:
    """Post points out of given lots. `held` also releases them from the hold they were under."""
    assert posting.amount == -sum(use.points for use in uses) < 0
    row = await database.row(
        f"WITH {_POST}, use AS (SELECT * FROM unnest($11::bigint[], $12::bigint[]) AS u (lot_id, points)), "
        "taken AS (UPDATE loyalty.lot SET remaining = remaining - use.points, "
        f"held = held - {'use.points' if held else '0'} FROM use WHERE lot.id = use.lot_id), "
        "used AS (INSERT INTO loyalty.lot_use (entry_id, lot_id, points) SELECT entry.id, use.lot_id, use.points FROM entry, use) "
        "SELECT id, balance_after FROM entry",
        *_arguments(account, posting),
        [use.lot_id for use in uses],
        [use.points for use in uses],
    )
    assert row is not None
    return Entry(**dict(row))


async def restore(account: Account, posting: Posting, uses: Sequence[LotUse], *, expires_min: datetime | None) -> Entry:
    """Put points back into the very lots they came from. A lot that has expired meanwhile lives until `expires_min`, if given."""
    assert posting.amount == sum(use.points for use in uses) > 0
    row = await database.row(
        f"WITH {_POST}, use AS (SELECT * FROM unnest($11::bigint[], $12::bigint[]) AS u (lot_id, points)), "
        "back AS (UPDATE loyalty.lot SET remaining = remaining + use.points, "
        "expires_at = CASE WHEN expires_at <= $7 THEN coalesce($13, expires_at) ELSE expires_at END FROM use WHERE lot.id = use.lot_id), "
        "used AS (INSERT INTO loyalty.lot_use (entry_id, lot_id, points) SELECT entry.id, use.lot_id, -use.points FROM entry, use) "
        "SELECT id, balance_after FROM entry",
        *_arguments(account, posting),
        [use.lot_id for use in uses],
        [use.points for use in uses],
        expires_min,
    )
    assert row is not None
    return Entry(**dict(row))


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
    )


# The account's row carries balance, version and the end of the chain, so that one update makes all three.
_POST = """
account AS (
    UPDATE loyalty.account SET balance = balance + $2, version = version + 1,
        seal = loyalty.seal(seal, loyalty.entry_text(id, version + 1, $2, balance + $2, $3, $4, $7, $9, $10::jsonb))
    WHERE id = $1 RETURNING *
), entry AS (
    INSERT INTO loyalty.entry (account_id, version, amount, balance_after, kind, reason, event_at, store_id, staff_id,
        receipt_id, explanation, seal)
    SELECT $1, version, $2, balance, $3, $4, $7, $5, $6, $9, $10::jsonb, seal FROM account RETURNING id, balance_after
), noted AS (
    INSERT INTO membership.event (member_id, kind, ref, at, store_id, data)
    SELECT $8, 'points_' || $3, 'entry:' || id, $7, $5, jsonb_build_object('points', $2::bigint, 'balance', balance_after)
    FROM entry
)
"""
