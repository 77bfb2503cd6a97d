"""Cross-sell: products that share baskets more often than chance."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse

import database
from segmentation.errors import TooLittleData
from segmentation.runs import digest, moment, open_run
from stores.chain import the_chain
from stores.scope import Scope, codes, in_scope

TOGETHER_MIN: Final = 5
BASKET_ITEMS_MAX: Final = 150
RELATED_MAX: Final = 50
BASKETS_MIN: Final = 20
Z_95: Final = 1.959964
_CHAIN: Final = 0  # the store_id of what all baskets say
_SCHEMA = pa.schema([("store", pa.int64()), ("basket", pa.int64()), ("product", pa.int64())])


class CrossSellResult(msgspec.Struct, frozen=True, kw_only=True):
    """A run: `pairs` counts directed suggestions that are stored."""

    run_id: int
    as_of: date
    baskets: int
    products: int
    pairs: int


class Pairs(msgspec.Struct, frozen=True, kw_only=True):
    """Directed pairs, one element each, ranked within `item`. Indices into the product list."""

    item: npt.NDArray[np.int64]
    related: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]
    together: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    lift: npt.NDArray[np.float64]
    lift_low: npt.NDArray[np.float64]
    lift_high: npt.NDArray[np.float64]


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A product that goes with a basket, and why in figures. `sku` is what it goes with it for."""

    sku: str
    name: str
    goes_with: str
    lift: float
    together: int


async def relate_products(as_of: date) -> CrossSellResult:
    """Count pairs in every basket before `as_of`, anonymous ones too, and store the suggestions: of the whole chain, and of
    each store by its own baskets alone, for callers who are bound to it."""
    started_at, started = datetime.now(UTC), time.perf_counter()
    at = moment(as_of, await the_chain())
    lines = await database.columns(_BASKETS, at, schema=_SCHEMA)
    product_ids, product = np.unique(lines["product"].to_numpy(), return_inverse=True)
    basket_ids, basket = np.unique(lines["basket"].to_numpy(), return_inverse=True)
    if len(basket_ids) < BASKETS_MIN:
        raise TooLittleData(what="baskets with two products or more", have=len(basket_ids), need=BASKETS_MIN)
    pairs = related_pairs(basket, product)
    of_stores = _by_store(lines["store"].to_numpy(), basket, product)
    async with database.transaction():
        run_id = await open_run(
            "cross_sell",
            as_of=at,
            parameters={"together_min": TOGETHER_MIN, "basket_items_max": BASKET_ITEMS_MAX, "related_max": RELATED_MAX},
            window=(None, at),
            row_count=lines.num_rows,
            input_digest=digest(lines),
            result={
                "baskets": len(basket_ids),
                "products": len(product_ids),
                "pairs": len(pairs.item),
                "stores": len(of_stores),
            },
            quality={"products_with_suggestions": len(np.unique(pairs.item))},
            started_at=started_at,
            seconds=round(time.perf_counter() - started, 3),
        )
        for store_id, found in ((_CHAIN, pairs), *of_stores):
            await database.copy_in("segmentation.related_product", _stored(run_id, store_id, found, product_ids))
    forget_suggestions()
    return CrossSellResult(
        run_id=run_id, as_of=as_of, baskets=len(basket_ids), products=len(product_ids), pairs=len(pairs.item)
    )


def _by_store(
    store: npt.NDArray[np.int64], basket: npt.NDArray[np.int64], product: npt.NDArray[np.int64]
) -> list[tuple[int, Pairs]]:
    """The pairs of each store that has baskets enough, from its lines alone."""
    found = []
    for store_id in np.unique(store):
        here = store == store_id
        baskets, renumbered = np.unique(basket[here], return_inverse=True)
        if len(baskets) >= BASKETS_MIN:
            pairs = related_pairs(renumbered, product[here])
            if len(pairs.item):
                found.append((int(store_id), pairs))
    return found


def _stored(run_id: int, store_id: int, pairs: Pairs, product_ids: npt.NDArray[np.int64]) -> pa.Table:
    return pa.table(
        {
            "run_id": np.full(len(pairs.item), run_id),
            "store_id": np.full(len(pairs.item), store_id),
            "product_id": product_ids[pairs.item],
            "related_id": product_ids[pairs.related],
            "rank": pairs.rank,
            "together": pairs.together,
            "confidence": pairs.confidence,
            "lift": pairs.lift,
            "lift_low": pairs.lift_low,
            "lift_high": pairs.lift_high,
        }
    )


# Baskets over the cap are wholesale orders: they pair everything with everything and cost the square of their size.
_BASKETS = f"""
SELECT r.store_id, l.receipt_id, l.product_id FROM stores.receipt_line l
JOIN stores.receipt r ON r.id = l.receipt_id AND r.kind = 'sale' AND r.business_time < $1
    AND r.line_count BETWEEN 2 AND {BASKET_ITEMS_MAX}
JOIN stores.product p ON p.id = l.product_id AND p.kind = 'goods'
WHERE l.quantity > 0
GROUP BY 1, 2, 3 ORDER BY 2, 3
"""


def related_pairs(basket: npt.NDArray[np.int64], product: npt.NDArray[np.int64]) -> Pairs:
    """Pair counts as a sparse product of integers, and what they say.

    With n baskets, a and b holding each product and c both: confidence c/a, lift nc/(ab). Kept are pairs seen at least
    `TOGETHER_MIN` times whose 95% interval of the lift lies above 1, ranked by cosine c/sqrt(ab). The interval is the delta
    method's for log lift under multinomial sampling: variance (n/c - n/a - n/b + 2nc/(ab) - 1)/n.
    """
    n = int(basket.max()) + 1
    matrix = sparse.csr_matrix((np.ones(len(basket), dtype=np.int32), (basket, product)))
    counts = np.asarray(matrix.sum(axis=0)).ravel().astype(np.int64)
    together = (matrix.T @ matrix).tocoo()
    keep = (together.row != together.col) & (together.data >= TOGETHER_MIN)
    item, related, c = (
        together.row[keep].astype(np.int64),
        together.col[keep].astype(np.int64),
        together.data[keep].astype(np.int64),
    )
    a, b = counts[item], counts[related]
    lift = n * c / (a * b)
    deviation = np.sqrt(np.maximum(n / c - n / a - n / b + 2 * lift - 1, 0) / n)
    low, high = lift * np.exp(-Z_95 * deviation), lift * np.exp(Z_95 * deviation)
    cosine = c / np.sqrt(a * b)
    above = np.flatnonzero(low > 1)
    order = above[np.lexsort((related[above], -cosine[above], item[above]))]
    starts = np.flatnonzero(np.diff(item[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order))) + 1
    order, rank = order[rank <= RELATED_MAX], rank[rank <= RELATED_MAX]
    return Pairs(
        item=item[order],
        related=related[order],
        rank=rank,
        together=c[order],
        confidence=(c / a)[order],
        lift=lift[order],
        lift_low=low[order],
        lift_high=high[order],
    )


async def suggest(
    skus: list[str], *, limit: int = 3, not_bought_by: int | None = None, stores: Scope = None
) -> list[Suggestion]:
    """What goes with these products, by the newest run; nothing that is among them, nor what the member has bought before.
    With `stores`, by the baskets of those stores, and what the member has bought there."""
    rows = await database.rows(_SUGGEST, skus, limit, not_bought_by, codes(stores))
    return [Suggestion(**dict(row)) for row in rows]


_SUGGEST = f"""
WITH newest AS (SELECT max(id) AS id FROM segmentation.run WHERE kind = 'cross_sell'),
basket AS (SELECT id, sku FROM stores.product WHERE sku = ANY($1))
SELECT sku, name, goes_with, lift, together FROM (
    SELECT DISTINCT ON (p.id) p.id, p.sku, p.name, basket.sku AS goes_with, r.lift, r.together, r.confidence
    FROM newest JOIN segmentation.related_product r ON r.run_id = newest.id
    JOIN basket ON basket.id = r.product_id JOIN stores.product p ON p.id = r.related_id
    WHERE r.rank <= 10 AND NOT p.sku = ANY($1) AND CASE WHEN $4::text[] IS NULL THEN r.store_id = 0
        ELSE r.store_id <> 0 AND {in_scope("r.store_id", 4)} END
    ORDER BY p.id, r.confidence DESC
) best
WHERE $3::bigint IS NULL OR NOT EXISTS (
    SELECT FROM stores.receipt JOIN stores.receipt_line ON receipt_id = receipt.id
    WHERE member_id = $3 AND product_id = best.id AND {in_scope("receipt.store_id", 4)})
ORDER BY confidence DESC, sku LIMIT $2
"""


class _Related(msgspec.Struct, frozen=True, kw_only=True):
    """A product that goes with another, as the newest run has it."""

    goes_with: str
    sku: str
    name: str
    lift: float
    together: int
    confidence: float


REMEMBERED_SECONDS: Final = 60.0
_REMEMBERED_MAX: Final = 50_000
_remembered: dict[tuple[str, Scope], tuple[float, list[_Related]]] = {}


async def suggest_at_till(skus: Sequence[str], *, limit: int = 3, stores: Scope = None) -> list[Suggestion]:
    """What `suggest` says of a basket, remembered for a minute: a till asks for every sale, and a run is new once a night."""
    now = time.monotonic()
    missing = [sku for sku in skus if _remembered.get((sku, stores), (0.0, []))[0] <= now]
    if missing:
        if len(_remembered) > _REMEMBERED_MAX:
            _remembered.clear()
        found: dict[str, list[_Related]] = {sku: [] for sku in missing}
        for row in await database.rows(_RELATED, missing, codes(stores)):
            found[row["goes_with"]].append(_Related(**dict(row)))
        _remembered.update({(sku, stores): (now + REMEMBERED_SECONDS, related) for sku, related in found.items()})
    best: dict[str, _Related] = {}
    for sku in sorted(set(skus)):
        for related in _remembered.get((sku, stores), (0.0, []))[1]:
            if related.sku not in skus and (
                related.sku not in best or related.confidence > best[related.sku].confidence
            ):
                best[related.sku] = related
    chosen = sorted(best.values(), key=lambda related: (-related.confidence, related.sku))[:limit]
    return [
        Suggestion(sku=one.sku, name=one.name, goes_with=one.goes_with, lift=one.lift, together=one.together)
        for one in chosen
    ]


def forget_suggestions() -> None:
    """Drop what is remembered: there is a new run, or this process turns to another database."""
    _remembered.clear()


_RELATED = f"""
SELECT basket.sku AS goes_with, p.sku, p.name, r.lift, r.together, r.confidence
FROM (SELECT max(id) AS id FROM segmentation.run WHERE kind = 'cross_sell') newest
JOIN segmentation.related_product r ON r.run_id = newest.id JOIN stores.product basket ON basket.id = r.product_id
JOIN stores.product p ON p.id = r.related_id
WHERE basket.sku = ANY($1) AND r.rank <= 10 AND CASE WHEN $2::text[] IS NULL THEN r.store_id = 0
    ELSE r.store_id <> 0 AND {in_scope("r.store_id", 2)} END
"""


async def related_to(sku: str, *, limit: int = 10, stores: Scope = None) -> list[Suggestion]:
    """What is bought with one product."""
    return await suggest([sku], limit=limit, stores=stores)
