"""Runs: every computation is recorded with what went in and what came out, so that it can be repeated and compared."""

import hashlib
from collections.abc import Iterable
from datetime import date, datetime, time
from importlib.metadata import version
from typing import Any, Literal

import msgspec
import pyarrow as pa

import database
from segmentation.errors import NoRun
from stores.chain import Chain

Kind = Literal["rfm", "clusters", "cross_sell"]


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `input_digest` is equal for equal inputs, and then so is `result`."""

    id: int
    kind: str
    as_of: datetime
    parameters: dict[str, Any]
    data_from: datetime | None
    data_to: datetime | None
    row_count: int
    input_digest: str
    result: dict[str, Any]
    quality: dict[str, Any]
    code_version: str
    started_at: datetime
    seconds: float


def moment(as_of: date, chain: Chain) -> datetime:
    """The beginning of a day in the chain's time zone."""
    return datetime.combine(as_of, time(), chain.zone)


def digest(table: pa.Table) -> str:
    """SHA-256 over the columns' values, whatever their chunks."""
    sha = hashlib.sha256()
    for column in table.combine_chunks().columns:
        for chunk in column.chunks:
            for buffer in chunk.buffers():
                if buffer is not None:
                    sha.update(buffer)
    return sha.hexdigest()


async def open_run(
    kind: Kind,
    *,
    as_of: datetime,
    parameters: dict[str, Any],
    window: tuple[datetime | None, datetime | None],
    row_count: int,
    input_digest: str,
    result: dict[str, Any],
    quality: dict[str, Any],
    started_at: datetime,
    seconds: float,
) -> int:
    """Record a run; its id, for the rows that belong to it. Runs are never changed afterwards."""
    return int(
        await database.value(
            "INSERT INTO segmentation.run (kind, as_of, parameters, data_from, data_to, row_count, input_digest, result, "
            "quality, code_version, started_at, seconds) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
            kind,
            as_of,
            msgspec.json.encode(parameters).decode(),
            *window,
            row_count,
            input_digest,
            msgspec.json.encode(result).decode(),
            msgspec.json.encode(quality).decode(),
            version("regulars"),
            started_at,
            seconds,
        )
    )


async def newest_run(kind: Kind) -> RunRecord:
    """The newest run of a kind. Raises `NoRun`."""
    found = await runs(kind=kind, limit=1)
    if not found:
        raise NoRun(kind=kind)
    return found[0]


async def runs(*, kind: Kind | None = None, before: int | None = None, limit: int = 50) -> list[RunRecord]:
    """Runs, newest first, from before the run `before`."""
    rows = await database.rows(
        "SELECT * FROM segmentation.run WHERE ($1::text IS NULL OR kind = $1) AND ($2::bigint IS NULL OR id < $2) "
        "ORDER BY id DESC LIMIT $3",
        kind,
        before,
        limit,
    )
    return [_record(dict(row)) for row in rows]


def _record(row: dict[str, Any]) -> RunRecord:
    return RunRecord(**{**row, **_decoded(row, ("parameters", "result", "quality"))})


def _decoded(row: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: msgspec.json.decode(row[name]) for name in names}
