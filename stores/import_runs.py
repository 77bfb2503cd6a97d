"""Imports as they go: how far one has come, what it has done so far, and the names that a kind of file gives its columns."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

import database
from errors import InvalidInput, NotFound
from stores.batches import Reject
from stores.errors import FileRefused


class ImportRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `rows_done` is the number of the last row that is in the database or among the rejects."""

    id: int
    kind: str
    file: str
    status: str
    rows_done: int
    counts: dict[str, int]
    started_at: datetime
    undone_at: datetime | None


def digest_of(path: Path, options: Mapping[str, Any]) -> str:
    """What makes an import the same one: the bytes of the file and what was asked for."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(msgspec.json.encode(dict(sorted(options.items()))))
    return digest.hexdigest()


async def begin_or_resume(kind: str, file: str, digest: str) -> ImportRun:
    """The run that was stopped half-way through this very file, or a new one."""
    run_id = await database.value(
        "SELECT id FROM stores.import_run WHERE kind = $1 AND digest = $2 AND status = 'running'", kind, digest
    )
    if run_id is None:
        run_id = await database.value(
            "INSERT INTO stores.import_run (kind, file, profile, digest, status) VALUES ($1, $2, '', $3, 'running') RETURNING id",
            kind,
            file,
            digest,
        )
    return await import_run(run_id)


async def advance(run_id: int, *, rows_done: int, counts: Mapping[str, int], rejects: Sequence[Reject]) -> None:
    """Note how far a run has come, in the transaction of the rows themselves. Raises `FileRefused` when it was undone meanwhile."""
    going = await database.execute(
        "UPDATE stores.import_run SET rows_done = $2, counts = $3 WHERE id = $1 AND status = 'running'",
        run_id,
        rows_done,
        msgspec.json.encode(counts).decode(),
    )
    if not going:
        raise FileRefused(field="file", why=f"import {run_id} was undone while it ran")
    await database.execute(
        "INSERT INTO stores.import_reject (import_id, row_no, column_name, reason) "
        "SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[])",
        run_id,
        [reject.row for reject in rejects],
        [reject.column for reject in rejects],
        [reject.reason for reject in rejects],
    )


async def rejects_of(run_id: int) -> list[Reject]:
    """What a run has left out so far, by row."""
    rows = await database.rows(
        "SELECT row_no, column_name, reason FROM stores.import_reject WHERE import_id = $1 ORDER BY row_no, column_name",
        run_id,
    )
    return [Reject(row["row_no"], row["column_name"], row["reason"]) for row in rows]


async def finish(run_id: int) -> None:
    """The run is through and its reject file written: what that says may be somebody's data, and is kept no longer."""
    async with database.transaction():
        await database.execute("DELETE FROM stores.import_reject WHERE import_id = $1", run_id)
        await database.execute(
            "UPDATE stores.import_run SET status = 'finished' WHERE id = $1 AND status = 'running'", run_id
        )


async def import_run(run_id: int, *, lock: bool = False) -> ImportRun:
    """One run. Raises `NotFound`."""
    row = await database.row(f"{_SELECT} WHERE id = $1{' FOR NO KEY UPDATE' if lock else ''}", run_id)
    if row is None:
        raise NotFound(kind="import", name=run_id)
    return _run(row)


async def import_runs(*, before: int | None = None, limit: int = 50) -> list[ImportRun]:
    """Runs of every kind, the newest first, from before the run `before`."""
    rows = await database.rows(
        f"{_SELECT} WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2", before, limit
    )
    return [_run(row) for row in rows]


async def mark_undone(run_id: int, at: datetime) -> None:
    """What the run added is gone again."""
    await database.execute("UPDATE stores.import_run SET status = 'undone', undone_at = $2 WHERE id = $1", run_id, at)


async def save_profile(name: str, kind: str, columns: Mapping[str, str]) -> None:
    """Keep what a kind of file calls its columns, under a name. Raises `InvalidInput`."""
    if not name.replace("-", "").replace("_", "").isalnum() or not name.islower() or len(name) > 64:
        raise InvalidInput(field="profile", why="small letters, digits, - and _ make a name")
    await database.execute(
        "INSERT INTO stores.import_profile (name, kind, columns) VALUES ($1, $2, $3) "
        "ON CONFLICT (name) DO UPDATE SET (kind, columns) = (excluded.kind, excluded.columns)",
        name,
        kind,
        msgspec.json.encode(dict(columns)).decode(),
    )


async def profile_columns(name: str, kind: str) -> dict[str, str]:
    """What a profile says the columns of a file are called here. Raises `NotFound`."""
    columns = await database.value(
        "SELECT columns FROM stores.import_profile WHERE name = $1 AND kind = $2", name, kind
    )
    if columns is None:
        raise NotFound(kind=f"profile for {kind}", name=name)
    found: dict[str, str] = msgspec.json.decode(columns)
    return found


async def profiles_naming(column: str) -> list[str]:
    """The profiles that fill a column."""
    rows = await database.rows(
        "SELECT name FROM stores.import_profile WHERE EXISTS (SELECT FROM jsonb_each_text(columns) c WHERE c.value = $1) ORDER BY 1",
        column,
    )
    return [row["name"] for row in rows]


_SELECT = "SELECT id, kind, file, status, rows_done, counts, started_at, undone_at FROM stores.import_run"


def _run(row: database.Row) -> ImportRun:
    return ImportRun(**{**dict(row), "counts": msgspec.json.decode(row["counts"])})
