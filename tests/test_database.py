"""Transactions, locks and COPY."""

import asyncio
from collections.abc import Sequence
from functools import partial

import asyncpg
import pyarrow as pa
import pytest

import database


async def _deferred() -> None:
    await database.execute("CREATE TABLE parent (id bigint PRIMARY KEY)")
    await database.execute("CREATE TABLE child (parent_id bigint REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")


@pytest.mark.usefixtures("own_database")
async def test_a_failed_commit_gives_connection_and_context_back() -> None:
    await _deferred()
    pool = database.engine().pool
    assert pool is not None
    idle = pool.get_idle_size()
    for _ in range(40):  # more than the pool holds: a leak would wait here for ever
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with database.transaction():
                await database.execute("INSERT INTO child VALUES (1)")
        assert database.engine().current_transaction.get() is None
    assert pool.get_idle_size() == idle
    assert await database.value("SELECT count(*) FROM child") == 0


@pytest.mark.usefixtures("own_database")
async def test_an_exception_rolls_everything_back() -> None:
    await database.execute("CREATE TABLE t (a int)")
    with pytest.raises(RuntimeError, match="stop"):
        async with database.transaction():
            await database.execute("INSERT INTO t VALUES (1)")
            raise RuntimeError("stop")
    assert await database.value("SELECT count(*) FROM t") == 0


@pytest.mark.usefixtures("own_database")
async def test_an_inner_transaction_joins_the_outer() -> None:
    await database.execute("CREATE TABLE t (a int)")
    with pytest.raises(RuntimeError):
        async with database.transaction():
            async with database.transaction():
                await database.execute("INSERT INTO t VALUES (1)")
            raise RuntimeError
    assert await database.value("SELECT count(*) FROM t") == 0


async def test_inner_savepoints_undo_themselves_alone() -> None:
    await database.execute("CREATE TEMP TABLE t (a int) ON COMMIT DROP")
    async with database.transaction():
        await database.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(RuntimeError):
        async with database.transaction():
            await database.execute("INSERT INTO t VALUES (2)")
            raise RuntimeError
    assert [row["a"] for row in await database.rows("SELECT a FROM t")] == [1]


@pytest.mark.usefixtures("own_database")
async def test_a_snapshot_cannot_write() -> None:
    await database.execute("CREATE TABLE t (a int)")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with database.transaction(snapshot=True):
            await database.execute("INSERT INTO t VALUES (1)")


@pytest.mark.usefixtures("own_database")
async def test_rows_locked_in_crossing_order_do_not_deadlock() -> None:
    await database.execute("CREATE TABLE t (id bigint PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)")

    async def add(ids: list[int]) -> None:
        for _ in range(20):
            async with database.transaction():
                await database.lock_rows("t", ids)
                await database.execute("UPDATE t SET n = n + 1 WHERE id = ANY($1)", ids)

    await asyncio.gather(add([1, 2]), add([2, 1]), add([2, 1]), add([1, 2]))
    assert [row["n"] for row in await database.rows("SELECT n FROM t ORDER BY id")] == [80, 80]


@pytest.mark.usefixtures("own_database")
async def test_who_is_chosen_to_end_a_deadlock_does_it_again() -> None:
    await database.execute("CREATE TABLE t (id bigint PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)")
    begun = 0

    async def crossing(first: int, second: int) -> None:
        nonlocal begun
        async with database.transaction():
            begun += 1
            await database.execute("UPDATE t SET n = n + 1 WHERE id = $1", first)
            while begun < 2:
                await asyncio.sleep(0.01)
            await database.execute("UPDATE t SET n = n + 1 WHERE id = $1", second)

    await asyncio.gather(
        database.retried(partial(crossing, 1, 2)),
        database.retried(partial(crossing, 2, 1)),
    )
    assert begun == 3
    assert [row["n"] for row in await database.rows("SELECT n FROM t ORDER BY id")] == [2, 2]


@pytest.mark.usefixtures("own_database")
async def test_what_collides_again_and_again_is_given_up() -> None:
    tried = 0

    async def work() -> None:
        nonlocal tried
        tried += 1
        raise database.Collision

    with pytest.raises(database.Collision):
        await database.retried(work)
    assert tried == database.TRIES


async def test_within_a_transaction_nothing_is_done_again() -> None:
    tried = 0

    async def work() -> None:
        nonlocal tried
        tried += 1
        raise database.Collision

    async with database.transaction():
        with pytest.raises(database.Collision):
            await database.retried(work)
    assert tried == 1


@pytest.mark.usefixtures("own_database")
async def test_what_is_done_batch_by_batch_stays_done_when_a_later_batch_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BATCH", 2)
    await database.execute("CREATE TABLE t (id bigint PRIMARY KEY)")

    async def add(ids: Sequence[int]) -> int:
        await database.execute("INSERT INTO t SELECT unnest($1::bigint[])", list(ids))
        return len(ids)

    assert await database.batch_by_batch([1, 2, 3], add) == [2, 1]
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.batch_by_batch([4, 5, 6, 3, 7], add)
    assert [row["id"] for row in await database.rows("SELECT id FROM t ORDER BY id")] == [1, 2, 3, 4, 5]


async def test_copy_in_and_columns_out_keep_values_and_nulls() -> None:
    await database.execute("CREATE TEMP TABLE t (a bigint, b text) ON COMMIT DROP")
    given = pa.table({"a": pa.array([1, None, 3]), "b": pa.array(['x "quoted", and', "", None])})
    await database.copy_in("t", given)
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    found = await database.columns("SELECT a, b FROM t ORDER BY a NULLS LAST", schema=schema)
    assert found.to_pydict() == {"a": [1, 3, None], "b": ['x "quoted", and', None, ""]}


async def test_columns_of_nothing_are_empty_with_their_types() -> None:
    schema = pa.schema([("a", pa.int64())])
    found = await database.columns("SELECT 1 WHERE false", schema=schema)
    assert found.schema == schema
    assert found.num_rows == 0


async def test_columns_take_arguments() -> None:
    found = await database.columns("SELECT $1::bigint + 1", 41, schema=pa.schema([("a", pa.int64())]))
    assert found["a"].to_pylist() == [42]
