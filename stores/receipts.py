"""Receipts: what was sold, returned or written off, line by line, whoever bought it."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

import database
from stores.catalogue import CatalogueProduct
from stores.errors import ReceiptDiffers, UnknownReceipt

PRICE_SCALE = 10_000  # unit prices are kept to a ten-thousandth of a minor unit


class ReceiptLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line to record. Money in minor units; quantity and amount are negative on a return."""

    product: CatalogueProduct
    quantity: int
    unit_price: int
    discount: int
    amount: int
    original_line_no: int | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt to record. Unique by (store, till, number)."""

    store_id: int
    till: str
    number: str
    business_time: datetime
    kind: Literal["sale", "return"]
    lines: Sequence[ReceiptLine]
    member_id: int | None = None
    staff_id: int | None = None
    original_id: int | None = None
    payments: dict[str, int] = {}

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def eligible(self) -> int:
        return sum(line.amount for line in self.lines if line.product.kind == "goods")


class RecordedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded line, and how much of it has come back since."""

    line_no: int
    product_id: int
    sku: str
    category: str
    brand: str
    kind: str
    quantity: int
    unit_price: Decimal
    discount: int
    amount: int
    returned_quantity: int
    returned_amount: int


class RecordedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded receipt."""

    id: int
    store: str
    store_id: int
    till: str
    number: str
    business_time: datetime
    kind: str
    member_id: int | None
    original_id: int | None
    total: int
    lines: list[RecordedLine]
    payments: dict[str, int]


def fingerprint(
    product_id: npt.ArrayLike, quantity: npt.ArrayLike, unit_price: npt.ArrayLike, discount: npt.ArrayLike
) -> npt.NDArray[np.int64]:
    """One 64-bit number a line; a receipt's is their wrapping sum, so lines may come in any order and in parts.

    `unit_price` in ten-thousandths of a minor unit. Each field passes the finaliser of SplitMix64 (Steele, Lea & Flood,
    "Fast splittable pseudorandom number generators", OOPSLA 2014), so that nearby values give unrelated numbers.
    """
    state = np.zeros(np.size(product_id), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for field in (product_id, quantity, unit_price, discount):
            state = state + np.asarray(field, dtype=np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state.view(np.int64)


def receipt_fingerprint(lines: Sequence[ReceiptLine]) -> int:
    """The fingerprint of a whole receipt, as stored."""
    return int(
        fingerprint(
            [line.product.id for line in lines],
            [line.quantity for line in lines],
            [line.unit_price * PRICE_SCALE for line in lines],
            [line.discount for line in lines],
        ).sum(dtype=np.int64)
    )


async def record(receipt: Receipt) -> int | None:
    """Write a receipt with its lines and payments; its id, or None when this very receipt is recorded already.

    Raises `ReceiptDiffers` when another receipt has its store, till and number.
    """
    lines = receipt.lines
    recorded: int | None = await database.value(
        _RECORD,
        receipt.store_id,
        receipt.till,
        receipt.number,
        receipt.business_time,
        receipt.kind,
        receipt.member_id,
        receipt.staff_id,
        receipt.original_id,
        receipt.total,
        sum(line.amount for line in lines if line.quantity > 0 and line.unit_price > 0),
        receipt.eligible,
        sum(line.quantity for line in lines),
        len(lines),
        receipt_fingerprint(lines),
        [line.product.id for line in lines],
        [line.quantity for line in lines],
        [line.unit_price for line in lines],
        [line.discount for line in lines],
        [line.amount for line in lines],
        [receipt.original_id if line.original_line_no else None for line in lines],
        [line.original_line_no for line in lines],
        list(receipt.payments),
        list(receipt.payments.values()),
    )
    if recorded is None:
        await _refuse_difference(receipt)
    return recorded


_RECORD = """
WITH receipt AS (
    INSERT INTO stores.receipt (store_id, till, number, business_time, kind, member_id, staff_id, original_id, total,
        gross, eligible, units, line_count, fingerprint)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    ON CONFLICT (store_id, till, number) DO NOTHING RETURNING id
), line AS (
    INSERT INTO stores.receipt_line (receipt_id, line_no, product_id, quantity, unit_price, discount, amount, original_id,
        original_line_no)
    SELECT receipt.id, l.line_no, l.product_id, l.quantity, l.unit_price, l.discount, l.amount, l.original_id, l.original_line_no
    FROM receipt, unnest($15::bigint[], $16::int[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::int[])
        WITH ORDINALITY AS l (product_id, quantity, unit_price, discount, amount, original_id, original_line_no, line_no)
), paid AS (
    INSERT INTO stores.payment (receipt_id, method, amount)
    SELECT receipt.id, p.method, p.amount FROM receipt, unnest($22::text[], $23::bigint[]) AS p (method, amount)
)
SELECT id FROM receipt
"""


async def _refuse_difference(receipt: Receipt) -> None:
    existing = await find_receipt(store_id=receipt.store_id, till=receipt.till, number=receipt.number)
    pairs: list[tuple[str, Any, Any]] = [
        ("kind", existing.kind, receipt.kind),
        ("business_time", existing.business_time, receipt.business_time),
        ("member", existing.member_id, receipt.member_id),
        ("lines", sorted(map(_line_content, existing.lines)), sorted(map(_line_content_sent, receipt.lines))),
    ]
    # Ids are ours, not the caller's: for a member it says that it differs, not which rows.
    differences: list[dict[str, object]] = [
        {"field": field} if field == "member" else {"field": field, "recorded": recorded, "sent": sent}
        for field, recorded, sent in pairs
        if recorded != sent
    ]
    if differences:
        raise ReceiptDiffers(receipt_id=existing.id, differences=differences)


def _line_content(line: RecordedLine) -> tuple[str, int, int, int]:
    return (line.sku, line.quantity, int(line.unit_price), line.discount)


def _line_content_sent(line: ReceiptLine) -> tuple[str, int, int, int]:
    return (line.product.sku, line.quantity, line.unit_price, line.discount)


async def find_receipt(
    *, receipt_id: int | None = None, store_id: int | None = None, till: str = "", number: str = "", lock: bool = False
) -> RecordedReceipt:
    """One receipt by id, or by store, till and number. Raises `UnknownReceipt`.

    `lock` holds it against other returns of the same receipt until the transaction ends.
    """
    key = (receipt_id,) if receipt_id is not None else (store_id, till, number)
    where = "r.id = $1" if receipt_id is not None else "(r.store_id, r.till, r.number) = ($1, $2, $3)"
    head = await database.row(
        "SELECT r.id, s.code AS store, r.store_id, r.till, r.number, r.business_time, r.kind, r.member_id, r.original_id, "
        "r.total FROM stores.receipt r JOIN stores.store s ON s.id = r.store_id "
        f"WHERE {where}{' FOR NO KEY UPDATE OF r' if lock else ''}",
        *key,
    )
    if head is None:
        raise UnknownReceipt(name=receipt_id if receipt_id is not None else f"{till}/{number}")
    lines = await database.rows(_LINES, head["id"])
    payments = await database.rows("SELECT method, amount FROM stores.payment WHERE receipt_id = $1", head["id"])
    return RecordedReceipt(
        **dict(head),
        lines=[RecordedLine(**dict(line)) for line in lines],
        payments={payment["method"]: payment["amount"] for payment in payments},
    )


_LINES = """
SELECT l.line_no, l.product_id, p.sku, p.category, p.brand, p.kind, l.quantity, l.unit_price, l.discount, l.amount,
    coalesce(-sum(back.quantity), 0)::int AS returned_quantity, coalesce(-sum(back.amount), 0)::bigint AS returned_amount
FROM stores.receipt_line l
JOIN stores.product p ON p.id = l.product_id
LEFT JOIN stores.receipt_line back ON (back.original_id, back.original_line_no) = (l.receipt_id, l.line_no)
WHERE l.receipt_id = $1
GROUP BY l.receipt_id, l.line_no, p.id
ORDER BY l.line_no
"""
