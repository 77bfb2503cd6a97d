"""Signing in and out: staff by password, a till's browser by the till's credential."""

from typing import Any

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody

from api.authentication import TILL_COOKIE
from api.errors import SignInNeeded, WrongCredentials
from api.permissions import Principal
from api.sessions import COOKIE
from settings import settings
from stores.staff import recognise
from stores.tills import identify_till


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either e-mail and password, or a till's credential."""

    email: str = ""
    password: str = ""
    till_credential: str = ""


class SessionShown(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in. `stores` is null where the whole chain is in view."""

    role: str
    stores: list[str] | None
    till: str | None


class SessionController(Controller):
    path = "/v1/session"
    tags = ("session",)

    @post(summary="Sign in", opt={"permission": "public"}, status_code=201)
    async def sign_in(self, request: Request[Any, Any, Any], data: JSONBody[SignIn]) -> Response[SessionShown]:
        if data.till_credential:
            identity = await identify_till(data.till_credential)
            if identity is None:
                raise WrongCredentials
            shown = SessionShown(role="till", stores=[identity.store], till=identity.till)
            return _signed_in(shown, TILL_COOKIE, data.till_credential)
        staff = await recognise(data.email, data.password)
        if staff is None:
            raise WrongCredentials
        token = await request.app.state.sessions.open(staff.id)
        return _signed_in(SessionShown(role=staff.role, stores=_listed(staff.stores), till=None), COOKIE, token)

    @get(summary="Who am I", opt={"permission": "session"})
    async def show(self, request: Request[Principal, Any, Any]) -> SessionShown:
        principal = request.user
        return SessionShown(role=principal.role, stores=_listed(principal.stores), till=principal.till)

    @delete(summary="Sign out", opt={"permission": "session"}, status_code=204)
    async def sign_out(self, request: Request[Principal, Any, Any]) -> Response[None]:
        if request.user is None:
            raise SignInNeeded
        if request.auth:
            await request.app.state.sessions.close(request.auth)
        response: Response[None] = Response(None, status_code=204)
        response.delete_cookie(COOKIE)
        response.delete_cookie(TILL_COOKIE)
        return response


def _listed(stores: frozenset[str] | None) -> list[str] | None:
    return None if stores is None else sorted(stores)


def _signed_in(shown: SessionShown, cookie: str, value: str) -> Response[SessionShown]:
    """Strict, so that no other site can act with the session; Secure wherever the pages are served over TLS."""
    secure = settings().base_url.startswith("https://")
    return Response(
        shown,
        status_code=201,
        cookies=[Cookie(key=cookie, value=value, httponly=True, samesite="strict", secure=secure, path="/")],
    )
