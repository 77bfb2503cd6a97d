"""Signing in and out, and what staff look after themselves: password, second factor, PIN, open sessions."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, delete, get, post, put
from litestar.datastructures import Cookie
from litestar.params import FromPath, JSONBody

from api.access.authentication import TILL_COOKIE, forget_credentials, staff_principal
from api.access.links import mail_link, redeem_link
from api.access.permissions import Principal
from api.access.second_factor import (
    FactorOffered,
    check_code,
    confirm_factor,
    forget_factor,
    has_factor,
    offer_factor,
    spend_recovery_code,
)
from api.access.sessions import COOKIE, SessionListed
from api.errors import NotPermitted, SecondFactorNeeded, WrongCode, WrongCredentials
from api.operation.audit import audit
from api.operation.context import current_request
from errors import NotFound
from settings import settings
from stores.shifts import set_pin
from stores.staff import StaffMember, recognise, set_password, staff_by_email, staff_by_id
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


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    current: str
    password: str


class PinChosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Six to twelve digits, for opening shifts at a till."""

    pin: str


class ResetAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: str


class LinkRedeemed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token of a link that was mailed, and the password chosen."""

    token: str
    password: str


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
        token = await _open(request, staff.id, factor=factor)
        principal = staff_principal(staff, factor=factor)
        await audit(principal, "session.opened", f"staff:{staff.id}")
        return _signed_in(_shown(principal), COOKIE, token)

    @get(summary="Who am I")
    async def show(self, request: Request[Principal, Any, Any]) -> SessionShown:
        return _shown(request.user)

    @delete(summary="Sign out", status_code=204)
    async def sign_out(self, request: Request[Principal, Any, Any]) -> Response[None]:
        if request.auth:
            await request.app.state.sessions.close(request.auth)
        response: Response[None] = Response(None, status_code=204)
        response.delete_cookie(COOKIE)
        response.delete_cookie(TILL_COOKIE)
        return response

    @get("/all", summary="My open sessions")
    async def sessions(self, request: Request[Principal, Any, Any]) -> SessionList:
        staff_id = _staff_id(request)
        return SessionList(items=await request.app.state.sessions.listed(staff_id, current=request.auth))

    @delete("/all", summary="Sign out everywhere else", status_code=204)
    async def revoke_others(self, request: Request[Principal, Any, Any]) -> None:
        await request.app.state.sessions.revoke(_staff_id(request), keep=request.auth)
        await audit(request.user, "session.revoked", request.user.name)

    @delete("/all/{session_id:str}", summary="End one of my sessions", status_code=204)
    async def revoke(self, request: Request[Principal, Any, Any], session_id: FromPath[str]) -> None:
        if not await request.app.state.sessions.revoke(_staff_id(request), session_id=session_id):
            raise NotFound(kind="session", name=session_id)
        await audit(request.user, "session.revoked", request.user.name)

    @post(
        "/second-factor",
        summary="Begin to set up a second factor",
        description="Answers with the secret as text, link and QR. It counts once it is confirmed; one that is there already counts "
        "until then, and has to be shown to begin with.",
        opt={"limit": "sign-in"},
        status_code=201,
    )
    async def offer_factor(self, request: Request[Principal, Any, Any], data: JSONBody[FactorAsked]) -> FactorOffered:
        staff = await staff_by_id(_staff_id(request))
        if await has_factor(staff.id):
            await _prove(request, staff.id, data)
        return await offer_factor(staff.id, staff.email)

    @post(
        "/second-factor/confirm",
        summary="Confirm the second factor by its first code",
        opt={"limit": "sign-in"},
        status_code=200,
    )
    async def confirm_factor(
        self, request: Request[Principal, Any, Any], data: JSONBody[CodeShown]
    ) -> Response[RecoveryCodes]:
        staff_id, now = _staff_id(request), datetime.now(UTC)
        await request.app.state.lockout.attempt("second-factor", str(staff_id))
        codes = await confirm_factor(staff_id, data.totp, at=now)
        await request.app.state.lockout.succeeded("second-factor", str(staff_id))
        await audit(request.user, "second_factor.confirmed", request.user.name)
        # A new session for the new standing; every other one of the account was without the factor.
        await request.app.state.sessions.revoke(staff_id)
        token = await _open(request, staff_id, factor=True)
        return Response(RecoveryCodes(recovery_codes=codes), status_code=200, cookies=[_cookie(COOKIE, token)])

    @post("/second-factor/remove", summary="Do without a second factor, where the role may", status_code=204)
    async def remove_factor(self, request: Request[Principal, Any, Any], data: JSONBody[FactorAsked]) -> None:
        staff_id = _staff_id(request)
        await _prove(request, staff_id, data)
        await forget_factor(staff_id)
        await audit(request.user, "second_factor.removed", request.user.name)

    @put("/password", summary="Change my password", opt={"limit": "sign-in"}, status_code=204)
    async def change_password(self, request: Request[Principal, Any, Any], data: JSONBody[PasswordChange]) -> None:
        staff = await staff_by_id(_staff_id(request))
        await request.app.state.lockout.attempt("sign-in", staff.email)
        if await recognise(staff.email, data.current) is None:
            raise WrongCredentials
        await request.app.state.lockout.succeeded("sign-in", staff.email)
        await set_password(staff.id, data.password)
        await request.app.state.sessions.revoke(staff.id, keep=request.auth)
        await audit(request.user, "password.changed", request.user.name)

    @put("/pin", summary="Choose the PIN that opens my shifts", status_code=204)
    async def choose_pin(self, request: Request[Principal, Any, Any], data: JSONBody[PinChosen]) -> None:
        await set_pin(_staff_id(request), data.pin)
        await audit(request.user, "pin.chosen", request.user.name)


class PasswordController(Controller):
    path = "/v1/password-resets"
    tags = ("session",)
    opt = {"permission": "public", "limit": "sign-in"}

    @post(
        summary="Ask for a link to choose a new password",
        description="Answers the same, and as quickly, whether or not there is such an account.",
        status_code=204,
    )
    async def ask(self, request: Request[Any, Any, Any], data: JSONBody[ResetAsked]) -> None:
        await request.app.state.lockout.attempt("reset", data.email)
        staff = await staff_by_email(data.email)
        if staff is not None:
            await mail_link(staff, "reset", at=datetime.now(UTC))

    @post("/redeem", summary="Choose a password by a link from an invitation or a reset", status_code=204)
    async def redeem(self, request: Request[Any, Any, Any], data: JSONBody[LinkRedeemed]) -> None:
        staff_id = await redeem_link(data.token, data.password, at=datetime.now(UTC))
        await request.app.state.sessions.revoke(staff_id)
        await audit(None, "password.chosen", f"staff:{staff_id}")


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
    if not await _shown_factor(staff.id, data.totp, data.recovery_code):
        await audit(None, "session.refused", f"staff:{staff.id}")
        raise WrongCode
    return True


async def _prove(request: Request[Principal, Any, Any], staff_id: int, data: FactorAsked) -> None:
    await request.app.state.lockout.attempt("second-factor", str(staff_id))
    if not await _shown_factor(staff_id, data.totp, data.recovery_code):
        raise WrongCode
    await request.app.state.lockout.succeeded("second-factor", str(staff_id))


async def _shown_factor(staff_id: int, totp: str, recovery_code: str) -> bool:
    now = datetime.now(UTC)
    if totp:
        return await check_code(staff_id, totp, at=now)
    return await spend_recovery_code(staff_id, recovery_code, at=now)


async def _open(request: Request[Any, Any, Any], staff_id: int, *, factor: bool) -> str:
    if request.auth:
        await request.app.state.sessions.close(request.auth)
    return str(
        await request.app.state.sessions.open(
            staff_id,
            factor=factor,
            address=current_request.get().address,
            agent=request.headers.get("user-agent", ""),
        )
    )


def _staff_id(request: Request[Principal, Any, Any]) -> int:
    """The member of staff who is signed in themselves: no till in their shift, and no key."""
    if request.user.staff_id is None or not request.user.name.startswith("staff:"):
        raise NotPermitted(permission="session", role=request.user.role)
    return request.user.staff_id


def _shown(principal: Principal) -> SessionShown:
    return SessionShown(
        role=principal.role,
        stores=None if principal.stores is None else sorted(principal.stores),
        till=principal.till,
        second_factor_owed=principal.factor_missing,
    )


def _signed_in(shown: SessionShown, cookie: str, value: str) -> Response[SessionShown]:
    return Response(shown, status_code=201, cookies=[_cookie(cookie, value)])


def _cookie(name: str, value: str) -> Cookie:
    """Strict, so that no other site can act with the session; Secure wherever the pages are served over TLS. A till keeps its
    credential for years: browsers hold a cookie for 400 days, and each start renews it."""
    secure = settings().base_url.startswith("https://")
    age = 400 * 86_400 if name == TILL_COOKIE else None
    return Cookie(key=name, value=value, httponly=True, samesite="strict", secure=secure, path="/", max_age=age)
