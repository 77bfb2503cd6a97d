"""Opening balances of a programme that was kept elsewhere: a file of what each member has, taken whole or not at all."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime

import msgspec

import database
from errors import InvalidInput
from loyalty.funds import Unit
from loyalty.ledger import repay
from loyalty.locks import lock_account_by_id
from loyalty.posting_sql import CREATE_POSTING, post_all
from loyalty.programme import the_programme


class OpeningBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What one member has: points, or minor units of stored value. `expires_on` is the first day on which points are gone."""

    row: int
    member: str
    amount: int
    expires_on: date | None = None
    store: str | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What an import of opening balances did."""

    rows: int
    total: int
    unchanged: bool


async def open_balances(
    balances: Sequence[OpeningBalance],
    *,
    control_total: int,
    content: bytes,
    unit: Unit = "points",
    at: datetime,
    dry_run: bool = False,
) -> Opened:
    """Post what members have, each as a lot of its own. `control_total` is what the file must sum to, as its keepers know it.

    Members are named by card number or external reference. The same `content` is taken once. Raises `InvalidInput` naming the row
    of anything that cannot be posted; then nothing is.
    """
    digest = hashlib.sha256(unit.encode() + b"\n" + content).digest()
    total = sum(balance.amount for balance in balances)
    if not balances:
        raise InvalidInput(field="file", why="it has no rows")
    if total != control_total:
        raise InvalidInput(
            field="control_total", why=f"the file sums to {total}, not to {control_total}; nothing was posted"
        )
    for balance in balances:
        if not 0 < balance.amount <= 10**12:
            raise InvalidInput(field=f"row {balance.row}", why=f"{balance.amount} is no opening balance")
    try:
        return await _open(balances, digest, total, unit, at, dry_run)
    except _DryRunDoneError as done:
        return done.opened


class _DryRunDoneError(Exception):
    """Leaves the transaction of a dry run, with what it would have done."""

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        self.opened = opened


async def _open(
    balances: Sequence[OpeningBalance], digest: bytes, total: int, unit: Unit, at: datetime, dry_run: bool
) -> Opened:
    async with database.transaction():
        taken = await database.execute(
            "INSERT INTO loyalty.opening_import (digest, accounts, total, imported_at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (digest) DO NOTHING",
            digest,
            len(balances),
            total,
            at,
        )
        if not taken:
            return Opened(rows=len(balances), total=total, unchanged=True)
        await _stage(balances)
        await _check_members(balances)
        await _post(unit, at)
        opened = Opened(rows=len(balances), total=total, unchanged=False)
        if dry_run:
            raise _DryRunDoneError(opened)
        return opened


async def _stage(balances: Sequence[OpeningBalance]) -> None:
    await database.execute(
        "CREATE TEMP TABLE opening (row_no int, member text, amount bigint, expires_on date, store text, member_id bigint, "
        "store_id bigint, lot_id bigint DEFAULT nextval('loyalty.lot_id_seq')) ON COMMIT DROP"
    )
    await database.execute(
        "INSERT INTO opening (row_no, member, amount, expires_on, store) "
        "SELECT * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::date[], $5::text[])",
        [balance.row for balance in balances],
        [balance.member for balance in balances],
        [balance.amount for balance in balances],
        [balance.expires_on for balance in balances],
        [balance.store for balance in balances],
    )
    # A card before a reference, and each by its own index.
    for named in (
        "membership.card c ON c.number = o.member JOIN membership.member m ON m.id = c.member_id",
        _BY_REFERENCE,
    ):
        await database.execute(
            f"UPDATE opening SET member_id = membership.survivor(m.id) FROM opening o JOIN {named} "
            "WHERE o.row_no = opening.row_no AND opening.member_id IS NULL AND m.status <> 'erased'"
        )
    await database.execute("UPDATE opening SET store_id = s.id FROM stores.store s WHERE s.code = opening.store")


_BY_REFERENCE = "membership.member m ON m.external_ref = o.member"


async def _check_members(balances: Sequence[OpeningBalance]) -> None:
    wrong = await database.row(
        "SELECT row_no, member, store, member_id FROM opening WHERE member_id IS NULL OR (store IS NOT NULL AND store_id IS NULL) "
        "ORDER BY row_no LIMIT 1"
    )
    if wrong is not None:
        why = (
            f"there is no member {wrong['member']!r}"
            if wrong["member_id"] is None
            else f"there is no store {wrong['store']!r}"
        )
        raise InvalidInput(field=f"row {wrong['row_no']}", why=f"{why}; nothing was posted")


async def _post(unit: Unit, at: datetime) -> None:
    programme = await the_programme()
    await database.execute(
        "INSERT INTO loyalty.account (member_id, unit) SELECT DISTINCT member_id, $1 FROM opening ORDER BY 1 "
        "ON CONFLICT (member_id, unit) DO NOTHING",
        unit,
    )
    await database.execute(
        "SELECT count(*) FROM (SELECT 1 FROM loyalty.account WHERE unit = $1 AND member_id IN (SELECT member_id FROM opening) "
        "ORDER BY id FOR NO KEY UPDATE) locked",
        unit,
    )
    await database.execute(CREATE_POSTING)
    await database.execute(
        "INSERT INTO posting (account_id, amount, kind, reason, event_at, store_id, lot_id) SELECT a.id, amount, 'opening', "
        "'opening balance', $2, store_id, lot_id FROM opening JOIN loyalty.account a ON (a.member_id, a.unit) = (opening.member_id, $1) "
        "ORDER BY row_no",
        unit,
        at,
    )
    await post_all()
    await database.execute(
        "INSERT INTO loyalty.lot (id, account_id, entry_id, points, remaining, activates_at, expires_at, store_id) "
        "SELECT p.lot_id, p.account_id, p.entry_id, p.amount, p.amount, $1, CASE WHEN $5 = 'money' THEN NULL WHEN expires_on IS NULL "
        "THEN loyalty.expiry($1, $2, $3, $4) ELSE greatest(expires_on::timestamp AT TIME ZONE $3, $1 + interval '1 microsecond') END, "
        "p.store_id FROM posting p JOIN opening USING (lot_id)",
        at,
        programme.expiry_months,
        programme.chain.time_zone,
        programme.expiry_rounding,
        unit,
    )
    indebted = await database.rows(
        "SELECT a.id FROM posting JOIN loyalty.account a ON a.id = account_id WHERE a.debt > 0"
    )
    for account_id in sorted({row["id"] for row in indebted}):
        await repay(await lock_account_by_id(account_id), at=at)
    await database.execute("DROP TABLE posting")
