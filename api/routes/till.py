"""The till: quote, checkout, return."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.errors import ShiftNeeded
from api.idempotency import IdempotencyKey, once
from loyalty.checkout import checkout, quote
from loyalty.earning import RulePoints
from loyalty.returns import take_back
from loyalty.sales import Basket, Quote, Return, ReturnedLine, Sale
from loyalty.tiers import TierProgress
from loyalty.vouchers import VoucherOutcome
from segmentation.cross_sell import suggest
from settings import settings
from stores.chain import the_chain
from stores.errors import UnknownReceipt, UnknownStore, UnknownTill
from stores.receipts import find_receipt


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
    points: PointsShown
    tier: TierProgress | None
    explanation: list[RulePoints]
    suggestions: list[SuggestionShown]


class QuoteAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the checkout would say, and each voucher's fate with its reason."""

    total: int
    due: int
    discount: int
    currency: str
    points: PointsShown
    tier: TierProgress | None
    vouchers: list[VoucherOutcome]
    explanation: list[RulePoints]
    suggestions: list[SuggestionShown]


class ReturnSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Goods that come back, as a receipt of their own."""

    till: str
    number: str
    business_time: datetime
    lines: list[ReturnedLine]


class ReturnAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What to pay out, and what became of the points."""

    id: int
    receipt: ReceiptName
    refund: int
    currency: str
    points_clawed_back: int
    points_not_recovered: int
    points_given_back: int
    balance: int | None


class CheckoutController(Controller):
    path = "/v1/checkouts"
    tags = ("till",)
    opt = {"permission": "till:sell"}

    @post("/quote", summary="What a basket would cost and earn; writes nothing", status_code=200)
    async def quote(self, request: Request[Principal, Any, Any], data: JSONBody[Basket]) -> QuoteAnswer:
        _check_store(request.user, data.store)
        answer = await quote(data)
        return await _quoted(data, answer, request.user)

    @post(summary="Record a sale", status_code=201)
    async def checkout(
        self, request: Request[Principal, Any, Any], data: JSONBody[CheckoutSent], idempotency_key: IdempotencyKey = ""
    ) -> Response[CheckoutAnswer]:
        _check_store(request.user, data.store)
        _check_till(request.user, data.store, data.till)

        async def write() -> CheckoutAnswer:
            sale = await checkout(data, till=data.till, number=data.number, staff_id=request.user.staff_id)
            return await _sold(data, sale, request.user)

        return await once(request, idempotency_key, write)

    @post("/{receipt_id:int}/returns", summary="Take goods back", status_code=201)
    async def take_back(
        self,
        request: Request[Principal, Any, Any],
        receipt_id: FromPath[int],
        data: JSONBody[ReturnSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[ReturnAnswer]:
        async def write() -> ReturnAnswer:
            sale = await find_receipt(receipt_id=receipt_id)
            if not request.user.sees(sale.store):
                raise UnknownReceipt(name=receipt_id)
            _check_till(request.user, sale.store, data.till)
            returned = await take_back(
                receipt_id,
                data.lines,
                till=data.till,
                number=data.number,
                business_time=data.business_time,
                staff_id=request.user.staff_id,
            )
            return await _returned(ReceiptName(store=sale.store, till=data.till, number=data.number), returned)

        return await once(request, idempotency_key, write)


def _check_store(principal: Principal, store: str) -> None:
    if not principal.sees(store):
        raise UnknownStore(code=store)


def _check_till(principal: Principal, store: str, till: str) -> None:
    """A till's credential sells on that till alone, and where shifts are required only in one."""
    if principal.till is not None and principal.till != till:
        raise UnknownTill(store=store, till=till)
    if principal.till is not None and principal.staff_id is None and settings().till_shift == "required":
        raise ShiftNeeded


async def _suggested(data: Basket, principal: Principal) -> list[SuggestionShown]:
    return [
        SuggestionShown(
            sku=found.sku, name=found.name, because=f"bought together {found.lift:.1f} times more often than chance"
        )
        for found in await suggest([line.sku for line in data.lines], stores=principal.stores)
    ]


async def _sold(data: CheckoutSent, sale: Sale, principal: Principal) -> CheckoutAnswer:
    return CheckoutAnswer(
        id=sale.receipt_id,
        receipt=ReceiptName(store=data.store, till=data.till, number=data.number),
        total=sale.total,
        due=sale.due,
        discount=sale.discount,
        currency=(await the_chain()).currency if data.currency is None else data.currency,
        points=PointsShown(earned=sale.earned, pending=sale.pending, spent=sale.spent, balance=sale.usable),
        tier=sale.tier,
        explanation=list(sale.explanation),
        suggestions=await _suggested(data, principal),
    )


async def _quoted(data: Basket, answer: Quote, principal: Principal) -> QuoteAnswer:
    settlement = answer.settlement
    return QuoteAnswer(
        total=settlement.total,
        due=settlement.due,
        discount=settlement.discount,
        currency=settlement.context.currency,
        points=PointsShown(
            earned=settlement.award.points,
            pending=answer.pending,
            spent=settlement.points_spent,
            balance=answer.usable - settlement.points_spent,
        ),
        tier=answer.tier,
        vouchers=list(settlement.vouchers),
        explanation=settlement.award.explanation,
        suggestions=await _suggested(data, principal),
    )


async def _returned(receipt: ReceiptName, returned: Return) -> ReturnAnswer:
    return ReturnAnswer(
        id=returned.receipt_id,
        receipt=receipt,
        refund=returned.refund,
        currency=(await the_chain()).currency,
        points_clawed_back=returned.points_clawed_back,
        points_not_recovered=returned.points_not_recovered,
        points_given_back=returned.points_given_back,
        balance=returned.usable,
    )
