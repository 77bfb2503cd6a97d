"""What is known of a member: the 360° view, and each part of it page by page. Every look is in the access log."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, get
from litestar.params import FromPath, QueryParameter

from api.access.permissions import Principal
from api.paging import Cursor, Limit, number_at, page
from api.privacy.views import seen_by
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
from membership.birthdays import days_until, today_of
from membership.cards import CardShown, cards_of, member_of_card
from membership.consent import CurrentConsent, current_consents
from membership.consumption import Consumption, consumption_of
from membership.opting_in import ConsentAsked, waiting_of
from membership.profiles import MemberProfile, TimelineEvent, profile, timeline
from membership.receipts import MemberReceipt, last_basket, receipts_of
from membership.tasks import Task, tasks
from membership.tickets import Ticket, tickets
from segmentation.cross_sell import suggest
from segmentation.rfm import MemberScore, score_of

Kind = Annotated[str | None, QueryParameter(name="kind", description="Only those of this kind.", max_length=64)]


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


class ProfileController(Controller):
    path = "/v1/members"
    tags = ("members",)
    opt = {"permission": "members:read"}

    @get("/{number:str}/profile", summary="The 360° view")
    async def view_360(self, request: Request[Principal, Any, Any], number: FromPath[str]) -> View360:
        now = datetime.now(UTC)
        member_id, seen = await seen_by(request, number, "profile"), request.user.stores
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
            await seen_by(request, number, "timeline"),
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
            await seen_by(request, number, "receipts"),
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
        member_id, seen = await seen_by(request, number, "points"), request.user.stores
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
