"""The worker as a process of its own: its clock, its streams, its heartbeat, its end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from redis.asyncio import Redis

import database
from api.access.links import mail_link
from api.operation.mail import send_mail
from api.worker import jobs
from api.worker.queue import JobQueue
from stores.staff import hire, staff_by_id
from tests import shop

ROOT = Path(__file__).parents[2]


class Inbox:
    """What an SMTP server received; it answers with `refusal` when there is one."""

    def __init__(self) -> None:
        self.letters: list[Any] = []
        self.refusal, self.url = "", ""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refusal:
            return self.refusal
        self.letters.append(envelope)
        return "250 OK"


@pytest.fixture
def inbox() -> Any:
    kept = Inbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    kept.url = f"smtp://127.0.0.1:{port}"
    yield kept
    controller.stop()


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    """A Redis database that this test's worker has to itself."""
    number = 14 if os.environ["REDIS_URL"].endswith("1") else 15
    client = Redis.from_url(f"{os.environ['REDIS_URL'].partition('?')[0]}?db={number}")
    await client.flushdb()
    yield client
    await client.flushdb()
    await client.aclose()


def start_worker(url: str, redis: Redis, **settings: str) -> subprocess.Popen[str]:
    number = redis.connection_pool.connection_kwargs["db"]
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "REDIS_URL": f"{os.environ['REDIS_URL'].partition('?')[0]}?db={number}",
        "PYTHONPATH": str(ROOT),
        "LOG_FORMAT": "json",
        **settings,
    }
    command = [sys.executable, "-c", "from api.command_line import main; main()", "worker"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


async def until(condition: Any, seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)


async def test_the_worker_catches_up_with_the_night_and_sends_letters(
    own_database: str, redis: Redis, inbox: Any
) -> None:
    await shop.open_shop()
    member = await shop.join()
    await shop.give(member, 50, expires_at=shop.NOON + timedelta(days=1))
    staff_id = await hire(email="mei@shop.example", name="Mei", role="analyst", password=None)
    await mail_link(await staff_by_id(staff_id), "invitation", at=datetime.now(UTC))
    queue = JobQueue(redis)
    worker = start_worker(own_database, redis, SMTP_URL=inbox.url)
    try:
        await until(lambda: _holds(lambda: len(inbox.letters) == 1))
        await until(lambda: _spent(member))
        state = await queue.state()
        assert state.workers == 1
        listed = {job.name: job for job in await queue.listed()}
        assert {"nightly", "rfm", "clusters", "cross_sell", "campaigns", "housekeeping"} <= set(listed)
        caught_up = next(job for job in await queue.listed() if job.key == "catch-up")
        await until(lambda: _done(queue, "catch-up"))
        assert caught_up.attempts <= 1
    finally:
        worker.send_signal(signal.SIGTERM)
        written = worker.communicate(timeout=40)[0]
    assert worker.returncode == 0, written
    assert '"worker stopped"' in written
    assert "mei@shop.example" not in written
    letter = inbox.letters[0].content.decode()
    assert "/password#" in letter
    assert await database.value("SELECT body IS NULL FROM api.mail"), "a link is not kept once it is out"


async def _holds(condition: Any) -> bool:
    return bool(condition())


async def _spent(member: str) -> bool:
    return await shop.balance_of(member) == 0


async def _done(queue: JobQueue, key: str) -> bool:
    return any(job.key == key and job.status == "complete" for job in await queue.listed())


@pytest.mark.usefixtures("own_database")
async def test_letters_wait_for_the_server_and_fail_when_it_refuses_for_good(inbox: Any) -> None:
    staff_id = await hire(email="mei@shop.example", name="Mei", role="analyst", password=None)
    at = datetime.now(UTC) + timedelta(seconds=5)
    await mail_link(await staff_by_id(staff_id), "invitation", at=datetime.now(UTC))

    async def status() -> tuple[str, int]:
        row = await database.row("SELECT status, attempts FROM api.mail")
        assert row is not None
        return row["status"], row["attempts"]

    assert await send_mail(smtp_url="smtp://127.0.0.1:1", sender="r@shop.example", at=at) == 0
    assert await status() == ("queued", 1)
    assert await send_mail(smtp_url=inbox.url, sender="r@shop.example", at=at) == 0, "not due yet"
    inbox.refusal = "451 later"
    at += timedelta(minutes=2)
    await send_mail(smtp_url=inbox.url, sender="r@shop.example", at=at)
    assert await status() == ("queued", 2)
    inbox.refusal = "550 no such user"
    at += timedelta(minutes=5)
    await send_mail(smtp_url=inbox.url, sender="r@shop.example", at=at)
    assert await status() == ("failed", 3)
    assert inbox.letters == []


async def test_a_failed_job_names_its_fault_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(at: datetime) -> None:
        raise RuntimeError("Key (phone)=(+60123456789) already exists")

    monkeypatch.setattr(jobs, "run_nightly", fails)
    with pytest.raises(jobs.JobFailed, match=r"^RuntimeError$") as failed:
        await jobs.nightly({})
    assert failed.value.__cause__ is None


async def test_a_chain_without_members_has_nothing_to_compute() -> None:
    assert await jobs.rfm({}) == {"skipped": "NoChain"}
    await shop.open_shop()
    assert await jobs.cross_sell({}) == {"skipped": "TooLittleData"}
    assert (await jobs.housekeeping({}))["idempotency_keys"] == 0


def test_without_a_database_the_worker_waits_and_then_says_which() -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
        "DATABASE_WAIT_SECONDS": "3",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", "from api.command_line import main; main()", "worker"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Waiting for PostgreSQL (DATABASE_URL)" in done.stdout
    assert "DATABASE_WAIT_SECONDS" in done.stderr
    assert "Traceback" not in done.stderr
