"""Idempotency-Key under real concurrency, and across the death of a serving process."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

import database
from api.idempotency import forget_keys
from stores.tills import enrol_till
from tests import shop

ROOT = Path(__file__).parents[2]
SALE = {
    "store": "KL01",
    "till": "T2",
    "business_time": "2026-03-01T10:15:00+08:00",
    "lines": [{"sku": "TEA", "quantity": 6, "unit_price": 255}],
}


class Served:
    """`regulars serve` as a process of its own; `quiet` for one that logs more than a pipe holds while nobody reads it."""

    def __init__(self, url: str, *options: str, quiet: bool = False) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        command = [
            sys.executable,
            "-c",
            "from api.command_line import main; main()",
            "serve",
            "--port",
            str(port),
            *options,
        ]
        environment = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": str(ROOT), "LOG_FORMAT": "json"}
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    async def ready(self) -> "Served":
        async with httpx.AsyncClient() as http:
            for _ in range(200):
                try:
                    await http.get(f"{self.address}/health/live")
                except httpx.TransportError:
                    assert self.process.poll() is None
                    await asyncio.sleep(0.1)
                else:
                    return self
        raise AssertionError("the server does not answer")

    def end(self, how: signal.Signals) -> str:
        """End the whole process group; what it wrote."""
        os.killpg(self.process.pid, how)
        return self.process.communicate(timeout=40)[0]


@pytest.fixture
async def served(own_database: str) -> AsyncIterator[list[Served]]:
    await shop.open_shop()
    running = [await Served(own_database).ready()]
    yield running
    for server in running:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


async def post(http: httpx.AsyncClient, base: str, key: str, **fields: Any) -> httpx.Response:
    return await http.post(f"{base}/v1/checkouts", json={**SALE, **fields}, headers={"Idempotency-Key": key})


def kind(answer: httpx.Response) -> str:
    return "sold" if answer.status_code == 201 else str(answer.json()["type"]).rpartition("/")[2]


async def test_of_many_at_once_one_sells_and_all_agree(served: list[Served]) -> None:
    credential = await enrol_till("KL01", "T2")
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {credential}"}, timeout=30) as http:
        base = served[0].address
        answers = await asyncio.gather(*(post(http, base, f"k{i % 5}", number=f"N{i % 5}") for i in range(60)))
        kinds = {kind(answer) for answer in answers}
        assert kinds <= {"sold", "idempotency-key-in-flight"}
        for i in range(5):
            sold = {answer.content for n, answer in enumerate(answers) if n % 5 == i and answer.status_code == 201}
            assert len(sold) == 1
            first = [n for n, answer in enumerate(answers) if n % 5 == i and kind(answer) == "sold"]
            replays = sum(answers[n].headers.get("idempotency-replayed") == "true" for n in first)
            assert replays == len(first) - 1
        other = await post(http, base, "k0", number="N9")
        assert (other.status_code, kind(other)) == (422, "idempotency-key-reused")
    assert await database.value("SELECT count(*) FROM stores.receipt") == 5


async def test_a_request_in_flight_is_told_and_a_killed_one_leaves_nothing(
    served: list[Served], own_database: str
) -> None:
    """The sale waits for a row that the test holds: a second one with its key is told so; then the server is killed."""
    credential = await enrol_till("KL01", "T2")
    member = await shop.join()
    holder = await asyncpg.connect(own_database)
    holding = holder.transaction()
    await holding.start()
    await holder.execute("SELECT 1 FROM membership.member FOR UPDATE")
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {credential}"}, timeout=30) as http:
        sale = asyncio.create_task(post(http, served[0].address, "k1", number="N1", member=member))
        await _waiting(holder)
        second = await post(http, served[0].address, "k1", number="N1", member=member)
        assert (second.status_code, kind(second)) == (409, "idempotency-key-in-flight")
        served[0].end(signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            await sale
    await holding.rollback()
    await holder.close()
    async with asyncio.timeout(20):
        while await database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"):
            await asyncio.sleep(0.1)
    assert await database.value("SELECT count(*) FROM stores.receipt") == 0
    assert await database.value("SELECT count(*) FROM api.idempotency") == 0
    served.append(await Served(own_database).ready())
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {credential}"}, timeout=30) as http:
        sold = await post(http, served[1].address, "k1", number="N1", member=member)
        again = await post(http, served[1].address, "k1", number="N1", member=member)
    assert (kind(sold), sold.headers.get("idempotency-replayed")) == ("sold", None)
    assert (again.content, again.headers["idempotency-replayed"]) == (sold.content, "true")
    assert await database.value("SELECT count(*) FROM stores.receipt") == 1


async def test_a_server_that_is_told_to_stop_finishes_what_it_is_at(served: list[Served], own_database: str) -> None:
    credential = await enrol_till("KL01", "T2")
    member = await shop.join()
    holder = await asyncpg.connect(own_database)
    holding = holder.transaction()
    await holding.start()
    await holder.execute("SELECT 1 FROM membership.member FOR UPDATE")
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {credential}"}, timeout=30) as http:
        sale = asyncio.create_task(post(http, served[0].address, "k1", number="N1", member=member))
        await _waiting(holder)
        os.kill(served[0].process.pid, signal.SIGTERM)
        await asyncio.sleep(1)
        assert not sale.done()
        await holding.rollback()
        assert kind(await sale) == "sold"
    await holder.close()
    written = served[0].process.communicate(timeout=40)[0]
    assert served[0].process.returncode == 0
    events = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert [event["event"] for event in events if event["event"] in ("ready", "stopped")] == ["ready", "stopped"]
    sold = next(event for event in events if event["event"] == "request" and event["route"] == "/v1/checkouts")
    assert (sold["status"], sold["principal"]) == (201, "till:KL01/T2")
    assert member not in written


async def _waiting(holder: asyncpg.Connection) -> None:
    """Until somebody waits for a lock."""
    async with asyncio.timeout(20):
        while not await holder.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            await asyncio.sleep(0.05)


async def test_keys_are_forgotten_after_a_week() -> None:
    now = datetime.now(UTC)
    await database.execute(
        "INSERT INTO api.idempotency (principal, key, request_hash, status, response, created_at) "
        "SELECT 'till:KL01/T2', 'k' || d, '', 201, '', $1::timestamptz - make_interval(days => d) FROM generate_series(0, 9) d",
        now,
    )
    assert await forget_keys(before=now - timedelta(days=7)) == 2
    assert await database.value("SELECT count(*) FROM api.idempotency") == 8


async def test_several_processes_are_summed_up_in_the_metrics(own_database: str) -> None:
    await shop.open_shop()
    server = await Served(own_database, "--workers", "2").ready()
    try:
        async with httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0)) as http:
            for _ in range(20):
                await http.get(f"{server.address}/v1/products")
            told = (await http.get(f"{server.address}/metrics")).text
    finally:
        server.end(signal.SIGTERM)
    line = next(line for line in told.splitlines() if "request_seconds_count" in line and "/v1/products" in line)
    assert float(line.rpartition(" ")[2]) == 20
