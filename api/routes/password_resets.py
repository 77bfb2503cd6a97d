"""The way back in: a link by mail, for a password that was forgotten or never chosen."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, post
from litestar.background_tasks import BackgroundTask
from litestar.params import JSONBody

from api.access.links import mail_link, redeem_link
from api.operation.audit import audit
from stores.staff import staff_by_email


class ResetAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: str


class LinkRedeemed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token of a link that was mailed, and the password chosen."""

    token: str
    password: str


class PasswordController(Controller):
    path = "/v1/password-resets"
    tags = ("session",)
    opt = {"permission": "public", "limit": "sign-in"}

    @post(
        summary="Ask for a link to choose a new password",
        description="Answers the same, and as quickly, whether or not there is such an account.",
        status_code=204,
    )
    async def ask(self, request: Request[Any, Any, Any], data: JSONBody[ResetAsked]) -> Response[None]:
        await request.app.state.lockout.attempt("reset", data.email)
        # After the answer, so that it does not take longer where there is an account to write to.
        return Response(None, status_code=204, background=BackgroundTask(_write_to, data.email))

    @post("/redeem", summary="Choose a password by a link from an invitation or a reset", status_code=204)
    async def redeem(self, request: Request[Any, Any, Any], data: JSONBody[LinkRedeemed]) -> None:
        staff_id = await redeem_link(data.token, data.password, at=datetime.now(UTC))
        await request.app.state.sessions.revoke(staff_id)
        await audit(None, "password.chosen", f"staff:{staff_id}")


async def _write_to(email: str) -> None:
    staff = await staff_by_email(email)
    if staff is not None:
        await mail_link(staff, "reset", at=datetime.now(UTC))
