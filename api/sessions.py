"""Server-side sessions of staff, in Redis under a keyed hash of a random token: who can read Redis signs in as nobody, and who
can write it without the secret neither."""

import hashlib
import hmac
import secrets

from redis.asyncio import Redis

import embedded
from settings import settings

COOKIE = "regulars_session"


class Sessions:
    """The session store of one process."""

    def __init__(self, redis: Redis, *, hours: int) -> None:
        self._redis, self._seconds = redis, hours * 3600

    async def open(self, staff_id: int) -> str:
        """A new session; its token goes into the cookie and nowhere else."""
        token = secrets.token_urlsafe(32)
        await self._redis.set(_key(token), staff_id, ex=self._seconds)
        return token

    async def staff_id(self, token: str) -> int | None:
        """Whose session a token is; being used keeps it alive."""
        found = await self._redis.getex(_key(token), ex=self._seconds)
        return int(found) if found else None

    async def close(self, token: str) -> None:
        await self._redis.delete(_key(token))

    async def reachable(self) -> bool:
        return bool(await self._redis.ping())

    async def disconnect(self) -> None:
        await self._redis.aclose()


def connect_sessions() -> Sessions:
    """Sessions in the configured Redis, or the embedded one. Connects on first use: a till needs none of it."""
    url = settings().redis_url or embedded.redis_url(settings().home)
    return Sessions(Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2), hours=settings().session_hours)


def _key(token: str) -> str:
    return "session:" + hmac.new(settings().secret.encode(), token.encode(), hashlib.sha256).hexdigest()
