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
# Answers for each key what is left and how many seconds a refused caller has to wait, and then how many requests were counted: as
# many as asked for where all limits allow, else one, else none.
_HIT: Final = """
local now, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local slot = math.floor(now / window)
local share = 1 - (now - slot * window) / window
local answer, granted = {}, tonumber(ARGV[3])
for i = 1, #KEYS do
  local here = tonumber(redis.call('GET', KEYS[i] .. ':' .. slot) or 0)
  local before = tonumber(redis.call('GET', KEYS[i] .. ':' .. (slot - 1)) or 0)
  local used = before * share + here
  local limit = tonumber(ARGV[3 + i])
  local wait = 0
  if used + granted > limit then granted = math.min(granted, 1) end
  if used + 1 > limit then
    granted = 0
    if here + 1 <= limit then wait = (share - (limit - 1 - here) / before) * window
    else wait = (share + math.max(0, 1 - (limit - 1) / here)) * window end
  end
  answer[2 * i - 1] = tostring(limit - used)
  answer[2 * i] = tostring(wait)
end
if granted > 0 then
  for i = 1, #KEYS do
    redis.call('INCRBY', KEYS[i] .. ':' .. slot, granted)
    redis.call('EXPIRE', KEYS[i] .. ':' .. slot, window * 2)
  end
end
answer[2 * #KEYS + 1] = tostring(granted)
return answer
"""
# A process asks for a hundredth of a limit at once, ten at most, and lets as many through before it asks again: nobody gets more than
# the limit, and a till's sales pay for one round trip in ten.
LEASED_MAX: Final = 10
LEASE_SECONDS: Final = 5.0
LEASES_KEPT: Final = 10_000


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a caller stands with the tightest of its limits. `wait_seconds` above zero is a refusal."""

    kind: str
    limit: int
    remaining: int
    wait_seconds: int
    window_seconds: int


class _Lease(msgspec.Struct, kw_only=True):
    """Requests that are counted already and may still be made."""

    standing: Standing
    left: int
    until: float


class Limiter:
    """Counts requests. Without Redis everything is let through, and counted as such: a till must not stand still for it."""

    def __init__(self, redis: Redis) -> None:
        self._hit = redis.register_script(_HIT)
        self._silent_until = 0.0
        self._leases: dict[tuple[tuple[str, str], ...], _Lease] = {}

    async def hit(self, limits: dict[tuple[str, str], int]) -> Standing | None:
        """Count one request against each (kind, name) and its limit a minute; None when Redis does not answer."""
        # After a failure not every request waits for the next one.
        if time.monotonic() < self._silent_until:
            LIMITER_FAILED_OPEN.inc()
            return None
        now, key = time.time(), tuple(limits)
        lease = self._leases.get(key)
        if lease is not None and lease.left > 0 and now < lease.until:
            lease.left -= 1
            return msgspec.structs.replace(lease.standing, remaining=lease.standing.remaining + lease.left)
        wanted = max(1, min(LEASED_MAX, *(limit // 100 for limit in limits.values())))
        try:
            answer = await self._hit(
                keys=[f"rate:{kind}:{name}" for kind, name in limits],
                args=[now, WINDOW_SECONDS, wanted, *limits.values()],
            )
        except (RedisError, OSError) as error:
            LIMITER_FAILED_OPEN.inc()
            self._silent_until = time.monotonic() + 5
            log().warning("rate limits are not counted: Redis does not answer", error=type(error).__name__)
            return None
        granted = int(answer.pop())
        rest = math.ceil(WINDOW_SECONDS - now % WINDOW_SECONDS)
        standings = [
            Standing(
                kind=kind,
                limit=limit,
                remaining=max(0, int(float(left)) - granted),
                wait_seconds=math.ceil(float(wait)),
                window_seconds=rest,
            )
            for ((kind, _), limit), left, wait in zip(limits.items(), answer[::2], answer[1::2], strict=True)
        ]
        tightest = max(standings, key=lambda standing: (standing.wait_seconds, -standing.remaining))
        if granted > 1:
            if len(self._leases) >= LEASES_KEPT:
                self._leases.clear()
            until = now + min(LEASE_SECONDS, WINDOW_SECONDS - now % WINDOW_SECONDS)
            self._leases[key] = _Lease(standing=tightest, left=granted - 1, until=until)
            return msgspec.structs.replace(tightest, remaining=tightest.remaining + granted - 1)
        return tightest
