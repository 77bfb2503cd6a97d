"""Exports: stores, products, members and receipt lines into the files that the imports read, a few thousand rows at a time."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

import database
from api.exports import safe_cell, write_csv, write_rows
from membership.custom_fields import custom_fields
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


_HEADS: Final[dict[str, tuple[str, ...]]] = {
    "stores": ("code", "name", "time_zone", "region", "address", "opened_on", "status"),
    "products": (
        "sku", "name", "category", "brand", "price", "cost", "tax_class", "kind", "warranty_months", "replacement_days", "attributes",
    ),
    "members": (
        "external_ref", "name", "phone", "email", "birth_date", "gender", "language", "home_store", "tags", "notes", "registered_at",
    ),
    "receipts": ("store", "till", "number", "business_time", "member", "sku", "quantity", "unit_price", "discount", "kind"),
}  # fmt: skip


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
    fields = await custom_fields() if kind == "members" else []
    head = [*_HEADS[kind], *(f"custom.{field.code}" for field in fields)]
    try:
        return Exported(file=str(path), rows=await writer(path, head, _pages(kind, head, progress)))
    except OSError as error:
        raise FileRefused(field="file", why=f"{path} cannot be written: {error.strerror}") from error


_Pages = AsyncIterator[list[list[str | None]]]


async def _pages(kind: Kind, head: list[str], progress: Callable[[int], None]) -> _Pages:
    """Whole things a page: a receipt's lines are not parted."""
    after, total = 0, 0
    while rows := await database.rows(
        f"SELECT * FROM ({_QUERIES[kind]}) q WHERE id > $1 AND id <= (SELECT max(id) FROM "
        f"(SELECT DISTINCT id FROM ({_QUERIES[kind]}) i WHERE id > $1 ORDER BY id LIMIT {ROWS}) page) ORDER BY id",
        after,
    ):
        yield [_shown(row, head) for row in rows]
        after, total = rows[-1]["id"], total + len(rows)
        progress(total)


def _shown(row: database.Row, head: list[str]) -> list[str | None]:
    values = msgspec.json.decode(row["custom"]) if "custom" in row.keys() else {}  # noqa: SIM118  (a Record's `in` asks its values)
    return [
        _cell(values.get(name.removeprefix("custom."))) if name.startswith("custom.") else row[name] for name in head
    ]


def _cell(value: Any) -> str | None:
    if isinstance(value, list):
        return ";".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)


async def _csv(path: Path, head: list[str], pages: _Pages) -> int:
    written = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        write_csv(file, head, ())
        async for page in pages:
            write_rows(file, page)
            written += len(page)
    return written


async def _parquet(path: Path, head: list[str], pages: _Pages) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = 0
    with pq.ParquetWriter(path, pa.schema([(name, pa.string()) for name in head])) as writer:
        async for page in pages:
            columns = [pa.array(list(column), pa.string()) for column in zip(*page, strict=True)]
            writer.write_table(pa.Table.from_arrays(columns, head))
            written += len(page)
    return written


async def _excel(path: Path, head: list[str], pages: _Pages) -> int:
    from openpyxl import Workbook

    book, written = Workbook(write_only=True), 0
    sheet = book.create_sheet()
    sheet.append(head)
    async for page in pages:
        for row in page:
            sheet.append([safe_cell(cell) for cell in row])
        written += len(page)
    book.save(path)
    return written
