"""Tests run on a real PostgreSQL and a real Redis, embedded and kept under the temporary folder.

Each xdist worker has a database of its own, copied from a migrated template. A test runs in a transaction that is rolled
back; one that needs real commits asks for `own_database`.
"""

import asyncio
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

ROOT = Path(__file__).parents[1]
HOME = Path(tempfile.gettempdir()) / f"regulars-tests-{os.getuid()}"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
SHARED = ROOT.parent / "shared" / "data"

for name in ("DATABASE_URL", "DATABASE_REPLICA_URL", "REDIS_URL", "SMTP_URL", "REGULARS_ENV", "SECRET_KEY"):
    os.environ.pop(name, None)
os.environ["REGULARS_HOME"] = str(HOME)
# As many requests as a test likes; the tests of the limits set their own.
os.environ["RATE_LIMIT_PRINCIPAL"] = os.environ["RATE_LIMIT_ADDRESS"] = os.environ["RATE_LIMIT_SIGN_IN"] = "1000000"

import embedded  # noqa: E402  (the environment first)

# Of one Redis each worker has a database of its own, emptied at its start.
REDIS_DATABASE = 1 + int(WORKER.removeprefix("gw")) if WORKER.startswith("gw") else 0
os.environ["REDIS_URL"] = f"{embedded.redis_url(HOME)}?db={REDIS_DATABASE}"

SERVER = embedded.postgres_url(HOME)


def url_of(database: str) -> str:
    """The test server's URL for another database."""
    return SERVER.replace("/regulars?", f"/{database}?")


async def _administer(*statements: str) -> None:
    connection = await asyncpg.connect(url_of("postgres"))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _template() -> str:
    """The name of a migrated database; made when the migrations, or what is done to it here, have changed."""
    sources = [*sorted(ROOT.glob("*/piccolo_migrations/*.py")), Path(__file__)]
    name = "template_" + hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    with (HOME / ".template").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(_make_template(name))
    return name


async def _make_template(name: str) -> None:
    connection = await asyncpg.connect(url_of("postgres"))
    there = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name)
    await connection.close()
    if there:
        return
    # Tests prove what is written, not that the disk keeps it.
    await _administer(
        "ALTER SYSTEM SET fsync = off",
        "ALTER SYSTEM SET synchronous_commit = off",
        "ALTER SYSTEM SET full_page_writes = off",
        "SELECT pg_reload_conf()",
        f"CREATE DATABASE {name}_making",
    )
    import database
    from api.migrations import migrate

    database.engine().config["dsn"] = url_of(f"{name}_making")
    async with database.connected():
        await migrate()
        await database.execute(_IDS_APART)
    await _administer(f"ALTER DATABASE {name}_making RENAME TO {name}")


# Every table counts from a million of its own, so that the id of one thing is never by chance that of another.
_IDS_APART = """
DO $$ DECLARE sequence record; BEGIN
    FOR sequence IN SELECT format('%I.%I', schemaname, sequencename) AS name, row_number() OVER (ORDER BY schemaname, sequencename) AS place
        FROM pg_sequences WHERE schemaname <> 'public'
    LOOP
        EXECUTE format('ALTER SEQUENCE %s RESTART WITH %s', sequence.name, sequence.place * 1000000 + 1);
    END LOOP;
END $$
"""

TEMPLATE = _template()
DATABASE = f"test_{WORKER}_{os.getpid()}"


@pytest.fixture(scope="session", autouse=True)
async def _database() -> AsyncIterator[None]:
    import database

    async with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        await redis.flushdb()
    await _administer(f"CREATE DATABASE {DATABASE} TEMPLATE {TEMPLATE}")
    database.engine().config["dsn"] = url_of(DATABASE)
    async with database.connected():
        yield
    await _administer(f"DROP DATABASE {DATABASE}")


@pytest.fixture(autouse=True)
async def _rolled_back(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Everything a test does is undone, unless it asked for a database of its own."""
    import database
    from api.access import authentication
    from loyalty.programme import forget_programme
    from segmentation.cross_sell import forget_suggestions

    forget_programme()
    forget_suggestions()
    authentication.forget_credentials()
    if "own_database" in request.fixturenames:
        yield
        return

    class Undo(Exception):
        pass

    try:
        async with database.transaction(inner="savepoint"):
            yield
            raise Undo
    except Undo:
        pass


_counter = iter(range(10**6))


@pytest.fixture
async def own_database() -> AsyncIterator[str]:
    """A fresh database with real commits, for races and whole journeys; its URL."""
    import database

    name = f"own_{WORKER}_{os.getpid()}_{next(_counter)}"
    await _administer(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    engine = database.engine()
    await engine.close_connection_pool()
    engine.config["dsn"] = url_of(name)
    await engine.start_connection_pool(min_size=1, max_size=24)
    try:
        yield url_of(name)
    finally:
        await engine.close_connection_pool()
        engine.config["dsn"] = url_of(DATABASE)
        await engine.start_connection_pool(min_size=1, max_size=4)
        await _administer(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in an empty folder, where reject files go."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The UCI Online Retail file."""
    path = SHARED / "online_retail.csv.gz"
    if not path.exists():
        pytest.skip("../shared/data is not here")
    return path
