"""What a till sends and what it is told: baskets, quotes, sales, returns."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from loyalty.earning import RulePoints
from loyalty.pricing import BasketLine, Payment, Settlement
from loyalty.tiers import TierProgress
from loyalty.vouchers import VoucherOutcome

Channel = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}$")]


class Basket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A basket as the till sends it, for a quote or a checkout: amounts in minor units, the member by card number."""

    store: str
    business_time: datetime
    lines: list[BasketLine]
    member: str | None = None
    currency: str | None = None
    vouchers: list[str] = []
    points_to_spend: int = 0
    stored_value_to_spend: int = 0
    channel: Channel = "store"

    @property
    def payment(self) -> Payment:
        return Payment(points=self.points_to_spend, stored_value=self.stored_value_to_spend)


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded sale and what it did for the member. `priced` is what it should have cost where an offline till charged another."""

    receipt_id: int
    total: int
    due: int
    discount: int
    earned: int
    spent: int
    stored_value: int
    usable: int
    pending: int
    tier: TierProgress | None
    explanation: Sequence[RulePoints]
    priced: int
    vouchers: Sequence[VoucherOutcome]
    again: bool


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout of the same basket would answer, had it been made now. `usable` and `pending` are as they would be then."""

    settlement: Settlement
    usable: int
    pending: int
    tier: TierProgress | None


class ReturnedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of a line of the original receipt come back. Lines count from 1."""

    line_no: int
    quantity: int


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded return. `refund` is minor units in money, `stored_value` those that went back where they were stored; points
    beside them."""

    receipt_id: int
    amount: int
    refund: int
    stored_value: int
    points_clawed_back: int
    points_not_recovered: int
    points_owed: int
    points_given_back: int
    usable: int | None
    again: bool
