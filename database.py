"""What Piccolo leaves to us: safe transactions, row locks, COPY, and queries read into columns.

Everything runs on the connection of the current transaction when there is one, otherwise on one from the pool.
"""

import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Any, Literal, TypeAlias, TypeVar

import asyncpg
import pyarrow as pa
import pyarrow.csv as pa_csv
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction

import replicas
from errors import DomainError, Unreachable

Connection: TypeAlias = Any  # an asyncpg connection, or the pool's proxy of one
Row: TypeAlias = Any  # an asyncpg Record: by name, by place, or as a dict

Result = TypeVar("Result")

POSTGRES_VERSION_MIN = 150_000
TRIES = 3  # of a transaction that others got in the way of
BATCH = 1000  # rows that others may be waiting for, at a time


class Collision(Exception):
    """Others changed what a transaction is about before it had its locks; done again, it sees it as it is."""


class DatabaseTooOld(DomainError):
    """PostgreSQL is older than the oldest release this is tested on."""

    status = 500

    def __init__(self, *, version: str) -> None:
        super().__init__(f"PostgreSQL {version} is too old: 15 or newer is needed.", version=version)


def connection_arguments(url: str) -> dict[str, Any]:
    """asyncpg's arguments for `url`. JIT is off: compiling costs more than it saves on statements this short."""
    return {"dsn": url, "server_settings": {"jit": "off", "application_name": "regulars"}}


@lru_cache(maxsize=1)
def engine() -> PostgresEngine:
    """Piccolo's engine. Imported late, because importing it needs a running server."""
    try:
        from piccolo_conf import DB
    except (OSError, asyncpg.PostgresError) as error:
        raise Unreachable(server="PostgreSQL (DATABASE_URL)", why=str(error)) from error
    return DB


@asynccontextmanager
async def connected(*, pool_max: int = 4) -> AsyncIterator[None]:
    """Hold a connection pool open. Raises `Unreachable` or `DatabaseTooOld` before anything else happens."""
    db = engine()
    try:
        await db.start_connection_pool(min_size=1, max_size=pool_max, reset=_keep)
    except (OSError, asyncpg.PostgresError) as error:
        raise Unreachable(server="PostgreSQL (DATABASE_URL)", why=str(error)) from error
    try:
        if int(await value("SHOW server_version_num")) < POSTGRES_VERSION_MIN:
            raise DatabaseTooOld(version=await value("SHOW server_version"))
        yield
    finally:
        await db.close_connection_pool()


async def _keep(connection: Connection) -> None:
    """What is done to a connection that comes back to the pool: nothing. Nobody here leaves settings, cursors or session
    locks behind, and the default reset would cost every use a round trip."""


@asynccontextmanager
async def transaction(
    *, inner: Literal["join", "savepoint"] = "join", snapshot: bool = False
) -> AsyncIterator[Connection]:
    """Commit on leaving, roll back on any exception.

    A transaction opened inside another joins it, so that an edge (an HTTP request with its idempotency row, an import)
    can make several use cases one. `inner="savepoint"` makes the transactions opened within this one undo themselves
    alone. `snapshot` reads everything as of one moment and writes nothing.

    Piccolo's own context manager keeps the connection and the context variable when COMMIT itself fails, as a deferred
    constraint makes it; here both are given back on every path.
    """
    db = engine()
    outer = db.current_transaction.get()
    if outer is not None:
        if getattr(outer, "inner_savepoints", False):
            async with outer.connection.transaction():
                yield outer.connection
        else:
            yield outer.connection
        return
    replica = replicas.reading_from.get()
    if snapshot and replica is not None:
        async with replica.transaction(isolation="repeatable_read", readonly=True):
            yield replica
        return
    current = _Transaction(db)
    current.inner_savepoints = inner == "savepoint"
    current.connection = await (db.pool.acquire() if db.pool else db.get_new_connection())
    try:
        options = {"isolation": "repeatable_read", "readonly": True} if snapshot else {}
        async with current.connection.transaction(**options):
            token = db.current_transaction.set(current)
            try:
                yield current.connection
            finally:
                db.current_transaction.reset(token)
    finally:
        if db.pool:
            await db.pool.release(current.connection)
        else:
            await current.connection.close()


@asynccontextmanager
async def savepoint() -> AsyncIterator[None]:
    """Undo what is done within on an exception, and nothing else, whoever opened the transaction. Raises `RuntimeError` outside one."""
    outer = engine().current_transaction.get()
    if outer is None:
        raise RuntimeError("a savepoint needs a transaction")
    async with outer.connection.transaction():
        yield


async def retried(work: Callable[[], Awaitable[Result]]) -> Result:
    """What `work` comes to, which opens its own transaction and is done again when that one lost against another: was chosen to end
    a deadlock, came second with a key that both wrote, or raised `Collision`. Within a transaction it is done once, because what
    fails there fails all of it."""
    for _ in range(TRIES - 1):
        try:
            return await work()
        except (asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError, Collision):
            if engine().current_transaction.get() is not None:
                raise
    return await work()


async def batch_by_batch(ids: Sequence[int], work: Callable[[Sequence[int]], Awaitable[Result]]) -> list[Result]:
    """Do `work` for some of `ids` at a time, each time in a transaction of its own, so that nobody waits for all of them."""

    async def one(batch: Sequence[int]) -> Result:
        async with transaction():
            return await work(batch)

    return [await retried(partial(one, ids[first : first + BATCH])) for first in range(0, len(ids), BATCH)]


class _Transaction(PostgresTransaction):
    inner_savepoints = False


@asynccontextmanager
async def _connection() -> AsyncIterator[Connection]:
    db = engine()
    current = db.current_transaction.get()
    replica = replicas.reading_from.get()
    if current is not None:
        yield current.connection
    elif replica is not None:
        yield replica
    elif db.pool:
        async with db.pool.acquire() as connection:
            yield connection
    else:
        connection = await db.get_new_connection()
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def exclusively(what: str) -> AsyncIterator[bool]:
    """Whether nobody else does `what` at the moment; true for one at a time, in every process, until it leaves.

    Held by a connection of its own, apart from any transaction, so that work of many transactions can be done under it.
    """
    db = engine()
    connection = await (db.pool.acquire() if db.pool else db.get_new_connection())
    held = False
    try:
        held = await connection.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", what)
        yield held
    finally:
        if held:
            await connection.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", what)
        await (db.pool.release(connection) if db.pool else connection.close())


async def rows(sql: str, *arguments: object) -> list[Row]:
    """Every row of a query."""
    async with _connection() as connection:
        return list(await connection.fetch(sql, *arguments))


async def row(sql: str, *arguments: object) -> Row | None:
    """The first row, or None."""
    async with _connection() as connection:
        return await connection.fetchrow(sql, *arguments)


async def value(sql: str, *arguments: object) -> Any:
    """The first column of the first row, or None."""
    async with _connection() as connection:
        return await connection.fetchval(sql, *arguments)


async def execute(sql: str, *arguments: object) -> int:
    """Run a statement; the number of rows it touched."""
    async with _connection() as connection:
        status = await connection.execute(sql, *arguments)
    count = status.rpartition(" ")[2]
    return int(count) if count.isdigit() else 0


def named(sql: str, values: Mapping[str, object]) -> tuple[str, list[object]]:
    """A statement with `:name` for its values, as asyncpg takes it: `$1` and so on, and the values in that order.

    For statements that are put together from the parts of several domains, so that a sale is one round trip: each part brings
    its own names. Every value must be asked for.
    """
    text, names = _numbered(sql)
    assert set(names) == set(values), set(names) ^ set(values)
    return text, [values[name] for name in names]


@lru_cache(maxsize=256)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    names = tuple(dict.fromkeys(_NAME.findall(sql)))
    places = {name: f"${place}" for place, name in enumerate(names, start=1)}
    return _NAME.sub(lambda found: places[found[1]], sql), names


_NAME = re.compile(r"(?<![:\w]):([a-z_]+)")


async def lock_rows(table: str, ids: Sequence[int]) -> list[Row]:
    """Lock rows of `table` against writers until the transaction ends.

    Sorted, because two transactions that take the same pair in different order would otherwise deadlock. NO KEY, because
    rows that merely refer to these must still be insertable.
    """
    return await rows(f"SELECT * FROM {table} WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE", sorted(ids))


async def copy_in(table: str, batch: pa.RecordBatch | pa.Table) -> None:
    """COPY an Arrow batch into the columns of `table` that bear its names. `table` may be schema-qualified."""
    await copy_csv(table, batch.schema.names, as_csv(batch))


def as_csv(batch: pa.RecordBatch | pa.Table) -> io.BytesIO:
    """What `copy_csv` takes. Apart from it, so that a thread can write the next batch while PostgreSQL reads this one."""
    sink = io.BytesIO()
    pa_csv.write_csv(batch, sink, pa_csv.WriteOptions(include_header=False))
    sink.seek(0)
    return sink


async def copy_csv(table: str, columns: Sequence[str], text: io.BytesIO) -> None:
    """COPY rows that are written already."""
    schema, _, name = table.rpartition(".")
    async with _connection() as connection:
        await connection.copy_to_table(name, schema_name=schema or None, columns=columns, source=text, format="csv")


async def columns(sql: str, *arguments: object, schema: pa.Schema) -> pa.Table:
    """Read a query through COPY into column arrays of the given Arrow types; empty is null.

    About ten times quicker than rows for a million of them, because no Python object is made per value.
    """
    sink = io.BytesIO()
    async with _connection() as connection:
        await connection.copy_from_query(sql, *arguments, output=sink, format="csv")
    if sink.tell() == 0:
        return schema.empty_table()
    return pa_csv.read_csv(
        pa.BufferReader(sink.getbuffer()),
        read_options=pa_csv.ReadOptions(column_names=schema.names),
        convert_options=pa_csv.ConvertOptions(
            column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
