"""The chain's rules for its members."""

from typing import Any

from litestar import Controller, Request, Response, get, patch
from litestar.params import JSONBody

from api.access.permissions import Principal
from api.etags import IfMatch, check_match, etag_of, tagged
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from membership.policy import MemberPolicy, MemberPolicyChange, change_member_policy, member_policy


class MemberPolicyController(Controller):
    path = "/v1/member-policy"
    tags = ("members",)
    opt = {"permission": "members:policy"}

    @get(summary="The chain's rules for its members")
    async def show(self, request: Request[Principal, Any, Any]) -> Response[MemberPolicy]:
        return tagged(request, await member_policy())

    @patch(summary="Change the chain's rules for its members")
    async def change(
        self,
        request: Request[Principal, Any, Any],
        data: JSONBody[MemberPolicyChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[MemberPolicy]:
        async def write() -> MemberPolicy:
            now = await member_policy(lock=True)
            check_match(if_match, now)
            became = await change_member_policy(data)
            await audit(request.user, "member_policy.changed", "member-policy", before=now, after=became)
            return became

        return await once(request, idempotency_key, write, status=200, tag=etag_of)
