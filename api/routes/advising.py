"""Clienteling: the pool, whose member somebody is, and being in touch."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.errors import NotPermitted
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from api.paging import Cursor, Limit, number_at, page
from api.routes.members import MemberList
from membership.advising import (
    Advisor,
    ContactMade,
    advisor_of,
    claim,
    hand_over,
    members_of,
    note_contact,
    pool,
    release,
)
from membership.cards import member_of_card
from stores.branches import store_id_of
from stores.staff import colleague


class Claimed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to look after the member; left away it is oneself."""

    staff_id: int | None = None


class HandedOver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who takes the members over; left away they go back to the pool."""

    to: int | None = None


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    members: int


class AdvisingController(Controller):
    path = "/v1"
    tags = ("advising",)
    opt = {"permission": "members:read"}

    @get(
        "/advisor-pool", summary="Members without an advisor, of the stores in view", opt={"permission": "service:read"}
    )
    async def pool(self, request: Request[Principal, Any, Any], cursor: Cursor = None, limit: Limit = 50) -> MemberList:
        found = await pool(stores=request.user.stores, before=number_at(cursor), limit=limit + 1)
        items, after = page(found, limit, lambda member: [member.id])
        return MemberList(items=items, next=after)

    @get("/staff/{staff_id:int}/members", summary="An advisor's members", opt={"permission": "service:read"})
    async def of_advisor(
        self, request: Request[Principal, Any, Any], staff_id: FromPath[int], cursor: Cursor = None, limit: Limit = 50
    ) -> MemberList:
        await colleague(staff_id, stores=request.user.stores)
        found = await members_of(staff_id, before=number_at(cursor), limit=limit + 1)
        items, after = page(found, limit, lambda member: [member.id])
        return MemberList(items=items, next=after)

    @post(
        "/members/{number:str}/advisor",
        summary="Take a member out of the pool",
        description="For oneself; managers choose among their staff. One at a time, and as many as the chain allows.",
        opt={"permission": "advisors:claim"},
        status_code=201,
    )
    async def claim(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[Claimed],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Advisor]:
        staff_id = data.staff_id or request.user.own_account()
        if staff_id != request.user.staff_id and not request.user.may("advisors:write"):
            raise NotPermitted(permission="advisors:write", role=request.user.role)
        await colleague(staff_id, stores=request.user.stores)

        async def write() -> Advisor:
            claimed = await claim(await member_of_card(number), staff_id, at=datetime.now(UTC))
            await audit(request.user, "advisor.claimed", f"staff:{staff_id}")
            return claimed

        return await once(request, idempotency_key, write)

    @delete(
        "/members/{number:str}/advisor",
        summary="Put a member back into the pool",
        opt={"permission": "advisors:claim"},
        status_code=204,
    )
    async def release(
        self, request: Request[Principal, Any, Any], number: FromPath[str], idempotency_key: IdempotencyKey = ""
    ) -> Response[None]:
        member_id = await member_of_card(number)
        found = await advisor_of(member_id)
        if found and found.staff_id != request.user.staff_id:
            if not request.user.may("advisors:write"):
                raise NotPermitted(permission="advisors:write", role=request.user.role)
            await colleague(found.staff_id, stores=request.user.stores)

        async def write() -> None:
            await release(member_id, at=datetime.now(UTC))
            await audit(request.user, "advisor.released", f"member:{member_id}")

        return await once(request, idempotency_key, write, status=204)

    @post(
        "/staff/{staff_id:int}/members/hand-over",
        summary="Give an advisor's members to another one, or back to the pool",
        opt={"permission": "advisors:write"},
        status_code=200,
    )
    async def hand_over(
        self,
        request: Request[Principal, Any, Any],
        staff_id: FromPath[int],
        data: JSONBody[HandedOver],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[HandOver]:
        for named in (staff_id, data.to):
            if named is not None:
                await colleague(named, stores=request.user.stores)

        async def write() -> HandOver:
            handed = HandOver(members=await hand_over(staff_id, data.to, at=datetime.now(UTC)))
            await audit(request.user, "advisor.handed_over", f"staff:{staff_id}", after=data)
            return handed

        return await once(request, idempotency_key, write, status=200)

    @post(
        "/members/{number:str}/contacts",
        summary="Note that staff were in touch",
        opt={"permission": "service:write"},
        status_code=204,
    )
    async def contact(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[ContactMade],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[None]:
        async def write() -> None:
            await note_contact(
                await member_of_card(number),
                data,
                staff_id=request.user.staff_id,
                store_id=await store_id_of(request.user.here),
                at=datetime.now(UTC),
            )

        return await once(request, idempotency_key, write, status=204)
