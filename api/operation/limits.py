"""Rate limits: a sliding window per principal and per address, in Redis, in one round trip."""

import math
import time
from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.operation.logs import log
from api.operation.metrics import LIMITER_FAILED_OPEN

WINDOW_SECONDS: Final = 60

# Two counters a key: this minute's, and what is left of the last one's weight. Exact where traffic is even, and never off by
# more than what the last minute's unevenness allows; a list of every request's time would cost a hundred times the memory.
# Answers for each key what is left and how many seconds a refused caller has to wait; a refused request counts nowhere.
_HIT: Final = """
local now, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local slot = math.floor(now / window)
local share = 1 - (now - slot * window) / window
local answer, refused = {}, false
for i = 1, #KEYS do
  local here = tonumber(redis.call('GET', KEYS[i] .. ':' .. slot) or 0)
  local before = tonumber(redis.call('GET', KEYS[i] .. ':' .. (slot - 1)) or 0)
  local used = before * share + here
  local limit = tonumber(ARGV[2 + i])
  local wait = 0
  if used + 1 > limit then
    refused = true
    if here + 1 <= limit then wait = (share - (limit - 1 - here) / before) * window
    else wait = (share + math.max(0, 1 - (limit - 1) / here)) * window end
  end
  answer[2 * i - 1] = tostring(limit - used)
  answer[2 * i] = tostring(wait)
end
if not refused then
  for i = 1, #KEYS do
    redis.call('INCR', KEYS[i] .. ':' .. slot)
    redis.call('EXPIRE', KEYS[i] .. ':' .. slot, window * 2)
  end
end
return answer
"""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a caller stands with the tightest of its limits. `wait_seconds` above zero is a refusal."""

    kind: str
    limit: int
    remaining: int
    wait_seconds: int
    window_seconds: int


class Limiter:
    """Counts requests. Without Redis everything is let through, and counted as such: a till must not stand still for it."""

    def __init__(self, redis: Redis) -> None:
        self._hit = redis.register_script(_HIT)
        self._silent_until = 0.0

    async def hit(self, limits: dict[tuple[str, str], int]) -> Standing | None:
        """Count one request against each (kind, name) and its limit a minute; None when Redis does not answer."""
        # After a failure not every request waits for the next one.
        if time.monotonic() < self._silent_until:
            LIMITER_FAILED_OPEN.inc()
            return None
        now = time.time()
        try:
            answer = await self._hit(
                keys=[f"rate:{kind}:{name}" for kind, name in limits], args=[now, WINDOW_SECONDS, *limits.values()]
            )
        except (RedisError, OSError) as error:
            LIMITER_FAILED_OPEN.inc()
            self._silent_until = time.monotonic() + 5
            log().warning("rate limits are not counted: Redis does not answer", error=type(error).__name__)
            return None
        rest = math.ceil(WINDOW_SECONDS - now % WINDOW_SECONDS)
        standings = [
            Standing(
                kind=kind,
                limit=limit,
                remaining=max(0, int(float(left)) - 1),
                wait_seconds=math.ceil(float(wait)),
                window_seconds=rest,
            )
            for ((kind, _), limit), left, wait in zip(limits.items(), answer[::2], answer[1::2], strict=True)
        ]
        return max(standings, key=lambda standing: (standing.wait_seconds, -standing.remaining))
