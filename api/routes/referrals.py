"""Members who bring members: the rule, and whom one has brought."""

from typing import Any

import msgspec
from litestar import Controller, Request, Response, get, patch
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.etags import IfMatch, check_match, etag_of, tagged
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from loyalty.referrals import ReferralRule, ReferralRuleChange, change_referral_rule, referral_rule
from membership.cards import member_of_card
from membership.profiles import profile
from membership.referring import Referral, referrals_of


class Referrals(msgspec.Struct, frozen=True, kw_only=True):
    """A member's own code, and whom they brought, the newest first."""

    code: str
    items: list[Referral]
    next: str | None = None


class ReferralController(Controller):
    path = "/v1"
    tags = ("members",)
    opt = {"permission": "members:policy"}

    @get("/referral-rule", summary="What bringing a member is worth")
    async def rule(self, request: Request[Principal, Any, Any]) -> Response[ReferralRule]:
        return tagged(request, await referral_rule())

    @patch("/referral-rule", summary="Change what bringing a member is worth")
    async def change(
        self,
        request: Request[Principal, Any, Any],
        data: JSONBody[ReferralRuleChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[ReferralRule]:
        async def write() -> ReferralRule:
            now = await referral_rule(lock=True)
            check_match(if_match, now)
            became = await change_referral_rule(data)
            await audit(request.user, "referral_rule.changed", "referral-rule", before=now, after=became)
            return became

        return await once(request, idempotency_key, write, status=200, tag=etag_of)

    @get(
        "/members/{number:str}/referrals",
        summary="A member's code, and whom they brought",
        opt={"permission": "members:read"},
    )
    async def of_member(self, number: FromPath[str]) -> Referrals:
        member_id = await member_of_card(number)
        return Referrals(code=(await profile(number)).referral_code, items=await referrals_of(member_id))
