"""Signing in and out, and what staff look after themselves: password, PIN, open sessions."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody

from api.access.authentication import forget_credentials, staff_principal
from api.access.browser import SESSION_COOKIE, TILL_COOKIE, cookie, open_session
from api.access.permissions import Principal
from api.access.second_factor import has_factor, show_factor
from api.access.sessions import SessionListed
from api.errors import SecondFactorNeeded, WrongCode, WrongCredentials
from api.operation.audit import audit
from errors import NotFound
from stores.shifts import set_pin
from stores.staff import StaffMember, recognise, set_password, staff_by_id
from stores.tills import identify_till, take_up_enrolment


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """E-mail and password, with `totp` or a `recovery_code` where the account has a second factor; or a till's one-time
    `till_code`; or the credential that the till got for it."""

    email: str = ""
    password: str = ""
    totp: str = ""
    recovery_code: str = ""
    till_code: str = ""
    till_credential: str = ""


class SessionShown(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in. `stores` is null where the whole chain is in view; with `second_factor_owed` nothing but setting one
    up is allowed yet."""

    role: str
    stores: list[str] | None
    till: str | None
    second_factor_owed: bool = False


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[SessionListed]
    next: str | None = None


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    current: str
    password: str


class PinChosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Six to twelve digits, for opening shifts at a till."""

    pin: str


class SessionController(Controller):
    path = "/v1/session"
    tags = ("session",)
    opt = {"permission": "session"}

    @post(summary="Sign in", opt={"permission": "public", "limit": "sign-in"}, status_code=201)
    async def sign_in(self, request: Request[Any, Any, Any], data: JSONBody[SignIn]) -> Response[SessionShown]:
        if data.till_code or data.till_credential:
            return await _till(data)
        lockout = request.app.state.lockout
        await lockout.attempt("sign-in", data.email)
        staff = await recognise(data.email, data.password)
        if staff is None:
            await audit(None, "session.refused", "session")
            raise WrongCredentials
        factor = await _second_factor(staff, data)
        await lockout.succeeded("sign-in", data.email)
        token = await open_session(request, staff.id, factor=factor)
        principal = staff_principal(staff, factor=factor)
        await audit(principal, "session.opened", f"staff:{staff.id}")
        return _signed_in(_shown(principal), SESSION_COOKIE, token)

    @get(summary="Who am I")
    async def show(self, request: Request[Principal, Any, Any]) -> SessionShown:
        return _shown(request.user)

    @delete(
        summary="Sign out",
        description="Of staff: a browser that is a till, too, is the till again. A till that signs out needs a new one-time code.",
        status_code=204,
    )
    async def sign_out(self, request: Request[Principal, Any, Any]) -> Response[None]:
        response: Response[None] = Response(None, status_code=204)
        if request.auth:
            await request.app.state.sessions.close(request.auth)
            response.delete_cookie(SESSION_COOKIE)
        else:
            response.delete_cookie(TILL_COOKIE)
        return response

    @get("/all", summary="My open sessions")
    async def sessions(self, request: Request[Principal, Any, Any]) -> SessionList:
        staff_id = request.user.own_account()
        return SessionList(items=await request.app.state.sessions.listed(staff_id, current=request.auth))

    @delete("/all", summary="Sign out everywhere else", status_code=204)
    async def revoke_others(self, request: Request[Principal, Any, Any]) -> None:
        await request.app.state.sessions.revoke(request.user.own_account(), keep=request.auth)
        await audit(request.user, "session.revoked", request.user.name)

    @delete("/all/{session_id:str}", summary="End one of my sessions", status_code=204)
    async def revoke(self, request: Request[Principal, Any, Any], session_id: FromPath[str]) -> None:
        if not await request.app.state.sessions.revoke(request.user.own_account(), session_id=session_id):
            raise NotFound(kind="session", name=session_id)
        await audit(request.user, "session.revoked", request.user.name)

    @put("/password", summary="Change my password", opt={"limit": "sign-in"}, status_code=204)
    async def change_password(self, request: Request[Principal, Any, Any], data: JSONBody[PasswordChange]) -> None:
        staff = await staff_by_id(request.user.own_account())
        await request.app.state.lockout.attempt("sign-in", staff.email)
        if await recognise(staff.email, data.current) is None:
            raise WrongCredentials
        await request.app.state.lockout.succeeded("sign-in", staff.email)
        await set_password(staff.id, data.password)
        await request.app.state.sessions.revoke(staff.id, keep=request.auth)
        await audit(request.user, "password.changed", request.user.name)

    @put("/pin", summary="Choose the PIN that opens my shifts", status_code=204)
    async def choose_pin(self, request: Request[Principal, Any, Any], data: JSONBody[PinChosen]) -> None:
        await set_pin(request.user.own_account(), data.pin)
        await audit(request.user, "pin.chosen", request.user.name)


async def _till(data: SignIn) -> Response[SessionShown]:
    if data.till_code:
        identity, credential = await take_up_enrolment(data.till_code, at=datetime.now(UTC))
        await audit(None, "till.enrolled", f"till:{identity.store}/{identity.till}")
        forget_credentials()
    else:
        found, credential = await identify_till(data.till_credential), data.till_credential
        if found is None:
            raise WrongCredentials
        identity = found
    return _signed_in(SessionShown(role="till", stores=[identity.store], till=identity.till), TILL_COOKIE, credential)


async def _second_factor(staff: StaffMember, data: SignIn) -> bool:
    """Whether a second factor was shown. Raises when the account has one and it was not, or was wrong."""
    if not await has_factor(staff.id):
        return False
    if not data.totp and not data.recovery_code:
        raise SecondFactorNeeded
    if not await show_factor(staff.id, data.totp, data.recovery_code, at=datetime.now(UTC)):
        await audit(None, "session.refused", f"staff:{staff.id}")
        raise WrongCode
    return True


def _shown(principal: Principal) -> SessionShown:
    return SessionShown(
        role=principal.role,
        stores=None if principal.stores is None else sorted(principal.stores),
        till=principal.till,
        second_factor_owed=principal.factor_missing,
    )


def _signed_in(shown: SessionShown, name: str, value: str) -> Response[SessionShown]:
    return Response(shown, status_code=201, cookies=[cookie(name, value)])
