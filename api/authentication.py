"""Who is calling: a till by its credential, from PostgreSQL alone; staff by their session, from Redis."""

import time
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from api.errors import NotPermitted, SignInNeeded
from api.permissions import Principal
from api.sessions import COOKIE, Sessions
from stores.staff import staff_member
from stores.tills import CREDENTIAL_PREFIX, identify_till

TILL_COOKIE: Final = "regulars_till"
TILL_CACHE_SECONDS: Final = 10.0

# A till asks for every sale; looking its credential up each time would cost a round trip. Revoking takes effect in 10 s.
_tills: dict[str, tuple[float, Principal]] = {}


class Authentication(AbstractAuthenticationMiddleware):
    """Puts the principal on the request; a missing or unknown credential is nobody."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        bearer = connection.headers.get("authorization", "")
        credential = bearer.removeprefix("Bearer ").strip() or connection.cookies.get(TILL_COOKIE, "")
        if credential.startswith(CREDENTIAL_PREFIX):
            return AuthenticationResult(user=await _till(credential), auth=None)
        token = connection.cookies.get(COOKIE)
        if token:
            return AuthenticationResult(user=await _staff(connection.app.state.sessions, token), auth=token)
        return AuthenticationResult(user=None, auth=None)


async def _till(credential: str) -> Principal | None:
    cached = _tills.get(credential)
    if cached and cached[0] > time.monotonic():
        return cached[1]
    identity = await identify_till(credential)
    if identity is None:
        return None
    principal = Principal(
        name=f"till:{identity.store}/{identity.till}",
        role="till",
        stores=frozenset({identity.store}),
        till=identity.till,
    )
    _tills[credential] = (time.monotonic() + TILL_CACHE_SECONDS, principal)
    return principal


async def _staff(sessions: Sessions, token: str) -> Principal | None:
    staff_id = await sessions.staff_id(token)
    staff = await staff_member(staff_id) if staff_id is not None else None
    if staff is None:
        return None
    return Principal(name=f"staff:{staff.id}", role=staff.role, stores=staff.stores, staff_id=staff.id)


def permission_guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raises `SignInNeeded` or `NotPermitted` unless the caller has the permission that the route declares."""
    permission = str(handler.opt["permission"])
    if permission == "public":
        return
    principal: Principal | None = connection.scope.get("user")
    if principal is None:
        raise SignInNeeded
    if not principal.may(permission):
        raise NotPermitted(permission=permission, role=principal.role)


def forget_tills() -> None:
    """Drop what is known of tills: for a process that turns to another database."""
    _tills.clear()
