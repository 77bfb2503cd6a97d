"""Loading a chain's past receipts: millions of lines by COPY, in memory bounded by one batch.

The caller opens one transaction around `begin`, `add` for each batch and `finish`. What was loaded stands in the
temporary table `imported_receipt` until that transaction ends, for membership/ and loyalty/ to build on.
"""

import asyncio
from collections.abc import Mapping

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import database
from stores.batches import Reject
from stores.cancellations import match_cancellations
from stores.chain import Chain
from stores.history_grouping import Heads, by_value, line_batch, receipt_heads, times
from stores.history_reading import Ints, LineBatch
from stores.profiles import ReceiptProfile


class HistoryCounts(msgspec.Struct, kw_only=True):
    """What one import did."""

    rows: int = 0
    lines: int = 0
    receipts: int = 0
    unchanged: int = 0
    stores: int = 0
    products: int = 0
    matched_returns: int = 0
    blind_returns: int = 0


class HistoryLoad(msgspec.Struct, kw_only=True):
    """One import in progress; `import_id` is 0 for one that only looks. `ids` are the first and last receipt reserved."""

    import_id: int
    profile: ReceiptProfile
    chain: Chain
    counts: HistoryCounts
    store_ids: dict[str, int]
    product_ids: dict[str, tuple[int, bool]]
    ids: tuple[int, int] = (1, 0)


async def begin(*, file: str, profile: ReceiptProfile, chain: Chain) -> HistoryLoad:
    """Start an import: its row, and the temporary tables it fills."""
    import_id = await database.value(
        "INSERT INTO stores.import_run (kind, file, profile) VALUES ('receipts', $1, $2) RETURNING id",
        file,
        profile.name,
    )
    await database.execute(
        # Two imports in one transaction would otherwise meet each other's.
        "DROP TABLE IF EXISTS pg_temp.imported_receipt, pg_temp.seen_receipt;"
        "CREATE TEMP TABLE seen_receipt (receipt_id bigint, member_id bigint, kind text, business_time timestamptz,"
        " fingerprint bigint, line_count int, row bigint) ON COMMIT DROP"
    )
    return msgspec.structs.replace(await look_up(profile=profile, chain=chain), import_id=import_id)


async def look_up(*, profile: ReceiptProfile, chain: Chain) -> HistoryLoad:
    """What a file's rows can refer to, without an import: for reading it to find what is wrong with it."""
    stores = await database.rows("SELECT code, id FROM stores.store")
    return HistoryLoad(
        import_id=0,
        profile=profile,
        chain=chain,
        counts=HistoryCounts(),
        store_ids={store["code"]: store["id"] for store in stores},
        product_ids={},
    )


async def unknown_references(load: HistoryLoad, batch: LineBatch) -> list[Reject]:
    """Rows whose store or SKU does not exist; none when the profile makes them as they appear."""
    if load.profile.creates:
        return []
    await _learn_products(load, batch)
    rejects = []
    for column, values, known in (
        (load.profile.store, batch.store, load.store_ids),
        (load.profile.sku, batch.sku, load.product_ids),
    ):
        missing = [name for name in pc.unique(values).to_pylist() if name not in known]
        if missing:
            for index in np.flatnonzero(pc.is_in(values, value_set=pa.array(missing)).to_numpy(zero_copy_only=False)):
                name = values[int(index)].as_py()
                rejects.append(Reject(int(batch.rows[index]), column, f"{name!r} is unknown; import it first"))
    return rejects


async def add(load: HistoryLoad, batch: LineBatch, members: Mapping[str, int]) -> None:
    """Write one batch. A receipt may go on in a later batch: its lines need not stand together in the file."""
    if len(batch.rows) == 0:
        return
    if load.profile.creates:
        await _make_stores(load, batch)
    await _learn_products(load, batch)
    sku_ids = by_value(batch.sku, {sku: found[0] for sku, found in load.product_ids.items()})
    sku_goods = by_value(batch.sku, {sku: int(found[1]) for sku, found in load.product_ids.items()}).astype(bool)
    heads = receipt_heads(batch, store_ids=load.store_ids, members=members, sku_ids=sku_ids, goods=sku_goods)
    ids, line_offset, ours = await _identify(load, heads)
    await _note_seen(heads, ids, ~ours)
    await _write(load, batch, heads, ids, line_offset, ours, sku_ids)
    load.counts.rows += len(batch.rows)


async def finish(load: HistoryLoad) -> list[Reject]:
    """Match returns to their sales; the rows of receipts that are recorded with other content."""
    # Ids were reserved in passing, so the import's lie within a range, among those that tills took meanwhile.
    await database.execute(
        "CREATE TEMP TABLE imported_receipt (LIKE stores.receipt) ON COMMIT DROP;"
        f"INSERT INTO imported_receipt SELECT * FROM stores.receipt WHERE id BETWEEN {load.ids[0]} AND {load.ids[1]} "
        f"AND import_id = {load.import_id};"
        "ANALYZE imported_receipt (id, member_id, kind, business_time)"
    )
    load.counts.receipts = await database.value("SELECT count(*) FROM imported_receipt")
    load.counts.unchanged = await database.value("SELECT count(DISTINCT receipt_id) FROM seen_receipt")
    load.counts.matched_returns, load.counts.blind_returns = await match_cancellations()
    differing = await database.rows(_DIFFERING)
    load.counts.unchanged -= len(differing)
    return [
        Reject(row["row"], load.profile.number, f"receipt {row['number']} is recorded with different content")
        for row in differing
    ]


_DIFFERING = """
SELECT min(s.row) AS row, r.number FROM seen_receipt s JOIN stores.receipt r ON r.id = s.receipt_id
GROUP BY r.id
HAVING sum(s.line_count) <> r.line_count OR min(s.business_time) <> r.business_time OR min(s.kind) <> r.kind
    OR max(s.member_id) IS DISTINCT FROM r.member_id
    -- Wrapping sums: numeric here, so brought back into 64 bits.
    OR mod(sum(s.fingerprint) - r.fingerprint, 18446744073709551616) <> 0
ORDER BY 1
"""


async def _identify(load: HistoryLoad, heads: Heads) -> tuple[Ints, Ints, np.ndarray]:
    """Each head's receipt id, how many lines it has already, and whether it belongs to this import."""
    count = len(heads.number)
    ids, offset = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    ours = np.ones(count, dtype=bool)
    known = await database.rows(
        "SELECT i - 1 AS i, r.id, r.line_count, r.import_id FROM unnest($1::bigint[], $2::text[], $3::text[]) "
        "WITH ORDINALITY k (store_id, till, number, i) JOIN stores.receipt r USING (store_id, till, number)",
        heads.store_id.tolist(),
        heads.till,
        heads.number,
    )
    for row in known:
        ids[row["i"]], offset[row["i"]] = row["id"], row["line_count"]
        ours[row["i"]] = row["import_id"] == load.import_id
    new = np.flatnonzero(ids == 0)
    reserved = await database.rows(
        "SELECT nextval('stores.receipt_id_seq') AS id FROM generate_series(1, $1)", len(new)
    )
    ids[new] = [row["id"] for row in reserved]
    if len(new):
        first = load.ids[0] if load.ids[1] else int(ids[new].min())
        load.ids = (first, int(ids[new].max()))
    return ids, offset, ours


async def _note_seen(heads: Heads, ids: Ints, seen: np.ndarray) -> None:
    if not seen.any():
        return
    picked = np.flatnonzero(seen)
    await database.copy_in(
        "seen_receipt",
        pa.RecordBatch.from_pydict(
            {
                "receipt_id": ids[picked],
                "member_id": pa.array([heads.member_id[i] for i in picked], pa.int64()),
                "kind": [heads.kind[i] for i in picked],
                "business_time": times(heads.seconds[picked]),
                "fingerprint": heads.fingerprint[picked],
                "line_count": heads.line_count[picked],
                "row": heads.row[picked],
            }
        ),
    )


async def _write(
    load: HistoryLoad, batch: LineBatch, heads: Heads, ids: Ints, line_offset: Ints, ours: np.ndarray, sku_ids: Ints
) -> None:
    lines = line_batch(batch, heads, ids, line_offset, ours, sku_ids)
    # Written by a thread while PostgreSQL takes the receipts.
    written = asyncio.create_task(asyncio.to_thread(database.as_csv, lines))
    new = np.flatnonzero(ours & (line_offset == 0))
    if len(new):
        receipts = pa.RecordBatch.from_pydict(
            {
                "id": ids[new],
                "store_id": heads.store_id[new],
                "till": [heads.till[i] for i in new],
                "number": [heads.number[i] for i in new],
                "business_time": times(heads.seconds[new]),
                "kind": [heads.kind[i] for i in new],
                "member_id": pa.array([heads.member_id[i] for i in new], pa.int64()),
                "import_id": np.full(len(new), load.import_id),
                "total": heads.total[new],
                "gross": heads.gross[new],
                "eligible": heads.eligible[new],
                "units": heads.units[new],
                "line_count": heads.line_count[new],
                "fingerprint": heads.fingerprint[new],
            }
        )
        await database.copy_in("stores.receipt", receipts)
    for i in np.flatnonzero(ours & (line_offset > 0)):
        await database.execute(
            "UPDATE stores.receipt SET total = total + $2, gross = gross + $3, eligible = eligible + $4, units = units + $5, "
            "line_count = line_count + $6, fingerprint = ((fingerprint::numeric + $7::bigint + 27670116110564327424) "
            "% 18446744073709551616 - 9223372036854775808)::bigint, business_time = least(business_time, $8) WHERE id = $1",
            *(int(column[i]) for column in (ids, heads.total, heads.gross, heads.eligible, heads.units)),
            int(heads.line_count[i]),
            int(heads.fingerprint[i]),
            times(heads.seconds[[i]])[0].as_py(),
        )
    if lines.num_rows:
        await database.copy_csv("stores.receipt_line", lines.schema.names, await written)
    load.counts.lines += lines.num_rows


async def _make_stores(load: HistoryLoad, batch: LineBatch) -> None:
    for code in pc.unique(batch.store).to_pylist():
        if code not in load.store_ids:
            load.store_ids[code] = await database.value(
                "INSERT INTO stores.store (code, name, time_zone) VALUES ($1, $2, $3) RETURNING id",
                code,
                code.replace("-", " ").title(),
                load.chain.time_zone,
            )
            load.counts.stores += 1


async def _learn_products(load: HistoryLoad, batch: LineBatch) -> None:
    """Make sure `product_ids` knows the batch's SKUs that exist; with a creating profile, all of them."""
    new = [sku for sku in pc.unique(batch.sku).to_pylist() if sku not in load.product_ids]
    if not new:
        return
    if load.profile.creates:
        load.counts.products += await database.execute(
            "INSERT INTO stores.product (sku, name, kind) SELECT sku, name, CASE WHEN sku ~ $3 THEN 'service' WHEN sku ~ $4 "
            "THEN 'gift_card' ELSE 'goods' END FROM unnest($1::text[], $2::text[]) AS p (sku, name) "
            "ON CONFLICT (sku) DO NOTHING",
            new,
            _names(batch, new),
            load.profile.service_skus or "^$",
            load.profile.gift_card_skus or "^$",
        )
    rows = await database.rows("SELECT sku, id, kind = 'goods' AS goods FROM stores.product WHERE sku = ANY($1)", new)
    load.product_ids.update({row["sku"]: (row["id"], row["goods"]) for row in rows})


def _names(batch: LineBatch, skus: list[str]) -> list[str]:
    """The first description that each SKU comes with."""
    wanted = pc.and_(pc.is_in(batch.sku, value_set=pa.array(skus)), pc.not_equal(batch.description, ""))
    described = zip(batch.sku.filter(wanted).to_pylist(), batch.description.filter(wanted).to_pylist(), strict=True)
    first: dict[str, str] = {}
    for sku, name in described:
        first.setdefault(sku, name)
    return [first.get(sku, "") for sku in skus]


__all__ = ["HistoryCounts", "HistoryLoad", "add", "begin", "finish", "look_up", "unknown_references"]
