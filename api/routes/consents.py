"""Consent: as it stands, and what a member says."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.privacy.views import seen_by
from membership.cards import member_of_card
from membership.consent import ConsentGiven, CurrentConsent, current_consents, record_consent
from membership.opting_in import ConsentAsked, waiting_of
from stores.branches import store_id_of


class ConsentList(msgspec.Struct, frozen=True, kw_only=True):
    """What holds, and what waits for its confirmation by e-mail."""

    items: list[CurrentConsent]
    waiting: list[ConsentAsked] = []
    next: str | None = None


class ConsentController(Controller):
    path = "/v1/members"
    tags = ("members",)
    opt = {"permission": "members:read"}

    @get("/{number:str}/consents", summary="Consents as they stand")
    async def consents(self, request: Request[Principal, Any, Any], number: FromPath[str]) -> ConsentList:
        return await _consents(await seen_by(request, number, "consents"))

    @post(
        "/{number:str}/consents",
        summary="Give or withdraw consent",
        opt={"permission": "members:consent"},
        status_code=201,
    )
    async def consent(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[ConsentGiven],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[ConsentList]:
        async def write() -> ConsentList:
            member_id = await member_of_card(number)
            source = "till" if request.user.till else "staff"
            await record_consent(
                member_id,
                data,
                source=source,
                staff_id=request.user.staff_id,
                store_id=await store_id_of(request.user.here),
                at=datetime.now(UTC),
            )
            return await _consents(member_id)

        return await once(request, idempotency_key, write)


async def _consents(member_id: int) -> ConsentList:
    return ConsentList(items=await current_consents(member_id), waiting=await waiting_of(member_id, datetime.now(UTC)))
