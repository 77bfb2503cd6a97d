"""Making one member of two, and two of one."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from loyalty.merging import Merged, Unmerged, merge_members, unmerge_members


class MergeAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The card of the member who becomes part of the one in the address, and how it is known that they are one person."""

    other: str
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]


class UnmergeAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The card of the member who is to be one of their own again."""

    other: str


class MergeController(Controller):
    path = "/v1/members/{number:str}"
    tags = ("members",)
    opt = {"permission": "members:merge"}

    @post(
        "/merge",
        summary="Make another member part of this one",
        description="Receipts, points (lot by lot, as entries), vouchers, tier, tickets, fields and timeline come with them; of consent "
        "the strictest survives. The other's card leads to this member from now on.",
        status_code=201,
    )
    async def merge(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[MergeAsked],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Merged]:
        async def write() -> Merged:
            merged = await merge_members(
                number, data.other, reason=data.reason, staff_id=request.user.staff_id, at=datetime.now(UTC)
            )
            await audit(request.user, "member.merged", f"merge:{merged.id}", after=merged)
            return merged

        return await once(request, idempotency_key, write)

    @post(
        "/unmerge",
        summary="Make two of them again",
        description="Refused, with what cannot be undone, once points or vouchers that came with the merge were spent.",
        status_code=201,
    )
    async def unmerge(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[UnmergeAsked],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Unmerged]:
        async def write() -> Unmerged:
            parted = await unmerge_members(number, data.other, staff_id=request.user.staff_id, at=datetime.now(UTC))
            await audit(request.user, "member.unmerged", f"card:{parted.released}", after=parted)
            return parted

        return await once(request, idempotency_key, write)
