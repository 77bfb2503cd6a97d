"""Shifts: which cashier stands at this till."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.params import JSONBody

from api.access.authentication import forget_credentials
from api.access.permissions import Principal
from api.errors import WrongCode
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from stores.shifts import Shift, close_shift, current_shift, open_shift, pin_fits


class ShiftOpened(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cashier's e-mail and PIN."""

    email: str
    pin: str


class ShiftController(Controller):
    path = "/v1/shifts"
    tags = ("till",)
    opt = {"permission": "shifts:write"}

    @post(summary="Open a shift on this till", opt={"limit": "sign-in"}, status_code=201)
    async def open(
        self, request: Request[Principal, Any, Any], data: JSONBody[ShiftOpened], idempotency_key: IdempotencyKey = ""
    ) -> Response[Shift]:
        till_id, store = _till(request.user)
        await request.app.state.lockout.attempt("pin", data.email)
        staff = await pin_fits(data.email, data.pin, store=store)
        if staff is None:
            raise WrongCode
        await request.app.state.lockout.succeeded("pin", data.email)

        async def write() -> Shift:
            shift = await open_shift(till_id, staff.id, at=datetime.now(UTC))
            await audit(request.user, "shift.opened", f"staff:{staff.id}")
            forget_credentials()
            return shift

        return await once(request, idempotency_key, write)

    @get("/current", summary="Who is at this till")
    async def current(self, request: Request[Principal, Any, Any]) -> Shift:
        return await current_shift(_till(request.user)[0])

    @delete("/current", summary="Close the shift", status_code=204)
    async def close(
        self, request: Request[Principal, Any, Any], idempotency_key: IdempotencyKey = ""
    ) -> Response[None]:
        async def write() -> None:
            await close_shift(_till(request.user)[0], at=datetime.now(UTC))
            await audit(request.user, "shift.closed", request.user.name)
            forget_credentials()

        return await once(request, idempotency_key, write, status=204)


def _till(principal: Principal) -> tuple[int, str]:
    assert principal.till_id is not None
    assert principal.stores is not None
    return principal.till_id, next(iter(principal.stores))
