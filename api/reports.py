"""Reports over HTTP: read from the replica where there is one, and saying how fresh they are."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from litestar import MediaType, Request, Response

from replicas import PRIMARY, Freshness, Replica

Result = TypeVar("Result")


async def from_replica(
    request: Request[Any, Any, Any], read: Callable[[], Awaitable[Result]]
) -> tuple[Result, Freshness]:
    """What a report finds, and how fresh it is."""
    replica: Replica | None = request.app.state.get("replica")
    return (await read(), PRIMARY) if replica is None else await replica.report(read)


async def report_answer(request: Request[Any, Any, Any], read: Callable[[], Awaitable[Result]]) -> Response[Result]:
    """A report with where it was read and how many seconds it may lie behind, in headers."""
    found, freshness = await from_replica(request, read)
    return Response(
        found,
        media_type=MediaType.JSON,
        headers={"Data-Source": freshness.source, "Data-Lag-Seconds": f"{freshness.lag_seconds:.1f}"},
    )
