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
from api.privacy.views import note_view
from api.routes.stores import SuggestionList
from loyalty.statement import (
    Balance,
    EntryShown,
    LotShown,
    VoucherShown,
    balance,
    entries,
    lots,
    open_vouchers,
    tier_of,
)
from loyalty.tiers import TierProgress
from membership.advising import Advisor, advisor_of
from membership.birthdays import DAYS_MAX, birthdays, days_until, today_of
from membership.cards import CardShown, barcode_svg, card_of_member, cards_of, member_of_card, qr_svg, replace_card
from membership.consent import ConsentGiven, CurrentConsent, current_consents, record_consent
from membership.consumption import Consumption, consumption_of
from membership.custom_fields import custom_fields
from membership.custom_values import condition
from membership.editing import MemberChange, change_member, locked_profile
from membership.opting_in import ConsentAsked, waiting_of
from membership.profiles import MemberProfile, MemberSummary, TimelineEvent, members, profile, timeline
from membership.receipts import MemberReceipt, last_basket, receipts_of
from membership.registration import Registration, Source, register
from membership.search import search
from membership.tasks import Task, tasks
from membership.tickets import Ticket, tickets
from segmentation.cross_sell import suggest
from segmentation.rfm import MemberScore, score_of
from stores.errors import UnknownStore

Kind = Annotated[str | None, QueryParameter(name="kind", description="Only those of this kind.", max_length=64)]


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """The new member's card number."""

    number: str


class MemberList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[MemberSummary]
    next: str | None = None


class TimelinePage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[TimelineEvent]
    next: str | None


class ReceiptPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[MemberReceipt]
    next: str | None


class PointsPage(msgspec.Struct, frozen=True, kw_only=True):
    """The account: what is there, the lots it lies in, and the entries it comes from."""

    balance: Balance
    lots: list[LotShown]
    items: list[EntryShown]
    next: str | None


class ConsentList(msgspec.Struct, frozen=True, kw_only=True):
    """What holds, and what waits for its confirmation by e-mail."""

    items: list[CurrentConsent]
    waiting: list[ConsentAsked] = []
    next: str | None = None


class View360(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a clerk needs to know of a member, in one call.

    Who is bound to stores sees of purchases, lots, receipts and timeline what happened there, and no score, which is made of
    purchases everywhere. Balance, tier and vouchers are the member's own and shown wherever they shop.
    """

    member: MemberProfile
    cards: list[CardShown]
    birthday_in_days: int | None
    advisor: Advisor | None
    consents: list[CurrentConsent]
    consents_waiting: list[ConsentAsked]
    consumption: Consumption
    average_days_between: float | None
    points: Balance
    lots: list[LotShown]
    tier: TierProgress
    score: MemberScore | None
    vouchers: list[VoucherShown]
    receipts: list[MemberReceipt]
    tickets: list[Ticket]
    tasks: list[Task]
    timeline: list[TimelineEvent]


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
        # A till and single-store staff register for their own store; nobody else can be taken to stand in one.
        here = next(iter(principal.stores)) if principal.stores and len(principal.stores) == 1 else None
        source = Source(
            channel="till" if principal.till else "staff", store=here, till=principal.till, staff_id=principal.staff_id
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
        await _seen(request, number, "data")
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

    @get("/{number:str}/profile", summary="The 360° view")
    async def view_360(self, request: Request[Principal, Any, Any], number: FromPath[str]) -> View360:
        now = datetime.now(UTC)
        member_id, seen = await _seen(request, number, "profile"), request.user.stores
        bought, member = await consumption_of(member_id, stores=seen), await profile(number)
        return View360(
            member=member,
            cards=await cards_of(member_id),
            birthday_in_days=None
            if member.birth_month is None or member.birth_day is None
            else days_until(member.birth_month, member.birth_day, await today_of(member_id, now)),
            advisor=await advisor_of(member_id),
            consents=await current_consents(member_id),
            consents_waiting=await waiting_of(member_id, now),
            consumption=bought,
            average_days_between=bought.average_days,
            points=await balance(member_id, now),
            lots=await lots(member_id, stores=seen),
            tier=await tier_of(member_id, now),
            score=await score_of(member_id) if seen is None else None,
            vouchers=await open_vouchers(member_id, now),
            receipts=await receipts_of(member_id, limit=10, stores=seen),
            tickets=await tickets(member_id=member_id, limit=10, stores=seen),
            tasks=await tasks(member_id=member_id, still_open=True, limit=10, stores=seen),
            timeline=await timeline(member_id, limit=20, stores=seen),
        )

    @get("/{number:str}/timeline", summary="Everything that happened, newest first")
    async def timeline(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        cursor: Cursor = None,
        limit: Limit = 50,
        kind: Kind = None,
    ) -> TimelinePage:
        found = await timeline(
            await _seen(request, number, "timeline"),
            before=number_at(cursor),
            limit=limit + 1,
            stores=request.user.stores,
            kind=kind,
        )
        items, after = page(found, limit, lambda event: [event.id])
        return TimelinePage(items=items, next=after)

    @get("/{number:str}/receipts", summary="Receipts, newest first")
    async def receipts(
        self, request: Request[Principal, Any, Any], number: FromPath[str], cursor: Cursor = None, limit: Limit = 50
    ) -> ReceiptPage:
        found = await receipts_of(
            await _seen(request, number, "receipts"),
            before=number_at(cursor),
            limit=limit + 1,
            stores=request.user.stores,
        )
        items, after = page(found, limit, lambda receipt: [receipt.id])
        return ReceiptPage(items=items, next=after)

    @get("/{number:str}/points", summary="Balance, lots and entries, newest first")
    async def points(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        cursor: Cursor = None,
        limit: Limit = 50,
        kind: Kind = None,
    ) -> PointsPage:
        member_id, seen = await _seen(request, number, "points"), request.user.stores
        found = await entries(member_id, before=number_at(cursor), limit=limit + 1, stores=seen, kind=kind)
        items, after = page(found, limit, lambda entry: [entry.version])
        return PointsPage(
            balance=await balance(member_id, datetime.now(UTC)),
            lots=await lots(member_id, stores=seen),
            items=items,
            next=after,
        )

    @get("/{number:str}/suggestions", summary="What goes with the member's last basket in view")
    async def suggestions(self, request: Request[Principal, Any, Any], number: FromPath[str]) -> SuggestionList:
        member_id, seen = await member_of_card(number), request.user.stores
        bought = await last_basket(member_id, stores=seen)
        return SuggestionList(items=await suggest(bought, limit=5, not_bought_by=member_id, stores=seen))

    @get("/{number:str}/card", summary="The card as barcode or QR", media_type="image/svg+xml")
    async def card(
        self,
        number: FromPath[str],
        symbol: Annotated[Literal["barcode", "qr"], QueryParameter(description="Which symbol.")] = "barcode",
    ) -> bytes:
        await member_of_card(number)
        return barcode_svg(number) if symbol == "barcode" else qr_svg(number)

    @post("/{number:str}/card", summary="Replace a lost card", opt={"permission": "members:card"}, status_code=201)
    async def replace_card(
        self, request: Request[Principal, Any, Any], number: FromPath[str], idempotency_key: IdempotencyKey = ""
    ) -> Response[Registered]:
        async def write() -> Registered:
            replaced = await replace_card(number)
            await audit(request.user, "member.card_replaced", f"member:{await member_of_card(replaced)}")
            return Registered(number=replaced)

        return await once(request, idempotency_key, write)

    @get("/{number:str}/consents", summary="Consents as they stand")
    async def consents(self, request: Request[Principal, Any, Any], number: FromPath[str]) -> ConsentList:
        return await _consents(await _seen(request, number, "consents"))

    @post(
        "/{number:str}/consents",
        summary="Give or withdraw consent",
        opt={"permission": "members:consent"},
        status_code=201,
    )
    async def consent(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[ConsentGiven],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[ConsentList]:
        async def write() -> ConsentList:
            member_id = await member_of_card(number)
            source = "till" if request.user.till else "staff"
            await record_consent(member_id, data, source=source, staff_id=request.user.staff_id, at=datetime.now(UTC))
            return await _consents(member_id)

        return await once(request, idempotency_key, write)


async def _consents(member_id: int) -> ConsentList:
    return ConsentList(items=await current_consents(member_id), waiting=await waiting_of(member_id, datetime.now(UTC)))


async def _seen(request: Request[Principal, Any, Any], number: str, part: str) -> int:
    """The member's id, noted as looked at."""
    member_id = await member_of_card(number)
    await note_view(request.user, member_id, part)
    return member_id
