"""Members that may be one person: the queue, and who they are not."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from api.paging import Cursor, Limit, numbers_at, page
from membership.duplicates import Pair, open_pairs, tell_apart


class PairList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Pair]
    next: str | None = None


class Apart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How it was found out that they are two."""

    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]


class DuplicateController(Controller):
    path = "/v1/duplicates"
    tags = ("members",)
    opt = {"permission": "members:merge"}

    @get(
        summary="Members that may be one person",
        description="Found by the nightly scan, the surest first. Merge them, or say that they are two.",
    )
    async def pairs(self, cursor: Cursor = None, limit: Limit = 50) -> PairList:
        found = await open_pairs(before=numbers_at(cursor), limit=limit + 1)
        items, after = page(found, limit, lambda pair: [pair.score, pair.id])
        return PairList(items=items, next=after)

    @post("/{pair_id:int}/different", summary="They are two people", status_code=204)
    async def different(
        self,
        request: Request[Principal, Any, Any],
        pair_id: FromPath[int],
        data: JSONBody[Apart],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[None]:
        async def write() -> None:
            await tell_apart(pair_id, reason=data.reason, staff_id=request.user.staff_id, at=datetime.now(UTC))
            await audit(request.user, "duplicate.told_apart", f"pair:{pair_id}")

        return await once(request, idempotency_key, write, status=204)
