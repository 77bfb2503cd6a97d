"""Goods come back: money, the points they earned, and what paid for them besides money.

Everything is computed on what remains after *all* returns and the difference is posted, so splitting one return in two
never changes the sum, and no more comes back than was given.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

import database
from errors import InvalidInput
from loyalty.caps import count_given
from loyalty.earning import Award, context_of, earn, points_of, rules_of
from loyalty.errors import NotASale, NothingToReturn
from loyalty.funds import funds, lots_to_claw
from loyalty.giving_back import Involved, give_back, lock_involved
from loyalty.ledger import Posting, debit
from loyalty.locks import Account
from loyalty.lots import split_clawback
from loyalty.pricing import earn_line
from loyalty.programme import Programme, the_programme
from loyalty.repeats import return_again
from loyalty.sales import Return, ReturnedLine
from loyalty.tiers import count
from loyalty.vouchers import release_vouchers
from membership.consumption import roll_up
from stores.catalogue import CatalogueProduct
from stores.receipts import Receipt, ReceiptLine, RecordedLine, RecordedReceipt, find_receipt, record


class _Clawback(msgspec.Struct, frozen=True, kw_only=True):
    """What was due, and how it was covered."""

    due: int = 0
    taken: int = 0
    owed: int = 0

    @property
    def not_recovered(self) -> int:
        return self.due - self.taken - self.owed


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

    What the account cannot cover of the points to claw back is owed or not recovered, as the programme has it: a return is never
    blocked.
    """
    return await _take_back(
        sale_id, returned, till=till, number=number, business_time=business_time, staff_id=staff_id, cancel=False
    )


async def cancel(
    sale_id: int, *, till: str, number: str, business_time: datetime, staff_id: int | None = None
) -> Return:
    """Take back all that is left of a sale as if it had not been: its vouchers can be used again."""
    return await _take_back(
        sale_id, None, till=till, number=number, business_time=business_time, staff_id=staff_id, cancel=True
    )


async def _take_back(
    sale_id: int,
    returned: Sequence[ReturnedLine] | None,
    *,
    till: str,
    number: str,
    business_time: datetime,
    staff_id: int | None,
    cancel: bool,
) -> Return:
    if business_time.tzinfo is None:
        raise InvalidInput(field="business_time", why="needs an offset, such as 2026-03-01T10:15:00+08:00")

    async def work() -> Return:
        async with database.transaction():
            # The accounts first, as everywhere; the sale's row then orders returns of anonymous receipts.
            involved = await lock_involved(sale_id)
            sale = await find_receipt(receipt_id=sale_id, lock=True)
            if sale.member_id != (involved.own.member_id if involved.own else None):
                raise database.Collision  # claimed, or its member unmerged, while this waited: it takes another's lock
            if sale.kind != "sale":
                raise NotASale(receipt_id=sale_id)
            again = await return_again(sale, returned, till=till, number=number)
            if again is not None:
                return again
            quantities = _checked(sale, returned if returned is not None else _all_that_is_left(sale))
            receipt = _receipt(sale, quantities, till=till, number=number, at=business_time, staff_id=staff_id)
            receipt_id = await record(receipt)
            assert receipt_id is not None, "looked for above, under the sale's lock"
            answer = await _undo(involved, sale, receipt, receipt_id, quantities)
            if cancel:
                await release_vouchers(sale.id, at=business_time)
            return answer

    return await database.retried(work)


async def _undo(
    involved: Involved, sale: RecordedReceipt, receipt: Receipt, receipt_id: int, quantities: Mapping[int, int]
) -> Return:
    """Everything that the goods did for the member."""
    account, usable = involved.own, None
    clawback, given = _Clawback(), 0
    programme = await the_programme()
    if account is not None:
        await roll_up(account.member_id, receipt, receipt_id)
        clawback = await _claw_back(account, sale, receipt, receipt_id, quantities, programme)
        await _count_less(account, sale, receipt, clawback, programme)
        grace = receipt.business_time + timedelta(days=programme.grace_days)
        posting = _posting(receipt, receipt_id, kind="restore", reason="paid for returned goods")
        returned = _returned_before(sale) - receipt.total
        given = await give_back(
            involved, sale, "points", returned=returned, posting=posting, expires_min=grace, terms=programme.at_once
        )
        await give_back(
            involved, sale, "money", returned=returned, posting=posting, expires_min=grace, terms=programme.at_once
        )
        usable = (await funds([account.id], receipt.business_time)).usable
    return Return(
        receipt_id=receipt_id,
        amount=-receipt.total,
        refund=-receipt.payments["money"],
        stored_value=-receipt.payments.get("stored_value", 0),
        points_clawed_back=clawback.taken + clawback.owed,
        points_not_recovered=clawback.not_recovered,
        points_owed=clawback.owed,
        points_given_back=given,
        usable=usable,
        again=False,
    )


def _posting(receipt: Receipt, receipt_id: int, *, kind: str, reason: str, **explanation: Any) -> Posting:
    return Posting(
        amount=0,
        kind=kind,
        reason=reason,
        event_at=receipt.business_time,
        store_id=receipt.store_id,
        staff_id=receipt.staff_id,
        receipt_id=receipt_id,
        explanation=explanation,
    )


def _all_that_is_left(sale: RecordedReceipt) -> list[ReturnedLine]:
    left = [
        ReturnedLine(line_no=line.line_no, quantity=line.quantity - line.returned_quantity)
        for line in sale.lines
        if line.quantity > line.returned_quantity
    ]
    if not left:
        raise NothingToReturn(line_no=sale.lines[0].line_no, left=0)
    return left


def _returned_before(sale: RecordedReceipt) -> int:
    return sum(line.returned_amount for line in sale.lines)


def _receipt(
    sale: RecordedReceipt, quantities: Mapping[int, int], *, till: str, number: str, at: datetime, staff_id: int | None
) -> Receipt:
    """The return as a receipt of its own; what points and stored value paid for is not paid out in money."""
    lines = [_line(line, quantities[line.line_no]) for line in sale.lines if line.line_no in quantities]
    amount = -sum(line.amount for line in lines)
    payments = {method: -_share(sale, amount, method) for method in ("points", "stored_value", "uncovered")}
    payments = {method: paid for method, paid in payments.items() if paid}
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
        payments={"money": -amount - sum(payments.values())} | payments,
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
    amount = line.returned_amount - worth
    return ReceiptLine(
        product=_product(line),
        quantity=-quantity,
        unit_price=int(line.unit_price),
        discount=0,
        amount=amount,
        tax=(line.tax * line.returned_amount // line.amount - line.tax * worth // line.amount) if line.amount else 0,
        original_line_no=line.line_no,
    )


def _product(line: RecordedLine) -> CatalogueProduct:
    return CatalogueProduct(
        id=line.product_id, sku=line.sku, name="", category=line.category, brand=line.brand, kind=line.kind, price=None
    )


def _share(sale: RecordedReceipt, amount: int, method: str) -> int:
    """The part of a refund that goes back the way it was paid, or is not due because nobody paid it: cumulative, like the amounts."""
    paid, before = sale.payments.get(method, 0), _returned_before(sale)
    if not paid or not sale.total:
        return 0
    return paid * (before + amount) // sale.total - paid * before // sale.total


async def _claw_back(
    account: Account,
    sale: RecordedReceipt,
    receipt: Receipt,
    receipt_id: int,
    quantities: Mapping[int, int],
    programme: Programme,
) -> _Clawback:
    """Take back what the goods that stayed so far earn, less what those that stay now do: over all returns this telescopes."""
    explanation = await _explanation(sale)
    if explanation is None:
        return _Clawback()
    before = _award_on_rest(sale, programme, {}, explanation)
    after = _award_on_rest(sale, programme, quantities, explanation)
    await _give_caps_back(account, sale, programme, before, after)
    due = before.points - after.points
    if due <= 0:
        return _Clawback()
    policy, at = programme.clawback, receipt.business_time
    lots = await lots_to_claw(account.id, at, due, receipt_id=sale.id, later=policy == "allow_debt")
    uses = split_clawback(lots, due, receipt_id=sale.id, at=at, policy=policy)
    taken = sum(use.points for use in uses)
    owed = due - taken if policy == "allow_debt" else 0
    covered = _Clawback(due=due, taken=taken, owed=owed)
    if taken + owed:
        facts = {"sale": sale.id, "due": due, "not_recovered": covered.not_recovered, "owed": owed}
        posting = _posting(receipt, receipt_id, kind="clawback", reason="goods returned", **facts)
        await debit(account, msgspec.structs.replace(posting, amount=-taken - owed), uses, owed=owed)
    return covered


async def _explanation(sale: RecordedReceipt) -> dict[str, Any] | None:
    """How the sale was awarded, at the till or when it was claimed; None when it earned nothing."""
    kept = await database.value(
        "SELECT explanation FROM loyalty.entry WHERE receipt_id = $1 AND kind = 'earn'", sale.id
    )
    return dict(msgspec.json.decode(kept)) if kept is not None else None


def _award_on_rest(
    sale: RecordedReceipt, programme: Programme, quantities: Mapping[int, int], explanation: dict[str, Any]
) -> Award:
    """The award under the rules of the day of the sale, on what the customer keeps after returning `quantities` too. A
    bonus voucher's points stay as long as anything does."""
    kept = [
        line.amount - line.amount * (line.returned_quantity + quantities.get(line.line_no, 0)) // line.quantity
        for line in sale.lines
    ]
    rest = [
        earn_line(
            _product(line),
            amount=amount,
            tax=line.tax * amount // line.amount if line.amount else 0,
            quantity=line.quantity - line.returned_quantity - quantities.get(line.line_no, 0),
            on_tax=explanation.get("on_tax", True),
            excluded=frozenset(explanation.get("excluded", ())),
        )
        for line, amount in zip(sale.lines, kept, strict=True)
    ]
    context = context_of(
        explanation, currency=programme.chain.currency, store=sale.store, business_time=sale.business_time
    )
    award = earn(programme.rules_named(rules_of(explanation)), rest, context)
    vouchers = [part for part in points_of(explanation) if part.rule.startswith("voucher:")] if any(kept) else []
    return Award(
        points=award.points + sum(part.points for part in vouchers), explanation=[*award.explanation, *vouchers]
    )


async def _give_caps_back(
    account: Account, sale: RecordedReceipt, programme: Programme, before: Award, after: Award
) -> None:
    given: dict[str, int] = {part.rule: part.points for part in after.explanation}
    for part in before.explanation:
        given[part.rule] = given.get(part.rule, 0) - part.points
    named = programme.rules_named([(part.rule, part.version) for part in before.explanation])
    await count_given(
        given,
        total=after.points - before.points,
        rules=named,
        member_id=account.member_id,
        day=sale.business_time.astimezone(programme.chain.zone).date(),
        day_counts=programme.member_day_max is not None,
    )


async def _count_less(
    account: Account, sale: RecordedReceipt, receipt: Receipt, clawback: _Clawback, programme: Programme
) -> None:
    """Take the goods off what counts towards tiers, on the day they were bought."""
    before = sale.total - _returned_before(sale)
    gone = before > 0 and before + receipt.total <= 0
    await count(
        account.member_id,
        sale.business_time.astimezone(programme.chain.zone).date(),
        spend=receipt.total,
        points=-clawback.taken - clawback.owed,
        visits=-1 if gone else 0,
    )
