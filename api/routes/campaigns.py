"""Campaigns: draft, launch, result."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.idempotency import IdempotencyKey, once
from api.permissions import Principal
from api.routes.stores import Limit
from campaigns.launch import Launched, launch
from campaigns.planning import Campaign, Draft, campaign, campaigns, draft
from campaigns.report import CampaignReport, report
from loyalty.programme import the_programme


class CampaignPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Campaign]
    next: str | None


class CampaignController(Controller):
    path = "/v1/campaigns"
    tags = ("campaigns",)
    opt = {"permission": "campaigns:read"}

    @post(summary="Draft a campaign to one RFM segment", opt={"permission": "campaigns:write"}, status_code=201)
    async def draft(
        self, request: Request[Principal, Any, Any], data: JSONBody[Draft], idempotency_key: IdempotencyKey = ""
    ) -> Response[Campaign]:
        async def write() -> Campaign:
            return await campaign(await draft(data, point_value=(await the_programme()).point_value))

        return await once(request, idempotency_key, write)

    @get(summary="Campaigns, newest first")
    async def index(
        self,
        before: Annotated[int | None, QueryParameter(description="`next` of the page before.")] = None,
        limit: Limit = 50,
    ) -> CampaignPage:
        found = await campaigns(before=before, limit=limit)
        return CampaignPage(items=found, next=str(found[-1].id) if len(found) == limit else None)

    @get("/{campaign_id:int}", summary="One campaign")
    async def show(self, campaign_id: FromPath[int]) -> Campaign:
        return await campaign(campaign_id)

    @post(
        "/{campaign_id:int}/launch",
        summary="Fix audience and control, reserve the budget, queue the messages",
        description="Sending is long work: `regulars campaign launch ID` queues and sends.",
        opt={"permission": "campaigns:write"},
        status_code=200,
    )
    async def launch(
        self, request: Request[Principal, Any, Any], campaign_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[Launched]:
        async def write() -> Launched:
            return await launch(campaign_id, at=datetime.now(UTC))

        return await once(request, idempotency_key, write, status=200)

    @get("/{campaign_id:int}/report", summary="Expected beside actual, and the effect against the control")
    async def report(self, campaign_id: FromPath[int]) -> CampaignReport:
        return await report(campaign_id, at=datetime.now(UTC))
