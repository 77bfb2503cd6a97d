"""Staff accounts, as administrators see them."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.access.links import mail_link
from api.access.permissions import Principal
from api.access.second_factor import forget_factor
from api.etags import IfMatch, check_match, etag_of, tagged
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from api.paging import Cursor, Limit, number_at, page
from membership.advising import hand_over
from stores.staff import Role, StaffChange, StaffMember, change_staff, hire, staff_by_id, staff_list


class StaffInvited(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new account. Cashiers and store managers need their stores."""

    email: Annotated[str, msgspec.Meta(max_length=254)]
    name: str = ""
    role: Role
    stores: list[str] = []


class StaffShown(msgspec.Struct, frozen=True, kw_only=True):
    """An account. `stores` is null where the role sees the whole chain; `invited` until a password is chosen."""

    id: int
    email: str
    name: str
    role: Role
    stores: list[str] | None
    active: bool
    invited: bool


class StaffPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[StaffShown]
    next: str | None


class StaffController(Controller):
    path = "/v1/staff"
    tags = ("staff",)
    opt = {"permission": "staff:write"}

    @get(summary="Staff accounts, by id", opt={"permission": "staff:read"})
    async def index(
        self,
        cursor: Cursor = None,
        limit: Limit = 50,
        role: Annotated[Role | None, QueryParameter(description="Only this role.")] = None,
        store: Annotated[str | None, QueryParameter(description="Only who is bound to this store.")] = None,
    ) -> StaffPage:
        found = await staff_list(after=number_at(cursor) or 0, limit=limit + 1, role=role, store=store)
        items, after = page(found, limit, lambda staff: [staff.id])
        return StaffPage(items=[_shown(staff) for staff in items], next=after)

    @post(
        summary="Invite somebody",
        description="They choose their password by a link that is mailed to them.",
        status_code=201,
    )
    async def invite(
        self, request: Request[Principal, Any, Any], data: JSONBody[StaffInvited], idempotency_key: IdempotencyKey = ""
    ) -> Response[StaffShown]:
        async def write() -> StaffShown:
            staff_id = await hire(email=data.email, name=data.name, role=data.role, password=None, stores=data.stores)
            staff = await staff_by_id(staff_id)
            await mail_link(staff, "invitation", at=datetime.now(UTC))
            shown = _shown(staff)
            await audit(request.user, "staff.invited", f"staff:{staff_id}", after=shown)
            return shown

        return await once(request, idempotency_key, write)

    @get("/{staff_id:int}", summary="One account", opt={"permission": "staff:read"})
    async def show(self, request: Request[Principal, Any, Any], staff_id: FromPath[int]) -> Response[StaffShown]:
        return tagged(request, _shown(await staff_by_id(staff_id)))

    @patch(
        "/{staff_id:int}",
        summary="Change an account",
        description="Another role, other stores or suspending it ends the account's open sessions. The members whom somebody suspended "
        "looked after go back to the pool; hand them over first, if they are to go to somebody.",
    )
    async def change(
        self,
        request: Request[Principal, Any, Any],
        staff_id: FromPath[int],
        data: JSONBody[StaffChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[StaffShown]:
        async def write() -> StaffShown:
            now = _shown(await staff_by_id(staff_id, lock=True))
            check_match(if_match, now)
            became = _shown(await change_staff(staff_id, data))
            await audit(request.user, "staff.changed", f"staff:{staff_id}", before=now, after=became)
            if (now.role, now.stores, now.active) != (became.role, became.stores, became.active):
                await request.app.state.sessions.revoke(staff_id)
            if now.active and not became.active:
                await hand_over(staff_id, None, at=datetime.now(UTC))
            return became

        return await once(request, idempotency_key, write, status=200, tag=etag_of)

    @post("/{staff_id:int}/invitation", summary="Mail the invitation again", status_code=202)
    async def invite_again(
        self, request: Request[Principal, Any, Any], staff_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[StaffShown]:
        async def write() -> StaffShown:
            staff = await staff_by_id(staff_id)
            await mail_link(staff, "invitation", at=datetime.now(UTC))
            await audit(request.user, "staff.invited", f"staff:{staff_id}")
            return _shown(staff)

        return await once(request, idempotency_key, write, status=202)

    @delete("/{staff_id:int}/sessions", summary="Sign somebody out everywhere", status_code=204)
    async def revoke_sessions(
        self, request: Request[Principal, Any, Any], staff_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[None]:
        async def write() -> None:
            await staff_by_id(staff_id)
            await audit(request.user, "session.revoked", f"staff:{staff_id}")
            await request.app.state.sessions.revoke(staff_id)

        return await once(request, idempotency_key, write, status=204)

    @delete(
        "/{staff_id:int}/second-factor",
        summary="Take a lost second factor off an account",
        description="Its owner sets up another one at the next sign-in, where the role asks for it.",
        status_code=204,
    )
    async def reset_factor(
        self, request: Request[Principal, Any, Any], staff_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[None]:
        async def write() -> None:
            await staff_by_id(staff_id)
            await forget_factor(staff_id)
            await audit(request.user, "second_factor.removed", f"staff:{staff_id}")
            await request.app.state.sessions.revoke(staff_id)

        return await once(request, idempotency_key, write, status=204)


def _shown(staff: StaffMember) -> StaffShown:
    return StaffShown(
        id=staff.id,
        email=staff.email,
        name=staff.name,
        role=staff.role,
        stores=None if staff.stores is None else sorted(staff.stores),
        active=staff.active,
        invited=staff.invited,
    )
