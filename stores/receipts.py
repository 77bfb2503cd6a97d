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
    """A line to record. Money in minor units; `tax` is what of the amount is tax. All but the price are negative on a return."""

    product: CatalogueProduct
    quantity: int
    unit_price: int
    discount: int
    amount: int
    tax: int = 0
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
    def gross(self) -> int:
        return sum(line.amount for line in self.lines if line.quantity > 0 and line.unit_price > 0)

    @property
    def units(self) -> int:
        return sum(line.quantity for line in self.lines)

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
    tax: int
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
    """The fingerprint of a whole receipt, as stored: the same numbers, in Python, which is quicker for a few lines."""
    whole = 0
    for line in lines:
        state = 0
        for field in (line.product.id, line.quantity, line.unit_price * PRICE_SCALE, line.discount):
            state = (state + (field & _WORD) + 0x9E3779B97F4A7C15) & _WORD
            state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
            state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
            state ^= state >> 31
        whole += state
    whole &= _WORD
    return whole - (1 << 64) if whole >> 63 else whole


_WORD = (1 << 64) - 1


async def record(receipt: Receipt) -> int | None:
    """Write a receipt with its lines and payments; its id, or None when this very receipt is recorded already.

    Raises `ReceiptDiffers` when another receipt has its store, till and number.
    """
    sql, values = database.named(f"WITH {RECORDING} SELECT id FROM receipt", recording(receipt))
    recorded: int | None = await database.value(sql, *values)
    if recorded is None:
        await refuse_difference(receipt)
    return recorded


def recording(receipt: Receipt) -> dict[str, object]:
    """The values of `RECORDING`."""
    lines = receipt.lines
    return {
        "store_id": receipt.store_id,
        "till": receipt.till,
        "number": receipt.number,
        "business_time": receipt.business_time,
        "kind": receipt.kind,
        "member_id": receipt.member_id,
        "staff_id": receipt.staff_id,
        "original": receipt.original_id,
        "total": receipt.total,
        "gross": receipt.gross,
        "eligible": receipt.eligible,
        "units": receipt.units,
        "line_count": len(lines),
        "fingerprint": receipt_fingerprint(lines),
        "products": [line.product.id for line in lines],
        "quantities": [line.quantity for line in lines],
        "prices": [line.unit_price for line in lines],
        "discounts": [line.discount for line in lines],
        "amounts": [line.amount for line in lines],
        "taxes": [line.tax for line in lines],
        "originals": [receipt.original_id if line.original_line_no else None for line in lines],
        "original_lines": [line.original_line_no for line in lines],
        "methods": list(receipt.payments),
        "paid": list(receipt.payments.values()),
    }


# The CTEs that write a receipt; `receipt` has its id, and no row when there is one of its store, till and number.
RECORDING = """
receipt AS (
    INSERT INTO stores.receipt (store_id, till, number, business_time, kind, member_id, staff_id, original_id, total,
        gross, eligible, units, line_count, fingerprint)
    VALUES (:store_id, :till, :number, :business_time, :kind, :member_id, :staff_id, :original, :total, :gross, :eligible,
        :units, :line_count, :fingerprint)
    ON CONFLICT (store_id, till, number) DO NOTHING RETURNING id
), line AS (
    INSERT INTO stores.receipt_line (receipt_id, line_no, product_id, quantity, unit_price, discount, amount, tax, original_id,
        original_line_no)
    SELECT receipt.id, l.line_no, l.product_id, l.quantity, l.unit_price, l.discount, l.amount, l.tax, l.original_id,
        l.original_line_no
    FROM receipt, unnest(:products::bigint[], :quantities::int[], :prices::bigint[], :discounts::bigint[], :amounts::bigint[],
        :taxes::bigint[], :originals::bigint[], :original_lines::int[])
        WITH ORDINALITY AS l (product_id, quantity, unit_price, discount, amount, tax, original_id, original_line_no, line_no)
), paid AS (
    INSERT INTO stores.payment (receipt_id, method, amount)
    SELECT receipt.id, p.method, p.amount FROM receipt, unnest(:methods::text[], :paid::bigint[]) AS p (method, amount)
)
"""


async def refuse_difference(receipt: Receipt) -> None:
    """Raises `ReceiptDiffers` unless the receipt that is recorded under this one's number is the same."""
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
SELECT l.line_no, l.product_id, p.sku, p.category, p.brand, p.kind, l.quantity, l.unit_price, l.discount, l.amount, l.tax,
    coalesce(-sum(back.quantity), 0)::int AS returned_quantity, coalesce(-sum(back.amount), 0)::bigint AS returned_amount
FROM stores.receipt_line l
JOIN stores.product p ON p.id = l.product_id
LEFT JOIN stores.receipt_line back ON (back.original_id, back.original_line_no) = (l.receipt_id, l.line_no)
WHERE l.receipt_id = $1
GROUP BY l.receipt_id, l.line_no, p.id
ORDER BY l.line_no
"""
