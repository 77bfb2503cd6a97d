"""Errors as `application/problem+json` (RFC 9457). The only place that knows how a refusal looks over HTTP."""

import re
import secrets
from http import HTTPStatus
from typing import Any, Final

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from redis.exceptions import ConnectionError as RedisUnreachable
from redis.exceptions import TimeoutError as RedisTimeout

from api.operation.logs import log
from database import Collision
from errors import DomainError

TYPES: Final = "https://regulars.example/problems/"


def from_domain(request: Request[Any, Any, Any], error: DomainError) -> Response[Any]:
    """A refusal: its class is the type, its facts stand beside."""
    if error.status >= 500:
        log().error("refused", kind=type(error).__name__)
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__)
    headers = {"Retry-After": str(error.facts["retry_after"])} if "retry_after" in error.facts else {}
    return _response(
        words.lower().replace(" ", "-"), words.capitalize(), error.status, str(error), error.facts, headers
    )


def from_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """What Litestar refuses itself: unknown routes, malformed bodies, wrong methods."""
    status = HTTPStatus(error.status_code)
    facts: dict[str, Any] = {}
    detail = error.detail
    if isinstance(error, ValidationException):
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        facts["errors"] = [_field_error(fault) for fault in error.extra] if isinstance(error.extra, list) else []
        detail = "; ".join(f"{fault['field']}: {fault['why']}" for fault in facts["errors"]) or detail
    elif detail == status.phrase or not detail:
        detail = _WORDS.get(status, "").format(method=request.method, path=request.url.path) or detail
    slug = status.phrase.lower().replace(" ", "-")
    return _response(slug, status.phrase, status, detail, facts, dict(error.headers or {}))


def from_unreachable(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """PostgreSQL or Redis does not answer."""
    server = "Redis" if isinstance(error, RedisUnreachable | RedisTimeout) else "PostgreSQL"
    log().error("unreachable", server=server, exc_info=error)
    return _response(
        "unreachable",
        "Unreachable",
        503,
        f"{server} does not answer; try again in a moment.",
        {"server": server},
        {"Retry-After": "5"},
    )


def from_text(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Text that PostgreSQL cannot hold: JSON and URLs can carry a NUL character, which is no part of anybody's name."""
    return _response("invalid-input", "Invalid input", 422, "A text holds a character that is none (NUL).", {})


def from_number(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A number that no column can hold."""
    return _response("invalid-input", "Invalid input", 422, "A number is larger than anything here can be.", {})


def from_data(request: Request[Any, Any, Any], error: asyncpg.DataError) -> Response[Any]:
    """What the driver itself cannot encode comes without the server's severity, and is the caller's; the rest is ours."""
    return from_number(request, error) if error.severity is None else from_unexpected(request, error)


def from_collision(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Two requests at the same moment for what there can only be one of: the other one was first."""
    return _response(
        "collision", "Collision", 409, "Somebody else did the same at the same moment; look again, then repeat.", {}
    )


def from_undecodable(request: Request[Any, Any, Any], error: UnicodeDecodeError) -> Response[Any]:
    """A body that is no UTF-8: Litestar lets the decoder's own exception through."""
    return _response("bad-request", "Bad Request", 400, f"The body is not UTF-8 text (at byte {error.start}).", {})


def from_depth(request: Request[Any, Any, Any], error: RecursionError) -> Response[Any]:
    """A body that opens bracket after bracket: the decoder gives up before the stack does."""
    return _response("bad-request", "Bad Request", 400, "The body is nested too deeply.", {})


def from_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Anything else is a defect: the caller gets a reference, the log the rest."""
    reference = secrets.token_hex(6)
    log().error("unexpected", reference=reference, exc_info=error)
    return _response(
        "unexpected",
        "Unexpected",
        500,
        f"Something went wrong; the log has it as {reference}.",
        {"reference": reference},
    )


def _field_error(fault: Any) -> dict[str, str]:
    fault = fault if isinstance(fault, dict) else {"message": str(fault)}
    return {"field": str(fault.get("key") or "body"), "why": str(fault.get("message", ""))}


def _response(
    slug: str, title: str, status: int, detail: str, facts: dict[str, Any], headers: dict[str, str] | None = None
) -> Response[Any]:
    # The members of RFC 9457 win over a fact of the same name.
    content = {**facts, "type": TYPES + slug, "title": title, "status": int(status), "detail": detail}
    return Response(
        msgspec.json.encode(content, enc_hook=str),
        status_code=int(status),
        media_type="application/problem+json",
        headers=headers or {},
    )


# What Litestar only names.
_WORDS: Final = {
    HTTPStatus.NOT_FOUND: "There is nothing at {path}; GET /docs lists what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "{method} is not for {path}; GET /docs says what is.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than 1 MiB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body has to be application/json.",
}


HANDLERS: Final[dict[Any, Any]] = {
    DomainError: from_domain,
    HTTPException: from_http,
    asyncpg.CharacterNotInRepertoireError: from_text,
    asyncpg.UntranslatableCharacterError: from_text,
    asyncpg.NumericValueOutOfRangeError: from_number,
    asyncpg.DataError: from_data,
    asyncpg.UniqueViolationError: from_collision,
    asyncpg.DeadlockDetectedError: from_collision,
    Collision: from_collision,
    RedisUnreachable: from_unreachable,
    RedisTimeout: from_unreachable,
    UnicodeDecodeError: from_undecodable,
    RecursionError: from_depth,
    OSError: from_unreachable,
    asyncpg.PostgresConnectionError: from_unreachable,
    asyncpg.exceptions.OperatorInterventionError: from_unreachable,  # shutting down, or starting up
    asyncpg.InterfaceError: from_unreachable,
    Exception: from_unexpected,
}
