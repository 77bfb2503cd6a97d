"""What happens to every request whatever becomes of it, unknown routes included: its id, headers, log line and metrics."""

import time
from typing import Any, Final

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Message, Receive, Scope, Send

from api.access.permissions import Principal
from api.errors import NotJson, TooManyRequests
from api.operation.context import RequestContext, client_address, current_request, header, request_id
from api.operation.limits import Limiter, Standing
from api.operation.logs import log
from api.operation.metrics import RATE_LIMITED, REQUEST_SECONDS
from settings import settings

# Nothing from another host, no inline script or style, no framing, no guessing of types.
_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), geolocation=(), microphone=(), payment=()"),
)
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
# Of people's data nothing stays in a cache that others can ask.
_NO_STORE: Final = (b"cache-control", b"no-store")
_QUIET: Final = frozenset({"/health/live", "/health/ready", "/metrics"})


class Application(Litestar):
    """Litestar with an edge. Its own middleware stands behind the router, so that an unknown route would see none of it."""

    async def __call__(self, scope: Scope | Any, receive: Receive | Any, send: Send | Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        peer = (scope["client"] or ("",))[0]
        context = RequestContext(
            request_id=request_id(header(scope, b"x-request-id")),
            address=client_address(peer, header(scope, b"x-forwarded-for"), settings().proxies),
        )
        token = current_request.set(context)
        started, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *_headers(scope, context)]}
            await send(message)

        try:
            await super().__call__(scope, receive, answer)
        finally:
            _note(scope, status, time.perf_counter() - started)
            current_request.reset(token)


def _headers(scope: Any, context: RequestContext) -> list[tuple[bytes, bytes]]:
    headers = [*_HEADERS, (b"x-request-id", context.request_id.encode())]
    if scope["path"].startswith("/v1"):
        headers.append(_NO_STORE)
    if settings().base_url.startswith("https://"):
        headers.append(_HSTS)
    standing: Standing | None = scope.get("state", {}).get("rate_limit")
    if standing is not None:
        policy, left = f'"{standing.kind}"', max(0, standing.remaining)
        headers.append((b"ratelimit-policy", f"{policy};q={standing.limit};w=60".encode()))
        headers.append((b"ratelimit", f"{policy};r={left};t={standing.window_seconds}".encode()))
    return headers


def _note(scope: Any, status: int, seconds: float) -> None:
    route = scope.get("path_template") or "unmatched"
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUEST_SECONDS.labels(method, route, str(status)).observe(seconds)
    if route in _QUIET:
        return
    principal: Principal | None = scope.get("user")
    log().info(
        "request",
        method=method,
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 1),
        principal=principal.name if principal else None,
    )


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


async def media_guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raises `NotJson` for a body that says it is something else, or is packed: unpacking is where bombs go off."""
    if "data" not in handler.parsed_fn_signature.parameters:
        return
    media = header(connection.scope, b"content-type").partition(";")[0].strip().lower()
    packed = header(connection.scope, b"content-encoding") or "identity"
    if media not in ("", "application/json") or packed != "identity":
        raise NotJson(media=media, encoding=packed)


async def rate_guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Count the request against its principal and its address. Raises `TooManyRequests`."""
    kind = handler.opt.get("limit", "usual")
    limiter: Limiter | None = connection.app.state.get("limiter")
    if kind == "none" or limiter is None:
        return
    address, configured = current_request.get().address, settings()
    limits = {("address", address): configured.rate_limit_address}
    principal: Principal | None = connection.scope.get("user")
    if principal is not None:
        limits["principal", principal.name] = configured.rate_limit_principal
    if kind == "sign-in":
        limits["sign-in", address] = configured.rate_limit_sign_in
    standing = await limiter.hit(limits)
    if standing is None:
        return
    connection.scope["state"]["rate_limit"] = standing
    if standing.wait_seconds > 0:
        RATE_LIMITED.labels(standing.kind).inc()
        raise TooManyRequests(seconds=standing.wait_seconds, limit=standing.limit)
