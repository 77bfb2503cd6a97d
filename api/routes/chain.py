"""The chain's own settings."""

from typing import Any

from litestar import Controller, Request, Response, get, patch
from litestar.params import JSONBody

from api.access.permissions import Principal
from api.etags import IfMatch, check_match, etag_of, tagged
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from stores.chain import Chain, ChainChange, change_chain, the_chain


class ChainController(Controller):
    path = "/v1/chain"
    tags = ("stores",)
    opt = {"permission": "stores:read"}

    @get(summary="The chain's settings")
    async def show(self, request: Request[Principal, Any, Any]) -> Response[Chain]:
        return tagged(request, await the_chain())

    @patch(
        summary="Change the chain's settings",
        description="The currency stays: every amount there is is in it.",
        opt={"permission": "stores:write"},
    )
    async def change(
        self,
        request: Request[Principal, Any, Any],
        data: JSONBody[ChainChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Chain]:
        async def write() -> Chain:
            now = await the_chain(lock=True)
            check_match(if_match, now)
            became = await change_chain(data)
            await audit(request.user, "chain.changed", "chain", before=now, after=became)
            return became

        return await once(request, idempotency_key, write, status=200, tag=etag_of)
