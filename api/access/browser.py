"""What a browser is given to hold: the session of a member of staff, the credential of a till."""

from typing import Any, Final

from litestar import Request
from litestar.datastructures import Cookie

from api.operation.context import current_request
from settings import settings

SESSION_COOKIE: Final = "regulars_session"
TILL_COOKIE: Final = "regulars_till"
TILL_COOKIE_DAYS: Final = 400  # as long as browsers keep any; opening the till's page begins it anew


def cookie(name: str, value: str) -> Cookie:
    """Strict, so that no other site can act with it; Secure wherever the pages are served over TLS. A session ends with the
    browser, a till's credential does not."""
    return Cookie(
        key=name,
        value=value,
        httponly=True,
        samesite="strict",
        secure=settings().base_url.startswith("https://"),
        path="/",
        max_age=TILL_COOKIE_DAYS * 86_400 if name == TILL_COOKIE else None,
    )


async def open_session(request: Request[Any, Any, Any], staff_id: int, *, factor: bool) -> str:
    """A session in place of the one that this browser may have; its token."""
    if request.auth:
        await request.app.state.sessions.close(request.auth)
    token: str = await request.app.state.sessions.open(
        staff_id,
        factor=factor,
        address=current_request.get().address,
        agent=request.headers.get("user-agent", ""),
    )
    return token
