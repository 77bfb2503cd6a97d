"""Keys for integrations: scoped, bounded in time, shown once, turned over without a gap."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

import database
from api.access.permissions import OF_THE_CHAIN, SCOPES
from errors import InvalidInput, NotFound
from stores.branches import store_id_of
from stores.credentials import fingerprint, new_secret

PREFIX: Final = "key_"
DAYS_MAX: Final = 366
OVERLAP_HOURS_MAX: Final = 168


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as administrators see it: `hint` is how it begins. `stores` is null where it sees the whole chain."""

    id: int
    name: str
    hint: str
    scopes: list[str]
    stores: list[str] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class KeyIssued(msgspec.Struct, frozen=True, kw_only=True):
    """The key itself, for this once."""

    key: AccessKey
    secret: str


class KeyIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What a key that came with a request may do."""

    id: int
    scopes: list[str]
    stores: list[str] | None


async def issue_key(
    *, name: str, scopes: Sequence[str], stores: Sequence[str] | None, expires_at: datetime, staff_id: int, at: datetime
) -> KeyIssued:
    """Make a key. Raises `InvalidInput`, `UnknownStore`."""
    if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
        raise InvalidInput(field="name", why="1 to 100 printable characters are needed")
    unknown = sorted(set(scopes) - SCOPES)
    if unknown or not scopes:
        raise InvalidInput(
            field="scopes", why=f"{', '.join(unknown) or 'none'} is no scope; choose among {', '.join(sorted(SCOPES))}"
        )
    whole = sorted(set(scopes) & OF_THE_CHAIN) if stores is not None else []
    if whole:
        raise InvalidInput(
            field="scopes", why=f"{', '.join(whole)} concern the whole chain; leave out stores, or these"
        )
    if not at < expires_at <= at + timedelta(days=DAYS_MAX):
        raise InvalidInput(field="expires_at", why=f"has to lie within the next {DAYS_MAX} days")
    for code in stores or []:
        await store_id_of(code)
    secret = new_secret(PREFIX)
    key_id = await database.value(
        "INSERT INTO api.access_key (name, secret_hash, hint, scopes, stores, created_by, created_at, expires_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
        name.strip(),
        fingerprint(secret),
        secret[:10],
        sorted(set(scopes)),
        None if stores is None else sorted(set(stores)),
        staff_id,
        at,
        expires_at,
    )
    return KeyIssued(key=await access_key(key_id), secret=secret)


async def rotate_key(key_id: int, *, overlap_hours: int, at: datetime) -> KeyIssued:
    """Give a key a new secret; the old one works on for `overlap_hours`. Raises `NotFound`."""
    if not 0 <= overlap_hours <= OVERLAP_HOURS_MAX:
        raise InvalidInput(field="overlap_hours", why=f"0 to {OVERLAP_HOURS_MAX}")
    secret = new_secret(PREFIX)
    rotated = await database.execute(
        "UPDATE api.access_key SET previous_hash = secret_hash, previous_expires_at = $4, secret_hash = $2, hint = $3 "
        "WHERE id = $1 AND revoked_at IS NULL",
        key_id,
        fingerprint(secret),
        secret[:10],
        at + timedelta(hours=overlap_hours),
    )
    if not rotated:
        raise NotFound(kind="key in use", name=key_id)
    return KeyIssued(key=await access_key(key_id), secret=secret)


async def revoke_key(key_id: int, *, at: datetime) -> None:
    """The key opens nothing any more. Raises `NotFound`."""
    revoked = await database.execute(
        "UPDATE api.access_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", key_id, at
    )
    if not revoked:
        raise NotFound(kind="key in use", name=key_id)


async def identify_key(secret: str, *, at: datetime) -> KeyIdentity | None:
    """What a secret opens, or None. Its last use is noted to the minute, so that reading does not write each time."""
    hashed = fingerprint(secret)
    row = await database.row(
        "SELECT id, scopes, stores, last_used_at FROM api.access_key WHERE revoked_at IS NULL AND expires_at > $2 "
        "AND (secret_hash = $1 OR (previous_hash = $1 AND previous_expires_at > $2))",
        hashed,
        at,
    )
    if row is None:
        return None
    if row["last_used_at"] is None or row["last_used_at"] < at - timedelta(minutes=1):
        await database.execute("UPDATE api.access_key SET last_used_at = $2 WHERE id = $1", row["id"], at)
    return KeyIdentity(id=row["id"], scopes=row["scopes"], stores=row["stores"])


async def access_key(key_id: int) -> AccessKey:
    """One key. Raises `NotFound`."""
    row = await database.row(f"{_SELECT} WHERE id = $1", key_id)
    if row is None:
        raise NotFound(kind="key", name=key_id)
    return AccessKey(**dict(row))


async def access_keys(*, before: int | None = None, limit: int = 50) -> list[AccessKey]:
    """Keys, newest first, from before the key `before`."""
    rows = await database.rows(
        f"{_SELECT} WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2", before, limit
    )
    return [AccessKey(**dict(row)) for row in rows]


_SELECT: Final = (
    "SELECT id, name, hint, scopes, stores, created_at, expires_at, last_used_at, revoked_at FROM api.access_key"
)
