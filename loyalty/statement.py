"""What a member has: balance, lots, entries, open vouchers."""

from datetime import datetime
from typing import Any

import msgspec

import database
from loyalty.funds import Unit, accounts_of, funds
from loyalty.households import pool_of
from loyalty.programme import the_programme
from loyalty.tiers import TierProgress, progress, standing
from stores.scope import Scope, codes, in_scope


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """Points by what can be done with them. `usable` is what they and those they share with can spend; `debt` is owed."""

    usable: int
    pending: int
    held: int
    debt: int = 0


class LotShown(msgspec.Struct, frozen=True, kw_only=True):
    """A lot that still holds something; one that `awaits` an event has no activation yet."""

    remaining: int
    activates_at: datetime | None
    expires_at: datetime | None
    awaits: str | None = None


class EntryShown(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the ledger. `version` is its place in the account; the balance after it is the whole chain's to see."""

    version: int
    amount: int
    balance_after: int | None
    kind: str
    reason: str
    event_at: datetime
    explanation: dict[str, Any]


class VoucherShown(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher the member can still use."""

    code: str
    kind: str
    value: int
    spend_min: int
    expires_at: datetime


async def balance(member_id: int, at: datetime) -> Balance:
    """The member's points at a moment."""
    own = await accounts_of([member_id])
    alone, together = await funds(own, at), await funds(await accounts_of(await pool_of(member_id)), at)
    held = await database.value(
        "SELECT coalesce(sum(held), 0)::bigint FROM loyalty.lot WHERE account_id = ANY($1::bigint[]) AND held > 0", own
    )
    return Balance(usable=together.usable, pending=alone.pending, held=held, debt=alone.debt)


async def tier_of(member_id: int, at: datetime) -> TierProgress:
    """Where the member stands."""
    programme = await the_programme()
    return progress(programme, await standing(member_id, programme, at))


async def lots(member_id: int, *, stores: Scope = None) -> list[LotShown]:
    """Lots that still hold something, in spending order; with `stores` those that were earned there."""
    rows = await database.rows(
        "SELECT remaining, CASE WHEN awaits IS NULL THEN activates_at END AS activates_at, expires_at, awaits FROM loyalty.lot "
        "JOIN loyalty.account ON account.id = account_id WHERE member_id = $1 AND unit = 'points' AND remaining > 0 "
        f"AND {in_scope('lot.store_id', 2)} ORDER BY expires_at NULLS LAST, activates_at, lot.id",
        member_id,
        codes(stores),
    )
    return [LotShown(**dict(row)) for row in rows]


async def entries(
    member_id: int,
    *,
    before: int | None = None,
    limit: int = 50,
    stores: Scope = None,
    kind: str | None = None,
    unit: Unit = "points",
) -> list[EntryShown]:
    """Entries, newest first, from before the version `before`; only those of a kind when it is given. With `stores` those that
    were posted there, and without the balance after each: its steps would tell of the others."""
    rows = await database.rows(
        "SELECT entry.version, amount, CASE WHEN $4::text[] IS NULL THEN balance_after END AS balance_after, kind, reason, "
        "event_at, explanation FROM loyalty.entry "
        "JOIN loyalty.account ON account.id = account_id WHERE member_id = $1 AND account.unit = $6 "
        "AND ($2::bigint IS NULL OR entry.version < $2) "
        f"AND {in_scope('entry.store_id', 4)} AND ($5::text IS NULL OR kind = $5) ORDER BY entry.version DESC LIMIT $3",
        member_id,
        before,
        limit,
        codes(stores),
        kind,
        unit,
    )
    return [EntryShown(**{**dict(row), "explanation": msgspec.json.decode(row["explanation"])}) for row in rows]


async def open_vouchers(member_id: int, at: datetime) -> list[VoucherShown]:
    """Vouchers the member can use at a moment, the first to expire first."""
    rows = await database.rows(
        "SELECT code, kind, value, spend_min, expires_at FROM loyalty.voucher JOIN loyalty.voucher_terms t ON t.id = terms_id "
        "JOIN loyalty.voucher_batch b USING (batch) WHERE member_id = $1 AND (voucher.uses_max IS NULL OR uses < voucher.uses_max) "
        "AND issued_at <= $2 AND expires_at > $2 AND voucher.cancelled_at IS NULL AND b.cancelled_at IS NULL "
        "ORDER BY expires_at, voucher.id",
        member_id,
        at,
    )
    return [VoucherShown(**dict(row)) for row in rows]
