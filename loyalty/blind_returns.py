"""Goods that come back without a receipt: money at the price the cashier takes them for, and the points such goods earn."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

import database
from errors import InvalidInput
from loyalty.earning import EarnContext, earn
from loyalty.funds import funds, lots_to_spend
from loyalty.ledger import Posting, debit
from loyalty.locks import Account, lock_account
from loyalty.lots import split_spend
from loyalty.pricing import BasketLine, check_lines, earn_line
from loyalty.programme import the_programme
from loyalty.sales import Return
from loyalty.tiers import count
from membership.cards import member_of_card
from membership.consumption import roll_up
from stores.catalogue import find_products
from stores.errors import UnknownStore
from stores.receipts import Receipt, ReceiptLine, find_receipt, record


async def take_back_blind(
    lines: Sequence[BasketLine],
    *,
    store: str,
    till: str,
    number: str,
    business_time: datetime,
    member: str | None = None,
    staff_id: int | None = None,
) -> Return:
    """Record a return that no sale is known of. The same return again changes nothing.

    Of a member as many points are taken back as the base rules give such goods today, and never more than there are: without a
    receipt nobody knows what was earned, so nothing is owed for it.
    """
    check_lines(lines)
    if business_time.tzinfo is None:
        raise InvalidInput(field="business_time", why="needs an offset, such as 2026-03-01T10:15:00+08:00")
    async with database.transaction():
        account = await lock_account(await member_of_card(member)) if member is not None else None
        store_id = await database.value("SELECT id FROM stores.store WHERE code = $1", store)
        if store_id is None:
            raise UnknownStore(code=store)
        receipt = Receipt(
            store_id=store_id,
            till=till,
            number=number,
            business_time=business_time,
            kind="return",
            member_id=account.member_id if account else None,
            staff_id=staff_id,
            payments={"money": -sum(line.amount for line in lines)},
            lines=await _lines(lines),
        )
        receipt_id = await record(receipt)
        due = await _due(store, receipt) if account is not None else 0
        if receipt_id is None:
            recorded = await find_receipt(store_id=store_id, till=till, number=number)
            return _answer(receipt, recorded.id, due, await _taken_before(recorded.id), again=True)
        taken = await _claw_back(account, due, receipt, receipt_id) if account is not None else _Taken()
        return _answer(receipt, receipt_id, due, taken, again=False)


class _Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Points that were taken, and what that left."""

    points: int = 0
    usable: int | None = None


async def _taken_before(receipt_id: int) -> _Taken:
    """What the return took when it was recorded."""
    amount = await database.value(
        "SELECT amount FROM loyalty.entry WHERE receipt_id = $1 AND kind = 'clawback'", receipt_id
    )
    return _Taken(points=-(amount or 0))


async def _lines(lines: Sequence[BasketLine]) -> list[ReceiptLine]:
    products = await find_products(line.sku for line in lines)
    return [
        ReceiptLine(
            product=products[line.sku],
            quantity=-line.quantity,
            unit_price=line.unit_price,
            discount=0,
            amount=-line.amount,
            tax=-line.tax,
        )
        for line in lines
    ]


async def _due(store: str, receipt: Receipt) -> int:
    """What the base rules give such goods."""
    programme, at = await the_programme(), receipt.business_time
    at_local = at.astimezone(programme.chain.zone)
    goods = [
        earn_line(
            line.product,
            amount=-line.amount,
            tax=-line.tax,
            quantity=-line.quantity,
            on_tax=programme.earn_on_tax,
            excluded=programme.earn_excluded,
        )
        for line in receipt.lines
    ]
    rules = [rule for rule in programme.rules_at(at) if rule.kind == "base"]
    return earn(rules, goods, EarnContext(currency=programme.chain.currency, store=store, at_local=at_local)).points


async def _claw_back(account: Account, due: int, receipt: Receipt, receipt_id: int) -> _Taken:
    """Roll the goods up as returned, and take what is due as far as it is there."""
    programme, at = await the_programme(), receipt.business_time
    await roll_up(account.member_id, receipt, receipt_id)
    day = at.astimezone(programme.chain.zone).date()
    await count(account.member_id, day, spend=receipt.total, points=0, visits=0)
    there = (await funds([account.id], at)).usable
    points = 0 if programme.clawback == "only_pending" else min(due, max(0, there))
    if points:
        posting = Posting(
            amount=-points,
            kind="clawback",
            reason="goods returned without a receipt",
            event_at=at,
            store_id=receipt.store_id,
            staff_id=receipt.staff_id,
            receipt_id=receipt_id,
            explanation={"due": due, "not_recovered": due - points},
        )
        await debit(account, posting, split_spend(await lots_to_spend([account.id], at, points), points))
    return _Taken(points=points, usable=there - points)


def _answer(receipt: Receipt, receipt_id: int, due: int, taken: _Taken, *, again: bool) -> Return:
    return Return(
        receipt_id=receipt_id,
        amount=-receipt.total,
        refund=-receipt.total,
        stored_value=0,
        points_clawed_back=taken.points,
        points_not_recovered=due - taken.points,
        points_owed=0,
        points_given_back=0,
        usable=taken.usable,
        again=again,
    )
