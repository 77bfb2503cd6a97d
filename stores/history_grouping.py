"""Grouping the lines of a batch into receipts, in columns."""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stores.history_reading import KINDS, Ints, LineBatch
from stores.receipts import fingerprint


def by_value(values: pa.Array, numbers: Mapping[str, int]) -> Ints:
    """Each value's number."""
    coded = values.dictionary_encode()
    table = np.array([numbers[name] for name in coded.dictionary.to_pylist()], dtype=np.int64)
    taken: Ints = table[coded.indices.to_numpy(zero_copy_only=False)]
    return taken


class Heads(msgspec.Struct, kw_only=True):
    """The receipts of a batch, one element each, and `of_line`: which of them a line belongs to."""

    of_line: Ints
    order: Ints
    store_id: Ints
    till: list[str]
    number: list[str]
    seconds: Ints
    kind: list[str]
    member_id: list[int | None]
    total: Ints
    gross: Ints
    eligible: Ints
    units: Ints
    line_count: Ints
    fingerprint: Ints
    row: Ints


def receipt_heads(
    batch: LineBatch,
    *,
    store_ids: Mapping[str, int],
    members: Mapping[str, int],
    sku_ids: Ints,
    goods: npt.NDArray[np.bool_],
) -> Heads:
    """Group a batch's lines by store, till and number."""
    key = pc.binary_join_element_wise(batch.store, batch.till, batch.number, "\x1f").dictionary_encode()
    of_line = key.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(of_line, kind="stable")
    starts = np.flatnonzero(np.diff(of_line[order], prepend=-1))
    first = order[starts]

    def summed(values: Ints) -> Ints:
        return np.add.reduceat(values[order], starts)

    sold = (batch.quantity > 0) & (batch.price > 0)
    picked = pa.array(first)
    return Heads(
        of_line=of_line,
        order=order,
        store_id=by_value(batch.store, store_ids)[first],
        till=batch.till.take(picked).to_pylist(),
        number=batch.number.take(picked).to_pylist(),
        seconds=np.minimum.reduceat(batch.seconds[order], starts),
        kind=[KINDS[kind] for kind in np.maximum.reduceat(batch.kind[order], starts)],
        member_id=[members[ref] if ref is not None else None for ref in batch.member.take(picked).to_pylist()],
        total=summed(batch.amount),
        gross=summed(np.where(sold, batch.amount, 0)),
        eligible=summed(np.where(goods, batch.amount, 0)),
        units=summed(batch.quantity),
        line_count=np.diff(starts, append=len(order)),
        fingerprint=summed(fingerprint(sku_ids, batch.quantity, batch.price, batch.discount)),
        row=batch.rows[first],
    )


def line_batch(
    batch: LineBatch, heads: Heads, ids: Ints, line_offset: Ints, ours: np.ndarray, sku_ids: Ints
) -> pa.RecordBatch:
    """The lines of this import's receipts. Line numbers count within the receipt, in file order."""
    starts = np.flatnonzero(np.diff(heads.of_line[heads.order], prepend=-1))
    within = np.empty(len(heads.order), dtype=np.int64)
    within[heads.order] = np.arange(len(heads.order)) - np.repeat(starts, np.diff(starts, append=len(heads.order))) + 1
    keep = ours[heads.of_line]
    of_line = heads.of_line[keep]
    return pa.RecordBatch.from_pydict(
        {
            "receipt_id": ids[of_line],
            "line_no": within[keep] + line_offset[of_line],
            "product_id": sku_ids[keep],
            "quantity": batch.quantity[keep],
            "unit_price": _decimal4(batch.price[keep]),
            "discount": batch.discount[keep],
            "amount": batch.amount[keep],
        }
    )


def times(seconds: Ints) -> pa.Array:
    """Seconds since the epoch as timestamps in UTC."""
    return pa.array(seconds, pa.int64()).cast(pa.timestamp("s", tz="UTC"))


def _decimal4(scaled: Ints) -> pa.Array:
    """Decimals of four places from their ten-thousandths, by laying out Arrow's 128-bit words."""
    words = np.empty((len(scaled), 2), dtype=np.int64)
    words[:, 0], words[:, 1] = scaled, scaled >> 63
    return pa.Decimal128Array.from_buffers(pa.decimal128(18, 4), len(scaled), [None, pa.py_buffer(words)])
