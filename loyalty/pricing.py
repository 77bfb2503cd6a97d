"""What a basket costs and earns. Quote and checkout both come through `settle`, so they cannot disagree.

`settle` is pure. Order: line discounts, vouchers, points as payment, then earning on what was paid in money.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction

import msgspec

from errors import InvalidInput
from loyalty.earning import Award, EarnContext, EarnLine, RulePoints, earn
from loyalty.errors import InsufficientPoints
from loyalty.lots import Lot, available
from loyalty.programme import Programme, TierLevel
from loyalty.vouchers import Voucher, VoucherOutcome, apply_voucher
from stores.catalogue import CatalogueProduct
from stores.money import spread


class BasketLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line as the till sends it. Money in minor units; `discount` is for the whole line."""

    sku: str
    quantity: int
    unit_price: int
    discount: int = 0


class PricedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line after vouchers: `amount` is what it costs in minor units."""

    product: CatalogueProduct
    quantity: int
    unit_price: int
    discount: int
    amount: int


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """What pricing needs to know of the member."""

    member_id: int
    lots: Sequence[Lot]
    tier: TierLevel | None


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. Money in minor units: `goods` before vouchers, `total` after, `due` after points as well."""

    lines: Sequence[PricedLine]
    goods: int
    discount: int
    total: int
    points_spent: int
    points_value: int
    due: int
    vouchers: Sequence[VoucherOutcome]
    award: Award
    context: EarnContext


def check_lines(lines: Sequence[BasketLine]) -> None:
    """Raises `InvalidInput` for a basket that is no sale."""
    if not 1 <= len(lines) <= 1000:
        raise InvalidInput(field="lines", why="1 to 1000 lines are needed")
    for place, line in enumerate(lines):
        if not 0 < line.quantity <= 1_000_000:
            why = "must be above zero; goods that come back go to /returns" if line.quantity <= 0 else "is too large"
            raise InvalidInput(field=f"lines[{place}].quantity", why=f"{line.quantity} {why}")
        if not 0 <= line.unit_price <= 10**12:
            raise InvalidInput(field=f"lines[{place}].unit_price", why=f"{line.unit_price} is no price in minor units")
        if not 0 <= line.discount <= line.quantity * line.unit_price:
            raise InvalidInput(field=f"lines[{place}].discount", why="must lie between zero and the line's price")


def settle(
    lines: Sequence[BasketLine],
    *,
    products: Mapping[str, CatalogueProduct],
    vouchers: Mapping[str, Voucher],
    voucher_codes: Sequence[str],
    points_to_spend: int,
    buyer: Buyer | None,
    programme: Programme,
    store: str,
    at: datetime,
    at_local: datetime,
) -> Settlement:
    """Price a checked basket. Raises `InsufficientPoints` or `InvalidInput` for points that cannot be spent."""
    before = [line.quantity * line.unit_price - line.discount for line in lines]
    goods = sum(before)
    outcomes = _apply_vouchers(voucher_codes, vouchers, goods, buyer, at)
    discount = sum(outcome.discount for outcome in outcomes)
    amounts = [amount - off for amount, off in zip(before, spread(discount, before), strict=True)]
    total = goods - discount
    points_value = _pay_with_points(points_to_spend, total, buyer, programme, at)
    priced = [
        PricedLine(
            product=products[line.sku],
            quantity=line.quantity,
            unit_price=line.unit_price,
            discount=line.discount,
            amount=amount,
        )
        for line, amount in zip(lines, amounts, strict=True)
    ]
    context = EarnContext(
        currency=programme.chain.currency,
        store=store,
        at_local=at_local,
        tier=buyer.tier.code if buyer and buyer.tier else None,
        tier_multiplier_milli=buyer.tier.multiplier_milli if buyer and buyer.tier else 1000,
        cash_share=Fraction(total - points_value, total) if total else Fraction(1),
    )
    return Settlement(
        lines=priced,
        goods=goods,
        discount=discount,
        total=total,
        points_spent=points_to_spend,
        points_value=points_value,
        due=total - points_value,
        vouchers=outcomes,
        award=_award(priced, outcomes, buyer, programme, at, context),
        context=context,
    )


def earn_lines(lines: Sequence[PricedLine]) -> list[EarnLine]:
    """What earning sees of priced lines."""
    return [
        EarnLine(
            sku=line.product.sku,
            category=line.product.category,
            brand=line.product.brand,
            kind=line.product.kind,
            amount=line.amount,
        )
        for line in lines
    ]


def _apply_vouchers(
    codes: Sequence[str], vouchers: Mapping[str, Voucher], goods: int, buyer: Buyer | None, at: datetime
) -> list[VoucherOutcome]:
    member_id = buyer.member_id if buyer else None
    outcomes: list[VoucherOutcome] = []
    used: set[int] = set()
    for code in codes:
        voucher = vouchers.get(code)
        if voucher and voucher.id in used:
            outcomes.append(VoucherOutcome(code=code, applied=False, reason="it stands twice in this basket"))
            continue
        left = goods - sum(outcome.discount for outcome in outcomes)
        outcome = apply_voucher(code, voucher, member_id=member_id, spend=goods, left=left, at=at)
        if voucher and outcome.applied:
            used.add(voucher.id)
        outcomes.append(outcome)
    return outcomes


def _pay_with_points(points: int, total: int, buyer: Buyer | None, programme: Programme, at: datetime) -> int:
    if points == 0:
        return 0
    if points < 0:
        raise InvalidInput(field="points_to_spend", why="must not be negative")
    if buyer is None:
        raise InvalidInput(field="points_to_spend", why="needs a member")
    usable = available(buyer.lots, at)
    if points > usable:
        raise InsufficientPoints(available=usable, cost=points)
    value = points * programme.point_value
    if value > total:
        raise InvalidInput(
            field="points_to_spend",
            why=f"{points} is more than the basket costs; {total // programme.point_value} pay it",
        )
    return value


def _award(
    lines: Sequence[PricedLine],
    outcomes: Sequence[VoucherOutcome],
    buyer: Buyer | None,
    programme: Programme,
    at: datetime,
    context: EarnContext,
) -> Award:
    if buyer is None:
        return Award(points=0, explanation=[])
    award = earn(programme.rules_at(at), earn_lines(lines), context)
    granted = [
        RulePoints(rule=f"voucher:{outcome.code}", version=1, points=outcome.bonus_points, because="bonus voucher")
        for outcome in outcomes
        if outcome.bonus_points
    ]
    return Award(
        points=award.points + sum(bonus.points for bonus in granted), explanation=[*award.explanation, *granted]
    )
