"""Server-side sessions of staff, in Redis under a keyed hash of a random token: who can read Redis signs in as nobody, and who
can write it without the secret neither."""

import hashlib
import hmac
import time
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from settings import settings
from stores.credentials import new_secret

DAYS_MAX: Final = 7
ID_LENGTH: Final = 16


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in. `factor` says that the second factor was shown; times are Unix seconds."""

    staff_id: int
    factor: bool
    opened: int
    address: str = ""
    agent: str = ""


class SessionListed(msgspec.Struct, frozen=True, kw_only=True):
    """A session as its owner sees it. `id` names it for revoking and signs nobody in."""

    id: str
    opened_at: datetime
    address: str
    agent: str
    current: bool


class Sessions:
    """The session store of one process."""

    def __init__(self, redis: Redis, *, hours: int) -> None:
        # redis-py types its commands for both of its clients at once, so that none of them can be awaited.
        self._redis: Any = redis
        self._seconds = hours * 3600

    async def open(self, staff_id: int, *, factor: bool, address: str = "", agent: str = "") -> str:
        """A new session; its token goes into the cookie and nowhere else. Always a new one, so that a token which somebody
        planted before the sign-in is worth nothing after it."""
        token = new_secret()
        session = Session(staff_id=staff_id, factor=factor, opened=int(time.time()), address=address, agent=agent[:200])
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(_key(token), msgspec.json.encode(session), ex=self._seconds)
            pipe.sadd(_of_staff(staff_id), _hash(token))
            pipe.expire(_of_staff(staff_id), DAYS_MAX * 86400)
            await pipe.execute()
        return token

    async def find(self, token: str) -> Session | None:
        """Whose session a token is; being used keeps it alive, for a week at most."""
        found = await self._redis.getex(_key(token), ex=self._seconds)
        if not found:
            return None
        session = msgspec.json.decode(found, type=Session)
        if session.opened + DAYS_MAX * 86400 < time.time():
            await self.close(token)
            return None
        return session

    async def close(self, token: str) -> None:
        await self._redis.delete(_key(token))

    async def listed(self, staff_id: int, *, current: str | None = None) -> list[SessionListed]:
        """The open sessions of a member of staff, newest first."""
        hashes = [raw.decode() for raw in await self._redis.smembers(_of_staff(staff_id))]
        found = await self._redis.mget([f"session:{each}" for each in hashes]) if hashes else []
        here = _hash(current) if current else ""
        listed = []
        for each, raw in zip(hashes, found, strict=True):
            if raw is None:
                await self._redis.srem(_of_staff(staff_id), each)
                continue
            session = msgspec.json.decode(raw, type=Session)
            listed.append(
                SessionListed(
                    id=each[:ID_LENGTH],
                    opened_at=datetime.fromtimestamp(session.opened, UTC),
                    address=session.address,
                    agent=session.agent,
                    current=each == here,
                )
            )
        return sorted(listed, key=lambda session: (session.opened_at, session.id), reverse=True)

    async def revoke(self, staff_id: int, *, session_id: str | None = None, keep: str | None = None) -> int:
        """End one session by its id, or all of them but the one whose token is `keep`; how many ended."""
        kept = _hash(keep) if keep else None
        hashes = [raw.decode() for raw in await self._redis.smembers(_of_staff(staff_id))]
        ended = [each for each in hashes if each != kept and session_id in (None, each[:ID_LENGTH])]
        if not ended:
            return 0
        await self._redis.srem(_of_staff(staff_id), *ended)
        return int(await self._redis.delete(*[f"session:{each}" for each in ended]))

    async def reachable(self) -> bool:
        return bool(await self._redis.ping())


def connect_sessions(redis: Redis) -> Sessions:
    """Sessions in a Redis. Nothing connects before first use: a till needs none of it."""
    return Sessions(redis, hours=settings().session_hours)


def _hash(token: str) -> str:
    return hmac.new(settings().secret.encode(), token.encode(), hashlib.sha256).hexdigest()


def _key(token: str) -> str:
    return "session:" + _hash(token)


def _of_staff(staff_id: int) -> str:
    return f"sessions-of:{staff_id}"
