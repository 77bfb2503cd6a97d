"""Confirming consent to e-mail by the link that was mailed."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody

from membership.opting_in import confirm


class OptInConfirmed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token of the link."""

    token: Annotated[str, msgspec.Meta(max_length=200)]


class OptInController(Controller):
    path = "/v1/opt-ins"
    tags = ("members",)
    opt = {"permission": "public", "limit": "sign-in"}

    @post("/confirm", summary="Confirm consent to e-mail by a mailed link", status_code=204)
    async def confirm(self, data: JSONBody[OptInConfirmed]) -> None:
        await confirm(data.token, at=datetime.now(UTC))
