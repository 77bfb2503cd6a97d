"""Stores, their tills, and the catalogue."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.access.authentication import forget_credentials
from api.access.permissions import Principal
from api.etags import IfMatch, check_match, etag_of, tagged
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from api.paging import Cursor, Limit, page, text_at
from segmentation.cross_sell import Suggestion, related_to
from stores.branches import Branch, BranchChange, Status, branch, branches, change_store, open_new_store
from stores.catalogue import (
    Kind,
    Product,
    ProductChange,
    change_product,
    find_product,
    list_products,
    product,
    stock_new,
)
from stores.errors import UnknownStore
from stores.tills import Enrolment, TillShown, offer_enrolment, tills, withdraw_till

Category = Annotated[str | None, QueryParameter(description="Only this category and what lies below it.")]
Brand = Annotated[str | None, QueryParameter(description="Only this brand.")]
ProductKind = Annotated[Kind | None, QueryParameter(name="kind", description="Only goods, services or gift cards.")]
Region = Annotated[str | None, QueryParameter(description="Only this region.")]
StoreStatus = Annotated[Status | None, QueryParameter(name="status", description="Only stores in this state.")]


class StoreList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Branch]
    next: str | None = None


class TillList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[TillShown]
    next: str | None = None


class TillWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A till's code within its store, such as T2."""

    code: str


class ProductShown(msgspec.Struct, frozen=True, kw_only=True):
    """A product in a list. `price` in minor units."""

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

    @get(summary="Stores in view, by code")
    async def index(
        self,
        request: Request[Principal, Any, Any],
        cursor: Cursor = None,
        limit: Limit = 50,
        status: StoreStatus = None,
        region: Region = None,
    ) -> StoreList:
        found = await branches(
            stores=request.user.stores, after=text_at(cursor) or "", limit=limit + 1, status=status, region=region
        )
        items, after = page(found, limit, lambda store: [store.code])
        return StoreList(items=items, next=after)

    @post(summary="Open a store", opt={"permission": "stores:write"}, status_code=201)
    async def open(
        self, request: Request[Principal, Any, Any], data: JSONBody[Branch], idempotency_key: IdempotencyKey = ""
    ) -> Response[Branch]:
        async def write() -> Branch:
            opened = await open_new_store(data)
            await audit(request.user, "store.opened", f"store:{data.code}", after=opened)
            return opened

        return await once(request, idempotency_key, write)

    @get("/{code:str}", summary="One store")
    async def show(self, request: Request[Principal, Any, Any], code: FromPath[str]) -> Response[Branch]:
        _check(request.user, code)
        return tagged(request, await branch(code))

    @patch("/{code:str}", summary="Change a store", opt={"permission": "stores:write"})
    async def change(
        self,
        request: Request[Principal, Any, Any],
        code: FromPath[str],
        data: JSONBody[BranchChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Branch]:
        async def write() -> Branch:
            now = await branch(code, lock=True)
            check_match(if_match, now)
            became = await change_store(code, data)
            await audit(request.user, "store.changed", f"store:{code}", before=now, after=became)
            return became

        return await once(request, idempotency_key, write, status=200, tag=etag_of)

    @get("/{code:str}/tills", summary="A store's tills, and who is at them")
    async def tills(self, request: Request[Principal, Any, Any], code: FromPath[str]) -> TillList:
        _check(request.user, code)
        await branch(code)
        return TillList(items=await tills(code))

    @post(
        "/{code:str}/tills",
        summary="Make a till, or ready one for another device",
        description="The one-time code makes the device that signs in with it this till, within 24 hours.",
        opt={"permission": "tills:write"},
        status_code=201,
    )
    async def offer_till(
        self,
        request: Request[Principal, Any, Any],
        code: FromPath[str],
        data: JSONBody[TillWanted],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Enrolment]:
        _check(request.user, code)

        async def write() -> Enrolment:
            offered = await offer_enrolment(code, data.code, at=datetime.now(UTC))
            await audit(request.user, "till.offered", f"till:{code}/{data.code}")
            return offered

        return await once(request, idempotency_key, write, sealed=True)

    @delete(
        "/{code:str}/tills/{till:str}",
        summary="Withdraw a till's credential",
        opt={"permission": "tills:write"},
        status_code=204,
    )
    async def withdraw_till(
        self,
        request: Request[Principal, Any, Any],
        code: FromPath[str],
        till: FromPath[str],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[None]:
        _check(request.user, code)

        async def write() -> None:
            await withdraw_till(code, till)
            await audit(request.user, "till.withdrawn", f"till:{code}/{till}")
            forget_credentials()

        return await once(request, idempotency_key, write, status=204)


class ProductController(Controller):
    path = "/v1/products"
    tags = ("products",)
    opt = {"permission": "products:read"}

    @get(summary="The catalogue, by SKU")
    async def index(
        self,
        cursor: Cursor = None,
        limit: Limit = 50,
        category: Category = None,
        brand: Brand = None,
        kind: ProductKind = None,
    ) -> ProductList:
        found = await list_products(
            after=text_at(cursor) or "", limit=limit + 1, category=category, brand=brand, kind=kind
        )
        products, after = page(found, limit, lambda product: [product.sku])
        return ProductList(
            items=[
                ProductShown(**{name: getattr(each, name) for name in ProductShown.__struct_fields__})
                for each in products
            ],
            next=after,
        )

    @post(summary="Add a product", opt={"permission": "products:write"}, status_code=201)
    async def add(
        self, request: Request[Principal, Any, Any], data: JSONBody[Product], idempotency_key: IdempotencyKey = ""
    ) -> Response[Product]:
        async def write() -> Product:
            added = await stock_new(data)
            await audit(request.user, "product.added", f"product:{data.sku}", after=added)
            return added

        return await once(request, idempotency_key, write)

    @get("/{sku:str}", summary="One product")
    async def show(self, request: Request[Principal, Any, Any], sku: FromPath[str]) -> Response[Product]:
        return tagged(request, _for_reader(request.user, await product(sku)))

    @patch("/{sku:str}", summary="Change a product", opt={"permission": "products:write"})
    async def change(
        self,
        request: Request[Principal, Any, Any],
        sku: FromPath[str],
        data: JSONBody[ProductChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Product]:
        async def write() -> Product:
            now = await product(sku, lock=True)
            check_match(if_match, now)
            became = await change_product(sku, data)
            await audit(request.user, "product.changed", f"product:{sku}", before=now, after=became)
            return became

        return await once(request, idempotency_key, write, status=200, tag=etag_of)

    @get("/{sku:str}/related", summary="What is bought with a product, by the baskets of the stores in view")
    async def related(self, request: Request[Principal, Any, Any], sku: FromPath[str]) -> SuggestionList:
        await find_product(sku)
        return SuggestionList(items=await related_to(sku, stores=request.user.stores))


def _for_reader(principal: Principal, found: Product) -> Product:
    """What a product costs the chain is headquarters' to know."""
    return found if principal.stores is None else msgspec.structs.replace(found, cost=None)


def _check(principal: Principal, code: str) -> None:
    if not principal.sees(code):
        raise UnknownStore(code=code)
