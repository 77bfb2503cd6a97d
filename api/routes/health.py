"""Whether the process lives, and whether it can work."""

import msgspec
from litestar import Controller, Request, Response, get
from litestar.datastructures import State
from redis.exceptions import RedisError

import database


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Each server and whether it answers. Without Redis tills go on selling; only staff cannot sign in."""

    ready: bool
    database: bool
    redis: bool


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    alive: bool = True


class HealthController(Controller):
    path = "/health"
    tags = ("operation",)
    opt = {"permission": "public"}

    @get("/live", summary="The process answers")
    async def live(self) -> Alive:
        return Alive()

    @get("/ready", summary="The process can work")
    async def ready(self, request: Request[None, None, State]) -> Response[Ready]:
        try:
            there = await database.value("SELECT true")
        except Exception:  # any failure means the same here: not ready
            there = False
        try:
            redis = await request.app.state.sessions.reachable()
        except (RedisError, OSError):
            redis = False
        return Response(Ready(ready=there, database=there, redis=redis), status_code=200 if there else 503)
