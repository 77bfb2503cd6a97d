"""Whether the process lives, and whether it can work."""

from typing import Any

import msgspec
from litestar import Controller, Request, Response, get
from redis.exceptions import RedisError

import database
from api.migrations import pending


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Each thing that is needed, and whether it is there. Without Redis or a worker tills go on selling: staff cannot sign in,
    and nothing is sent. `replica_lag_seconds` is null where no replica is configured or it does not answer."""

    ready: bool
    database: bool
    migrations: bool
    redis: bool
    worker: bool
    replica_lag_seconds: float | None = None


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    alive: bool = True


class HealthController(Controller):
    path = "/health"
    tags = ("operation",)
    opt = {"permission": "public", "limit": "none"}

    @get("/live", summary="The process answers")
    async def live(self) -> Alive:
        return Alive()

    @get("/ready", summary="The process can work")
    async def ready(self, request: Request[Any, Any, Any]) -> Response[Ready]:
        try:
            there = bool(await database.value("SELECT true"))
        except Exception:  # any failure means the same here: not ready
            there = False
        migrated = there and await _migrated()
        try:
            redis = await request.app.state.sessions.reachable()
            worker = (await request.app.state.queue.state()).workers > 0
        except (RedisError, OSError):
            redis = worker = False
        replica = request.app.state.get("replica")
        ready = Ready(
            ready=there and migrated,
            database=there,
            migrations=migrated,
            redis=redis,
            worker=worker,
            replica_lag_seconds=await replica.lag_seconds() if replica else None,
        )
        return Response(ready, status_code=200 if ready.ready else 503)


async def _migrated() -> bool:
    try:
        return not await pending()
    except Exception:  # as above
        return False
