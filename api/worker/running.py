"""The worker's process: jobs from the queue and by the clock, and the stream of webhooks and letters."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
from redis.asyncio import Redis
from saq import CronJob, Worker

import database
from api.operation.logs import log
from api.operation.mail import send_mail
from api.operation.opt_in_letters import write_opt_in_letters
from api.webhooks.addresses import webhook_client
from api.webhooks.fanout import read_timeline
from api.webhooks.sending import send_due
from api.worker.jobs import TIMETABLE, nightly
from api.worker.queue import JOB_SECONDS_MAX, JobQueue
from settings import settings

IDLE_SECONDS: Final = 1.0
FAULT_SECONDS: Final = 5.0
GRACE_SECONDS: Final = 20


async def work(redis: Redis) -> None:
    """Run until told to stop (SIGTERM, SIGINT); a job in hand is given time to end, and comes again if it does not."""
    queue = JobQueue(redis)
    worker = _Worker(
        queue.queue,
        functions=[],
        cron_jobs=[
            CronJob(function, cron=when, timeout=JOB_SECONDS_MAX, retries=3, ttl=7 * 86_400, kwargs=None)
            for function, when in TIMETABLE
        ],
        cron_tz=await _zone(),
        concurrency=4,
        # Else whoever waits for a job waits through the whole grace period at the end.
        dequeue_timeout=1.0,
        shutdown_grace_period_s=GRACE_SECONDS,
        metadata={"started": datetime.now(UTC).isoformat()},
    )
    # For the nights that no worker was there.
    await queue.enqueue(nightly.__qualname__, key="catch-up")
    # One client for as long as the worker runs: receivers are spared a handshake for each event.
    async with webhook_client(private=settings().webhook_private_addresses == "allow") as client:
        turns: dict[str, Callable[[], Awaitable[int]]] = {
            "webhooks": functools.partial(_webhooks, client),
            "letters": _letters,
        }
        streams = [asyncio.create_task(_stream(name, turn)) for name, turn in turns.items()]
        log().info("worker ready")
        try:
            await worker.start()
        finally:
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
            await worker.stop()
            log().info("worker stopped")


class _Worker(Worker[Any]):
    """Ends as soon as its jobs have. SAQ's own upkeep sleeps for up to a minute before it looks whether it should."""

    async def schedule(self, lock: int = 1) -> None:
        # A worker may be there before the chain is, and with it the time zone of its nights.
        self.cron_tz = await _zone()
        await super().schedule(lock)

    async def stop(self) -> None:
        self.event.set()
        for task in self.tasks:
            if task.get_name() != "process":
                task.cancel()
        await super().stop()


async def _stream(name: str, turn: Callable[[], Awaitable[int]]) -> None:
    """Take turns for as long as there is something to do, then look again each second. A fault costs a pause, not the stream."""
    while True:
        try:
            done = await turn()
        except Exception as error:
            log().error("stream failed", stream=name, exc_info=error)
            await asyncio.sleep(FAULT_SECONDS)
            continue
        if not done:
            await asyncio.sleep(IDLE_SECONDS)


async def _webhooks(client: httpx.AsyncClient) -> int:
    read = await read_timeline()
    return read + await send_due(client, at=datetime.now(UTC), disable_days=settings().webhook_disable_days)


async def _letters() -> int:
    configured = settings()
    if not configured.smtp_url:
        return 0
    await write_opt_in_letters(datetime.now(UTC))
    return await send_mail(smtp_url=configured.smtp_url, sender=configured.mail_from, at=datetime.now(UTC))


async def _zone() -> tzinfo:
    name = await database.value("SELECT time_zone FROM stores.chain")
    return ZoneInfo(name) if name else UTC
