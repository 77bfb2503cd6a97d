"""The job queue (SAQ, in Redis) as the rest of the program sees it."""

from datetime import UTC, datetime
from typing import Final

import msgspec
from redis.asyncio import Redis
from saq.queue.redis import RedisQueue

NAME: Final = "regulars"
LISTED_MAX: Final = 200
JOB_SECONDS_MAX: Final = 6 * 3600


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is to do, and how many workers have a heartbeat."""

    queued: int
    active: int
    workers: int


class JobShown(msgspec.Struct, frozen=True, kw_only=True):
    """One job. `error` is the kind of exception that ended it, without its text."""

    key: str
    name: str
    status: str
    attempts: int
    progress: float
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    error: str | None


class JobQueue:
    """The queue of one process."""

    def __init__(self, redis: Redis) -> None:
        self.queue = RedisQueue(redis, name=NAME)

    async def enqueue(self, name: str, *, key: str) -> bool:
        """Ask a worker to run a job, unless one of this key waits or runs already."""
        return (
            await self.queue.enqueue(
                name, key=key, timeout=JOB_SECONDS_MAX, retries=3, retry_delay=5.0, retry_backoff=300.0, ttl=7 * 86_400
            )
            is not None
        )

    async def state(self) -> QueueState:
        info = await self.queue.info()
        return QueueState(queued=info["queued"], active=info["active"], workers=len(info["workers"]))

    async def listed(self) -> list[JobShown]:
        """Jobs that wait, run, or ended within the week, the newest first."""
        found = [job async for job in self.queue.iter_jobs() if job is not None]
        found.sort(key=lambda job: (job.queued or job.scheduled * 1000, job.key), reverse=True)
        return [
            JobShown(
                key=job.key,
                name=job.function,
                status=str(job.status.value),
                attempts=job.attempts,
                progress=job.progress,
                queued_at=_moment(job.queued),
                started_at=_moment(job.started),
                completed_at=_moment(job.completed),
                error=job.error.strip().splitlines()[-1].partition(":")[0] if job.error else None,
            )
            for job in found[:LISTED_MAX]
        ]


def _moment(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
