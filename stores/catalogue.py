"""The product catalogue."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

import database
from errors import NotFound
from stores.errors import UnknownProduct


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product as the outside sees it. Prices in minor units."""

    sku: str
    name: str = ""
    category: str = ""
    brand: str = ""
    price: int | None = None
    cost: int | None = None
    kind: Literal["goods", "service", "gift_card"] = "goods"
    warranty_months: int | None = None
    replacement_days: int | None = None
    attributes: dict[str, Any] = {}


class CatalogueProduct(msgspec.Struct, frozen=True, kw_only=True):
    """What pricing and earning need of a product."""

    id: int
    sku: str
    name: str
    category: str
    brand: str
    kind: str
    price: int | None


async def stock(products: Sequence[Product]) -> None:
    """Add products, or bring those of the same SKU up to date."""
    await database.execute(
        "INSERT INTO stores.product (sku, name, category, brand, price, cost, kind, warranty_months, replacement_days, "
        "attributes) SELECT sku, name, category, brand, price, cost, kind, warranty_months, replacement_days, attributes "
        "FROM jsonb_populate_recordset(NULL::stores.product, $1::jsonb) ON CONFLICT (sku) DO UPDATE SET (name, category, "
        "brand, price, cost, kind, warranty_months, replacement_days, attributes) = (excluded.name, excluded.category, "
        "excluded.brand, excluded.price, excluded.cost, excluded.kind, excluded.warranty_months, "
        "excluded.replacement_days, excluded.attributes)",
        msgspec.json.encode(products).decode(),
    )


async def find_products(skus: Iterable[str]) -> dict[str, CatalogueProduct]:
    """Products by SKU. Raises `UnknownProduct` naming every SKU that is not there."""
    wanted = sorted(set(skus))
    rows = await database.rows(
        "SELECT id, sku, name, category, brand, kind, price FROM stores.product WHERE sku = ANY($1)", wanted
    )
    found = {row["sku"]: CatalogueProduct(**dict(row)) for row in rows}
    if len(found) < len(wanted):
        raise UnknownProduct(skus=[sku for sku in wanted if sku not in found])
    return found


async def find_product(sku: str) -> CatalogueProduct:
    """One product. Raises `NotFound`."""
    try:
        return (await find_products([sku]))[sku]
    except UnknownProduct:
        raise NotFound(kind="product", name=sku) from None


async def list_products(*, after: str = "", limit: int = 50) -> list[CatalogueProduct]:
    """Products by SKU, from the one after `after`."""
    rows = await database.rows(
        "SELECT id, sku, name, category, brand, kind, price FROM stores.product WHERE sku > $1 ORDER BY sku LIMIT $2",
        after,
        limit,
    )
    return [CatalogueProduct(**dict(row)) for row in rows]
