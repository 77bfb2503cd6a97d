"""Finding the sale that a return undoes, where the file does not say."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec
import pyarrow as pa

import database


class Candidate(msgspec.Struct, frozen=True):
    """A return line and a sale line that it may undo: same member, product and unit price, sold no later."""

    return_id: int
    return_line_no: int
    quantity: int
    sale_id: int
    sale_line_no: int
    left: int


class Match(msgspec.Struct, frozen=True):
    return_id: int
    return_line_no: int
    sale_id: int
    sale_line_no: int


def match(candidates: Iterable[Candidate]) -> list[Match]:
    """Give each return line the first candidate with enough left; candidates come in order of preference.

    A return is never split over several sales: one that fits none stays blind.
    """
    taken: dict[tuple[int, int], int] = defaultdict(int)
    matched: dict[tuple[int, int], Match] = {}
    for candidate in candidates:
        returned = (candidate.return_id, candidate.return_line_no)
        sale = (candidate.sale_id, candidate.sale_line_no)
        if returned not in matched and candidate.left - taken[sale] >= candidate.quantity:
            taken[sale] += candidate.quantity
            matched[returned] = Match(*returned, *sale)
    return list(matched.values())


async def match_cancellations() -> tuple[int, int]:
    """Match the return lines of `imported_receipt` to sales; how many were, and how many stay blind.

    Returns in order of time; for each, the newest sale first.
    """
    candidates = await database.columns(
        _CANDIDATES,
        schema=pa.schema([(name, pa.int64()) for name in Candidate.__struct_fields__]),
    )
    matches = match(
        Candidate(*values) for values in zip(*(column.to_pylist() for column in candidates.columns), strict=True)
    )
    await database.execute(
        "UPDATE stores.receipt_line l SET original_id = m.sale_id, original_line_no = m.sale_line_no "
        "FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::int[]) m (return_id, return_line_no, sale_id, sale_line_no) "
        "WHERE (l.receipt_id, l.line_no) = (m.return_id, m.return_line_no)",
        [m.return_id for m in matches],
        [m.return_line_no for m in matches],
        [m.sale_id for m in matches],
        [m.sale_line_no for m in matches],
    )
    # A return all of whose matched lines come from one sale refers to that sale as a whole.
    await database.execute(
        "UPDATE stores.receipt r SET original_id = m.sale_id FROM (SELECT return_id, min(sale_id) AS sale_id "
        "FROM unnest($1::bigint[], $2::bigint[]) m (return_id, sale_id) GROUP BY 1 HAVING count(DISTINCT sale_id) = 1) m "
        "WHERE r.id = m.return_id",
        [m.return_id for m in matches],
        [m.sale_id for m in matches],
    )
    lines = await database.value(
        "SELECT count(*) FROM imported_receipt i JOIN stores.receipt_line l ON l.receipt_id = i.id WHERE i.kind = 'return'"
    )
    return len(matches), int(lines) - len(matches)


_CANDIDATES = """
SELECT back.receipt_id, back.line_no, -back.quantity, sold.receipt_id, sold.line_no,
    sold.quantity + coalesce((SELECT sum(b.quantity) FROM stores.receipt_line b
        WHERE (b.original_id, b.original_line_no) = (sold.receipt_id, sold.line_no)), 0)
FROM imported_receipt i
JOIN stores.receipt_line back ON back.receipt_id = i.id
JOIN stores.receipt sale ON sale.member_id = i.member_id AND sale.kind = 'sale' AND sale.business_time <= i.business_time
JOIN stores.receipt_line sold ON sold.receipt_id = sale.id AND sold.product_id = back.product_id
    AND sold.unit_price = back.unit_price AND sold.quantity > 0
WHERE i.kind = 'return'
ORDER BY i.business_time, i.id, back.line_no, sale.business_time DESC, sale.id DESC, sold.line_no
"""
