"""Goods come back: money, the points they earned, and the points that paid for them.

Everything is computed on what remains after *all* returns and the difference is posted, so splitting one return in two
never changes the sum, and no more comes back than was given.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import msgspec

import database
from errors import InvalidInput
from loyalty.earning import EarnContext, EarnLine, earn
from loyalty.errors import NotASale, NothingToReturn
from loyalty.ledger import Account, Posting, debit, lock_account, lock_account_by_id, open_lots, restore
from loyalty.lots import LotUse, available, split_clawback
from loyalty.merging import forward
from loyalty.programme import Programme, the_programme
from loyalty.repeats import return_again
from loyalty.sales import Return, ReturnedLine
from membership.consumption import roll_up
from stores.catalogue import CatalogueProduct
from stores.receipts import Receipt, ReceiptLine, RecordedLine, RecordedReceipt, find_receipt, record


class _PointsMoved(msgspec.Struct, frozen=True, kw_only=True):
    clawed_back: int = 0
    not_recovered: int = 0
    given_back: int = 0
    usable: int | None = None


async def take_back(
    sale_id: int,
    returned: Sequence[ReturnedLine],
    *,
    till: str,
    number: str,
    business_time: datetime,
    staff_id: int | None = None,
) -> Return:
    """Record a return against a sale. The same return again changes nothing.

    What the account cannot cover of the points to claw back is not recovered: a return is never blocked, and a balance
    never goes below zero.
    """
    if business_time.tzinfo is None:
        raise InvalidInput(field="business_time", why="needs an offset, such as 2026-03-01T10:15:00+08:00")
    async with database.transaction():
        # The account first, as everywhere; the sale's row then orders returns of anonymous receipts.
        member_id = (await find_receipt(receipt_id=sale_id)).member_id
        account = await lock_account(member_id) if member_id is not None else None
        sale = await find_receipt(receipt_id=sale_id, lock=True)
        if sale.kind != "sale":
            raise NotASale(receipt_id=sale_id)
        again = await return_again(sale, returned, till=till, number=number)
        if again is not None:
            return again
        quantities = _checked(sale, returned)
        receipt = _receipt(sale, quantities, till=till, number=number, at=business_time, staff_id=staff_id)
        receipt_id = await record(receipt)
        assert receipt_id is not None, "looked for above, under the sale's lock"
        moved = _PointsMoved()
        if account is not None:
            await roll_up(account.member_id, receipt, receipt_id)
            moved = await _move_points(account, sale, receipt, receipt_id, quantities)
        return Return(
            receipt_id=receipt_id,
            amount=-receipt.total,
            refund=-receipt.payments["money"],
            points_clawed_back=moved.clawed_back,
            points_not_recovered=moved.not_recovered,
            points_given_back=moved.given_back,
            usable=moved.usable,
            again=False,
        )


def _receipt(
    sale: RecordedReceipt, quantities: dict[int, int], *, till: str, number: str, at: datetime, staff_id: int | None
) -> Receipt:
    """The return as a receipt of its own; what points paid for is not paid out in money."""
    lines = [_line(line, quantities[line.line_no]) for line in sale.lines if line.line_no in quantities]
    amount = -sum(line.amount for line in lines)
    points_value = _points_value(sale, amount)
    return Receipt(
        store_id=sale.store_id,
        till=till,
        number=number,
        business_time=at,
        kind="return",
        member_id=sale.member_id,
        staff_id=staff_id,
        original_id=sale.id,
        lines=lines,
        payments={"money": points_value - amount} | ({"points": -points_value} if points_value else {}),
    )


def _checked(sale: RecordedReceipt, returned: Sequence[ReturnedLine]) -> dict[int, int]:
    if not returned:
        raise InvalidInput(field="lines", why="at least one line is needed")
    lines = {line.line_no: line for line in sale.lines}
    quantities: dict[int, int] = {}
    for wanted in returned:
        line = lines.get(wanted.line_no)
        if line is None:
            raise InvalidInput(field="lines.line_no", why=f"the receipt has no line {wanted.line_no}")
        if wanted.quantity <= 0:
            raise InvalidInput(field="lines.quantity", why=f"{wanted.quantity} must be above zero")
        quantities[wanted.line_no] = quantities.get(wanted.line_no, 0) + wanted.quantity
        left = line.quantity - line.returned_quantity
        if quantities[wanted.line_no] > left:
            raise NothingToReturn(line_no=wanted.line_no, left=left)
    return quantities


def _line(line: RecordedLine, quantity: int) -> ReceiptLine:
    """The return line: its amount is what all returns so far are worth less what earlier ones gave."""
    worth = line.amount * (line.returned_quantity + quantity) // line.quantity
    return ReceiptLine(
        product=CatalogueProduct(
            id=line.product_id,
            sku=line.sku,
            name="",
            category=line.category,
            brand=line.brand,
            kind=line.kind,
            price=None,
        ),
        quantity=-quantity,
        unit_price=int(line.unit_price),
        discount=0,
        amount=line.returned_amount - worth,
        original_line_no=line.line_no,
    )


def _points_value(sale: RecordedReceipt, amount: int) -> int:
    """The part of a refund that goes back as points: cumulative, like the amounts."""
    paid = sale.payments.get("points", 0)
    before = sum(line.returned_amount for line in sale.lines)
    if not paid or not sale.total:
        return 0
    return paid * (before + amount) // sale.total - paid * before // sale.total


async def _move_points(
    account: Account, sale: RecordedReceipt, receipt: Receipt, receipt_id: int, quantities: dict[int, int]
) -> _PointsMoved:
    programme = await the_programme()
    at = receipt.business_time
    due = await _due_back(sale, programme, quantities)
    uses = split_clawback(await open_lots(account.id), due, receipt_id=sale.id, at=at)
    clawed_back = sum(use.points for use in uses)
    if clawed_back:
        await debit(
            account,
            Posting(
                amount=-clawed_back,
                kind="clawback",
                reason="goods returned",
                event_at=at,
                store_id=receipt.store_id,
                staff_id=receipt.staff_id,
                receipt_id=receipt_id,
                explanation={"sale": sale.id, "due": due, "not_recovered": due - clawed_back},
            ),
            uses,
        )
    given_back = await _give_back(account, sale, receipt, receipt_id, programme)
    usable = available(await open_lots(account.id), at)
    return _PointsMoved(clawed_back=clawed_back, not_recovered=due - clawed_back, given_back=given_back, usable=usable)


async def _due_back(sale: RecordedReceipt, programme: Programme, quantities: dict[int, int]) -> int:
    """What the goods that stayed so far earn, less what those that stay now do: over all returns this telescopes."""
    entry = await database.row(
        "SELECT amount, explanation FROM loyalty.entry WHERE receipt_id = $1 AND kind = 'earn'", sale.id
    )
    if entry is None:
        return 0
    explanation = msgspec.json.decode(entry["explanation"])
    first = not any(line.returned_quantity for line in sale.lines)
    before = int(entry["amount"]) if first else _award_on_rest(sale, programme, {}, explanation)
    return max(0, before - _award_on_rest(sale, programme, quantities, explanation))


def _award_on_rest(
    sale: RecordedReceipt, programme: Programme, quantities: dict[int, int], explanation: dict[str, Any]
) -> int:
    """The award under the rules of the day of the sale, on what the customer keeps after returning `quantities` too. A
    bonus voucher's points stay as long as anything does."""
    rest = [
        EarnLine(
            sku=line.sku,
            category=line.category,
            brand=line.brand,
            kind=line.kind,
            amount=line.amount
            - line.amount * (line.returned_quantity + quantities.get(line.line_no, 0)) // line.quantity,
        )
        for line in sale.lines
    ]
    named = [(part["rule"], part["version"]) for part in explanation["rules"]]
    at_local = explanation.get("at_local")
    context = EarnContext(
        currency=programme.chain.currency,
        store=sale.store,
        at_local=datetime.fromisoformat(at_local) if at_local else sale.business_time,
        tier=explanation.get("tier"),
        tier_multiplier_milli=explanation.get("tier_multiplier_milli", 1000),
        cash_share=Fraction(*explanation.get("cash_share", [1, 1])),
    )
    kept = earn(programme.rules_named(named), rest, context).points
    vouchers: int = sum(part["points"] for part in explanation["rules"] if part["rule"].startswith("voucher:"))
    return int(kept + (vouchers if any(line.amount for line in rest) else 0))


async def _give_back(
    account: Account, sale: RecordedReceipt, receipt: Receipt, receipt_id: int, programme: Programme
) -> int:
    """Put points that paid for returned goods back into the lots they came from; on to the account of whom their member has
    become part of."""
    spent = await database.rows(
        "SELECT u.lot_id, u.points, e.account_id FROM loyalty.entry e JOIN loyalty.lot_use u ON u.entry_id = e.id "
        "WHERE e.receipt_id = $1 AND e.kind = 'spend' ORDER BY u.lot_id",
        sale.id,
    )
    paid = sum(row["points"] for row in spent)
    if not paid or not sale.total:
        return 0
    before = sum(line.returned_amount for line in sale.lines)
    given = await database.value(
        "SELECT coalesce(sum(e.amount), 0) FROM loyalty.entry e JOIN stores.receipt r ON r.id = e.receipt_id "
        "WHERE r.original_id = $1 AND e.kind = 'restore'",
        sale.id,
    )
    points: int = paid * (before - receipt.total) // sale.total - int(given)
    if points <= 0:
        return 0
    home_id = spent[0]["account_id"]
    home = account if home_id == account.id else await lock_account_by_id(home_id)
    await restore(
        home,
        Posting(
            amount=points,
            kind="restore",
            reason="paid for returned goods",
            event_at=receipt.business_time,
            store_id=receipt.store_id,
            staff_id=receipt.staff_id,
            receipt_id=receipt_id,
        ),
        _slice([LotUse(row["lot_id"], row["points"]) for row in spent], int(given), points),
        expires_min=receipt.business_time + timedelta(days=programme.grace_days),
    )
    if home is not account:
        await forward(home, account, staff_id=receipt.staff_id, at=receipt.business_time)
    return points


def _slice(uses: Sequence[LotUse], skip: int, take: int) -> list[LotUse]:
    """The next `take` points of `uses` after the first `skip`."""
    sliced = []
    for use in uses:
        passed = min(skip, use.points)
        skip -= passed
        taken = min(take, use.points - passed)
        take -= taken
        if taken:
            sliced.append(LotUse(use.lot_id, taken))
    return sliced
