"""A receipt that is sent again is answered from what is recorded, and refused when it is another one."""

from collections.abc import Sequence

import msgspec

import database
from loyalty.earning import RulePoints
from loyalty.ledger import lots_of_member
from loyalty.lots import available, pending
from loyalty.programme import Programme
from loyalty.sales import Basket, Return, ReturnedLine, Sale
from loyalty.tiers import progress, standing
from stores.catalogue import find_products
from stores.errors import ReceiptDiffers
from stores.receipts import Receipt, ReceiptLine, RecordedReceipt, find_receipt, record


async def sale_again(
    basket: Basket, *, store_id: int, programme: Programme, till: str, number: str, member_id: int | None
) -> Sale:
    """Answer a repeated receipt from what is recorded. Raises `ReceiptDiffers` when it is not the same one."""
    recorded = await find_receipt(store_id=store_id, till=till, number=number)
    products = await find_products(line.sku for line in basket.lines)
    await record(
        Receipt(
            store_id=store_id,
            till=till,
            number=number,
            business_time=basket.business_time,
            kind="sale",
            member_id=member_id,
            lines=[
                ReceiptLine(
                    product=products[line.sku],
                    quantity=line.quantity,
                    unit_price=line.unit_price,
                    discount=line.discount,
                    amount=line.quantity * line.unit_price - line.discount,
                )
                for line in basket.lines
            ],
        )
    )
    return await _recorded_sale(recorded, programme)


async def _recorded_sale(recorded: RecordedReceipt, programme: Programme) -> Sale:
    entries = await database.rows(
        "SELECT kind, amount, explanation FROM loyalty.entry WHERE receipt_id = $1 ORDER BY version", recorded.id
    )
    earned = [entry for entry in entries if entry["kind"] == "earn"]
    lots = await lots_of_member(recorded.member_id) if recorded.member_id is not None else []
    reached = await standing(recorded.member_id, programme, recorded.business_time) if recorded.member_id else None
    goods = sum(int(line.quantity * line.unit_price) - line.discount for line in recorded.lines)
    return Sale(
        receipt_id=recorded.id,
        total=recorded.total,
        due=recorded.total - recorded.payments.get("points", 0),
        discount=goods - recorded.total,
        earned=sum(entry["amount"] for entry in earned),
        spent=-sum(entry["amount"] for entry in entries if entry["kind"] == "spend"),
        usable=available(lots, recorded.business_time),
        pending=pending(lots, recorded.business_time),
        tier=progress(programme, reached) if reached else None,
        explanation=[
            msgspec.convert(part, RulePoints)
            for entry in earned
            for part in msgspec.json.decode(entry["explanation"])["rules"]
        ],
        again=True,
    )


async def return_again(
    sale: RecordedReceipt, returned: Sequence[ReturnedLine], *, till: str, number: str
) -> Return | None:
    """The answer for a return that is recorded already, or None."""
    receipt_id = await database.value(
        "SELECT id FROM stores.receipt WHERE (store_id, till, number) = ($1, $2, $3)", sale.store_id, till, number
    )
    if receipt_id is None:
        return None
    recorded = await find_receipt(receipt_id=receipt_id)
    sent: dict[int, int] = {}
    for line in returned:
        sent[line.line_no] = sent.get(line.line_no, 0) + line.quantity
    lines = await database.rows(
        "SELECT original_line_no, -quantity AS quantity FROM stores.receipt_line WHERE receipt_id = $1", receipt_id
    )
    there = {line["original_line_no"]: line["quantity"] for line in lines}
    if recorded.original_id != sale.id or there != sent:
        raise ReceiptDiffers(
            receipt_id=receipt_id,
            differences=[{"field": "lines", "recorded": sorted(there.items(), key=str), "sent": sorted(sent.items())}],
        )
    entries = await database.rows(
        "SELECT kind, amount, explanation FROM loyalty.entry WHERE receipt_id = $1", receipt_id
    )
    amounts = {entry["kind"]: entry["amount"] for entry in entries}
    missed = [
        msgspec.json.decode(entry["explanation"])["not_recovered"] for entry in entries if entry["kind"] == "clawback"
    ]
    return Return(
        receipt_id=receipt_id,
        amount=-recorded.total,
        refund=-recorded.payments.get("money", 0),
        points_clawed_back=-amounts.get("clawback", 0),
        points_not_recovered=sum(missed),
        points_given_back=amounts.get("restore", 0),
        usable=None,
        again=True,
    )
