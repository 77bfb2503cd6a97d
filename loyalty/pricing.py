"""What a basket costs and earns. Quote and checkout both come through `settle`, so they cannot disagree.

`settle` is pure. Order: line discounts, vouchers, points as payment, stored value, then earning on what was not paid with points.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from errors import InvalidInput
from loyalty.earning import Award, EarnContext, EarnLine, RulePoints, earn
from loyalty.errors import InsufficientFunds, InsufficientPoints
from loyalty.funds import Funds
from loyalty.programme import Programme
from loyalty.rules import birthdays_around
from loyalty.tiers import Standing
from loyalty.vouchers import Voucher, VoucherOutcome, apply_vouchers
from loyalty.wording import Reason
from stores.catalogue import CatalogueProduct
from stores.money import spread

VOUCHERS_TAKE = frozenset({"goods", "service"})  # a gift card bought with a voucher would turn it into money


class BasketLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line as the till sends it. Money in minor units; `discount` is for the whole line, `tax` is what of its price after the
    discount is tax."""

    sku: str
    quantity: int
    unit_price: int
    discount: int = 0
    tax: int = 0

    @property
    def amount(self) -> int:
        """Before vouchers."""
        return self.quantity * self.unit_price - self.discount


class PricedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line after vouchers: `amount` is what it costs in minor units, `tax` what of that is tax."""

    product: CatalogueProduct
    quantity: int
    unit_price: int
    discount: int
    amount: int
    tax: int = 0


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a basket is bought."""

    store: str
    region: str
    zone: ZoneInfo
    channel: str


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """What pricing needs to know of the member, who `joined` one day. `funds` are those of their pool, `money` is what they have
    stored in minor units; `left` and `day_left` are what caps leave, as in `EarnContext`."""

    member_id: int
    funds: Funds
    standing: Standing
    joined: datetime
    birth_month: int | None = None
    birth_day: int | None = None
    first_purchase: bool = False
    segments: frozenset[str] = frozenset()
    money: int = 0
    left: Mapping[str, int] = {}
    day_left: int | None = None


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """What besides money the customer pays with: points, and minor units of stored value.

    Only a till that was offline has given goods for points that were not there: `overdrawn` of the points are owed, and
    `uncovered` minor units nobody pays.
    """

    points: int = 0
    stored_value: int = 0
    overdrawn: int = 0
    uncovered: int = 0


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. Money in minor units: `goods` before vouchers, `total` after, `due` after points and stored value as well.
    `priced` is what the total should have been where a till has charged another."""

    lines: Sequence[PricedLine]
    goods: int
    discount: int
    total: int
    points_spent: int
    points_value: int
    stored_value: int
    uncovered: int
    due: int
    priced: int
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
        if not 0 <= line.tax <= line.amount:
            raise InvalidInput(field=f"lines[{place}].tax", why="must lie between zero and what the line costs")


def settle(
    lines: Sequence[BasketLine],
    *,
    products: Mapping[str, CatalogueProduct],
    vouchers: Mapping[str, Voucher],
    voucher_codes: Sequence[str],
    payment: Payment,
    buyer: Buyer | None,
    programme: Programme,
    place: Place,
    at: datetime,
    charged: int | None = None,
) -> Settlement:
    """Price a checked basket.

    `charged` is what a till that was offline has taken for it already, whatever it should have been: the difference counts as a
    discount, or as its absence. Raises `InsufficientPoints`, `InsufficientFunds` or `InvalidInput` for what cannot be paid with.
    """
    outcomes, amounts = _discounted(lines, products, vouchers, voucher_codes, buyer, place, at)
    goods = sum(line.amount for line in lines)
    priced_at = goods - sum(one.discount for one in outcomes)
    if charged is not None and charged != sum(amounts):
        amounts = _as_charged(lines, charged)
    total = sum(amounts)
    points_value = _pay_with_points(payment, total, buyer, programme)
    stored_value = _pay_with_stored(payment.stored_value, total - points_value, buyer)
    if not 0 <= payment.uncovered <= total - points_value - stored_value:
        raise InvalidInput(field="charged", why=f"{total} is less than what was paid besides money")
    priced = _priced(lines, amounts, products)
    context = _context(
        programme,
        place,
        buyer,
        at,
        cash=(total - points_value - payment.uncovered, total) if points_value or payment.uncovered else (1, 1),
    )
    return Settlement(
        lines=priced,
        goods=goods,
        discount=goods - total,
        total=total,
        points_spent=payment.points,
        points_value=points_value,
        stored_value=stored_value,
        uncovered=payment.uncovered,
        due=total - points_value - stored_value - payment.uncovered,
        priced=priced_at,
        vouchers=outcomes,
        award=_award(priced, outcomes, buyer, programme, at, context),
        context=context,
    )


def _as_charged(lines: Sequence[BasketLine], charged: int) -> list[int]:
    """What each line costs where all of them came to what a till has charged."""
    before = [line.amount for line in lines]
    if not 0 <= charged <= sum(before):
        raise InvalidInput(field="charged", why=f"{charged} must lie between zero and the {sum(before)} of the lines")
    return [amount - off for amount, off in zip(before, spread(sum(before) - charged, before), strict=True)]


def _priced(
    lines: Sequence[BasketLine], amounts: Sequence[int], products: Mapping[str, CatalogueProduct]
) -> list[PricedLine]:
    return [
        PricedLine(
            product=products[line.sku],
            quantity=line.quantity,
            unit_price=line.unit_price,
            discount=line.discount,
            amount=amount,
            tax=line.tax * amount // line.amount if line.amount else 0,
        )
        for line, amount in zip(lines, amounts, strict=True)
    ]


def earn_line(
    product: CatalogueProduct, *, amount: int, tax: int, quantity: int, on_tax: bool, excluded: Collection[str]
) -> EarnLine:
    """What earning sees of a line that costs `amount`."""
    outside = any(product.category == path or product.category.startswith(path + "/") for path in excluded)
    return EarnLine(
        sku=product.sku,
        category=product.category,
        brand=product.brand,
        amount=amount if on_tax else amount - tax,
        quantity=quantity,
        earns=product.kind == "goods" and not outside,
    )


def earn_lines(lines: Sequence[PricedLine], programme: Programme) -> list[EarnLine]:
    """What earning sees of priced lines."""
    return [
        earn_line(
            line.product,
            amount=line.amount,
            tax=line.tax,
            quantity=line.quantity,
            on_tax=programme.earn_on_tax,
            excluded=programme.earn_excluded,
        )
        for line in lines
    ]


def earn_base(programme: Programme) -> dict[str, Any]:
    """What an entry keeps of which part of the lines earned, where that is not all of it."""
    kept: dict[str, Any] = {} if programme.earn_on_tax else {"on_tax": False}
    return kept | ({"excluded": sorted(programme.earn_excluded)} if programme.earn_excluded else {})


def _discounted(
    lines: Sequence[BasketLine],
    products: Mapping[str, CatalogueProduct],
    vouchers: Mapping[str, Voucher],
    codes: Sequence[str],
    buyer: Buyer | None,
    place: Place,
    at: datetime,
) -> tuple[list[VoucherOutcome], list[int]]:
    amounts = [line.amount for line in lines]
    if not codes:
        return [], amounts
    seen = [products[line.sku] for line in lines]
    applied = apply_vouchers(
        codes,
        vouchers,
        [
            earn_line(product, amount=line.amount, tax=0, quantity=line.quantity, on_tax=True, excluded=())
            for line, product in zip(lines, seen, strict=True)
        ],
        takes=[product.kind in VOUCHERS_TAKE for product in seen],
        member_id=buyer.member_id if buyer else None,
        store=place.store,
        channel=place.channel,
        at=at,
    )
    return applied.outcomes, [amount - off for amount, off in zip(amounts, applied.off, strict=True)]


def _pay_with_points(payment: Payment, total: int, buyer: Buyer | None, programme: Programme) -> int:
    points = payment.points
    if points == 0:
        return 0
    if points < 0:
        raise InvalidInput(field="points_to_spend", why="must not be negative")
    if buyer is None:
        raise InvalidInput(field="points_to_spend", why="needs a member")
    if points - payment.overdrawn > buyer.funds.usable:
        raise InsufficientPoints(available=buyer.funds.usable, cost=points)
    value = points * programme.point_value
    if value > total:
        raise InvalidInput(
            field="points_to_spend",
            why=f"{points} is more than the basket costs; {total // programme.point_value} pay it",
        )
    return value


def _pay_with_stored(amount: int, due: int, buyer: Buyer | None) -> int:
    if amount == 0:
        return 0
    if amount < 0:
        raise InvalidInput(field="stored_value_to_spend", why="must not be negative")
    if buyer is None:
        raise InvalidInput(field="stored_value_to_spend", why="needs a member")
    if amount > due:
        raise InvalidInput(field="stored_value_to_spend", why=f"{amount} is more than the {due} that are left to pay")
    if amount > buyer.money:
        raise InsufficientFunds(available=buyer.money, cost=amount)
    return amount


def _context(
    programme: Programme, place: Place, buyer: Buyer | None, at: datetime, *, cash: tuple[int, int]
) -> EarnContext:
    at_local = at.astimezone(place.zone)
    tier = buyer.standing.tier if buyer else None
    return EarnContext(
        currency=programme.chain.currency,
        store=place.store,
        region=place.region,
        channel=place.channel,
        at_local=at_local,
        tier=tier.code if tier else None,
        tier_multiplier_milli=tier.multiplier_milli if tier else 1000,
        segments=buyer.segments & programme.segments_asked if buyer else frozenset(),
        birthday=birthdays_around(buyer.birth_month, buyer.birth_day, at_local.date()) if buyer else frozenset(),
        first_purchase=buyer.first_purchase if buyer else False,
        cash=cash,
        left=buyer.left if buyer else {},
        day_left=buyer.day_left if buyer else None,
    )


def _award(
    lines: Sequence[PricedLine],
    outcomes: Sequence[VoucherOutcome],
    buyer: Buyer | None,
    programme: Programme,
    at: datetime,
    context: EarnContext,
) -> Award:
    if buyer is None:
        return Award()
    award = earn(programme.rules_at(at), earn_lines(lines, programme), context)
    granted = [
        RulePoints(
            rule=f"voucher:{outcome.code}", version=1, points=outcome.bonus_points, reasons=[Reason("voucher_bonus")]
        )
        for outcome in outcomes
        if outcome.bonus_points
    ]
    return Award(
        points=award.points + sum(bonus.points for bonus in granted),
        explanation=[*award.explanation, *granted],
        applied=award.applied,
    )
