"""Importing stores, products and staff: one row, one thing."""

import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import database
from api.access.links import mail_link
from api.imports.receipts import Progress
from api.imports.rejects import reject_path, write_rejects
from errors import DomainError, InvalidInput
from stores.batches import Reject
from stores.branches import Branch, open_store
from stores.catalogue import Product, stock
from stores.chain import Chain, the_chain
from stores.errors import EmailTaken
from stores.money import parsed
from stores.staff import Role, hire, staff_by_id
from stores.tabular import read
from stores.tills import plan_till

Row = TypeVar("Row", bound=msgspec.Struct)
CHUNK_ROWS = 5_000


class TableImport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, in rows."""

    rows: int
    added: int
    unchanged: int
    rejected: int
    seconds: float
    rejects: str | None
    dry_run: bool


class ProductRow(msgspec.Struct, frozen=True, kw_only=True):
    """One product in a file; prices are decimals such as 12.50, attributes `author=Orwell; format=paperback`."""

    sku: str
    name: str = ""
    category: str = ""
    brand: str = ""
    price: str | None = None
    cost: str | None = None
    kind: str = "goods"
    tax_class: str = ""
    warranty_months: int | None = None
    replacement_days: int | None = None
    attributes: str | None = None


class _DryRunDone(Exception):
    """Leaves the transaction of a dry run."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one chunk."""

    added: int
    unchanged: int = 0
    rejects: list[Reject] = []


async def import_stores(path: Path, **options: Any) -> TableImport:
    """Stores by code; one that exists is brought up to date."""

    async def write(rows: list[tuple[int, Branch]]) -> Outcome:
        rejects, added = [], 0
        there = {row["code"] for row in await database.rows("SELECT code FROM stores.store")}
        for number, branch in rows:
            try:
                await open_store(branch)
                added += branch.code not in there
            except DomainError as error:
                rejects.append(Reject(number, str(error.facts.get("field", "")), str(error)))
        return Outcome(added=added, unchanged=len(rows) - added - len(rejects), rejects=rejects)

    return await _import(path, Branch, write, **options)


async def import_products(path: Path, **options: Any) -> TableImport:
    """Products by SKU; one that exists is brought up to date."""
    chain = await the_chain()

    async def write(rows: list[tuple[int, ProductRow]]) -> Outcome:
        rejects, products = [], {}
        for number, row in rows:
            try:
                products[row.sku] = _product(row, chain)
            except (DomainError, msgspec.ValidationError) as error:
                column = str(error.facts.get("field", "")) if isinstance(error, DomainError) else _place(error)
                rejects.append(Reject(number, column, str(error)))
        there = await database.value("SELECT count(*) FROM stores.product WHERE sku = ANY($1)", list(products))
        await stock(list(products.values()))
        return Outcome(added=len(products) - there, unchanged=there, rejects=rejects)

    return await _import(path, ProductRow, write, **options)


class StaffRow(msgspec.Struct, frozen=True, kw_only=True):
    """One member of staff in a file; `stores` are codes parted by semicolons. They are invited by mail."""

    email: str
    name: str
    role: Role
    stores: str = ""


async def import_staff(path: Path, **options: Any) -> TableImport:
    """Staff by e-mail; who has an account is left as they are, the others are invited to choose a password."""

    async def write(rows: list[tuple[int, StaffRow]]) -> Outcome:
        rejects, added, unchanged = [], 0, 0
        for number, row in rows:
            try:
                async with database.transaction(inner="savepoint"):
                    codes = [code.strip() for code in row.stores.split(";") if code.strip()]
                    staff_id = await hire(email=row.email, name=row.name, role=row.role, password=None, stores=codes)
                    await mail_link(await staff_by_id(staff_id), "invitation", at=datetime.now(UTC))
                added += 1
            except EmailTaken:
                unchanged += 1
            except DomainError as error:
                rejects.append(Reject(number, str(error.facts.get("field", "")), str(error)))
        return Outcome(added=added, unchanged=unchanged, rejects=rejects)

    return await _import(path, StaffRow, write, **options)


class TillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One till in a file. Its device is enrolled where it stands, by a one-time code."""

    store: str
    code: str


async def import_tills(path: Path, **options: Any) -> TableImport:
    """Tills by store and code; one that exists is left as it is."""

    async def write(rows: list[tuple[int, TillRow]]) -> Outcome:
        rejects, added, unchanged = [], 0, 0
        for number, row in rows:
            try:
                made = await plan_till(row.store, row.code)
            except DomainError as error:
                rejects.append(Reject(number, str(error.facts.get("field", "store")), str(error)))
                continue
            added, unchanged = added + made, unchanged + (not made)
        return Outcome(added=added, unchanged=unchanged, rejects=rejects)

    return await _import(path, TillRow, write, **options)


def _product(row: ProductRow, chain: Chain) -> Product:
    money = {
        name: parsed(value, chain.currency, field=name)
        for name in ("price", "cost")
        if (value := getattr(row, name)) is not None
    }
    same = {name: getattr(row, name) for name in row.__struct_fields__ if name not in ("price", "cost", "attributes")}
    return msgspec.convert({**same, **money, "attributes": _attributes(row.attributes)}, Product)


def _attributes(text: str | None) -> dict[str, str]:
    parts = [part.partition("=") for part in (text or "").split(";") if part.strip()]
    if any(not between for _, between, _ in parts):
        raise InvalidInput(field="attributes", why=f"{text!r} is not like author=Orwell; format=paperback")
    return {name.strip(): value.strip() for name, _, value in parts}


async def _import(
    path: Path,
    shape: type[Row],
    write: Callable[[list[tuple[int, Row]]], Awaitable[Outcome]],
    *,
    dry_run: bool = False,
    delimiter: str = ",",
    progress: Progress = lambda rows: None,
) -> TableImport:
    started = time.perf_counter()
    rejects: list[Reject] = []
    rows = added = unchanged = 0
    try:
        async with database.transaction():
            for chunk, bad in chunks(path, shape, delimiter):
                outcome = await write(chunk)
                rejects += [*bad, *outcome.rejects]
                rows += len(chunk) + len(bad)
                added, unchanged = added + outcome.added, unchanged + outcome.unchanged
                progress(rows)
            if dry_run:
                raise _DryRunDone
    except _DryRunDone:
        pass
    file = reject_path(path)
    write_rejects(file, rejects)
    return TableImport(
        rows=rows,
        added=added,
        unchanged=unchanged,
        rejected=len(rejects),
        seconds=round(time.perf_counter() - started, 3),
        rejects=str(file) if rejects else None,
        dry_run=dry_run,
    )


def chunks(path: Path, shape: type[Row], delimiter: str) -> Iterator[tuple[list[tuple[int, Row]], list[Reject]]]:
    """Rows as Structs, and those that cannot be, with the column that is wrong."""
    fields = msgspec.structs.fields(shape)
    required = [field.name for field in fields if field.required]
    optional = [field.name for field in fields if not field.required]
    for batch in read(path, required=required, optional=optional, delimiter=delimiter):
        names = batch.columns.schema.names
        values = zip(*(column.to_pylist() for column in batch.columns.columns), strict=True)
        good: list[tuple[int, Row]] = []
        bad = list(batch.rejects)
        for number, cells in zip(batch.rows.tolist(), values, strict=True):
            given = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
            try:
                good.append((number, msgspec.convert(given, shape, strict=False)))
            except msgspec.ValidationError as error:
                bad.append(Reject(number, _place(error) or _missing(error), str(error)))
        for start in range(0, max(len(good), 1), CHUNK_ROWS):
            yield good[start : start + CHUNK_ROWS], bad if start == 0 else []


def _place(error: msgspec.ValidationError) -> str:
    return str(error).partition("`$.")[2].rstrip("`")


def _missing(error: msgspec.ValidationError) -> str:
    return str(error).partition("required field `")[2].rstrip("`")
