"""Guessing slows down: after a few wrong answers an account waits, each time twice as long."""

import hashlib
import hmac
from typing import Final

from redis.asyncio import Redis

from api.errors import TooManyAttempts
from settings import settings

FREE_ATTEMPTS: Final = 5
FIRST_WAIT_SECONDS: Final = 30
WAIT_SECONDS_MAX: Final = 3600
MEMORY_SECONDS: Final = 86_400

# An attempt is counted before it is known to fail, so that a thousand at once are not all let through.
_ATTEMPT: Final = """
local waiting = redis.call('PTTL', KEYS[2])
if waiting > 0 then return waiting end
local attempts = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[4])
if attempts >= tonumber(ARGV[1]) then
  local wait = math.min(tonumber(ARGV[2]) * 2 ^ (attempts - tonumber(ARGV[1])), tonumber(ARGV[3]))
  redis.call('SET', KEYS[2], 1, 'EX', wait)
end
return 0
"""


class Lockout:
    """Counts attempts by a keyed hash of the name, whether anybody goes by that name or not."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._attempt = redis.register_script(_ATTEMPT)

    async def attempt(self, kind: str, name: str) -> None:
        """Count an attempt. Raises `TooManyAttempts` with the seconds to wait."""
        waiting = await self._attempt(
            keys=_keys(kind, name), args=[FREE_ATTEMPTS, FIRST_WAIT_SECONDS, WAIT_SECONDS_MAX, MEMORY_SECONDS]
        )
        if int(waiting) > 0:
            raise TooManyAttempts(seconds=-(-int(waiting) // 1000))

    async def succeeded(self, kind: str, name: str) -> None:
        """Forget the attempts before."""
        await self._redis.delete(*_keys(kind, name))


def _keys(kind: str, name: str) -> list[str]:
    hashed = hmac.new(
        settings().secret.encode(), f"{kind}\n{name.strip().lower()}".encode(), hashlib.sha256
    ).hexdigest()
    return [f"attempts:{hashed}", f"locked:{hashed}"]
