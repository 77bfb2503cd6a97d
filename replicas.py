"""Reports from a read replica, so that headquarters' long reads do not stand in the tills' way.

A report is a function that only reads. It runs on the replica when one is configured and answers, and on the primary when it
does not, or gives up half-way: a slower report is better than none.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import asyncpg
import msgspec

Result = TypeVar("Result")

# While it is set, `database` reads from this connection.
reading_from: ContextVar[Any] = ContextVar("reading_from", default=None)

CONNECT_SECONDS: Final = 3
RETRY_SECONDS: Final = 5.0

# Nothing left to replay while the stream flows is no lag, however long ago the primary last wrote something.
_LAG: Final = """
SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0
    WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
        AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN 0
    ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0) END::float
"""


_FAILURES: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.SerializationError,
)


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """Where a report was read, and how many seconds what it says may lie behind."""

    source: str
    lag_seconds: float


PRIMARY: Final = Freshness(source="primary", lag_seconds=0.0)


class Replica:
    """One replica: its pool, made on first use, and when to try it again after it failed."""

    def __init__(self, url: str, *, pool_max: int, on_failure: Callable[[str], None]) -> None:
        self._url, self._pool_max, self._on_failure = url, pool_max, on_failure
        self._pool: Any = None
        self._connecting = asyncio.Lock()
        self._silent_until = 0.0

    async def report(self, read: Callable[[], Awaitable[Result]]) -> tuple[Result, Freshness]:
        """What `read` finds, and how fresh it is."""
        if time.monotonic() >= self._silent_until:
            try:
                return await self._report(read)
            except _FAILURES as error:
                # A conflict with what is being replayed cancels a query, too; the next report may well succeed.
                if not isinstance(error, asyncpg.SerializationError):
                    self._silent_until = time.monotonic() + RETRY_SECONDS
                self._on_failure(type(error).__name__)
        return await read(), PRIMARY

    async def lag_seconds(self) -> float | None:
        """How far behind it is; None when it does not answer."""
        freshness = (await self.report(_nothing))[1]
        return freshness.lag_seconds if freshness.source == "replica" else None

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def _report(self, read: Callable[[], Awaitable[Result]]) -> tuple[Result, Freshness]:
        async with asyncio.timeout(CONNECT_SECONDS):
            # Of two first reports at once one makes the pool.
            async with self._connecting:
                self._pool = self._pool or await self._connect()
            connection = await self._pool.acquire()
        try:
            lag = await connection.fetchval(_LAG)
            token = reading_from.set(connection)
            try:
                return await read(), Freshness(source="replica", lag_seconds=round(lag, 1))
            finally:
                reading_from.reset(token)
        finally:
            await self._pool.release(connection)

    async def _connect(self) -> Any:
        return await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._pool_max,
            server_settings={
                "jit": "off",
                "application_name": "regulars reports",
                "default_transaction_read_only": "on",
            },
        )


async def _nothing() -> None:
    """What a look at the freshness alone reads."""
