"""The pages: start, till, RFM grid, sign-in. They show what the API answers and hold no rules of their own."""

from typing import Any

from litestar import Controller, Request, get
from litestar.params import FromPath
from litestar.response import Redirect, Template

from api.access.permissions import Principal
from api.errors import NotPermitted, SignInNeeded
from campaigns.planning import campaigns
from segmentation.errors import NoRun
from segmentation.overview import figures, league, months, segment_members
from segmentation.rfm import grid
from segmentation.rfm_map import NAMES
from segmentation.runs import newest_run
from stores.branches import branches
from stores.chain import the_chain
from stores.money import shown
from stores.tills import tills


def to_sign_in(request: Request[Any, Any, Any], error: SignInNeeded) -> Redirect:
    """A page that needs a sign-in leads to it."""
    return Redirect("/sign-in")


def to_own_page(request: Request[Any, Any, Any], error: NotPermitted) -> Redirect:
    """A page of another role leads to one's own."""
    return Redirect("/till" if request.user.may("till:sell") else "/")


class PageController(Controller):
    include_in_schema = False
    exception_handlers = {SignInNeeded: to_sign_in, NotPermitted: to_own_page}

    @get("/sign-in", opt={"permission": "public"})
    async def sign_in(self) -> Template:
        return Template("sign_in.html")

    @get("/", opt={"permission": "overview:read"})
    async def start(self, request: Request[Principal, Any, Any]) -> Template:
        chain, stores = await the_chain(), request.user.stores
        by_month = await months(stores=stores, zone=chain.time_zone)
        return _page(
            "start.html",
            request,
            chain=chain,
            figures=await figures(stores=stores),
            months=by_month,
            highest=max((month.sales for month in by_month), default=0) or 1,
            league=await league(stores=stores),
            campaigns=(await campaigns(limit=5)) if request.user.may("campaigns:read") else [],
            money=lambda minor: shown(minor, chain.currency),
            headline=lambda minor: shown(minor, chain.currency, whole=True),
        )

    @get("/rfm", opt={"permission": "segmentation:read"})
    async def rfm(self, request: Request[Principal, Any, Any]) -> Template:
        chain = await the_chain()
        try:
            run = await newest_run("rfm")
        except NoRun:
            return _page("rfm.html", request, chain=chain, run=None)
        cells = await grid(run.id)
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
        return _page("till.html", request, chain=chain, places=places, exponent=chain.exponent)


def _page(name: str, request: Request[Principal, Any, Any], **context: Any) -> Template:
    return Template(name, context={"principal": request.user, "path": request.url.path, **context})
