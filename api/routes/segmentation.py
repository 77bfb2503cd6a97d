"""Runs, RFM and clusters."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get
from litestar.params import QueryParameter

from api.access.permissions import Principal
from api.paging import Cursor, Limit, number_at, page
from api.reports import report_answer
from segmentation.rfm import RfmCell, grid
from segmentation.runs import Kind, RunRecord, newest_run, runs


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[RunRecord]
    next: str | None


class RfmShown(msgspec.Struct, frozen=True, kw_only=True):
    """The newest scores: as of when, the quintile edges (days, receipts, minor units), segments and the grid."""

    run: int
    as_of: datetime
    edges: dict[str, list[int]]
    segments: list[dict[str, Any]]
    grid: list[RfmCell]


class ClustersShown(msgspec.Struct, frozen=True, kw_only=True):
    """The newest clustering: how stable each k was, and each cluster in words."""

    run: int
    as_of: datetime
    k: int
    churn: float | None
    stability: dict[str, float]
    clusters: list[dict[str, Any]]


class SegmentationController(Controller):
    path = "/v1"
    tags = ("segmentation",)
    opt = {"permission": "segmentation:read"}

    @get("/segmentation/runs", summary="Every computation, newest first")
    async def runs(
        self,
        request: Request[Principal, Any, Any],
        cursor: Cursor = None,
        limit: Limit = 50,
        kind: Annotated[Kind | None, QueryParameter(description="Only runs of this kind.")] = None,
    ) -> Response[RunPage]:
        async def read() -> RunPage:
            found = await runs(kind=kind, before=number_at(cursor), limit=limit + 1)
            items, after = page(found, limit, lambda run: [run.id])
            return RunPage(items=items, next=after)

        return await report_answer(request, read)

    @get("/rfm", summary="The newest RFM scores")
    async def rfm(self, request: Request[Principal, Any, Any]) -> Response[RfmShown]:
        async def read() -> RfmShown:
            run = await newest_run("rfm")
            return RfmShown(
                run=run.id,
                as_of=run.as_of,
                edges=run.result["edges"],
                segments=run.result["segments"],
                grid=await grid(run.id),
            )

        return await report_answer(request, read)

    @get("/clusters", summary="The newest clusters")
    async def clusters(self, request: Request[Principal, Any, Any]) -> Response[ClustersShown]:
        async def read() -> ClustersShown:
            run = await newest_run("clusters")
            return ClustersShown(
                run=run.id,
                as_of=run.as_of,
                k=run.result["k"],
                churn=run.result["churn"],
                stability=run.quality["stability"],
                clusters=run.result["clusters"],
            )

        return await report_answer(request, read)
