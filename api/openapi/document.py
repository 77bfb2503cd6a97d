"""The OpenAPI document. Litestar reads operations and shapes from the handlers; what is the same everywhere is added here: the
errors that an operation can answer with, how to come in, what it may be called with, and examples."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, get_args, get_origin

import msgspec
from litestar import Litestar, Response, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag

from api.access.permissions import who_may
from api.openapi.examples import example_of
from api.openapi.reference import DocumentFile, ReferencePage
from api.problems import TYPES

DESCRIPTION: Final = (
    "Membership and loyalty for retail chains. Amounts are integer minor units, times RFC 3339, members are named by card number, "
    "lists are {items, next}: send `next` back as `cursor` for the next page. Every error is application/problem+json (RFC 9457). "
    "Every write takes an Idempotency-Key. Editable resources carry an ETag, which a change names with If-Match."
)

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457). The facts of each kind of problem stand beside these members.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "The kind of problem."},
        "title": {"type": "string", "description": "The kind in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What happened, why, and what to do."},
        "field": {"type": "string", "description": "Which field of the request it is about."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "why"],
                "properties": {"field": {"type": "string"}, "why": {"type": "string"}},
            },
        },
        "reference": {"type": "string", "description": "Under which the log has it."},
        "retry_after": {"type": "integer", "description": "Seconds to wait."},
    },
    "additionalProperties": True,
}

_PROBLEMS: Final[dict[int, tuple[str, str]]] = {
    400: ("idempotency-key-missing", "This needs an Idempotency-Key header of 1 to 128 characters."),
    401: ("sign-in-needed", "Sign in first: POST /v1/session, or send a till's credential as a bearer token."),
    403: ("not-permitted", "A cashier may not do this."),
    404: ("not-found", "There is no store 'XX99'."),
    409: ("idempotency-key-in-flight", "A request with this Idempotency-Key is being worked on; retry in a moment."),
    410: ("card-replaced", "The card 2000000012346 was replaced by another one."),
    412: ("stale", "It has been changed since you read it; read it again and repeat your change."),
    413: ("request-entity-too-large", "The body is larger than 1 MiB."),
    415: ("not-json", "The body has to be application/json, and not packed."),
    422: ("invalid-input", "name: 1 to 200 characters are needed"),
    429: ("too-many-requests", "More than 1200 requests a minute; go on in 12 seconds."),
    500: ("unexpected", "Something went wrong; the log has it as 5f0c2e9b71aa."),
    503: ("unreachable", "PostgreSQL does not answer; try again in a moment."),
}

_TAGS: Final = {
    "session": "Signing in and out, second factor, password",
    "staff": "Accounts of staff",
    "keys": "Keys for integrations",
    "stores": "Branches and their tills",
    "products": "The catalogue",
    "members": "Members and what is known of them",
    "till": "Quote, checkout, return, shifts",
    "loyalty": "The programme: rules, tiers, rewards, vouchers, members' accounts, statements",
    "segmentation": "RFM, clusters, runs",
    "campaigns": "Campaigns and their results",
    "webhooks": "Events to other systems",
    "operation": "Health, metrics, jobs, audit",
}


def openapi_config(router: Router) -> OpenAPIConfig:
    """What Litestar builds the document from."""
    return OpenAPIConfig(
        title="Regulars",
        version="1",
        description=DESCRIPTION,
        openapi_router=router,
        render_plugins=[ReferencePage(document), DocumentFile(document)],
        tags=[Tag(name=name, description=words) for name, words in _TAGS.items()],
        components=Components(
            security_schemes={
                "credential": SecurityScheme(
                    type="http", scheme="bearer", description="A till's credential, or an integration's key."
                ),
                "session": SecurityScheme(type="apiKey", name="regulars_session", security_scheme_in="cookie"),
            }
        ),
        security=[{"credential": []}, {"session": []}],
    )


def document(app: Litestar) -> dict[str, Any]:
    """The whole document, made once."""
    if "openapi_document" not in app.state:
        app.state.openapi_document = _completed(app)
    return dict(app.state.openapi_document)


def operations(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """(method, path, handler) of everything in the document."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", []):
            if handler.resolve_include_in_schema():
                for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                    yield method, route.path_format or "/", handler


def _completed(app: Litestar) -> dict[str, Any]:
    # A default that is a Struct stays one in Litestar's document.
    schema: dict[str, Any] = msgspec.to_builtins(app.openapi_schema.to_schema())
    schema["components"].setdefault("schemas", {})["Problem"] = PROBLEM
    editable = {path for method, path, _ in operations(app) if method == "PATCH"}
    for method, path, handler in operations(app):
        operation = schema["paths"][path][method.lower()]
        _errors(operation, method, path, handler)
        _key(operation)
        _access(operation, handler)
        _examples(operation, handler)
        if path in editable and method in ("GET", "PATCH"):
            _etag(operation, method)
    return schema


# Take a card, or something else that once was good, in a body or a query.
_NAMES_A_CARD: Final = (
    "/v1/members",
    "/v1/checkouts",
    "/v1/redemptions",
    "/v1/opt-ins",
    "/v1/returns",
    "/v1/vouchers",
    "/v1/earn-rules/try",
)


def statuses(operation: dict[str, Any], method: str, path: str, handler: HTTPRouteHandler) -> list[int]:
    """The errors that an operation can answer with."""
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    public, writes = handler.opt["permission"] == "public", method != "GET"
    possible = {
        400: True,  # text that is no text, a malformed body, a missing key
        401: not public or "session" in path or "password" in path,
        403: not public or writes or path == "/metrics",
        404: "{" in path or writes or path in ("/v1/rfm", "/v1/clusters", "/v1/shifts/current"),
        409: writes or path.startswith(("/v1/campaigns", "/v1/members")),
        410: "{number}" in path or path.startswith(_NAMES_A_CARD),
        412: "If-Match" in names,
        413: "requestBody" in operation,
        415: "requestBody" in operation,
        422: writes or bool(names),
        429: handler.opt.get("limit") != "none",
        500: True,
        503: True,
    }
    return [status for status, applies in possible.items() if applies]


def _errors(operation: dict[str, Any], method: str, path: str, handler: HTTPRouteHandler) -> None:
    responses = {status: answer for status, answer in operation["responses"].items() if int(status) < 400}
    for empty in ("202", "204"):
        if responses.get(empty, {}).get("content", {}).get("application/json", {}).get("schema") == {"type": "null"}:
            del responses[empty]["content"]
    for status in statuses(operation, method, path, handler):
        if status == 503 and path == "/health/ready":
            responses["503"] = {**responses["200"], "description": "Something that is needed is not there"}
            continue
        responses[str(status)] = problem_response(status)
    operation["responses"] = responses


def problem_response(status: int) -> dict[str, Any]:
    """An error response, by its status."""
    slug, detail = _PROBLEMS[status]
    answer: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": {
                    "type": TYPES + slug,
                    "title": slug.replace("-", " ").capitalize(),
                    "status": status,
                    "detail": detail,
                },
            }
        },
    }
    if status == 429:
        answer["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return answer


def _key(operation: dict[str, Any]) -> None:
    """The handlers take a missing key, to refuse it in one place with 400; to a caller it is required."""
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "Idempotency-Key":
            parameter["required"] = True
            parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": 128}


def _access(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    permission = str(handler.opt["permission"])
    if permission == "public":
        operation["security"] = []
    operation["x-permission"] = permission
    words = who_may(permission)
    operation["description"] = "\n\n".join(part for part in (handler.description, words) if part)


def _examples(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    signature = handler.parsed_fn_signature
    if "requestBody" in operation:
        for media in operation["requestBody"]["content"].values():
            media["example"] = example_of(signature.parameters["data"].annotation)
    answered = _answered(signature.return_type.annotation)
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            for kind, media in answer.get("content", {}).items():
                if kind == "application/json" and answered is not None:
                    media["example"] = example_of(answered)


def _answered(annotation: Any) -> type[msgspec.Struct] | None:
    """The Struct that a handler answers with, inside Response[...] or not."""
    if get_origin(annotation) is Response:
        annotation = get_args(annotation)[0]
    return annotation if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) else None


def _etag(operation: dict[str, Any], method: str) -> None:
    operation["responses"]["200"]["headers"] = {
        "ETag": {"description": "Names this state of the resource.", "schema": {"type": "string"}}
    }
    if method == "GET":
        operation["responses"]["304"] = {"description": "Nothing has changed since the ETag in If-None-Match."}
