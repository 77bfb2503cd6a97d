"""Importing members: chunk by chunk, each committed with how far it came, so that a run that was killed goes on where it stopped."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

import database
from api.exports import plain_cell, write_csv, write_rows
from api.imports.receipts import Progress
from api.imports.rejects import reject_path, write_rejects
from membership.custom_fields import custom_fields
from membership.custom_values import WORDS_FOR_YES
from membership.import_undoing import MembersUndone, undo_members
from membership.member_rows import MemberRow
from membership.registration import Source
from membership.registration_many import Difference, Existing, ManyRegistered, register_many
from stores.batches import Reject
from stores.chain import Chain, the_chain
from stores.errors import FileRefused, ImportNotUndoable
from stores.import_runs import (
    advance,
    begin_or_resume,
    digest_of,
    finish,
    import_run,
    mark_undone,
    profile_columns,
    rejects_of,
    save_profile,
)
from stores.tabular import check_file, read

CHUNK_ROWS: Final = 10_000
CUSTOM: Final = "custom."
_BUSY: Final = ("loyalty.account", "campaigns.delivery")
_COLUMNS: Final = tuple(field for field in MemberRow.__struct_fields__ if field != "custom")
_Rows = list[tuple[int, MemberRow]]


class MemberImport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, in rows. `id` is what undoes it; `resumed_after` the row that an earlier, interrupted run had come to."""

    id: int | None
    rows: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    seconds: float
    resumed_after: int
    rejects: str | None
    diff: str | None
    dry_run: bool


class _DryRunDone(Exception):
    """Leaves the transaction of a dry run."""


async def import_members(
    path: Path,
    *,
    existing: Existing = "skip",
    profile: str | None = None,
    names: Mapping[str, str] = {},
    save_as: str | None = None,
    dry_run: bool = False,
    delimiter: str = ",",
    progress: Progress = lambda rows: None,
) -> MemberImport:
    """Members by external reference. `names` (or a saved `profile` of them) say what the file's columns are called here."""
    started = time.perf_counter()
    columns = dict(await profile_columns(profile, "members") if profile else {}) | dict(names)
    fields = [CUSTOM + field.code for field in await custom_fields()]
    check_file(
        path, required=["external_ref", "name"], optional=[*_COLUMNS, *fields], delimiter=delimiter, names=columns
    )
    if save_as:
        await save_profile(save_as, "members", columns)
    load = _Load(path, columns, fields, await the_chain(), existing, delimiter, progress)
    result = await (load.dry_run() if dry_run else load.run())
    rejects = reject_path(path)
    write_rejects(rejects, load.rejects)
    if result.id is not None:
        await finish(result.id)
        # So that the next query is planned for what is there now.
        await database.execute("ANALYZE membership.member, membership.card, membership.event")
    return msgspec.structs.replace(
        result, seconds=round(time.perf_counter() - started, 3), rejects=str(rejects) if load.rejects else None
    )


class _Load:
    """One file being loaded."""

    def __init__(
        self,
        path: Path,
        columns: dict[str, str],
        fields: list[str],
        chain: Chain,
        existing: Existing,
        delimiter: str,
        progress: Progress,
    ) -> None:
        self.path, self.columns, self.fields, self.chain = path, columns, fields, chain
        self.existing, self.delimiter, self.progress = existing, delimiter, progress
        self.counts = {"rows": 0, "added": 0, "changed": 0, "unchanged": 0}
        self.rejects: list[Reject] = []

    async def run(self) -> MemberImport:
        digest = digest_of(self.path, {"existing": self.existing, "columns": self.columns, "delimiter": self.delimiter})
        async with database.exclusively(f"import {digest}") as alone:
            if not alone:
                raise FileRefused(field="file", why=f"{self.path.name} is being imported at this moment")
            run = await begin_or_resume("members", self.path.name, digest)
            self.counts |= run.counts
            seen = 0
            for chunk, bad in self._chunks():
                seen += len(chunk) + len(bad)
                if seen <= run.rows_done:
                    continue
                async with database.transaction():
                    done, rejects = await self._write(chunk, bad, run.id)
                    self._count(done, len(chunk) + len(bad))
                    await advance(run.id, rows_done=seen, counts=self.counts, rejects=rejects)
                self.progress(self.counts["rows"])
        self.rejects = await rejects_of(run.id)
        return self._result(run.id, resumed_after=run.rows_done)

    async def dry_run(self) -> MemberImport:
        """Everything in one transaction that is undone; what it would have changed is written to a file, row by row."""
        diff = self.path.with_suffix("").name.removesuffix(".csv") + ".diff.csv"
        differs = False
        try:
            # Written between two chunks of a run that waits for nobody.
            with Path(diff).open("w", newline="", encoding="utf-8") as file:  # noqa: ASYNC230
                async with database.transaction():
                    write_csv(file, ["row", "external_ref", "field", "before", "after"], ())
                    for chunk, bad in self._chunks():
                        done, rejects = await self._write(chunk, bad, None)
                        self.rejects += rejects
                        self._count(done, len(chunk) + len(bad))
                        _write_differences(file, chunk, done.differences)
                        differs = differs or bool(done.differences)
                        self.progress(self.counts["rows"])
                    raise _DryRunDone
        except _DryRunDone:
            pass
        except OSError as error:
            raise FileRefused(field="diff", why=f"{diff} cannot be written: {error.strerror}") from error
        if not differs:
            Path(diff).unlink()
        return self._result(None, diff=str(Path(diff).resolve()) if differs else None)

    async def _write(self, chunk: _Rows, bad: list[Reject], run_id: int | None) -> tuple[ManyRegistered, list[Reject]]:
        done = await register_many(
            [row for _, row in chunk],
            chain=self.chain,
            source=Source(channel="import", import_id=run_id),
            at=datetime.now(UTC),
            existing=self.existing,
            differences=run_id is None,
        )
        refused = [Reject(chunk[each.place][0], each.column, each.reason) for each in done.refused]
        return done, [*bad, *refused]

    def _count(self, done: ManyRegistered, rows: int) -> None:
        self.counts["rows"] += rows
        for name in ("added", "changed", "unchanged"):
            self.counts[name] += getattr(done, name)

    def _result(self, run_id: int | None, *, resumed_after: int = 0, diff: str | None = None) -> MemberImport:
        return MemberImport(
            id=run_id,
            **self.counts,
            rejected=len(self.rejects),
            seconds=0,
            resumed_after=resumed_after,
            rejects=None,
            diff=diff,
            dry_run=run_id is None,
        )

    def _chunks(self) -> Iterator[tuple[_Rows, list[Reject]]]:
        """Rows as Structs, and those that cannot be; the same parts each time a file is read."""
        for batch in read(
            self.path,
            required=["external_ref", "name"],
            optional=[*_COLUMNS, *self.fields],
            delimiter=self.delimiter,
            names=self.columns,
        ):
            names = batch.columns.schema.names
            numbers = batch.rows.tolist()
            values = list(zip(*(column.to_pylist() for column in batch.columns.columns), strict=True))
            for start in range(0, max(len(numbers), 1), CHUNK_ROWS):
                good: _Rows = []
                bad = list(batch.rejects) if start == 0 else []
                for number, cells in zip(
                    numbers[start : start + CHUNK_ROWS], values[start : start + CHUNK_ROWS], strict=True
                ):
                    try:
                        good.append((number, _row(names, cells)))
                    except msgspec.ValidationError as error:
                        bad.append(Reject(number, _place(error), str(error)))
                yield good, bad


def _row(names: list[str], cells: tuple[str | None, ...]) -> MemberRow:
    given: dict[str, Any] = {}
    custom: dict[str, str] = {}
    for name, cell in zip(names, cells, strict=True):
        if cell is None:
            continue
        if name.startswith(CUSTOM):
            custom[name.removeprefix(CUSTOM)] = plain_cell(cell)
        elif name == "marketing_email":
            given[name] = WORDS_FOR_YES.get(cell.strip().casefold(), cell)
        else:
            given[name] = plain_cell(cell)
    return msgspec.convert({**given, "custom": custom} if custom else given, MemberRow, strict=False)


def _place(error: msgspec.ValidationError) -> str:
    text = str(error)
    return text.partition("`$.")[2].rstrip("`") or text.partition("required field `")[2].rstrip("`")


def _write_differences(file: Any, chunk: _Rows, differences: list[Difference]) -> None:
    write_rows(
        file,
        (
            (chunk[each.place][0], each.external_ref, each.field or "new", each.before, each.after)
            for each in differences
        ),
    )


async def undo_import(import_id: int, *, at: datetime) -> MembersUndone:
    """Take a run back. Raises `NotFound`, `ImportNotUndoable`."""
    async with database.transaction():
        run = await import_run(import_id, lock=True)
        if run.kind != "members" or run.status == "undone":
            raise ImportNotUndoable(import_id=import_id, kind=run.kind, status=run.status)
        undone = await undo_members(import_id, busy=_BUSY)
        await database.execute("DELETE FROM stores.import_reject WHERE import_id = $1", import_id)
        await mark_undone(import_id, at)
    return undone
