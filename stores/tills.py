"""Tills and the credential each device signs in with."""

import hashlib
import secrets
from typing import Final

import msgspec

import database
from stores.errors import UnknownStore

CREDENTIAL_PREFIX: Final = "till_"


class TillIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which till a credential belongs to."""

    till_id: int
    store: str
    till: str


async def enrol_till(store: str, till: str) -> str:
    """Make (or re-key) a till and return its credential, which is stored nowhere: only its hash is.

    256 random bits need no slow hash: there is nothing to guess from.
    """
    credential = CREDENTIAL_PREFIX + secrets.token_urlsafe(32)
    enrolled = await database.value(
        "INSERT INTO stores.till (store_id, code, credential_hash) SELECT id, $2, $3 FROM stores.store WHERE code = $1 "
        "ON CONFLICT (store_id, code) DO UPDATE SET credential_hash = excluded.credential_hash RETURNING id",
        store,
        till,
        _hash(credential),
    )
    if enrolled is None:
        raise UnknownStore(code=store)
    return credential


async def identify_till(credential: str) -> TillIdentity | None:
    """The till of a credential, or None."""
    row = await database.row(
        "SELECT till.id AS till_id, store.code AS store, till.code AS till FROM stores.till "
        "JOIN stores.store ON store.id = store_id WHERE credential_hash = $1",
        _hash(credential),
    )
    return TillIdentity(**dict(row)) if row else None


async def tills(store: str) -> list[str]:
    """Codes of a store's tills."""
    rows = await database.rows(
        "SELECT till.code FROM stores.till JOIN stores.store ON store.id = store_id WHERE store.code = $1 ORDER BY 1",
        store,
    )
    return [row["code"] for row in rows]


def _hash(credential: str) -> bytes:
    return hashlib.sha256(credential.encode()).digest()
