"""Exports: stores, products, members and receipt lines into the files that the imports read, a few thousand rows at a time."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

import database
from api.exports import safe_cell, write_csv, write_rows
from stores.errors import FileRefused

Kind = Literal["stores", "products", "members", "receipts"]
ROWS: Final = 5_000

# Each by its id, from the one after $1.
_QUERIES: Final[dict[str, str]] = {
    "stores": "SELECT id, code, name, time_zone, region, address, opened_on::text, status FROM stores.store",
    "products": "SELECT id, sku, name, category, brand, (price / 10.0 ^ exponent)::numeric(20, 4)::text AS price, "
    "(cost / 10.0 ^ exponent)::numeric(20, 4)::text AS cost, tax_class, kind, warranty_months::text, replacement_days::text, "
    "(SELECT string_agg(key || '=' || value, '; ' ORDER BY key) FROM jsonb_each_text(attributes)) AS attributes "
    "FROM stores.product, (SELECT exponent FROM stores.chain) chain",
    "members": "SELECT id, coalesce(external_ref, (SELECT number FROM membership.card WHERE member_id = member.id AND status = 'active')) "
    "AS external_ref, name, phone, email, CASE WHEN birth_month IS NOT NULL THEN coalesce(birth_year::text, '-') || '-' || "
    "lpad(birth_month::text, 2, '0') || '-' || lpad(birth_day::text, 2, '0') END AS birth_date, gender, language, "
    "(SELECT code FROM stores.store WHERE store.id = home_store_id) AS home_store, array_to_string(tags, '; ') AS tags, notes, "
    "to_char(registered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS registered_at, custom::text "
    "FROM membership.member WHERE status = 'active'",
    "receipts": "SELECT r.id, s.code AS store, r.till, r.number, "
    "to_char(r.business_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS business_time, "
    "(SELECT number FROM membership.card "
    "WHERE card.member_id = r.member_id AND card.status = 'active') AS member, sku, quantity::text, "
    "(unit_price / 10.0 ^ exponent)::numeric(20, 6)::text AS unit_price, (discount / 10.0 ^ exponent)::numeric(20, 4)::text AS discount, "
    "r.kind FROM stores.receipt r JOIN stores.store s ON s.id = r.store_id JOIN stores.receipt_line l ON l.receipt_id = r.id "
    "JOIN stores.product p ON p.id = l.product_id, (SELECT exponent FROM stores.chain) chain",
}


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export wrote."""

    file: str
    rows: int


async def export(kind: Kind, path: Path, *, progress: Callable[[int], None] = lambda rows: None) -> Exported:
    """Write a file of the sort that its name says (.csv, .parquet, .xlsx). Raises `FileRefused`."""
    writers = {".csv": _csv, ".parquet": _parquet, ".xlsx": _excel}
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise FileRefused(field="file", why=f"{path.name} ends in none of {', '.join(writers)}")
    try:
        return Exported(file=str(path), rows=await writer(path, _pages(kind, progress)))
    except OSError as error:
        raise FileRefused(field="file", why=f"{path} cannot be written: {error.strerror}") from error


_Pages = AsyncIterator[list[dict[str, Any]]]


async def _pages(kind: Kind, progress: Callable[[int], None]) -> _Pages:
    """Whole things a page: a receipt's lines are not parted. The first is there even when it is empty, for the header."""
    fields = [field for field in (await _custom_codes()) if kind == "members"]
    after, total = 0, 0
    while True:
        rows = await database.rows(
            f"SELECT * FROM ({_QUERIES[kind]}) q WHERE id > $1 AND id <= (SELECT coalesce(max(id), $1) FROM "
            f"(SELECT DISTINCT id FROM ({_QUERIES[kind]}) i WHERE id > $1 ORDER BY id LIMIT {ROWS}) page) ORDER BY id",
            after,
        )
        if rows or not total:
            yield [_shown(row, fields) for row in rows]
        if not rows:
            return
        after, total = rows[-1]["id"], total + len(rows)
        progress(total)


async def _custom_codes() -> list[str]:
    return [row["code"] for row in await database.rows("SELECT code FROM membership.custom_field ORDER BY place, code")]


def _shown(row: database.Row, fields: list[str]) -> dict[str, Any]:
    shown = {name: value for name, value in dict(row).items() if name not in ("id", "custom")}
    if fields:
        values = msgspec.json.decode(row["custom"])
        shown |= {f"custom.{code}": _cell(values.get(code)) for code in fields}
    return shown


def _cell(value: Any) -> str | None:
    if isinstance(value, list):
        return ";".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)


async def _csv(path: Path, pages: _Pages) -> int:
    written = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        async for page in pages:
            if not written and page:
                write_csv(file, list(page[0]), ())
            write_rows(file, (list(row.values()) for row in page))
            written += len(page)
    return written


async def _parquet(path: Path, pages: _Pages) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer, written = None, 0
    try:
        async for page in pages:
            if page:
                schema = pa.schema([(name, pa.string()) for name in page[0]])
                writer = writer or pq.ParquetWriter(path, schema)
                writer.write_table(pa.Table.from_pylist(page, schema=schema))
                written += len(page)
    finally:
        if writer is not None:
            writer.close()
    return written


async def _excel(path: Path, pages: _Pages) -> int:
    from openpyxl import Workbook

    book, written = Workbook(write_only=True), 0
    sheet = book.create_sheet()
    async for page in pages:
        if not written and page:
            sheet.append(list(page[0]))
        for row in page:
            sheet.append([safe_cell(cell) for cell in row.values()])
        written += len(page)
    book.save(path)
    return written
