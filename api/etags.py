"""ETags: what a reader saw, by its content. A change that names it with If-Match is refused when somebody else came between."""

import hashlib
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import MediaType, Request, Response
from litestar.params import HeaderParameter

from api.errors import Stale

Shown = TypeVar("Shown")

IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="The ETag that was read: the change is refused with 412 when it is not the present one.",
    ),
]


def etag(shown: object) -> str:
    """The strong ETag of a representation."""
    return etag_of(msgspec.json.encode(shown))


def etag_of(body: bytes) -> str:
    """The strong ETag of a representation as it is sent."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def tagged(request: Request[Any, Any, Any], shown: Shown, *, of: object = None) -> Response[Shown]:
    """The representation with its ETag (that of the part `of` it, when given); 304 for a reader who has it already."""
    tag = etag(shown if of is None else of)
    if tag in _listed(request.headers.get("if-none-match", "")):
        return Response(None, status_code=304, headers={"ETag": tag})  # type: ignore[arg-type]  # a 304 has no body
    return Response(shown, headers={"ETag": tag}, media_type=MediaType.JSON)


def check_match(if_match: str | None, present: object) -> None:
    """Raises `Stale` unless `if_match` is absent, `*` or the ETag of `present`, which the caller has locked."""
    if if_match is None or if_match.strip() == "*":
        return
    tag = etag(present)
    if tag not in _listed(if_match):
        raise Stale(etag=tag)


def _listed(header: str) -> list[str]:
    return [part.strip() for part in header.split(",")]
