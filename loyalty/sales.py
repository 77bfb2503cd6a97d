"""What a till sends and what it is told: baskets, quotes, sales, returns."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from loyalty.earning import RulePoints
from loyalty.pricing import BasketLine, Settlement
from loyalty.tiers import TierProgress


class Basket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A basket as the till sends it, for a quote or a checkout: amounts in minor units, the member by card number."""

    store: str
    business_time: datetime
    lines: list[BasketLine]
    member: str | None = None
    currency: str | None = None
    vouchers: list[str] = []
    points_to_spend: int = 0


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded sale and what it did for the member."""

    receipt_id: int
    total: int
    due: int
    discount: int
    earned: int
    spent: int
    usable: int
    pending: int
    tier: TierProgress | None
    explanation: Sequence[RulePoints]
    again: bool


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout of the same basket would answer, had it been made now."""

    settlement: Settlement
    usable: int
    pending: int
    tier: TierProgress | None


class ReturnedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of a line of the original receipt come back. Lines count from 1."""

    line_no: int
    quantity: int


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded return. `refund` is minor units in money; points beside it."""

    receipt_id: int
    amount: int
    refund: int
    points_clawed_back: int
    points_not_recovered: int
    points_given_back: int
    usable: int | None
    again: bool
