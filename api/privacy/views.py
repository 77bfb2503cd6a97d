"""The access log: who looked at which member, at what of them, when and from where."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request

import database
from api.access.permissions import Principal
from api.operation.context import current_request
from membership.cards import member_of_card


class ProfileView(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `staff` is the member of staff, at a till the one whose shift it was."""

    id: int
    principal: str
    staff: str | None
    part: str
    at: datetime
    address: str


async def note_view(principal: Principal, member_id: int, part: str) -> None:
    """Keep that somebody looked at a part of what is known of a member."""
    request = current_request.get()
    await database.execute(
        "INSERT INTO api.profile_view (member_id, principal, staff_id, part, address, request_id) VALUES ($1, $2, $3, $4, $5, $6)",
        member_id,
        principal.name,
        principal.staff_id,
        part,
        request.address,
        request.request_id,
    )


async def views_of(member_id: int, *, before: int | None = None, limit: int = 50) -> list[ProfileView]:
    """Who looked at a member, the newest first, from before the view `before`."""
    rows = await database.rows(
        "SELECT v.id, principal, staff.name AS staff, part, at, address FROM api.profile_view v "
        "LEFT JOIN stores.staff ON staff.id = staff_id WHERE member_id = ANY(SELECT membership.everyone_in($1)) "
        "AND ($2::bigint IS NULL OR v.id < $2) ORDER BY v.id DESC LIMIT $3",
        member_id,
        before,
        limit,
    )
    return [ProfileView(**dict(row)) for row in rows]


async def seen_by(request: Request[Principal, Any, Any], number: str, part: str) -> int:
    """The id of the member whose card it is, noted as looked at. Raises as `member_of_card` does."""
    member_id = await member_of_card(number)
    await note_view(request.user, member_id, part)
    return member_id
