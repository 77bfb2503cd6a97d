"""Members: registering, finding, and the 360° view."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.access.permissions import Principal
from api.etags import IfMatch, check_match, etag_of, tagged
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit, redacted
from api.paging import Cursor, Limit, number_at, page
from api.privacy.erasing import erase
from api.privacy.views import seen_by
from membership.birthdays import DAYS_MAX, birthdays
from membership.cards import barcode_png, barcode_svg, card_of_member, member_of_card, qr_png, qr_svg, replace_card
from membership.custom_fields import custom_fields
from membership.custom_values import condition
from membership.editing import MemberChange, change_member, locked_profile
from membership.profiles import MemberProfile, MemberSummary, members, profile
from membership.registration import Registration, Source, register
from membership.search import search
from stores.errors import UnknownStore

Symbol = Annotated[Literal["barcode", "qr"], QueryParameter(description="Which symbol.")]


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """The new member's card number."""

    number: str


class MemberList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[MemberSummary]
    next: str | None = None


class MemberController(Controller):
    path = "/v1/members"
    tags = ("members",)
    opt = {"permission": "members:read"}

    @post(summary="Register a member", opt={"permission": "members:register"}, status_code=201)
    async def register(
        self, request: Request[Principal, Any, Any], data: JSONBody[Registration], idempotency_key: IdempotencyKey = ""
    ) -> Response[Registered]:
        principal = request.user
        if not principal.sees(data.home_store):
            raise UnknownStore(code=str(data.home_store))
        source = Source(
            channel="till" if principal.till else "staff" if principal.scopes is None else "api",
            store=principal.here,
            till=principal.till,
            staff_id=principal.staff_id,
        )

        async def write() -> Registered:
            member_id = await register(data, source=source, may_override=principal.may("members:override"))
            if data.override:
                await audit(principal, "member.duplicate_overridden", f"member:{member_id}")
            return Registered(number=await card_of_member(member_id))

        return await once(request, idempotency_key, write)

    @get(
        summary="Find members",
        description="With `q` the likeliest first, of every store: whoever comes to a till is recognised there; for others type more. "
        "Without it the newest first, where the filters apply, of the stores in view.",
    )
    async def find(
        self,
        request: Request[Principal, Any, Any],
        q: Annotated[
            str,
            QueryParameter(
                description="Card, phone or its last digits, e-mail, or part of a name; Chinese ones by pinyin, too.",
                max_length=200,
            ),
        ] = "",
        cursor: Cursor = None,
        limit: Limit = 20,
        home_store: Annotated[str | None, QueryParameter(description="Only members of this store.")] = None,
        tag: Annotated[str | None, QueryParameter(description="Only members with this tag.")] = None,
        custom: Annotated[
            str | None,
            QueryParameter(description="A condition on a field of the chain's own: `shoe_size>=42`.", max_length=600),
        ] = None,
        birthday_within: Annotated[
            int | None,
            QueryParameter(
                description="Only members whose birthday is at most so many days away, 0 being today, by their store's clock.",
                ge=0,
                le=DAYS_MAX,
            ),
        ] = None,
    ) -> MemberList:
        if q.strip():
            return MemberList(items=await search(q, limit=limit))
        found = await members(
            before=number_at(cursor),
            limit=limit + 1,
            home_store=home_store,
            tag=tag,
            stores=request.user.stores,
            custom=None if custom is None else condition(await custom_fields(), custom),
            born=None if birthday_within is None else await birthdays(datetime.now(UTC), within_days=birthday_within),
        )
        items, after = page(found, limit, lambda member: [member.id])
        return MemberList(items=items, next=after)

    @get("/{number:str}", summary="A member's own data")
    async def show(self, request: Request[Principal, Any, Any], number: FromPath[str]) -> Response[MemberProfile]:
        await seen_by(request, number, "data")
        return tagged(request, await profile(number))

    @patch("/{number:str}", summary="Change a member's data", opt={"permission": "members:write"})
    async def change(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[MemberChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[MemberProfile]:
        async def write() -> MemberProfile:
            check_match(if_match, await locked_profile(number))
            became = await change_member(
                number,
                data,
                at=datetime.now(UTC),
                staff_id=request.user.staff_id,
                may_override=request.user.may("members:override"),
            )
            member_id = await member_of_card(number)
            await audit(request.user, "member.changed", f"member:{member_id}", after=redacted(data))
            return became

        return await once(request, idempotency_key, write, status=200, tag=etag_of)

    @delete(
        "/{number:str}",
        summary="Forget a member",
        description="For good: name, phone, e-mail, birthday, fields, notes and every text about them are gone from every table; "
        "receipts, points and what they owe stay to the cent, without anybody's name. The card is refused from now on. Whoever "
        "registers again is a new member.",
        opt={"permission": "members:privacy"},
        status_code=204,
    )
    async def erase(
        self, request: Request[Principal, Any, Any], number: FromPath[str], idempotency_key: IdempotencyKey = ""
    ) -> Response[None]:
        async def write() -> None:
            member_id = await erase(number, at=datetime.now(UTC))
            await audit(request.user, "member.erased", f"member:{member_id}")

        return await once(request, idempotency_key, write, status=204)

    @get("/{number:str}/card", summary="The card in use, as barcode or QR (SVG)", media_type="image/svg+xml")
    async def card(self, number: FromPath[str], symbol: Symbol = "barcode") -> bytes:
        in_use = await card_of_member(await member_of_card(number))
        return barcode_svg(in_use) if symbol == "barcode" else qr_svg(in_use)

    @get("/{number:str}/card.png", summary="The card in use, as barcode or QR (PNG)", media_type="image/png")
    async def card_png(self, number: FromPath[str], symbol: Symbol = "barcode") -> bytes:
        in_use = await card_of_member(await member_of_card(number))
        return barcode_png(in_use) if symbol == "barcode" else qr_png(in_use)

    @post("/{number:str}/card", summary="Replace a lost card", opt={"permission": "members:card"}, status_code=201)
    async def replace_card(
        self, request: Request[Principal, Any, Any], number: FromPath[str], idempotency_key: IdempotencyKey = ""
    ) -> Response[Registered]:
        async def write() -> Registered:
            replaced = await replace_card(number)
            await audit(request.user, "member.card_replaced", f"member:{await member_of_card(replaced)}")
            return Registered(number=replaced)

        return await once(request, idempotency_key, write)
