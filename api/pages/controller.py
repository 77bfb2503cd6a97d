"""The pages: start, till, RFM grid, account, operation. They show what the API answers and hold no rules of their own."""

from typing import Any
from zoneinfo import ZoneInfo

from litestar import Controller, Request, get
from litestar.params import FromPath
from litestar.response import Redirect, Template

import database
from api.access.browser import TILL_COOKIE, cookie
from api.access.permissions import Principal
from api.access.second_factor import has_factor
from api.errors import NotPermitted, SecondFactorOwed, SignInNeeded
from api.operation.audit import audit_entries
from api.reports import from_replica
from campaigns.planning import campaigns
from segmentation.errors import NoRun
from segmentation.overview import Figures, League, Month, figures, league, months, segment_members
from segmentation.rfm import RfmCell, grid
from segmentation.rfm_map import NAMES
from segmentation.runs import RunRecord, newest_run
from settings import settings
from stores.branches import branches
from stores.chain import the_chain
from stores.money import shown
from stores.tills import tills


def to_sign_in(request: Request[Any, Any, Any], error: SignInNeeded) -> Redirect:
    """A page that needs a sign-in leads to it."""
    return Redirect("/sign-in")


def to_account(request: Request[Any, Any, Any], error: SecondFactorOwed) -> Redirect:
    """Where a second factor is set up."""
    return Redirect("/account")


def to_own_page(request: Request[Any, Any, Any], error: NotPermitted) -> Redirect:
    """A page of another role leads to one's own."""
    return Redirect("/till" if request.user.may("till:sell") else "/")


class PageController(Controller):
    include_in_schema = False
    exception_handlers = {SignInNeeded: to_sign_in, SecondFactorOwed: to_account, NotPermitted: to_own_page}

    @get("/sign-in", opt={"permission": "public"})
    async def sign_in(self) -> Template:
        return Template("sign_in.html")

    @get("/password", opt={"permission": "public"})
    async def password(self) -> Template:
        return Template("password.html")

    @get("/opt-in", opt={"permission": "public"})
    async def opt_in(self) -> Template:
        return Template("opt_in.html")

    @get("/account", opt={"permission": "session"})
    async def account(self, request: Request[Principal, Any, Any]) -> Template | Redirect:
        """One's own password, second factor, sessions."""
        principal = request.user
        if not principal.name.startswith("staff:"):
            return Redirect("/till")
        return _page(
            "account.html",
            request,
            has_factor=await has_factor(principal.own_account()),
            sessions=await request.app.state.sessions.listed(principal.own_account(), current=request.auth),
        )

    @get("/operation", opt={"permission": "operation:read"})
    async def operation(self, request: Request[Principal, Any, Any]) -> Template:
        """Jobs and changes."""
        zone = ZoneInfo(await database.value("SELECT time_zone FROM stores.chain") or "UTC")
        queue = request.app.state.queue
        return _page(
            "operation.html",
            request,
            queue=await queue.state(),
            jobs=(await queue.listed())[:50],
            audit=await audit_entries(limit=50),
            when=lambda at: at.astimezone(zone).strftime("%-d %b %Y, %H:%M:%S") if at else "–",
        )

    @get("/", opt={"permission": "overview:read"})
    async def start(self, request: Request[Principal, Any, Any]) -> Template:
        chain, stores = await the_chain(), request.user.stores

        async def read() -> tuple[Figures, list[Month], list[League]]:
            return (
                await figures(stores=stores),
                await months(stores=stores, zone=chain.time_zone),
                await league(stores=stores),
            )

        (headline, by_month, by_store), freshness = await from_replica(request, read)
        return _page(
            "start.html",
            request,
            chain=chain,
            figures=headline,
            freshness=freshness,
            months=by_month,
            highest=max((month.sales for month in by_month), default=0) or 1,
            league=by_store,
            campaigns=(await campaigns(limit=5)) if request.user.may("campaigns:read") else [],
            money=lambda minor: shown(minor, chain.currency),
            headline=lambda minor: shown(minor, chain.currency, whole=True),
        )

    @get("/rfm", opt={"permission": "segmentation:read"})
    async def rfm(self, request: Request[Principal, Any, Any]) -> Template:
        chain = await the_chain()

        async def read() -> tuple[RunRecord, list[RfmCell]]:
            run = await newest_run("rfm")
            return run, await grid(run.id)

        try:
            (run, cells), _ = await from_replica(request, read)
        except NoRun:
            return _page("rfm.html", request, chain=chain, run=None)
        whole = run.result["value"] or 1
        return _page(
            "rfm.html",
            request,
            chain=chain,
            run=run,
            cells={(cell.r, cell.f): cell for cell in cells},
            heat={(cell.r, cell.f): min(9, int(30 * cell.value / whole)) for cell in cells},
            whole=whole,
            headline=lambda minor: shown(minor, chain.currency, whole=True),
        )

    @get("/rfm/{segment:str}", opt={"permission": "segmentation:read"})
    async def segment(self, request: Request[Principal, Any, Any], segment: FromPath[str]) -> Template | Redirect:
        if segment not in NAMES:
            return Redirect("/rfm")
        chain, run = await the_chain(), await newest_run("rfm")
        return _page(
            "segment.html",
            request,
            chain=chain,
            run=run,
            segment=next(found for found in run.result["segments"] if found["name"] == segment),
            members=await segment_members(run.id, segment),
            money=lambda minor: shown(minor, chain.currency),
        )

    @get("/till", opt={"permission": "till:sell"})
    async def till(self, request: Request[Principal, Any, Any]) -> Template:
        """A till's own page is bound to it; staff choose among the tills of their stores."""
        principal, chain = request.user, await the_chain()
        places = [
            (branch.code, branch.name, till.code)
            for branch in await branches(stores=principal.stores)
            for till in await tills(branch.code)
            if principal.till in (None, till.code)
        ]
        page = _page(
            "till.html",
            request,
            chain=chain,
            places=places,
            exponent=chain.exponent,
            shift_required=settings().till_shift == "required",
        )
        credential = request.cookies.get(TILL_COOKIE)
        if credential and principal.role == "till":
            page.cookies.append(cookie(TILL_COOKIE, credential))
        return page


def _page(name: str, request: Request[Principal, Any, Any], **context: Any) -> Template:
    return Template(name, context={"principal": request.user, "path": request.url.path, **context})
