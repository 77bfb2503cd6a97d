"""A receipt that is sent again is answered from what is recorded, and refused when it is another one."""

from collections.abc import Sequence

import msgspec

import database
from loyalty.earning import points_of
from loyalty.funds import Funds, accounts_of, funds
from loyalty.households import pool_of
from loyalty.programme import Programme
from loyalty.sales import Basket, Return, ReturnedLine, Sale
from loyalty.tiers import progress, standing
from stores.catalogue import find_products
from stores.errors import ReceiptDiffers
from stores.receipts import Receipt, ReceiptLine, RecordedReceipt, find_receipt, record


async def sale_again(
    basket: Basket,
    *,
    store_id: int,
    programme: Programme,
    till: str,
    number: str,
    member_id: int | None,
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
                    amount=line.amount,
                )
                for line in basket.lines
            ],
        )
    )
    return await _recorded_sale(recorded, programme)


async def _recorded_sale(recorded: RecordedReceipt, programme: Programme) -> Sale:
    entries = await database.rows(
        "SELECT kind, amount, explanation FROM loyalty.entry WHERE receipt_id = $1 AND unit = 'points' ORDER BY version",
        recorded.id,
    )
    earned = [entry for entry in entries if entry["kind"] == "earn"]
    there = Funds(usable=0, pending=0)
    if recorded.member_id is not None:
        there = await funds(await accounts_of(await pool_of(recorded.member_id)), recorded.business_time)
    reached = await standing(recorded.member_id, programme, recorded.business_time) if recorded.member_id else None
    goods = sum(int(line.quantity * line.unit_price) - line.discount for line in recorded.lines)
    return Sale(
        receipt_id=recorded.id,
        total=recorded.total,
        due=recorded.payments.get("money", 0),
        discount=goods - recorded.total,
        earned=sum(entry["amount"] for entry in earned),
        spent=-sum(entry["amount"] for entry in entries if entry["kind"] == "spend"),
        stored_value=recorded.payments.get("stored_value", 0),
        usable=there.usable,
        pending=there.pending,
        tier=progress(programme, reached) if reached else None,
        explanation=[part for entry in earned for part in points_of(msgspec.json.decode(entry["explanation"]))],
        priced=recorded.total,
        vouchers=[],
        again=True,
    )


async def return_again(
    sale: RecordedReceipt, returned: Sequence[ReturnedLine] | None, *, till: str, number: str
) -> Return | None:
    """The answer for a return that is recorded already, or None. Without lines it was all that was left."""
    receipt_id = await database.value(
        "SELECT id FROM stores.receipt WHERE (store_id, till, number) = ($1, $2, $3)", sale.store_id, till, number
    )
    if receipt_id is None:
        return None
    recorded = await find_receipt(receipt_id=receipt_id)
    sent: dict[int, int] = {}
    for line in returned or ():
        sent[line.line_no] = sent.get(line.line_no, 0) + line.quantity
    lines = await database.rows(
        "SELECT original_line_no, -quantity AS quantity FROM stores.receipt_line WHERE receipt_id = $1", receipt_id
    )
    there = {line["original_line_no"]: line["quantity"] for line in lines}
    if recorded.original_id != sale.id or (returned is not None and there != sent):
        raise ReceiptDiffers(
            receipt_id=receipt_id,
            differences=[{"field": "lines", "recorded": sorted(there.items(), key=str), "sent": sorted(sent.items())}],
        )
    entries = await database.rows(
        "SELECT kind, amount, explanation FROM loyalty.entry WHERE receipt_id = $1 AND unit = 'points'", receipt_id
    )
    clawbacks = [msgspec.json.decode(entry["explanation"]) for entry in entries if entry["kind"] == "clawback"]
    return Return(
        receipt_id=receipt_id,
        amount=-recorded.total,
        refund=-recorded.payments.get("money", 0),
        stored_value=-recorded.payments.get("stored_value", 0),
        points_clawed_back=-sum(entry["amount"] for entry in entries if entry["kind"] == "clawback"),
        points_not_recovered=sum(explanation["not_recovered"] for explanation in clawbacks),
        points_owed=sum(explanation.get("owed", 0) for explanation in clawbacks),
        points_given_back=sum(entry["amount"] for entry in entries if entry["kind"] == "restore"),
        usable=None,
        again=True,
    )
