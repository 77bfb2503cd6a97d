"""The Litestar application: every route, and what stands around them."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig

import database
import embedded
from api.access.authentication import Authentication, permission_guard, same_origin_guard
from api.access.permissions import PERMISSIONS
from api.connections import connect_redis, use_redis
from api.edge import Application, media_guard, rate_guard
from api.openapi.document import openapi_config
from api.openapi.parameters import known_query_guard
from api.operation.logs import configure_logs, log
from api.operation.metrics import REPLICA_FELL_BACK
from api.pages.controller import PageController
from api.problems import HANDLERS
from api.routes.advising import AdvisingController
from api.routes.campaigns import CampaignController
from api.routes.chain import ChainController
from api.routes.consents import ConsentController
from api.routes.duplicates import DuplicateController
from api.routes.health import HealthController
from api.routes.imports import ImportController
from api.routes.keys import KeyController
from api.routes.member_accounts import MemberAccountController
from api.routes.member_fields import MemberFieldController
from api.routes.member_policy import MemberPolicyController
from api.routes.members import MemberController
from api.routes.merging import MergeController
from api.routes.operation import MetricsController, OperationController
from api.routes.opt_ins import OptInController
from api.routes.password_resets import PasswordController
from api.routes.privacy import PrivacyController
from api.routes.profile import ProfileController
from api.routes.programme import (
    EarnRuleController,
    ProgrammeController,
    SimulationController,
    TierController,
)
from api.routes.referrals import ReferralController
from api.routes.returns import BlindReturnController, ReturnController
from api.routes.rewards import RedemptionController, RewardController
from api.routes.second_factor import SecondFactorController
from api.routes.segmentation import SegmentationController
from api.routes.service import ServiceController
from api.routes.session import SessionController
from api.routes.shifts import ShiftController
from api.routes.staff import StaffController
from api.routes.statements import StatementController
from api.routes.stores import ProductController, StoreController
from api.routes.till import CheckoutController
from api.routes.till_sync import TillSyncController
from api.routes.vouchers import VoucherBatchController, VoucherController
from api.routes.webhooks import WebhookController
from replicas import Replica
from settings import settings

BODY_BYTES_MAX: Final = 1 << 20
REPLICA_POOL_MAX: Final = 8
_PAGES: Final = Path(__file__).parent / "pages"

CONTROLLERS: Final = (
    SessionController,
    SecondFactorController,
    PasswordController,
    StaffController,
    KeyController,
    ChainController,
    StoreController,
    ImportController,
    ProductController,
    MemberController,
    ProfileController,
    ConsentController,
    MergeController,
    PrivacyController,
    OptInController,
    ReferralController,
    ServiceController,
    AdvisingController,
    DuplicateController,
    MemberPolicyController,
    MemberFieldController,
    ShiftController,
    CheckoutController,
    ReturnController,
    BlindReturnController,
    TillSyncController,
    ProgrammeController,
    EarnRuleController,
    SimulationController,
    TierController,
    RewardController,
    RedemptionController,
    VoucherBatchController,
    VoucherController,
    MemberAccountController,
    StatementController,
    SegmentationController,
    CampaignController,
    WebhookController,
    OperationController,
    HealthController,
    MetricsController,
    PageController,
)


class UndeclaredPermission(RuntimeError):
    """A route names no permission of the table; the application does not start."""


@asynccontextmanager
async def _running(app: Litestar) -> AsyncIterator[None]:
    configured = settings()
    async with database.connected(pool_max=configured.database_pool_max):
        use_redis(app.state, connect_redis())
        app.state.replica = (
            Replica(configured.database_replica_url, pool_max=REPLICA_POOL_MAX, on_failure=note_replica_failure)
            if configured.database_replica_url
            else None
        )
        # What is there by now stays: the collector need not walk over it again, nor look for cycles after every few requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        log().info("ready")
        try:
            yield
        finally:
            await app.state.redis.aclose()
            if app.state.replica:
                await app.state.replica.close()
            embedded.release_redis()
            log().info("stopped")


async def door(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Every guard, in their order. One for all, because Litestar copies the handler for each guard it calls."""
    for guard in (rate_guard, same_origin_guard, permission_guard, media_guard, known_query_guard):
        await guard(connection, handler)


def note_replica_failure(error: str) -> None:
    """A report went to the primary."""
    REPLICA_FELL_BACK.inc()
    log().warning("the replica does not answer: reports come from the primary", error=error)


def create_app(*, connect: bool = True) -> Litestar:
    """The application. `connect=False` leaves connecting to the caller, for tests that run it on their own connection."""
    configure_logs(form=settings().log_format)
    document = openapi_config(Router("/docs", route_handlers=[], opt={"permission": "public"}, include_in_schema=False))
    app = Application(
        route_handlers=[
            *CONTROLLERS,
            create_static_files_router(
                "/static",
                directories=[_PAGES / "static"],
                opt={"permission": "public", "limit": "none"},
                include_in_schema=False,
            ),
        ],
        lifespan=[_running] if connect else [],
        middleware=[DefineMiddleware(Authentication, exclude=["^/static", "^/health"])],
        guards=[door],
        exception_handlers=HANDLERS,
        request_max_body_size=BODY_BYTES_MAX,
        template_config=TemplateConfig(directory=_PAGES / "templates", engine=JinjaTemplateEngine),
        compression_config=CompressionConfig(backend="gzip", minimum_size=2000, exclude=["^/v1"]),
        openapi_config=document,
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
