"""The process's connection to Redis, and what of ours lives in it."""

from typing import Any

from redis.asyncio import Redis

import embedded
from api.access.lockout import Lockout
from api.access.sessions import connect_sessions
from api.operation.limits import Limiter
from api.worker.queue import JobQueue
from settings import settings


def redis_address() -> str:
    """Where Redis is: as configured, or the embedded one."""
    return settings().redis_url or embedded.redis_url(settings().home)


def connect_redis() -> Redis:
    """A client of Redis. Connects on first use: a till needs none of it."""
    return Redis.from_url(redis_address(), socket_timeout=2, socket_connect_timeout=2)


def use_redis(state: Any, redis: Redis) -> None:
    """Give an application everything that it keeps in Redis."""
    state.redis = redis
    state.sessions = connect_sessions(redis)
    state.lockout = Lockout(redis)
    state.limiter = Limiter(redis)
    state.queue = JobQueue(redis)
