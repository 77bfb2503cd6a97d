"""Keys for integrations."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from api.access.authentication import forget_credentials
from api.access.keys import AccessKey, KeyIssued, access_keys, issue_key, revoke_key, rotate_key
from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from api.paging import Cursor, Limit, number_at, page


class KeyWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make. `scopes` are names of permissions; without `stores` it sees the whole chain."""

    name: str
    scopes: list[str]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]
    stores: list[str] | None = None


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many hours the old secret works on, so that the change needs no gap."""

    overlap_hours: int = 24


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[AccessKey]
    next: str | None


class KeyController(Controller):
    path = "/v1/keys"
    tags = ("keys",)
    opt = {"permission": "keys:write"}

    @get(summary="Keys, newest first")
    async def index(self, cursor: Cursor = None, limit: Limit = 50) -> KeyPage:
        items, after = page(await access_keys(before=number_at(cursor), limit=limit + 1), limit, lambda key: [key.id])
        return KeyPage(items=items, next=after)

    @post(summary="Make a key; its secret is shown this once", status_code=201)
    async def issue(
        self, request: Request[Principal, Any, Any], data: JSONBody[KeyWanted], idempotency_key: IdempotencyKey = ""
    ) -> Response[KeyIssued]:
        async def write() -> KeyIssued:
            assert request.user.staff_id is not None
            issued = await issue_key(
                name=data.name,
                scopes=data.scopes,
                stores=data.stores,
                expires_at=data.expires_at,
                staff_id=request.user.staff_id,
                at=datetime.now(UTC),
            )
            await audit(request.user, "key.issued", f"key:{issued.key.id}", after=issued.key)
            return issued

        return await once(request, idempotency_key, write, sealed=True)

    @post("/{key_id:int}/rotate", summary="Give a key another secret", status_code=201)
    async def rotate(
        self,
        request: Request[Principal, Any, Any],
        key_id: FromPath[int],
        data: JSONBody[Rotation],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[KeyIssued]:
        async def write() -> KeyIssued:
            issued = await rotate_key(key_id, overlap_hours=data.overlap_hours, at=datetime.now(UTC))
            await audit(request.user, "key.rotated", f"key:{key_id}", after={"overlap_hours": data.overlap_hours})
            forget_credentials()
            return issued

        return await once(request, idempotency_key, write, sealed=True)

    @delete("/{key_id:int}", summary="Revoke a key", status_code=204)
    async def revoke(
        self, request: Request[Principal, Any, Any], key_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[None]:
        async def write() -> None:
            await revoke_key(key_id, at=datetime.now(UTC))
            await audit(request.user, "key.revoked", f"key:{key_id}")
            forget_credentials()

        return await once(request, idempotency_key, write, status=204)
