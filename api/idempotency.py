"""Idempotency-Key: a write and the memory of its answer commit together, or not at all."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import MediaType, Request, Response
from litestar.params import HeaderParameter

import database
from api.errors import IdempotencyKeyInFlight, IdempotencyKeyMissing, IdempotencyKeyReused
from api.permissions import Principal

Answer = TypeVar("Answer")
KEY_LENGTH_MAX = 128

IdempotencyKey = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        description="Any string up to 128 characters: a new one for each write, the same one for a retry. Required.",
    ),
]


async def once(
    request: Request[Principal, Any, Any], key: str, write: Callable[[], Awaitable[Answer]], *, status: int = 201
) -> Response[Answer]:
    """Run `write` for the first request with its key; answer later ones as the first was, marked as replayed.

    A refusal is not remembered: nothing was changed, so the same request may succeed later.
    """
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise IdempotencyKeyMissing
    principal = request.user.name
    request_hash = hashlib.sha256(
        b"\n".join((request.method.encode(), request.url.path.encode(), await request.body()))
    ).digest()
    async with database.transaction():
        claimed = await database.row("SELECT * FROM api.claim_key($1, $2)", principal, key)
        assert claimed is not None
        if not claimed["free"]:
            raise IdempotencyKeyInFlight
        if claimed["response"] is not None:
            if claimed["request_hash"] != request_hash:
                raise IdempotencyKeyReused
            return _response(claimed["response"], claimed["status"], {"Idempotency-Replayed": "true"})
        body = msgspec.json.encode(await write())
        await database.execute(
            "INSERT INTO api.idempotency (principal, key, request_hash, status, response) VALUES ($1, $2, $3, $4, $5)",
            principal,
            key,
            request_hash,
            status,
            body,
        )
    return _response(body, status, {})


def _response(body: bytes, status: int, headers: dict[str, str]) -> Response[Any]:
    return Response(body, status_code=status, media_type=MediaType.JSON, headers=headers)
