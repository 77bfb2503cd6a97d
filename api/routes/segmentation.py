"""Runs, RFM and clusters."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, get
from litestar.params import QueryParameter

from api.routes.stores import Limit
from segmentation.rfm import RfmCell, grid
from segmentation.runs import RunRecord, newest_run, runs


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
        before: Annotated[int | None, QueryParameter(description="`next` of the page before.")] = None,
        limit: Limit = 50,
    ) -> RunPage:
        found = await runs(before=before, limit=limit)
        return RunPage(items=found, next=str(found[-1].id) if len(found) == limit else None)

    @get("/rfm", summary="The newest RFM scores")
    async def rfm(self) -> RfmShown:
        run = await newest_run("rfm")
        return RfmShown(
            run=run.id,
            as_of=run.as_of,
            edges=run.result["edges"],
            segments=run.result["segments"],
            grid=await grid(run.id),
        )

    @get("/clusters", summary="The newest clusters")
    async def clusters(self) -> ClustersShown:
        run = await newest_run("clusters")
        return ClustersShown(
            run=run.id,
            as_of=run.as_of,
            k=run.result["k"],
            churn=run.result["churn"],
            stability=run.quality["stability"],
            clusters=run.result["clusters"],
        )
