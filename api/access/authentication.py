"""Who is calling: a till or an integration by its credential, from PostgreSQL alone; staff by their session, from Redis."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from redis.exceptions import RedisError

from api.access.browser import SESSION_COOKIE, TILL_COOKIE
from api.access.keys import PREFIX, identify_key
from api.access.permissions import SECOND_FACTOR_ROLES, Principal
from api.access.sessions import Sessions
from api.errors import CrossOrigin, NotPermitted, SecondFactorOwed, SignInNeeded
from api.operation.context import header
from settings import settings
from stores.staff import StaffMember, staff_member
from stores.tills import CREDENTIAL_PREFIX, identify_till

CACHE_SECONDS: Final = 10.0
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# A till asks for every sale; looking its credential up each time would cost a round trip. Revoking takes effect in 10 s.
_known: dict[str, tuple[float, Principal]] = {}


class Authentication(AbstractAuthenticationMiddleware):
    """Puts the principal on the request; a missing or unknown credential is nobody."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        bearer = header(connection.scope, b"authorization").removeprefix("Bearer ").strip()
        if bearer.startswith(CREDENTIAL_PREFIX):
            return AuthenticationResult(user=await _cached(bearer, _till), auth=None)
        if bearer.startswith(PREFIX):
            return AuthenticationResult(user=await _cached(bearer, _key), auth=None)
        token, credential = connection.cookies.get(SESSION_COOKIE), connection.cookies.get(TILL_COOKIE)
        if token:
            try:
                staff = await _staff(connection.app.state.sessions, token)
            except RedisError:
                # Somebody signed in at a till, and Redis went away: the till sells on.
                if not credential:
                    raise
                staff = None
            if staff is not None or not credential:
                return AuthenticationResult(user=staff, auth=token)
        if credential:
            return AuthenticationResult(user=await _cached(credential, _till), auth=None)
        return AuthenticationResult(user=None, auth=None)


async def _cached(credential: str, identify: Callable[[str], Awaitable[Principal | None]]) -> Principal | None:
    cached = _known.get(credential)
    if cached and cached[0] > time.monotonic():
        return cached[1]
    principal = await identify(credential)
    if principal is None:
        _known.pop(credential, None)
        return None
    _known[credential] = (time.monotonic() + CACHE_SECONDS, principal)
    return principal


async def _till(credential: str) -> Principal | None:
    identity = await identify_till(credential)
    if identity is None:
        return None
    return Principal(
        name=f"till:{identity.store}/{identity.till}",
        role="till",
        stores=frozenset({identity.store}),
        till=identity.till,
        till_id=identity.till_id,
        staff_id=identity.staff_id,
    )


async def _key(secret: str) -> Principal | None:
    identity = await identify_key(secret, at=datetime.now(UTC))
    if identity is None:
        return None
    return Principal(
        name=f"key:{identity.id}",
        role="integration",
        stores=None if identity.stores is None else frozenset(identity.stores),
        scopes=frozenset(identity.scopes),
    )


async def _staff(sessions: Sessions, token: str) -> Principal | None:
    session = await sessions.find(token)
    staff = await staff_member(session.staff_id) if session is not None else None
    if session is None or staff is None:
        return None
    return staff_principal(staff, factor=session.factor)


def staff_principal(staff: StaffMember, *, factor: bool) -> Principal:
    """A member of staff, who showed a second factor or did not."""
    owed = settings().second_factor == "required" and staff.role in SECOND_FACTOR_ROLES and not factor
    return Principal(
        name=f"staff:{staff.id}", role=staff.role, stores=staff.stores, staff_id=staff.id, factor_missing=owed
    )


# Coroutines, though they wait for nothing: Litestar would run plain functions on a thread, one hop for each of them.
async def permission_guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raises `SignInNeeded`, `SecondFactorOwed` or `NotPermitted` unless the caller has the permission the route declares."""
    if connection.scope.get("method") == "OPTIONS":
        return  # answers with what there is, which /docs says too
    permission = str(handler.opt["permission"])
    if permission == "public":
        return
    principal: Principal | None = connection.scope.get("user")
    if principal is None:
        raise SignInNeeded
    if principal.may(permission):
        return
    if principal.factor_missing:
        raise SecondFactorOwed(role=principal.role)
    raise NotPermitted(permission=permission, role=principal.role)


async def same_origin_guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raises `CrossOrigin` when a browser says that another site's page makes it write.

    Browsers send Sec-Fetch-Site, and older ones Origin, with every such request; no script can forge either, and programs
    that are no browser send neither. Together with SameSite=Strict cookies this needs no token in every form.
    """
    if connection.scope.get("method") in _SAFE:
        return
    site = header(connection.scope, b"sec-fetch-site")
    if site:
        if site not in ("same-origin", "none"):
            raise CrossOrigin
        return
    origin = header(connection.scope, b"origin")
    if origin and origin.partition("://")[2] != header(connection.scope, b"host"):
        raise CrossOrigin


def forget_credentials() -> None:
    """Drop what is known of tills and keys: for a process that turns to another database, or has just changed one."""
    _known.clear()
