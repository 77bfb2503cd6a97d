"""Idempotency-Key: a write and the memory of its answer commit together, or not at all."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import MediaType, Request, Response
from litestar.params import HeaderParameter

import database
from api.access.permissions import Principal
from api.access.sealing import seal, unseal
from api.errors import IdempotencyKeyInFlight, IdempotencyKeyMissing, IdempotencyKeyReused
from settings import settings

Answer = TypeVar("Answer")
KEY_LENGTH_MAX: Final = 128
KEPT_DAYS: Final = 7

IdempotencyKey = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        description="Any string up to 128 characters: a new one for each write, the same one for a retry. Required.",
    ),
]


async def once(
    request: Request[Principal, Any, Any],
    key: str,
    write: Callable[[], Awaitable[Answer]],
    *,
    status: int = 201,
    sealed: bool = False,
    tag: Callable[[bytes], str] | None = None,
) -> Response[Answer]:
    """Run `write` for the first request with its key; answer later ones as the first was, marked as replayed.

    A refusal is not remembered: nothing was changed, so the same request may succeed later. A write that collided with another is
    done again, so `write` must bear it. `sealed` keeps an answer with a secret in it encrypted; `tag` makes the ETag from the
    answer's bytes, the first time and every other.
    """
    if not 1 <= len(key) <= KEY_LENGTH_MAX:
        raise IdempotencyKeyMissing
    principal = request.user.name
    request_hash = await _hash(request)

    async def answered() -> Response[Answer]:
        async with database.transaction():
            claimed = await database.row("SELECT * FROM api.claim_key($1, $2)", principal, key)
            assert claimed is not None
            if not claimed["free"]:
                raise IdempotencyKeyInFlight
            if claimed["response"] is not None:
                if claimed["request_hash"] != request_hash:
                    raise IdempotencyKeyReused
                body = unseal(claimed["response"]) if sealed else claimed["response"]
                return _response(body, claimed["status"], {"Idempotency-Replayed": "true", **_tag(tag, body)})
            answer = await write()
            body = b"" if status == 204 else msgspec.json.encode(answer)
            await database.execute(
                "INSERT INTO api.idempotency (principal, key, request_hash, status, response, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
                principal,
                key,
                request_hash,
                status,
                seal(body) if sealed else body,
                sealed,
            )
        return _response(body, status, _tag(tag, body))

    return await database.retried(answered)


async def _hash(request: Request[Principal, Any, Any]) -> bytes:
    """What tells a retry from another request with its key. Keyed, because a body can hold something short enough to guess, such as
    a PIN."""
    asked = (request.method.encode(), request.url.path.encode(), request.url.query.encode(), await request.body())
    return hashlib.blake2b(b"\n".join(asked), key=_hash_key(settings().secret), digest_size=32).digest()


@lru_cache(maxsize=1)
def _hash_key(secret: str) -> bytes:
    """BLAKE2b takes 64 bytes at most."""
    return hashlib.sha256(secret.encode()).digest()


async def forget_keys(*, before: datetime) -> int:
    """Drop the keys of requests from before a moment; how many."""
    return await database.execute("DELETE FROM api.idempotency WHERE created_at < $1", before)


def _tag(tag: Callable[[bytes], str] | None, body: bytes) -> dict[str, str]:
    return {"ETag": tag(body)} if tag else {}


def _response(body: bytes, status: int, headers: dict[str, str]) -> Response[Any]:
    if status == 204:
        return Response(None, status_code=204, headers=headers)
    return Response(body, status_code=status, media_type=MediaType.JSON, headers=headers)
