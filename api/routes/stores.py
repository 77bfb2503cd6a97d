"""Stores, tills and the catalogue."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, get
from litestar.params import FromPath, QueryParameter

from api.permissions import Principal
from segmentation.cross_sell import Suggestion, related_to
from stores.branches import Branch, branch, branches
from stores.catalogue import CatalogueProduct, find_product, list_products
from stores.errors import UnknownStore
from stores.tills import tills

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="At most this many items.")]


class StoreList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Branch]
    next: str | None = None


class TillList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[str]
    next: str | None = None


class ProductShown(msgspec.Struct, frozen=True, kw_only=True):
    """A product. `price` in minor units."""

    sku: str
    name: str
    category: str
    brand: str
    kind: str
    price: int | None


class ProductList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ProductShown]
    next: str | None = None


class SuggestionList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Suggestion]
    next: str | None = None


class StoreController(Controller):
    path = "/v1/stores"
    tags = ("stores",)
    opt = {"permission": "stores:read"}

    @get(summary="Stores in view")
    async def index(self, request: Request[Principal, Any, Any]) -> StoreList:
        return StoreList(items=await branches(codes=request.user.stores))

    @get("/{code:str}", summary="One store")
    async def show(self, request: Request[Principal, Any, Any], code: FromPath[str]) -> Branch:
        _check(request.user, code)
        return await branch(code)

    @get("/{code:str}/tills", summary="A store's tills")
    async def tills(self, request: Request[Principal, Any, Any], code: FromPath[str]) -> TillList:
        _check(request.user, code)
        await branch(code)
        return TillList(items=await tills(code))


class ProductController(Controller):
    path = "/v1/products"
    tags = ("products",)
    opt = {"permission": "products:read"}

    @get(summary="The catalogue, by SKU")
    async def index(
        self, after: Annotated[str, QueryParameter(description="`next` of the page before.")] = "", limit: Limit = 50
    ) -> ProductList:
        products = await list_products(after=after, limit=limit)
        return ProductList(
            items=[_shown(product) for product in products], next=products[-1].sku if len(products) == limit else None
        )

    @get("/{sku:str}", summary="One product")
    async def show(self, sku: FromPath[str]) -> ProductShown:
        return _shown(await find_product(sku))

    @get("/{sku:str}/related", summary="What is bought with a product")
    async def related(self, sku: FromPath[str]) -> SuggestionList:
        await find_product(sku)
        return SuggestionList(items=await related_to(sku))


def _shown(product: CatalogueProduct) -> ProductShown:
    return ProductShown(**{name: getattr(product, name) for name in ProductShown.__struct_fields__})


def _check(principal: Principal, code: str) -> None:
    if not principal.sees(code):
        raise UnknownStore(code=code)
