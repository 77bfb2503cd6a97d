"""Campaigns: draft, launch, result."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from api.paging import Cursor, Limit, number_at, page
from api.reports import report_answer
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
            drafted = await campaign(await draft(data, point_value=(await the_programme()).point_value))
            await audit(request.user, "campaign.drafted", f"campaign:{drafted.id}", after=drafted)
            return drafted

        return await once(request, idempotency_key, write)

    @get(summary="Campaigns, newest first")
    async def index(
        self,
        cursor: Cursor = None,
        limit: Limit = 50,
        status: Annotated[
            str | None, QueryParameter(description="Only campaigns in this state.", max_length=32)
        ] = None,
    ) -> CampaignPage:
        found = await campaigns(before=number_at(cursor), limit=limit + 1, status=status)
        items, after = page(found, limit, lambda campaign: [campaign.id])
        return CampaignPage(items=items, next=after)

    @get("/{campaign_id:int}", summary="One campaign")
    async def show(self, campaign_id: FromPath[int]) -> Campaign:
        return await campaign(campaign_id)

    @post(
        "/{campaign_id:int}/launch",
        summary="Fix audience and control, reserve the budget, queue the messages",
        description="Sending is long work: the worker begins with it within a minute.",
        opt={"permission": "campaigns:write"},
        status_code=200,
    )
    async def launch(
        self, request: Request[Principal, Any, Any], campaign_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[Launched]:
        async def write() -> Launched:
            launched = await launch(campaign_id, at=datetime.now(UTC))
            await audit(request.user, "campaign.launched", f"campaign:{campaign_id}", after=launched)
            return launched

        return await once(request, idempotency_key, write, status=200)

    @get("/{campaign_id:int}/report", summary="Expected beside actual, and the effect against the control")
    async def report(
        self, request: Request[Principal, Any, Any], campaign_id: FromPath[int]
    ) -> Response[CampaignReport]:
        async def read() -> CampaignReport:
            return await report(campaign_id, at=datetime.now(UTC))

        return await report_answer(request, read)
