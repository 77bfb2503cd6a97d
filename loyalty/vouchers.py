"""Vouchers: unguessable codes, whether one fits a basket, and what it takes off."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec
import numpy as np

import database
from loyalty.earning import EarnLine, matches
from loyalty.rules import Conditions
from loyalty.wording import Reason
from stores.money import spread

# Without 0 O 1 I L, which people confuse; 31 symbols, a prime, so that the weighted check below catches every single wrong
# symbol and every swap of neighbours.
ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
RANDOM_SYMBOLS: Final = 11  # 31**11, 54.5 bits: with a million codes out, one guess in 25 thousand million hits

VoucherKind = Literal["amount_off", "percent_off", "bonus_points"]


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a voucher is good and for which goods; what is empty bounds nothing. Goods match as those of an earn rule do."""

    stores: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    excluded_categories: frozenset[str] = frozenset()
    excluded_brands: frozenset[str] = frozenset()
    excluded_skus: frozenset[str] = frozenset()

    @property
    def goods(self) -> Conditions:
        """The part that lines are matched against."""
        return Conditions(
            categories=self.categories,
            brands=self.brands,
            skus=self.skus,
            excluded_categories=self.excluded_categories,
            excluded_brands=self.excluded_brands,
            excluded_skus=self.excluded_skus,
        )


class Voucher(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher and the terms it was issued under. `value` is minor units, percent or points by `kind`; `spend_min` and
    `discount_max` are minor units; `member_uses` is how often the asking member has used it."""

    id: int
    code: str
    batch: str
    kind: VoucherKind
    value: int
    spend_min: int
    discount_max: int | None
    scope: Scope
    stacking: str
    member_id: int | None
    valid_from: datetime
    expires_at: datetime
    uses: int
    uses_max: int | None
    member_uses: int
    member_uses_max: int | None
    cancelled: bool


class VoucherOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a voucher does to a basket, or why it does nothing."""

    code: str
    applied: bool
    discount: int = 0
    bonus_points: int = 0
    reason: Reason | None = None


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What all vouchers of a basket do: each one's fate, and what comes off each line."""

    outcomes: list[VoucherOutcome]
    off: list[int]


def new_codes(count: int) -> list[str]:
    """Codes such as `K7QM-2X9D-RTWC`: eleven symbols of the operating system's randomness and a check symbol."""
    symbols = np.empty((count, RANDOM_SYMBOLS + 1), dtype=np.uint8)
    symbols[:, :-1] = _random_symbols(count * RANDOM_SYMBOLS).reshape(count, RANDOM_SYMBOLS)
    weights = np.arange(1, RANDOM_SYMBOLS + 1)
    symbols[:, -1] = (symbols[:, :-1] * weights).sum(axis=1) % len(ALPHABET)
    text = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)[symbols].tobytes().decode()
    return [f"{text[i : i + 4]}-{text[i + 4 : i + 8]}-{text[i + 8 : i + 12]}" for i in range(0, len(text), 12)]


def _random_symbols(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Uniform over the alphabet: bytes from the last, incomplete run of it are thrown away."""
    whole = 256 - 256 % len(ALPHABET)
    symbols = np.empty(0, dtype=np.uint8)
    while len(symbols) < count:
        drawn = np.frombuffer(os.urandom((count - len(symbols)) * 33 // 32 + 16), dtype=np.uint8)
        symbols = np.concatenate([symbols, drawn[drawn < whole] % len(ALPHABET)])
    return symbols[:count]


def normal_code(code: str) -> str:
    """The code as stored, whatever its case, spaces and dashes; one that is not of our making as it is, in capitals."""
    text = "".join(symbol for symbol in code.upper() if symbol not in "- ")
    if is_ours(text):
        return "-".join(text[i : i + 4] for i in range(0, len(text), 4))
    return code.strip().upper()


def is_ours(text: str) -> bool:
    """Whether twelve symbols without dashes are a code of ours, by its check symbol."""
    if len(text) != RANDOM_SYMBOLS + 1 or any(symbol not in ALPHABET for symbol in text):
        return False
    weighted = sum((place + 1) * ALPHABET.index(symbol) for place, symbol in enumerate(text[:-1]))
    return ALPHABET[weighted % len(ALPHABET)] == text[-1]


async def find_vouchers(
    codes: Sequence[str], *, member_id: int | None = None, lock: bool = False
) -> dict[str, Voucher]:
    """Vouchers by the code as it was typed. `lock` holds them against other tills, sorted so that none deadlocks."""
    normal = {code: normal_code(code) for code in codes}
    if lock:
        # By itself: what a locking statement reads of other tables is from before it waited.
        await database.execute(
            "SELECT count(*) FROM (SELECT 1 FROM loyalty.voucher WHERE code = ANY($1) ORDER BY id FOR NO KEY UPDATE) locked",
            sorted(set(normal.values())),
        )
    rows = await database.rows(
        "SELECT voucher.id, voucher.code, t.batch, t.kind, t.value, t.spend_min, t.discount_max, t.scope, t.stacking, member_id, "
        "greatest(issued_at, t.valid_from) AS valid_from, expires_at, uses, voucher.uses_max, t.member_uses_max, "
        "CASE WHEN t.member_uses_max IS NULL THEN 0 ELSE (SELECT count(*) FROM loyalty.voucher_use u "
        "WHERE u.voucher_id = voucher.id AND u.member_id = $2 AND released_at IS NULL) END AS member_uses, "
        "voucher.cancelled_at IS NOT NULL OR b.cancelled_at IS NOT NULL AS cancelled FROM loyalty.voucher "
        "JOIN loyalty.voucher_terms t ON t.id = terms_id JOIN loyalty.voucher_batch b USING (batch) WHERE code = ANY($1)",
        sorted(set(normal.values())),
        member_id,
    )
    found = {
        row["code"]: Voucher(**{**dict(row), "scope": msgspec.json.decode(row["scope"], type=Scope)}) for row in rows
    }
    return {typed: found[code] for typed, code in normal.items() if code in found}


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher, if there is one, and what refuses it whatever the basket."""

    voucher: Voucher | None
    reason: Reason | None


async def check_voucher(
    code: str, *, member_id: int | None, store: str, at: datetime, channel: str = "store"
) -> Checked:
    """What a code is worth, before there is a basket."""
    voucher = (await find_vouchers([code], member_id=member_id)).get(code)
    return Checked(voucher=voucher, reason=_refusal(voucher, member_id=member_id, store=store, channel=channel, at=at))


def apply_vouchers(
    codes: Sequence[str],
    vouchers: Mapping[str, Voucher],
    lines: Sequence[EarnLine],
    *,
    takes: Sequence[bool],
    member_id: int | None,
    store: str,
    channel: str,
    at: datetime,
) -> Applied:
    """What vouchers do to a basket, in the order they were given. `takes` says which lines vouchers may be used for at all;
    their amounts are before any voucher."""
    left = [line.amount if taken else 0 for line, taken in zip(lines, takes, strict=True)]
    spend = tuple(left)
    outcomes: list[VoucherOutcome] = []
    used: list[Voucher] = []
    for code in codes:
        voucher = vouchers.get(code)
        reason = _refusal(voucher, member_id=member_id, store=store, channel=channel, at=at) or _clash(voucher, used)
        if voucher is None or reason is not None:
            outcomes.append(VoucherOutcome(code=code, applied=False, reason=reason))
            continue
        goods = [place for place, line in enumerate(lines) if spend[place] > 0 and matches(voucher.scope.goods, line)]
        outcome = _outcome(code, voucher, sum(spend[p] for p in goods), sum(left[p] for p in goods))
        if outcome.applied:
            used.append(voucher)
            for place, off in zip(goods, spread(outcome.discount, [left[p] for p in goods]), strict=True):
                left[place] -= off
        outcomes.append(outcome)
    return Applied(outcomes=outcomes, off=[before - after for before, after in zip(spend, left, strict=True)])


def _outcome(code: str, voucher: Voucher, spend: int, left: int) -> VoucherOutcome:
    refusal = (
        "voucher_other_goods"
        if spend <= 0
        else "voucher_below_minimum"
        if spend < voucher.spend_min
        else "voucher_nothing_left"
        if left <= 0 and voucher.kind != "bonus_points"
        else None
    )
    if refusal is not None:
        return VoucherOutcome(code=code, applied=False, reason=Reason(refusal))
    if voucher.kind == "bonus_points":
        return VoucherOutcome(code=code, applied=True, bonus_points=voucher.value)
    off = voucher.value if voucher.kind == "amount_off" else spend * voucher.value // 100
    return VoucherOutcome(code=code, applied=True, discount=min(off, left, voucher.discount_max or off))


def _refusal(
    voucher: Voucher | None, *, member_id: int | None, store: str, channel: str, at: datetime
) -> Reason | None:
    if voucher is None:
        return Reason("voucher_unknown")
    of_member = voucher.member_id is not None or voucher.member_uses_max is not None
    checks = (
        (voucher.cancelled, "voucher_cancelled"),
        (voucher.uses_max is not None and voucher.uses >= voucher.uses_max, "voucher_used"),
        (voucher.expires_at <= at, "voucher_expired"),
        (voucher.valid_from > at, "voucher_early"),
        (of_member and member_id is None, "voucher_needs_member"),
        (voucher.member_id is not None and voucher.member_id != member_id, "voucher_of_another"),
        (bool(voucher.scope.stores) and store not in voucher.scope.stores, "voucher_elsewhere"),
        (bool(voucher.scope.channels) and channel not in voucher.scope.channels, "voucher_elsewhere"),
    )
    for refused, key in checks:
        if refused:
            return Reason(key)
    if voucher.member_uses_max is not None and voucher.member_uses >= voucher.member_uses_max:
        return Reason("voucher_used_by_member", {"uses": voucher.member_uses_max})
    return None


def _clash(voucher: Voucher | None, used: Sequence[Voucher]) -> Reason | None:
    """What of the basket's other vouchers keeps this one out."""
    if voucher is None or not used:
        return None
    if any(other.id == voucher.id for other in used):
        return Reason("voucher_twice")
    if "alone" in (voucher.stacking, *(other.stacking for other in used)):
        return Reason("voucher_alone")
    if voucher.stacking != "free" and any(other.stacking == voucher.stacking for other in used):
        return Reason("voucher_stacking", {"stacking": voucher.stacking})
    return None


async def use_vouchers(
    used: Sequence[tuple[int, int]], *, receipt_id: int, member_id: int | None, at: datetime
) -> None:
    """Count a use of locked vouchers, given as ids and what each took off, by a receipt."""
    await database.execute(
        "WITH used AS (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS u (voucher_id, discount)), "
        "counted AS (UPDATE loyalty.voucher SET uses = uses + 1 FROM used WHERE voucher.id = voucher_id) "
        "INSERT INTO loyalty.voucher_use (voucher_id, receipt_id, member_id, used_at, discount) "
        "SELECT voucher_id, $3, $4, $5, discount FROM used",
        [voucher_id for voucher_id, _ in used],
        [discount for _, discount in used],
        receipt_id,
        member_id,
        at,
    )


async def release_vouchers(receipt_id: int, *, at: datetime) -> int:
    """Give back what a cancelled sale used; how many vouchers can be used again."""
    await database.execute(
        "SELECT count(*) FROM (SELECT 1 FROM loyalty.voucher WHERE id IN (SELECT voucher_id FROM loyalty.voucher_use "
        "WHERE receipt_id = $1) ORDER BY id FOR NO KEY UPDATE) locked",
        receipt_id,
    )
    return await database.execute(
        "WITH released AS (UPDATE loyalty.voucher_use SET released_at = $2 WHERE receipt_id = $1 AND released_at IS NULL "
        "RETURNING voucher_id) UPDATE loyalty.voucher SET uses = uses - 1 FROM released WHERE voucher.id = voucher_id",
        receipt_id,
        at,
    )
