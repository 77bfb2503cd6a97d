"""Vouchers: unguessable codes, and whether one fits a basket."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

import database

# Without 0 O 1 I L, which people confuse; 31 symbols, a prime, so that the weighted check below catches every single wrong
# symbol and every swap of neighbours.
ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
RANDOM_SYMBOLS: Final = 11  # 31**11, 54 bits

VoucherKind = Literal["amount_off", "percent_off", "bonus_points"]


class Voucher(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher. `value` is minor units, percent or points by `kind`; `spend_min` is minor units."""

    id: int
    code: str
    kind: VoucherKind
    value: int
    spend_min: int
    member_id: int | None
    issued_at: datetime
    expires_at: datetime
    used_at: datetime | None


class VoucherOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a voucher does to a basket, or why it does nothing."""

    code: str
    applied: bool
    discount: int = 0
    bonus_points: int = 0
    reason: str = ""


def new_code() -> str:
    """A code such as `K7QM-2X9D-RTWC`: eleven random symbols and a check symbol."""
    symbols = [secrets.choice(ALPHABET) for _ in range(RANDOM_SYMBOLS)]
    symbols.append(_check_symbol(symbols))
    text = "".join(symbols)
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def normal_code(code: str) -> str | None:
    """The code as stored, whatever its case, spaces and dashes; None when the check symbol is wrong."""
    text = "".join(symbol for symbol in code.upper() if symbol not in "- ")
    if len(text) != RANDOM_SYMBOLS + 1 or any(symbol not in ALPHABET for symbol in text):
        return None
    if _check_symbol(list(text[:-1])) != text[-1]:
        return None
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def _check_symbol(symbols: Sequence[str]) -> str:
    weighted = sum((place + 1) * ALPHABET.index(symbol) for place, symbol in enumerate(symbols))
    return ALPHABET[weighted % len(ALPHABET)]


async def issue(
    *,
    batch: str,
    member_ids: Sequence[int],
    kind: VoucherKind,
    value: int,
    spend_min: int,
    issued_at: datetime,
    expires_at: datetime,
) -> dict[int, int]:
    """One voucher for each member; voucher ids by member id."""
    rows = await database.rows(
        "INSERT INTO loyalty.voucher (code, batch, member_id, kind, value, spend_min, issued_at, expires_at) "
        "SELECT code, $3, member_id, $4, $5, $6, $7, $8 FROM unnest($1::text[], $2::bigint[]) AS v (code, member_id) "
        "RETURNING id, member_id",
        [new_code() for _ in member_ids],
        list(member_ids),
        batch,
        kind,
        value,
        spend_min,
        issued_at,
        expires_at,
    )
    return {row["member_id"]: row["id"] for row in rows}


async def find_vouchers(codes: Sequence[str], *, lock: bool = False) -> dict[str, Voucher]:
    """Vouchers by the code as it was typed. `lock` holds them against other tills, sorted so that none deadlocks."""
    normal = {code: normal_code(code) for code in codes}
    rows = await database.rows(
        "SELECT id, code, kind, value, spend_min, member_id, issued_at, expires_at, used_at FROM loyalty.voucher "
        f"WHERE code = ANY($1) ORDER BY id{' FOR NO KEY UPDATE' if lock else ''}",
        sorted({code for code in normal.values() if code}),
    )
    found = {row["code"]: Voucher(**dict(row)) for row in rows}
    return {typed: found[code] for typed, code in normal.items() if code in found}


def apply_voucher(
    code: str, voucher: Voucher | None, *, member_id: int | None, spend: int, left: int, at: datetime
) -> VoucherOutcome:
    """What a voucher does to a basket of `spend` of which `left` is still to pay."""
    refusal = _refusal(voucher, member_id=member_id, spend=spend, at=at)
    if voucher is None or refusal:
        return VoucherOutcome(code=code, applied=False, reason=refusal)
    if voucher.kind == "bonus_points":
        return VoucherOutcome(code=code, applied=True, bonus_points=voucher.value)
    off = voucher.value if voucher.kind == "amount_off" else spend * voucher.value // 100
    return VoucherOutcome(code=code, applied=True, discount=min(off, left))


def _refusal(voucher: Voucher | None, *, member_id: int | None, spend: int, at: datetime) -> str:
    if voucher is None:
        return "there is no such voucher"
    checks = (
        (voucher.used_at is not None, "it has been used"),
        (voucher.expires_at <= at, "it has expired"),
        (voucher.issued_at > at, "it is not valid yet"),
        (voucher.member_id is not None and voucher.member_id != member_id, "it belongs to another member"),
        (spend < voucher.spend_min, "the basket is below its minimum spend"),
    )
    return next((reason for refused, reason in checks if refused), "")


async def use_vouchers(voucher_ids: Sequence[int], *, receipt_id: int, at: datetime) -> None:
    """Mark locked vouchers as used by a receipt."""
    await database.execute(
        "UPDATE loyalty.voucher SET receipt_id = $2, used_at = $3 WHERE id = ANY($1::bigint[])",
        list(voucher_ids),
        receipt_id,
        at,
    )
