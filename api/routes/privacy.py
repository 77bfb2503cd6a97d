"""What members may ask for: all that is known of them, and who has looked. To be forgotten is `DELETE` of the member itself."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get
from litestar.params import FromPath

from api.access.permissions import Principal
from api.operation.audit import audit
from api.paging import Cursor, Limit, number_at, page
from api.privacy.exporting import export_member
from api.privacy.views import ProfileView, note_view, views_of
from membership.cards import member_of_card


class ViewPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ProfileView]
    next: str | None = None


class PrivacyController(Controller):
    path = "/v1/members/{number:str}"
    tags = ("privacy",)
    opt = {"permission": "members:privacy"}

    @get(
        "/export",
        summary="Everything known about a member",
        description="A zip: `member.json`, and a CSV for each kind of fact.",
        media_type="application/zip",
    )
    async def export(self, request: Request[Principal, Any, Any], number: FromPath[str]) -> Response[bytes]:
        member_id = await member_of_card(number)
        await note_view(request.user, member_id, "export")
        archive = await export_member(number, at=datetime.now(UTC))
        await audit(request.user, "member.exported", f"member:{member_id}")
        return Response(
            archive,
            media_type="application/zip",
            headers={"Content-Disposition": 'attachment; filename="member.zip"', "Cache-Control": "no-store"},
        )

    @get("/access-log", summary="Who has looked at a member, the newest first")
    async def views(self, number: FromPath[str], cursor: Cursor = None, limit: Limit = 50) -> ViewPage:
        found = await views_of(await member_of_card(number), before=number_at(cursor), limit=limit + 1)
        items, after = page(found, limit, lambda view: [view.id])
        return ViewPage(items=items, next=after)
