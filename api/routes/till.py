"""The till: quote, checkout, and what happened to a sale since. `returns.py` takes goods back."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.errors import ShiftNeeded
from api.idempotency import IdempotencyKey, once
from api.languages import spoken
from loyalty.accounts import report_event
from loyalty.checkout import checkout, quote
from loyalty.earning import RulePoints
from loyalty.errors import VoucherRefused
from loyalty.programme import the_programme
from loyalty.sales import Basket, Quote, Sale
from loyalty.tiers import TierProgress
from loyalty.vouchers import VoucherOutcome
from loyalty.wording import Language
from membership.cards import member_of_card
from segmentation.cross_sell import suggest_at_till
from segmentation.rfm import score_of
from settings import settings
from stores.errors import UnknownReceipt, UnknownStore, UnknownTill
from stores.receipts import RecordedReceipt, find_receipt


class CheckoutSent(Basket, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sale to record, unique by store, till and number."""

    till: str
    number: str


class ReceiptName(msgspec.Struct, frozen=True, kw_only=True):
    store: str
    till: str
    number: str


class PointsShown(msgspec.Struct, frozen=True, kw_only=True):
    """Points of this sale, and what the member can spend now."""

    earned: int
    pending: int
    spent: int
    balance: int


class RuleShown(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule contributed, and why, in the language that was asked for."""

    rule: str
    version: int
    points: int
    because: str


class VoucherFate(msgspec.Struct, frozen=True, kw_only=True):
    """What a voucher does to a basket, or why it does nothing, in the language that was asked for."""

    code: str
    applied: bool
    discount: int = 0
    bonus_points: int = 0
    reason: str = ""


class SuggestionShown(msgspec.Struct, frozen=True, kw_only=True):
    sku: str
    name: str
    because: str


class CheckoutAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the till prints. `total` after vouchers, `due` what is left to pay after points."""

    id: int
    receipt: ReceiptName
    total: int
    due: int
    discount: int
    currency: str
    stored_value: int
    points: PointsShown
    tier: TierProgress | None
    explanation: list[RuleShown]
    suggestions: list[SuggestionShown]


class QuoteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the checkout would say, and each voucher's fate with its reason."""

    total: int
    due: int
    discount: int
    currency: str
    stored_value: int
    points: PointsShown
    tier: TierProgress | None
    vouchers: list[VoucherFate]
    explanation: list[RuleShown]
    suggestions: list[SuggestionShown]


class EventSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has happened to a sale, by the programme's name for it."""

    event: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}$")]


class Activated(msgspec.Struct, frozen=True, kw_only=True):
    """How many points can be used from now on."""

    points: int


class CheckoutController(Controller):
    path = "/v1/checkouts"
    tags = ("till",)
    opt = {"permission": "till:sell"}

    @post("/quote", summary="What a basket would cost and earn; writes nothing", status_code=200)
    async def quote(self, request: Request[Principal, Any, Any], data: JSONBody[Basket]) -> QuoteAnswer:
        check_store(request.user, data.store)
        answer = await quote(data, segments=await _segments(data))
        return await _quoted(data, answer, request.user, spoken(request))

    @post(summary="Record a sale", status_code=201)
    async def checkout(
        self, request: Request[Principal, Any, Any], data: JSONBody[CheckoutSent], idempotency_key: IdempotencyKey = ""
    ) -> Response[CheckoutAnswer]:
        check_store(request.user, data.store)
        check_till(request.user, data.store, data.till)

        # Before the transaction: nothing of the sale depends on them, and locks are held no longer than need be.
        segments, suggestions = await _segments(data), await _suggested(data, request.user)

        async def write() -> CheckoutAnswer:
            try:
                sale = await checkout(
                    data, till=data.till, number=data.number, staff_id=request.user.staff_id, segments=segments
                )
            except VoucherRefused as refused:
                raise refused.said_in(spoken(request)) from None
            return await _sold(data, sale, suggestions, spoken(request))

        return await once(request, idempotency_key, write)

    @post(
        "/{receipt_id:int}/events",
        summary="Report an event that the points of a sale wait for",
        description="Such as a delivery: where the programme keeps points pending until then, they can be used from now on.",
        status_code=200,
    )
    async def event(
        self,
        request: Request[Principal, Any, Any],
        receipt_id: FromPath[int],
        data: JSONBody[EventSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Activated]:
        async def write() -> Activated:
            await seen_sale(request.user, receipt_id)
            return Activated(points=await report_event(receipt_id, data.event, at=datetime.now(UTC)))

        return await once(request, idempotency_key, write, status=200)


def check_store(principal: Principal, store: str) -> None:
    """Raises `UnknownStore` for one that the caller does not see."""
    if not principal.sees(store):
        raise UnknownStore(code=store)


def check_till(principal: Principal, store: str, till: str) -> None:
    """A till's credential sells on that till alone, and where shifts are required only in one."""
    if principal.till is not None and principal.till != till:
        raise UnknownTill(store=store, till=till)
    if principal.till is not None and principal.staff_id is None and settings().till_shift == "required":
        raise ShiftNeeded


async def seen_sale(principal: Principal, receipt_id: int) -> RecordedReceipt:
    """A recorded sale. Raises `UnknownReceipt` for one that is not there, or is not the caller's to see."""
    sale = await find_receipt(receipt_id=receipt_id)
    if not principal.sees(sale.store):
        raise UnknownReceipt(name=receipt_id)
    return sale


async def _suggested(data: Basket, principal: Principal) -> list[SuggestionShown]:
    return [
        SuggestionShown(
            sku=found.sku, name=found.name, because=f"bought together {found.lift:.1f} times more often than chance"
        )
        for found in await suggest_at_till([line.sku for line in data.lines], stores=principal.stores)
    ]


async def _segments(data: Basket) -> frozenset[str]:
    """The segments that the member is in, looked up only when a rule asks for any."""
    if data.member is None or not (await the_programme(cached=True)).segments_asked:
        return frozenset()
    score = await score_of(await member_of_card(data.member))
    return frozenset({score.segment}) if score is not None else frozenset()


def explained(explanation: Sequence[RulePoints], language: Language) -> list[RuleShown]:
    """An award's explanation in somebody's language."""
    return [
        RuleShown(rule=part.rule, version=part.version, points=part.points, because=part.because(language))
        for part in explanation
    ]


def shown_fates(outcomes: Sequence[VoucherOutcome], language: Language) -> list[VoucherFate]:
    """What vouchers do to a basket in somebody's language."""
    return [
        VoucherFate(
            code=outcome.code,
            applied=outcome.applied,
            discount=outcome.discount,
            bonus_points=outcome.bonus_points,
            reason=outcome.reason.text(language) if outcome.reason is not None else "",
        )
        for outcome in outcomes
    ]


async def _sold(
    data: CheckoutSent, sale: Sale, suggestions: list[SuggestionShown], language: Language
) -> CheckoutAnswer:
    return CheckoutAnswer(
        id=sale.receipt_id,
        receipt=ReceiptName(store=data.store, till=data.till, number=data.number),
        total=sale.total,
        due=sale.due,
        discount=sale.discount,
        currency=(await the_programme(cached=True)).chain.currency,
        stored_value=sale.stored_value,
        points=PointsShown(earned=sale.earned, pending=sale.pending, spent=sale.spent, balance=sale.usable),
        tier=sale.tier,
        explanation=explained(sale.explanation, language),
        suggestions=suggestions,
    )


async def _quoted(data: Basket, answer: Quote, principal: Principal, language: Language) -> QuoteAnswer:
    settlement = answer.settlement
    return QuoteAnswer(
        total=settlement.total,
        due=settlement.due,
        discount=settlement.discount,
        currency=settlement.context.currency,
        stored_value=settlement.stored_value,
        points=PointsShown(
            earned=settlement.award.points,
            pending=answer.pending,
            spent=settlement.points_spent,
            balance=answer.usable,
        ),
        tier=answer.tier,
        vouchers=shown_fates(settlement.vouchers, language),
        explanation=explained(settlement.award.explanation, language),
        suggestions=await _suggested(data, principal),
    )
