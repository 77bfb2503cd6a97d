"""What operators look at: the audit log, the worker's jobs, metrics."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get
from litestar.params import QueryParameter

from api.access.permissions import Principal
from api.errors import NotPermitted
from api.exports import csv_answer
from api.operation.audit import AuditEntry, audit_entries
from api.operation.context import current_request
from api.operation.metrics import exposition
from api.paging import Cursor, Limit, number_at, page
from api.worker.queue import JobShown, QueueState

Actor = Annotated[
    str | None, QueryParameter(description="Only what this principal did, such as staff:7.", max_length=200)
]
Action = Annotated[str | None, QueryParameter(description="Only this action, such as staff.changed.", max_length=64)]
Object = Annotated[
    str | None,
    QueryParameter(name="object", description="Only what was done to this, such as store:KL01.", max_length=200),
]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Since = Annotated[Moment | None, QueryParameter(description="From this moment on.")]
Until = Annotated[Moment | None, QueryParameter(description="Before this moment.")]
EXPORTED_MAX = 100_000


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[AuditEntry]
    next: str | None


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of the last week, the newest first, and how the queue stands."""

    queue: QueueState
    items: list[JobShown]
    next: str | None = None


class OperationController(Controller):
    path = "/v1"
    tags = ("operation",)

    @get("/audit", summary="Who changed what, newest first", opt={"permission": "audit:read"})
    async def audit(
        self,
        cursor: Cursor = None,
        limit: Limit = 50,
        actor: Actor = None,
        action: Action = None,
        about: Object = None,
        since: Since = None,
        until: Until = None,
    ) -> AuditPage:
        found = await audit_entries(
            before=number_at(cursor),
            limit=limit + 1,
            actor=actor,
            action=action,
            about=about,
            since=since,
            until=until,
        )
        items, after = page(found, limit, lambda entry: [entry.id])
        return AuditPage(items=items, next=after)

    @get("/audit.csv", summary="The audit log as a file", opt={"permission": "audit:read"}, media_type="text/csv")
    async def audit_file(
        self,
        actor: Actor = None,
        action: Action = None,
        about: Object = None,
        since: Since = None,
        until: Until = None,
    ) -> Response[bytes]:
        found = await audit_entries(
            limit=EXPORTED_MAX, actor=actor, action=action, about=about, since=since, until=until
        )
        return csv_answer(
            "audit.csv",
            AuditEntry.__struct_fields__,
            ([getattr(entry, name) for name in AuditEntry.__struct_fields__] for entry in found),
        )

    @get("/jobs", summary="What the worker did, does and will do", opt={"permission": "operation:read"})
    async def jobs(self, request: Request[Principal, Any, Any]) -> JobList:
        queue = request.app.state.queue
        return JobList(queue=await queue.state(), items=await queue.listed())


class MetricsController(Controller):
    path = "/metrics"
    tags = ("operation",)
    opt = {"permission": "public", "limit": "none"}

    @get(
        summary="Metrics for Prometheus",
        description="For administrators, keys with the scope metrics:read, and whoever asks from this very machine without a proxy "
        "in between.",
        media_type="text/plain; version=0.0.4",
    )
    async def metrics(self, request: Request[Principal | None, Any, Any]) -> bytes:
        principal = request.user
        if not _from_here(request) and not (principal and principal.may("metrics:read")):
            raise NotPermitted(permission="metrics:read", role=principal.role if principal else "stranger")
        return await exposition(request.app.state.queue)


def _from_here(request: Request[Any, Any, Any]) -> bool:
    """Whether the scraper runs on this machine. A proxy that does says so by the header it adds."""
    forwarded = any(name in request.headers for name in ("x-forwarded-for", "forwarded", "via"))
    return current_request.get().address in ("127.0.0.1", "::1") and not forwarded
