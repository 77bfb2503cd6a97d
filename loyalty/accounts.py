"""What is done to accounts by hand or by the member: adjustments, transfers, stored value, and lots that wait for an event."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

import database
from errors import InvalidInput
from loyalty.errors import AccountFrozen, InsufficientFunds, InsufficientPoints, TransferRefused
from loyalty.funds import funds, lots_to_spend
from loyalty.ledger import Posting, activate, credit, debit, freeze_account
from loyalty.locks import Account, lock_account, lock_accounts
from loyalty.lots import expiry, split_spend
from loyalty.programme import the_programme
from membership.cards import member_of_card
from stores.errors import UnknownStore
from stores.receipts import find_receipt

AMOUNT_MAX = 10**9
Reason = Annotated[str, msgspec.Meta(min_length=3, max_length=500)]


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has after a posting; points, or minor units of stored value."""

    amount: int
    balance: int


class StoredValue(msgspec.Struct, frozen=True, kw_only=True):
    """A member's stored value in minor units."""

    balance: int
    frozen: bool


async def adjust(
    number: str, points: int, *, reason: str, at: datetime, store: str | None = None, staff_id: int | None = None
) -> Balance:
    """Give points, or take them, for a reason that somebody stands for. Raises `InsufficientPoints` rather than take more than
    there is."""
    _check_amount("points", abs(points))
    async with database.transaction():
        account = await lock_account(await member_of_card(number))
        posting = Posting(
            amount=points,
            kind="adjust",
            reason=reason,
            event_at=at,
            store_id=await _store(store),
            staff_id=staff_id,
        )
        if points > 0:
            await credit(account, posting, activates_at=at, expires_at=expiry(at, (await the_programme()).at_once))
        else:
            there = (await funds([account.id], at)).usable
            if there < -points:
                raise InsufficientPoints(available=there, cost=-points)
            await debit(account, posting, split_spend(await lots_to_spend([account.id], at, -points), -points))
        return Balance(amount=points, balance=(await funds([account.id], at)).usable)


async def transfer(
    number: str, to: str, points: int, *, at: datetime, store: str | None = None, staff_id: int | None = None
) -> Balance:
    """Give points to another member: lot by lot, so that they expire when they would have. Raises `TransferRefused` for more than
    the programme allows in a day, or to themselves."""
    _check_amount("points", points)
    async with database.transaction():
        programme = await the_programme()
        giver, taker = await member_of_card(number), await member_of_card(to)
        locked = await lock_accounts([giver, taker])
        if locked[giver].id == locked[taker].id:
            raise TransferRefused(reason="both cards are the same member's")
        today = at.astimezone(programme.chain.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        given = await database.value(
            "SELECT coalesce(-sum(amount), 0)::bigint FROM loyalty.entry WHERE account_id = $1 AND kind = 'transfer_out' "
            "AND explanation ? 'to' AND event_at >= $2",
            locked[giver].id,
            today,
        )
        left = max(0, programme.transfer_day_max - given)
        if points > left:
            raise TransferRefused(reason=f"{left} can still be given away today", left=left)
        there = (await funds([locked[giver].id], at)).usable
        if there < points:
            raise InsufficientPoints(available=there, cost=points)
        lots = {lot.id: lot for lot in await lots_to_spend([locked[giver].id], at, points)}
        store_id = await _store(store)
        for use in split_spend(list(lots.values()), points):
            issuer = await database.value("SELECT store_id FROM loyalty.lot WHERE id = $1", use.lot_id)
            common: dict[str, Any] = {
                "event_at": at,
                "store_id": store_id,
                "staff_id": staff_id,
                "reason": "given to another member",
            }
            out = Posting(
                amount=-use.points, kind="transfer_out", explanation={"to": taker, "lot": use.lot_id}, **common
            )
            await debit(locked[giver], out, [use])
            into = Posting(
                amount=use.points, kind="transfer_in", explanation={"from": giver, "lot": use.lot_id}, **common
            )
            lot = lots[use.lot_id]
            await credit(
                locked[taker], into, activates_at=lot.activates_at, expires_at=lot.expires_at, issued_by=issuer
            )
        return Balance(amount=-points, balance=there - points)


async def stored_value(member_id: int) -> StoredValue:
    """What a member has stored."""
    row = await database.row(
        "SELECT balance, frozen_at IS NOT NULL AS frozen FROM loyalty.account WHERE (member_id, unit) = ($1, 'money')",
        member_id,
    )
    return StoredValue(**dict(row)) if row else StoredValue(balance=0, frozen=False)


async def top_up(
    number: str, amount: int, *, at: datetime, store: str | None = None, staff_id: int | None = None
) -> Balance:
    """Store money, in minor units; the programme may add a bonus, which is an entry of its own."""
    _check_amount("amount", amount)
    async with database.transaction():
        account = await _lock_money(number)
        bonus = amount * (await the_programme()).topup_bonus_milli // 1000
        store_id = await _store(store)
        for part, kind in ((amount, "topup"), (bonus, "bonus")):
            if part:
                posting = Posting(amount=part, kind=kind, event_at=at, store_id=store_id, staff_id=staff_id)
                await credit(account, posting, activates_at=at, expires_at=None)
        return Balance(amount=amount + bonus, balance=account.balance + amount + bonus)


async def pay_out(
    number: str, amount: int, *, reason: str, at: datetime, store: str | None = None, staff_id: int | None = None
) -> Balance:
    """Pay stored money out again, in minor units. Raises `AccountFrozen` and `InsufficientFunds`."""
    _check_amount("amount", amount)
    async with database.transaction():
        account = await _lock_money(number)
        if account.frozen:
            raise AccountFrozen(number=number)
        if amount > account.balance:
            raise InsufficientFunds(available=account.balance, cost=amount)
        posting = Posting(
            amount=-amount, kind="cash_out", reason=reason, event_at=at, store_id=await _store(store), staff_id=staff_id
        )
        await debit(account, posting, split_spend(await lots_to_spend([account.id], at, amount), amount))
        return Balance(amount=-amount, balance=account.balance - amount)


async def freeze(number: str, *, at: datetime | None) -> StoredValue:
    """Let nothing be paid from what a member has stored, from a moment on; None lets it again."""
    async with database.transaction():
        account = await _lock_money(number)
        await freeze_account(account, at=at)
        return StoredValue(balance=account.balance, frozen=at is not None)


async def report_event(receipt_id: int, event: str, *, at: datetime) -> int:
    """Let the points of a receipt that wait for an event be used; how many there are. Telling it twice changes nothing."""
    async with database.transaction():
        member_id = (await find_receipt(receipt_id=receipt_id)).member_id
        if member_id is None:
            return 0
        account = await lock_account(member_id)
        if (await find_receipt(receipt_id=receipt_id)).member_id != account.member_id:
            raise database.Collision  # its member was unmerged while this waited
        expires_at = expiry(at, (await the_programme()).at_once)
        return await activate(account, awaits=event, receipt_id=receipt_id, at=at, expires_at=expires_at)


async def _lock_money(number: str) -> Account:
    """The stored value, after the points: whoever needs both takes them in this order, and a merge holds the points."""
    points = await lock_account(await member_of_card(number))
    return await lock_account(points.member_id, "money")


async def _store(code: str | None) -> int | None:
    if code is None:
        return None
    store_id = await database.value("SELECT id FROM stores.store WHERE code = $1", code)
    if store_id is None:
        raise UnknownStore(code=code)
    return int(store_id)


def _check_amount(field: str, amount: int) -> None:
    if not 0 < amount <= AMOUNT_MAX:
        raise InvalidInput(field=field, why=f"{amount} must lie between 1 and {AMOUNT_MAX:,}")
