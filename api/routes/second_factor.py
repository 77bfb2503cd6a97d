"""One's own second factor: set up, confirmed, given up."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, post
from litestar.params import JSONBody

from api.access.browser import SESSION_COOKIE, cookie, open_session
from api.access.permissions import SECOND_FACTOR_ROLES, Principal
from api.access.second_factor import (
    FactorOffered,
    confirm_factor,
    forget_factor,
    has_factor,
    offer_factor,
    show_factor,
)
from api.errors import SecondFactorStays, WrongCode
from api.operation.audit import audit
from settings import settings
from stores.staff import staff_by_id


class CodeShown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The six digits that the authenticator app shows now."""

    totp: str


class FactorAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The present code, where there is a second factor already; or a recovery code."""

    totp: str = ""
    recovery_code: str = ""


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Ten codes, each good for one sign-in without the app. Shown this once."""

    recovery_codes: list[str]


class SecondFactorController(Controller):
    path = "/v1/session/second-factor"
    tags = ("session",)
    opt = {"permission": "session"}

    @post(
        summary="Begin to set up a second factor",
        description="Answers with the secret as text, link and QR. It counts once it is confirmed; one that is there already counts "
        "until then, and has to be shown to begin with.",
        opt={"limit": "sign-in"},
        status_code=201,
    )
    async def offer_factor(self, request: Request[Principal, Any, Any], data: JSONBody[FactorAsked]) -> FactorOffered:
        staff = await staff_by_id(request.user.own_account())
        if await has_factor(staff.id):
            await _prove(request, staff.id, data)
        return await offer_factor(staff.id, staff.email)

    @post(
        "/confirm",
        summary="Confirm the second factor by its first code",
        opt={"limit": "sign-in"},
        status_code=200,
    )
    async def confirm_factor(
        self, request: Request[Principal, Any, Any], data: JSONBody[CodeShown]
    ) -> Response[RecoveryCodes]:
        staff_id, now = request.user.own_account(), datetime.now(UTC)
        await request.app.state.lockout.attempt("second-factor", str(staff_id))
        codes = await confirm_factor(staff_id, data.totp, at=now)
        await request.app.state.lockout.succeeded("second-factor", str(staff_id))
        await audit(request.user, "second_factor.confirmed", request.user.name)
        # A new session for the new standing; every other one of the account was without the factor.
        await request.app.state.sessions.revoke(staff_id)
        token = await open_session(request, staff_id, factor=True)
        return Response(RecoveryCodes(recovery_codes=codes), status_code=200, cookies=[cookie(SESSION_COOKIE, token)])

    @post("/remove", summary="Do without a second factor, where the role may", status_code=204)
    async def remove_factor(self, request: Request[Principal, Any, Any], data: JSONBody[FactorAsked]) -> None:
        staff_id = request.user.own_account()
        if settings().second_factor == "required" and request.user.role in SECOND_FACTOR_ROLES:
            raise SecondFactorStays(role=request.user.role)
        await _prove(request, staff_id, data)
        await forget_factor(staff_id)
        await audit(request.user, "second_factor.removed", request.user.name)


async def _prove(request: Request[Principal, Any, Any], staff_id: int, data: FactorAsked) -> None:
    await request.app.state.lockout.attempt("second-factor", str(staff_id))
    if not await show_factor(staff_id, data.totp, data.recovery_code, at=datetime.now(UTC)):
        raise WrongCode
    await request.app.state.lockout.succeeded("second-factor", str(staff_id))
