"""Importing receipts: one transaction from file to points, so that a failure leaves nothing half-written."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc

import database
from api.imports.rejects import reject_path, write_rejects
from loyalty.history import HistoryAward, award_imported, lock_accounts_of_import, settle_imported
from membership.consumption import roll_up_imported
from membership.registration import Source, identify, register_references
from stores import history
from stores.batches import Reject, TextBatch
from stores.chain import Chain, found, the_chain
from stores.history_reading import LineBatch, read_lines
from stores.profiles import ReceiptProfile, receipt_profile
from stores.tabular import check_file, read

Progress = Callable[[int], None]


class ReceiptImport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did. `rows` counts lines in the file, rejected ones included; `unchanged` counts receipts."""

    rows: int
    added: int
    unchanged: int
    rejected: int
    seconds: float
    stores: int
    members: int
    products: int
    receipts: int
    lines: int
    matched_returns: int
    blind_returns: int
    points: HistoryAward
    rejects: str | None
    dry_run: bool


class _DryRunDone(Exception):
    """Leaves the transaction of a dry run."""


class _Bad(msgspec.Struct, kw_only=True):
    """What a first reading found wrong: the rows, and the receipts they belong to, which are then left out whole."""

    rejects: list[Reject] = []
    receipts: set[tuple[str, str, str]] = set()


class _FoundBad(Exception):
    """A load met a bad row."""


async def import_receipts(
    path: Path,
    *,
    profile: str = "regulars",
    award_points: bool = False,
    dry_run: bool = False,
    delimiter: str = ",",
    progress: Progress = lambda rows: None,
) -> ReceiptImport:
    """Load a file of receipt lines. Running it again changes nothing.

    A receipt with a bad row is left out whole, because part of a receipt is a wrong receipt; the reject file says why.
    """
    started = time.perf_counter()
    mapping = receipt_profile(profile)
    # Raises FileRefused for the file as a whole before the database is touched.
    check_file(path, required=mapping.required, optional=mapping.optional, delimiter=delimiter)
    chain = mapping.chain or await the_chain()
    load = _Load(path, mapping, chain, delimiter, award_points=award_points, dry_run=dry_run, progress=progress)
    try:
        # Nearly every file is clean, so it is loaded at the first reading; only a bad row makes it read twice.
        result = await load.run(_Bad(), stop_at_bad=True)
    except _FoundBad:
        result = await load.run(await load.find_bad(), stop_at_bad=False)
    rejects = reject_path(path)
    write_rejects(rejects, load.rejects)
    return msgspec.structs.replace(
        result, seconds=round(time.perf_counter() - started, 3), rejects=str(rejects) if load.rejects else None
    )


class _Load:
    """One file being loaded."""

    def __init__(
        self,
        path: Path,
        profile: ReceiptProfile,
        chain: Chain,
        delimiter: str,
        *,
        award_points: bool,
        dry_run: bool,
        progress: Progress,
    ) -> None:
        self.path, self.profile, self.chain, self.delimiter = path, profile, chain, delimiter
        self.award_points, self.dry_run, self.progress = award_points, dry_run, progress
        self.rejects: list[Reject] = []
        self.rows = 0

    async def run(self, bad: _Bad, *, stop_at_bad: bool) -> ReceiptImport:
        self.rejects, self.rows = list(bad.rejects), 0
        result: list[ReceiptImport] = []
        try:
            async with database.transaction():
                # A transaction this size is worth more memory than the till's.
                await database.execute("SET LOCAL work_mem = '64MB'")
                if self.profile.chain is not None:
                    await found(self.profile.chain)
                result.append(await self._load(bad, stop_at_bad))
                if self.dry_run:
                    raise _DryRunDone
        except _DryRunDone:
            pass
        return result[0]

    async def _load(self, bad: _Bad, stop_at_bad: bool) -> ReceiptImport:
        load = await history.begin(file=self.path.name, profile=self.profile, chain=self.chain)
        members = 0
        async for batch in self._batches():
            self.rows += len(batch.rows) + len(batch.rejects)
            unknown = await self._unknown(load, batch)
            if stop_at_bad and (batch.rejects or unknown):
                raise _FoundBad
            clean = batch.only(~_belongs(batch, bad.receipts)) if bad.receipts else batch
            known, made = await self._members(load, clean)
            members += made
            await history.add(load, clean, known)
            self.progress(self.rows)
        self.rejects += await history.finish(load)
        await lock_accounts_of_import()
        await roll_up_imported()
        points = await award_imported() if self.award_points else HistoryAward()
        await settle_imported()
        counts = load.counts
        await database.execute(
            "UPDATE stores.import_run SET counts = $2 WHERE id = $1",
            load.import_id,
            msgspec.json.encode(counts).decode(),
        )
        return ReceiptImport(
            rows=self.rows,
            added=counts.receipts,
            unchanged=counts.unchanged,
            rejected=len(self.rejects),
            seconds=0.0,
            stores=counts.stores,
            members=members,
            products=counts.products,
            receipts=counts.receipts,
            lines=counts.lines,
            matched_returns=counts.matched_returns,
            blind_returns=counts.blind_returns,
            points=points,
            rejects=None,
            dry_run=self.dry_run,
        )

    async def find_bad(self) -> _Bad:
        """Read the whole file for bad rows only."""
        bad = _Bad(rejects=[], receipts=set())
        load = await history.look_up(profile=self.profile, chain=self.chain)
        async for batch in self._batches():
            unknown = await self._unknown(load, batch)
            bad.rejects += [*batch.rejects, *unknown]
            wrong = np.isin(batch.rows, [reject.row for reject in unknown])
            bad.receipts |= _keys(batch.only(wrong))
        bad.receipts |= await asyncio.to_thread(self._keys_of_rejects, {reject.row for reject in bad.rejects})
        return bad

    def _keys_of_rejects(self, rows: set[int]) -> set[tuple[str, str, str]]:
        """Receipts named by rows whose other columns could not be read."""
        found: set[tuple[str, str, str]] = set()
        for batch in self._texts():
            found |= {self.profile.key(cells) for cells in batch.broken}
            for index in np.flatnonzero(np.isin(batch.rows, list(rows))):
                cells = {name: batch.columns.column(name)[int(index)].as_py() for name in batch.columns.schema.names}
                found.add(self.profile.key(cells))
        return found

    async def _unknown(self, load: history.HistoryLoad, batch: LineBatch) -> list[Reject]:
        unknown = await history.unknown_references(load, batch)
        if self.profile.creates:
            return unknown
        references = [ref for ref in pc.unique(batch.member).to_pylist() if ref is not None]
        missing = set(references) - set(await identify(references))
        if missing:
            named = batch.member.to_pylist()
            unknown += [
                Reject(int(row), self.profile.member or "", f"{ref!r} is no member; import members first")
                for row, ref in zip(batch.rows, named, strict=True)
                if ref in missing
            ]
        return unknown

    async def _members(self, load: history.HistoryLoad, batch: LineBatch) -> tuple[dict[str, int], int]:
        """Member ids of the batch, and how many had to be made."""
        references = [ref for ref in pc.unique(batch.member).to_pylist() if ref is not None]
        known = await identify(references)
        missing = [ref for ref in references if ref not in known]
        if missing and self.profile.creates:
            known |= await register_references(
                missing,
                prefix_name="Customer ",
                source=Source(channel="import", import_id=load.import_id),
                at=datetime.fromtimestamp(int(batch.seconds.min()), UTC),
            )
        return known, len(missing)

    def _texts(self) -> Iterator[TextBatch]:
        return read(self.path, required=self.profile.required, optional=self.profile.optional, delimiter=self.delimiter)

    async def _batches(self) -> AsyncIterator[LineBatch]:
        """Typed batches, read one ahead in a thread, so that the disk and PostgreSQL work at the same time."""
        stores = await database.rows("SELECT code, time_zone FROM stores.store")
        zones = {store["code"]: store["time_zone"] for store in stores}
        texts = self._texts()

        def following() -> LineBatch | None:
            text = next(texts, None)
            if text is None:
                return None
            return read_lines(text, self.profile, exponent=self.chain.exponent, zones=zones, zone=self.chain.time_zone)

        ahead = asyncio.create_task(asyncio.to_thread(following))
        try:
            while (batch := await ahead) is not None:
                ahead = asyncio.create_task(asyncio.to_thread(following))
                yield batch
        finally:
            await asyncio.wait([ahead])


def _keys(batch: LineBatch) -> set[tuple[str, str, str]]:
    return set(zip(batch.store.to_pylist(), batch.till.to_pylist(), batch.number.to_pylist(), strict=True))


def _belongs(batch: LineBatch, receipts: set[tuple[str, str, str]]) -> np.ndarray:
    keys = zip(batch.store.to_pylist(), batch.till.to_pylist(), batch.number.to_pylist(), strict=True)
    return np.fromiter((key in receipts for key in keys), dtype=bool, count=len(batch.rows))
