"""Goods that come back to the till: with their receipt, all of it, or without one."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.routes.till import ReceiptName, check_store, check_till, seen_sale
from loyalty.blind_returns import take_back_blind
from loyalty.pricing import BasketLine
from loyalty.returns import cancel, take_back
from loyalty.sales import Return, ReturnedLine
from stores.chain import the_chain


class ReturnSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Goods that come back, as a receipt of their own."""

    till: str
    number: str
    business_time: datetime
    lines: list[ReturnedLine]


class CancelSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The receipt under which a sale is cancelled."""

    till: str
    number: str
    business_time: datetime


class BlindReturnSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Goods that come back without a receipt, at the price they are taken for."""

    store: str
    till: str
    number: str
    business_time: datetime
    lines: list[BasketLine]
    member: str | None = None


class ReturnAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What to pay out in money, what goes back to where it is stored, and what became of the points."""

    id: int
    receipt: ReceiptName
    refund: int
    stored_value: int
    currency: str
    points_clawed_back: int
    points_not_recovered: int
    points_owed: int
    points_given_back: int
    balance: int | None


class ReturnController(Controller):
    path = "/v1/checkouts/{receipt_id:int}"
    tags = ("till",)
    opt = {"permission": "till:sell"}

    @post("/returns", summary="Take goods back", status_code=201)
    async def take_back(
        self,
        request: Request[Principal, Any, Any],
        receipt_id: FromPath[int],
        data: JSONBody[ReturnSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[ReturnAnswer]:
        async def write() -> ReturnAnswer:
            sale = await seen_sale(request.user, receipt_id)
            check_till(request.user, sale.store, data.till)
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

    @post(
        "/cancel",
        summary="Take back all that is left of a sale, as if it had not been",
        description="Like a return of everything, and its vouchers can be used again.",
        status_code=201,
    )
    async def cancel(
        self,
        request: Request[Principal, Any, Any],
        receipt_id: FromPath[int],
        data: JSONBody[CancelSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[ReturnAnswer]:
        async def write() -> ReturnAnswer:
            sale = await seen_sale(request.user, receipt_id)
            check_till(request.user, sale.store, data.till)
            returned = await cancel(
                receipt_id,
                till=data.till,
                number=data.number,
                business_time=data.business_time,
                staff_id=request.user.staff_id,
            )
            return await _returned(ReceiptName(store=sale.store, till=data.till, number=data.number), returned)

        return await once(request, idempotency_key, write)


class BlindReturnController(Controller):
    path = "/v1/returns"
    tags = ("till",)
    opt = {"permission": "till:sell"}

    @post(
        summary="Take goods back without a receipt",
        description="Money at the price they are taken for. Of a member the points that such goods earn today, as far as there are any.",
        status_code=201,
    )
    async def take_back(
        self,
        request: Request[Principal, Any, Any],
        data: JSONBody[BlindReturnSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[ReturnAnswer]:
        check_store(request.user, data.store)
        check_till(request.user, data.store, data.till)

        async def write() -> ReturnAnswer:
            returned = await take_back_blind(
                data.lines,
                store=data.store,
                till=data.till,
                number=data.number,
                business_time=data.business_time,
                member=data.member,
                staff_id=request.user.staff_id,
            )
            return await _returned(ReceiptName(store=data.store, till=data.till, number=data.number), returned)

        return await once(request, idempotency_key, write)


async def _returned(receipt: ReceiptName, returned: Return) -> ReturnAnswer:
    return ReturnAnswer(
        id=returned.receipt_id,
        receipt=receipt,
        refund=returned.refund,
        stored_value=returned.stored_value,
        currency=(await the_chain()).currency,
        points_clawed_back=returned.points_clawed_back,
        points_not_recovered=returned.points_not_recovered,
        points_owed=returned.points_owed,
        points_given_back=returned.points_given_back,
        balance=returned.usable,
    )
