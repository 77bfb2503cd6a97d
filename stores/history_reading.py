"""Turning the text of a receipt file into typed columns, and saying which rows cannot be and why."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stores.batches import Reject, TextBatch
from stores.branches import store_code
from stores.profiles import ReceiptProfile
from stores.receipts import PRICE_SCALE

SALE, RETURN, ADJUSTMENT = 0, 1, 2
KINDS = ("sale", "return", "adjustment")

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class LineBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Typed receipt lines, one element a line.

    `seconds` since the epoch in UTC; `price` in ten-thousandths of a minor unit; `discount` and `amount` in minor units;
    `kind` indexes `KINDS`.
    """

    rows: Ints
    store: pa.Array
    till: pa.Array
    number: pa.Array
    seconds: Ints
    member: pa.Array
    sku: pa.Array
    description: pa.Array
    quantity: Ints
    price: Ints
    discount: Ints
    amount: Ints
    kind: Ints
    rejects: list[Reject]

    def only(self, keep: Bools) -> "LineBatch":
        """The lines where `keep`, shape (n,), holds."""
        mask = pa.array(keep)
        picked = {
            name: value.filter(mask) if isinstance(value, pa.Array) else value[keep]
            for name in self.__struct_fields__
            if name != "rejects"
            for value in [getattr(self, name)]
        }
        return LineBatch(**picked, rejects=self.rejects)


def read_lines(
    batch: TextBatch, profile: ReceiptProfile, *, exponent: int, zones: Mapping[str, str], zone: str
) -> LineBatch:
    """Type a batch. `zones` maps store codes to time zones, `zone` holds where a store has none (a store to be made)."""
    reading = _Reading(batch)
    store = reading.text(profile.store)
    number = reading.text(profile.number)
    sku = reading.text(profile.sku)
    for column, values, longest in ((profile.number, number, 64), (profile.sku, sku, 64)):
        reading.refuse(
            _true(pc.greater(pc.utf8_length(values), longest)), column, f"is longer than {longest} characters"
        )
    quantity = reading.integers(profile.quantity)
    price = reading.amounts(profile.unit_price, scale=10**exponent * PRICE_SCALE)
    discount = (
        reading.amounts(profile.discount, scale=10**exponent)
        if profile.discount in batch.columns.schema.names
        else None
    )
    if discount is None:
        discount = np.zeros(len(quantity), dtype=np.int64)
    if profile.creates:
        store = _renamed(store, store_code)
    kind = _kinds(reading, profile, number, quantity, price)
    seconds = _seconds(reading, profile.business_time, store, zones, zone)
    # Beyond 2**62 the product would wrap; no receipt has such a line.
    reading.refuse(np.abs(quantity.astype(float) * price) > 2.0**62, profile.quantity, "times the price is too large")
    gross = quantity * price
    amount = np.sign(gross) * ((np.abs(gross) + PRICE_SCALE // 2) // PRICE_SCALE) - discount
    return LineBatch(
        rows=batch.rows,
        store=store,
        till=reading.optional_text(profile.till, profile.till_default),
        number=number,
        seconds=seconds,
        member=_member(reading, profile),
        sku=sku,
        description=reading.optional_text(profile.description, ""),
        quantity=quantity,
        price=price,
        discount=discount,
        amount=amount,
        kind=kind,
        rejects=[*batch.rejects, *reading.rejects],
    ).only(~reading.bad)


class _Reading:
    """One batch being read: which rows are bad so far, and why."""

    def __init__(self, batch: TextBatch) -> None:
        self.batch = batch
        self.bad = np.zeros(len(batch.rows), dtype=bool)
        self.rejects: list[Reject] = []

    def refuse(self, mask: Bools, column: str, reason: str) -> None:
        """Reject the rows where `mask` holds, once each, quoting the value."""
        for index in np.flatnonzero(mask & ~self.bad):
            value = self.batch.columns.column(column)[int(index)].as_py()
            said = f"{value!r} {reason}" if value is not None else "is empty"
            self.rejects.append(Reject(int(self.batch.rows[index]), column, said))
        self.bad |= mask

    def text(self, column: str) -> pa.Array:
        values = pc.utf8_trim_whitespace(self.batch.columns.column(column))
        empty = _true(pc.fill_null(pc.equal(values, ""), True))
        self.refuse(empty, column, "is empty")
        return pc.fill_null(values, "")

    def optional_text(self, column: str | None, default: str) -> pa.Array:
        if column is None or column not in self.batch.columns.schema.names:
            return pa.array([default] * len(self.batch.rows), pa.string())
        return pc.fill_null(pc.utf8_trim_whitespace(self.batch.columns.column(column)), default)

    def integers(self, column: str) -> Ints:
        values = self.text(column)
        wrong = ~_true(pc.match_substring_regex(values, r"^[+-]?[0-9]{1,9}$"))
        self.refuse(wrong, column, "is not a whole number")
        numbers: Ints = pc.cast(pc.if_else(pa.array(wrong), "0", values), pa.int64()).to_numpy(zero_copy_only=False)
        self.refuse(numbers == 0, column, "is zero")
        return numbers

    def amounts(self, column: str | None, *, scale: int) -> Ints:
        """Decimals times `scale`, exactly; an empty cell is zero."""
        values = self.optional_text(column, "0")
        wrong = ~_true(pc.match_substring_regex(values, r"^[+-]?[0-9]{1,9}(\.[0-9]{1,6})?$"))
        self.refuse(wrong, column or "", "is not an amount such as 12.50")
        decimals = pc.cast(pc.if_else(pa.array(wrong), "0", values), pa.decimal128(18, 6))
        # Millionths fit the low word of Arrow's 128-bit decimals, so they can be taken as they lie, without a float.
        words = np.frombuffer(decimals.buffers()[1], dtype=np.int64)
        millionths = words[2 * decimals.offset :: 2][: len(decimals)]
        if scale >= 10**6:
            return millionths * (scale // 10**6)
        finer = 10**6 // scale
        self.refuse(millionths % finer != 0, column or "", "has more decimals than the currency")
        return millionths // finer


def _true(mask: Any) -> Bools:
    answer: Bools = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return answer


def _renamed(values: pa.Array, rename: Any) -> pa.Array:
    coded = values.dictionary_encode()
    return pa.array([rename(name) for name in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def _member(reading: _Reading, profile: ReceiptProfile) -> pa.Array:
    """External references or card numbers; null where the receipt is anonymous."""
    values = reading.optional_text(profile.member, "")
    if profile.member_suffix_dropped:
        values = pc.replace_substring_regex(values, re.escape(profile.member_suffix_dropped) + "$", "")
    nothing = pc.equal(values, "")
    if profile.member_prefix:
        values = pc.binary_join_element_wise(profile.member_prefix, values, "")
    return pc.if_else(nothing, pa.scalar(None, pa.string()), values)


def _kinds(reading: _Reading, profile: ReceiptProfile, number: pa.Array, quantity: Ints, price: Ints) -> Ints:
    if profile.return_number_prefix:
        kind = np.where(_true(pc.starts_with(number, profile.return_number_prefix)), RETURN, SALE)
        # A file that marks its returns has no other reason for a negative quantity at no price than a write-off.
        write_off = (kind == SALE) & (quantity < 0) & (price == 0)
        marked = _true(pc.starts_with(number, profile.adjustment_number_prefix or "\0"))
        kind = np.where(write_off | marked, ADJUSTMENT, kind)
        column = profile.number
    else:
        column = profile.kind or profile.number
        said = reading.optional_text(profile.kind, "sale")
        position = pc.index_in(said, value_set=pa.array(KINDS))
        reading.refuse(_true(pc.is_null(position)), column, "is none of sale, return, adjustment")
        kind = pc.fill_null(position, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    reading.refuse((kind == SALE) & (quantity < 0), profile.quantity, "is negative, but the receipt is no return")
    reading.refuse((kind == RETURN) & (quantity > 0), profile.quantity, "is positive, but the receipt is a return")
    reading.refuse((kind != ADJUSTMENT) & (price < 0), profile.unit_price, "is negative")
    return kind.astype(np.int64)


def _seconds(reading: _Reading, column: str, store: pa.Array, zones: Mapping[str, str], zone: str) -> Ints:
    """Local times (`2026-03-01 10:15:00`, or with a `T`) in each store's zone, or with an offset of their own."""
    text = reading.text(column)
    offset = _offset_seconds(pc.utf8_slice_codeunits(text, 19, 32))
    local = pc.strptime(
        pc.replace_substring(pc.utf8_slice_codeunits(text, 0, 19), "T", " "),
        format="%Y-%m-%d %H:%M:%S",
        unit="s",
        error_is_null=True,
    )
    wrong = _true(pc.is_null(local)) | (offset == _NO_OFFSET_KNOWN)
    reading.refuse(wrong, column, "is no time such as 2026-03-01 10:15:00")
    local = pc.fill_null(local, pa.scalar(0, pa.timestamp("s")))
    seconds = np.zeros(len(text), dtype=np.int64)
    coded = store.dictionary_encode()
    for position, code in enumerate(coded.dictionary.to_pylist()):
        here = coded.indices.to_numpy(zero_copy_only=False) == position
        zoned = pc.assume_timezone(
            local.filter(pa.array(here)), zones.get(code, zone), ambiguous="earliest", nonexistent="latest"
        )
        seconds[here] = pc.cast(zoned, pa.int64()).to_numpy(zero_copy_only=False)
    own = offset != _LOCAL
    seconds[own] = pc.cast(local, pa.int64()).to_numpy(zero_copy_only=False)[own] - offset[own]
    return seconds


_LOCAL, _NO_OFFSET_KNOWN = 1 << 40, 1 << 41


def _offset_seconds(suffix: pa.Array) -> Ints:
    """Seconds east of UTC of each `Z` or `+08:00`; `_LOCAL` where there is none, `_NO_OFFSET_KNOWN` where it is something else."""
    coded = suffix.dictionary_encode()
    offsets = []
    for text in coded.dictionary.to_pylist():
        match = re.fullmatch(r"([+-])(\d\d):(\d\d)", text)
        if match:
            east = int(match[2]) * 3600 + int(match[3]) * 60
            offsets.append(east if match[1] == "+" else -east)
        else:
            offsets.append({"": _LOCAL, "Z": 0}.get(text, _NO_OFFSET_KNOWN))
    taken: Ints = np.array([*offsets, 0], dtype=np.int64)[coded.indices.to_numpy(zero_copy_only=False)]
    return taken
