"""The product catalogue."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import msgspec

import database
from errors import NotFound
from stores.changes import given
from stores.errors import ProductExists, UnknownProduct

Sku = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Words = Annotated[str, msgspec.Meta(max_length=500)]
Minor = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Term = Annotated[int, msgspec.Meta(ge=1, le=36_500)]
Kind = Literal["goods", "service", "gift_card"]


class Product(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product as the outside sees it. Prices in minor units."""

    sku: Sku
    name: Words = ""
    category: Words = ""
    brand: Words = ""
    price: Minor | None = None
    cost: Minor | None = None
    tax_class: Annotated[str, msgspec.Meta(max_length=50)] = ""
    kind: Kind = "goods"
    warranty_months: Term | None = None
    replacement_days: Term | None = None
    attributes: dict[str, Any] = {}


class ProductChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a product; what is left out stays."""

    name: Words | msgspec.UnsetType = msgspec.UNSET
    category: Words | msgspec.UnsetType = msgspec.UNSET
    brand: Words | msgspec.UnsetType = msgspec.UNSET
    price: Minor | msgspec.UnsetType | None = msgspec.UNSET
    cost: Minor | msgspec.UnsetType | None = msgspec.UNSET
    tax_class: Annotated[str, msgspec.Meta(max_length=50)] | msgspec.UnsetType = msgspec.UNSET
    kind: Kind | msgspec.UnsetType = msgspec.UNSET
    warranty_months: Term | msgspec.UnsetType | None = msgspec.UNSET
    replacement_days: Term | msgspec.UnsetType | None = msgspec.UNSET
    attributes: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


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
        "INSERT INTO stores.product (sku, name, category, brand, price, cost, tax_class, kind, warranty_months, replacement_days, "
        "attributes) SELECT sku, name, category, brand, price, cost, tax_class, kind, warranty_months, replacement_days, attributes "
        "FROM jsonb_populate_recordset(NULL::stores.product, $1::jsonb) ON CONFLICT (sku) DO UPDATE SET (name, category, "
        "brand, price, cost, tax_class, kind, warranty_months, replacement_days, attributes) = (excluded.name, excluded.category, "
        "excluded.brand, excluded.price, excluded.cost, excluded.tax_class, excluded.kind, excluded.warranty_months, "
        "excluded.replacement_days, excluded.attributes)",
        msgspec.json.encode(products).decode(),
    )


async def stock_new(product: Product) -> Product:
    """Add a product. Raises `ProductExists`."""
    async with database.transaction():
        if await database.value("SELECT true FROM stores.product WHERE sku = $1", product.sku):
            raise ProductExists(sku=product.sku)
        await stock([product])
    return product


async def product(sku: str, *, lock: bool = False) -> Product:
    """One product whole; `lock` keeps others from changing it. Raises `NotFound`."""
    row = await database.row(
        "SELECT sku, name, category, brand, price, cost, tax_class, kind, warranty_months, replacement_days, attributes "
        f"FROM stores.product WHERE sku = $1{' FOR NO KEY UPDATE' if lock else ''}",
        sku,
    )
    if row is None:
        raise NotFound(kind="product", name=sku)
    return Product(**{**dict(row), "attributes": msgspec.json.decode(row["attributes"])})


async def change_product(sku: str, change: ProductChange) -> Product:
    """Change a product. Raises `NotFound`."""
    async with database.transaction():
        became = msgspec.structs.replace(await product(sku, lock=True), **given(change))
        await stock([became])
    return became


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


async def list_products(
    *, after: str = "", limit: int = 50, category: str | None = None, brand: str | None = None, kind: Kind | None = None
) -> list[CatalogueProduct]:
    """Products by SKU, from the one after `after`. A category includes what lies below it."""
    rows = await database.rows(
        "SELECT id, sku, name, category, brand, kind, price FROM stores.product WHERE sku > $1 "
        "AND ($3::text IS NULL OR category = $3 OR starts_with(category, $3 || '/')) AND ($4::text IS NULL OR brand = $4) "
        "AND ($5::text IS NULL OR kind = $5) ORDER BY sku LIMIT $2",
        after,
        limit,
        category,
        brand,
        kind,
    )
    return [CatalogueProduct(**dict(row)) for row in rows]
