"""What accounts hold, read and never written: what can be spent, what is pending, and the lots that it lies in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

import database
from loyalty.lots import Lot

Unit = Literal["points", "money"]

# The columns of a `Lot`.
LOT = "id, remaining - held AS free, activates_at, expires_at, receipt_id, account_id"


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """What accounts can spend at a moment, what becomes usable later, and what they owe."""

    usable: int
    pending: int
    debt: int = 0


def funds_sql(accounts: str, at: str) -> str:
    """The query of `Funds`, of the accounts whose id is `= accounts` at the moment `at`: two expressions.

    Of an account's balance what can be spent is all but what is held, pending or expired, of which there is little: nothing
    here grows with the member's history.
    """
    return f"""
SELECT a.balance - h.held - p.points - e.points AS usable, p.points AS pending, a.debt
FROM (SELECT coalesce(sum(balance + debt), 0)::bigint AS balance, coalesce(sum(debt), 0)::bigint AS debt FROM loyalty.account
        WHERE id = {accounts}) a,
    (SELECT coalesce(sum(held), 0)::bigint AS held FROM loyalty.lot WHERE account_id = {accounts} AND held > 0) h,
    (SELECT coalesce(sum(remaining - held), 0)::bigint AS points FROM loyalty.lot
        WHERE account_id = {accounts} AND remaining > 0 AND activates_at > {at}) p,
    (SELECT coalesce(sum(remaining - held), 0)::bigint AS points FROM loyalty.lot
        WHERE account_id = {accounts} AND remaining > 0 AND expires_at <= {at}) e
"""


_FUNDS = funds_sql("ANY($1::bigint[])", "$2::timestamptz")


async def funds(account_ids: Sequence[int], at: datetime) -> Funds:
    """What these accounts can spend at a moment."""
    row = await database.row(_FUNDS, list(account_ids), at)
    assert row is not None
    return Funds(**dict(row))


async def accounts_of(member_ids: Sequence[int], unit: Unit = "points") -> list[int]:
    """The ids of the members' accounts, unlocked: for showing and quoting."""
    rows = await database.rows(
        "SELECT id FROM loyalty.account WHERE member_id = ANY($1::bigint[]) AND unit = $2", list(member_ids), unit
    )
    return [row["id"] for row in rows]


async def lots_to_spend(account_ids: Sequence[int], at: datetime, points: int) -> list[Lot]:
    """The lots that spending so many points would take, in that order; all that can be spent when it is more. Read after the lock,
    never in the same statement: that one's snapshot is from before it waited."""
    rows = await database.rows(
        f"SELECT {LOT} FROM loyalty.lot WHERE account_id = ANY($1::bigint[]) AND remaining > 0 AND remaining > held "
        "AND activates_at <= $2 AND (expires_at IS NULL OR expires_at > $2) "
        "ORDER BY expires_at NULLS LAST, activates_at, id LIMIT $3",
        list(account_ids),
        at,
        points,  # no lot holds less than one
    )
    return [Lot(**dict(row)) for row in rows]


async def lots_to_claw(account_id: int, at: datetime, points: int, *, receipt_id: int, later: bool) -> list[Lot]:
    """The lots that a clawback of so many points can take: the receipt's own, what can be spent, and with `later` what
    becomes usable in time."""
    rows = await database.rows(
        f"SELECT {LOT} FROM loyalty.lot WHERE account_id = $1 AND receipt_id = $2 AND remaining > held UNION "
        f"(SELECT {LOT} FROM loyalty.lot WHERE $3 AND account_id = $1 AND remaining > 0 AND remaining > held AND activates_at > $4 "
        "ORDER BY activates_at, id LIMIT $5)",
        account_id,
        receipt_id,
        later,
        at,
        points,
    )
    found = {row["id"]: Lot(**dict(row)) for row in rows}
    return list({**{lot.id: lot for lot in await lots_to_spend([account_id], at, points)}, **found}.values())
