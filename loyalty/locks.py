"""Accounts and their locks. An account's row is the lock of everything about its points: lots, holds, tiers and counters are only
touched under it.

Whoever needs several accounts takes points before stored value, and each in the order of their ids, so that nobody waits in a
circle; a programme's budgets come after the accounts, vouchers after those. A lock is held until the transaction ends.
"""

from collections.abc import Mapping, Sequence

import msgspec

import database
from loyalty.funds import Unit


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A locked account, as it was when it was locked. `debt` is points owed; `frozen` refuses to be spent from."""

    id: int
    member_id: int
    balance: int
    unit: Unit
    debt: int
    frozen: bool


async def lock_account(member_id: int, unit: Unit = "points") -> Account:
    """The member's account, opened if need be; the account that its holdings went to when the member was merged while this waited."""
    row = await database.row(_LOCK, member_id, unit)
    if row is None:
        await _open([member_id], unit)
        row = await database.row(_LOCK, member_id, unit)
        assert row is not None
    if row["moved_to"] is None:
        return account_of(row)
    return (await lock_accounts([member_id], unit))[member_id]


async def lock_accounts(member_ids: Sequence[int], unit: Unit = "points") -> dict[int, Account]:
    """The accounts of several members, by member, each opened if need be. Of two who have become one it is the same account."""
    await _open(member_ids, unit)
    accounts, moved = await lock_with_successors(_OF_MEMBERS, list(member_ids), unit)
    of_member = {account.member_id: account.id for account in accounts.values()}
    return {member_id: accounts[settled(of_member[member_id], moved)] for member_id in member_ids}


async def lock_accounts_by_id(account_ids: Sequence[int]) -> list[Account]:
    """Accounts by their ids, whatever has become of their members."""
    rows = await database.rows(
        f"{_SELECT} WHERE id = ANY($1::bigint[]) ORDER BY {_IN_ORDER} FOR NO KEY UPDATE", list(account_ids)
    )
    return [account_of(row) for row in rows]


async def lock_account_by_id(account_id: int) -> Account:
    """One account by its id."""
    [account] = await lock_accounts_by_id([account_id])
    return account


async def lock_with_successors(which: str, *arguments: object) -> tuple[dict[int, Account], dict[int, int]]:
    """The accounts that a query of ids finds and those that they have become part of, by id; and what became part of which."""
    sql = _LOCK_SUCCESSORS.format(which=which)
    while True:
        rows = await database.rows(sql, *arguments)
        accounts = {row["id"]: account_of(row) for row in rows}
        moved = {row["id"]: row["moved_to"] for row in rows if row["moved_to"] is not None}
        if all(into in accounts for into in moved.values()):
            return accounts, moved
        # Somebody was merged while this waited. What they became part of is seen, and locked, the next time round.


def settled(account_id: int, moved: Mapping[int, int]) -> int:
    """The account, or the one that it has become part of."""
    while account_id in moved:
        account_id = moved[account_id]
    return account_id


def account_of(row: database.Row) -> Account:
    """A row of `ACCOUNT_COLUMNS`."""
    return Account(
        id=row["id"],
        member_id=row["member_id"],
        unit=row["unit"],
        balance=row["balance"],
        debt=row["debt"],
        frozen=row["frozen"],
    )


async def _open(member_ids: Sequence[int], unit: Unit) -> None:
    """Sorted, because two that open the same ones in different order would wait for each other."""
    await database.execute(
        "INSERT INTO loyalty.account (member_id, unit) SELECT m, $2 FROM unnest($1::bigint[]) AS m "
        "WHERE NOT EXISTS (SELECT FROM loyalty.account a WHERE (a.member_id, a.unit) = (m, $2)) "
        "ORDER BY m ON CONFLICT (member_id, unit) DO NOTHING",
        list(member_ids),
        unit,
    )


ACCOUNT_COLUMNS = "id, member_id, unit, balance, debt, frozen_at IS NOT NULL AS frozen, moved_to"
_SELECT = f"SELECT {ACCOUNT_COLUMNS} FROM loyalty.account"
_LOCK = f"{_SELECT} WHERE member_id = $1 AND unit = $2 FOR NO KEY UPDATE"
_IN_ORDER = "unit DESC, id"
_OF_MEMBERS = "SELECT id FROM loyalty.account WHERE member_id = ANY($1::bigint[]) AND unit = $2"
_LOCK_SUCCESSORS = f"""
{_SELECT} WHERE id IN (
    WITH RECURSIVE involved AS (
        SELECT id, moved_to FROM loyalty.account WHERE id IN ({{which}})
        UNION SELECT a.id, a.moved_to FROM involved JOIN loyalty.account a ON a.id = involved.moved_to
    ) SELECT id FROM involved)
ORDER BY {_IN_ORDER} FOR NO KEY UPDATE
"""
