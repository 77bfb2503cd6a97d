"""The Litestar application: every route, and what stands around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig

import database
import embedded
from api.authentication import Authentication, permission_guard
from api.pages.controller import PageController
from api.pages.reference import ReferencePage
from api.permissions import PERMISSIONS
from api.problems import HANDLERS
from api.routes.campaigns import CampaignController
from api.routes.health import HealthController
from api.routes.loyalty import RedemptionController, RewardController
from api.routes.members import MemberController
from api.routes.segmentation import SegmentationController
from api.routes.session import SessionController
from api.routes.stores import ProductController, StoreController
from api.routes.till import CheckoutController
from api.sessions import connect_sessions
from settings import settings

BODY_BYTES_MAX: Final = 1 << 20
_PAGES: Final = Path(__file__).parent / "pages"

CONTROLLERS: Final = (
    SessionController,
    StoreController,
    ProductController,
    MemberController,
    CheckoutController,
    RewardController,
    RedemptionController,
    SegmentationController,
    CampaignController,
    HealthController,
    PageController,
)

# Nothing from another host, no inline script, no framing.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class UndeclaredPermission(RuntimeError):
    """A route names no permission of the table; the application does not start."""


@asynccontextmanager
async def _running(app: Litestar) -> AsyncIterator[None]:
    async with database.connected(pool_max=settings().database_pool_max):
        app.state.sessions = connect_sessions()
        try:
            yield
        finally:
            await app.state.sessions.disconnect()
            embedded.release_redis()


def create_app(*, connect: bool = True) -> Litestar:
    """The application. `connect=False` leaves connecting to the caller, for tests that run it on their own connection."""
    app = Litestar(
        route_handlers=[
            *CONTROLLERS,
            create_static_files_router(
                "/static", directories=[_PAGES / "static"], opt={"permission": "public"}, include_in_schema=False
            ),
        ],
        lifespan=[_running] if connect else [],
        middleware=[DefineMiddleware(Authentication, exclude=["^/static"])],
        guards=[permission_guard],
        exception_handlers=HANDLERS,
        request_max_body_size=BODY_BYTES_MAX,
        template_config=TemplateConfig(directory=_PAGES / "templates", engine=JinjaTemplateEngine),
        compression_config=CompressionConfig(backend="gzip", minimum_size=2000, exclude=["^/v1"]),
        openapi_config=OpenAPIConfig(
            title="Regulars",
            version="1",
            description="Membership and loyalty for retail chains. Amounts are integer minor units, times RFC 3339, members "
            "are named by card number, lists are {items, next}, errors application/problem+json (RFC 9457).",
            openapi_router=Router("/docs", route_handlers=[], opt={"permission": "public"}, include_in_schema=False),
            render_plugins=[ReferencePage(), JsonRenderPlugin(path="/openapi.json")],
            components=Components(
                security_schemes={
                    "till": SecurityScheme(type="http", scheme="bearer", description="A till's credential."),
                    "session": SecurityScheme(type="apiKey", name="regulars_session", security_scheme_in="cookie"),
                }
            ),
            security=[{"till": []}, {"session": []}],
        ),
        response_headers=_HEADERS,
        logging_config=None,
    )
    _check_permissions(app)
    return app


def _check_permissions(app: Litestar) -> None:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", [getattr(route, "route_handler", None)]):
            if handler is None or getattr(handler, "http_methods", None) == {"OPTIONS"}:
                continue
            if handler.opt.get("permission") not in PERMISSIONS:
                raise UndeclaredPermission(f"{route.path} declares none of {', '.join(PERMISSIONS)}")
