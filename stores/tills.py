"""Tills: enrolled with a one-time code, then known by the credential of the device."""

import re
import secrets
from datetime import datetime, timedelta
from typing import Final

import msgspec

import database
from errors import InvalidInput
from stores.credentials import fingerprint, new_secret
from stores.errors import EnrolmentRefused, UnknownStore, UnknownTill

CREDENTIAL_PREFIX: Final = "till_"
ENROLMENT_HOURS: Final = 24
# Without letters and digits that look alike: someone reads the code aloud.
_ALPHABET: Final = "ABCDEFGHJKMNPQRSTVWXYZ23456789"


class TillIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which till a credential belongs to, and whose shift is open on it."""

    till_id: int
    store: str
    till: str
    staff_id: int | None = None


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A code that makes one device this till, once, until it expires."""

    store: str
    till: str
    code: str
    expires_at: datetime


class TillShown(msgspec.Struct, frozen=True, kw_only=True):
    """A till: whether a device holds its credential, and whose shift is open on it."""

    code: str
    enrolled: bool
    cashier: str | None


async def offer_enrolment(store: str, till: str, *, at: datetime) -> Enrolment:
    """Make a till, or one that is there ready for another device; its credential works on until the code is used."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", till):
        raise InvalidInput(field="code", why="1 to 32 letters, digits, - or _")
    code = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    expires_at = at + timedelta(hours=ENROLMENT_HOURS)
    made = await database.value(
        "INSERT INTO stores.till (store_id, code, enrolment_hash, enrolment_expires_at) SELECT id, $2, $3, $4 "
        "FROM stores.store WHERE code = $1 ON CONFLICT (store_id, code) DO UPDATE SET "
        "(enrolment_hash, enrolment_expires_at) = (excluded.enrolment_hash, excluded.enrolment_expires_at) RETURNING id",
        store,
        till,
        fingerprint(code),
        expires_at,
    )
    if made is None:
        raise UnknownStore(code=store)
    shown = "-".join(code[start : start + 4] for start in range(0, 12, 4))
    return Enrolment(store=store, till=till, code=shown, expires_at=expires_at)


async def plan_till(store: str, till: str) -> bool:
    """Make a till that no device is yet; whether there was none. Raises `UnknownStore`, `InvalidInput`."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", till):
        raise InvalidInput(field="code", why="1 to 32 letters, digits, - or _")
    async with database.transaction():
        if not await database.value("SELECT true FROM stores.store WHERE code = $1", store):
            raise UnknownStore(code=store)
        made = await database.execute(
            "INSERT INTO stores.till (store_id, code) SELECT id, $2 FROM stores.store WHERE code = $1 "
            "ON CONFLICT (store_id, code) DO NOTHING",
            store,
            till,
        )
    return bool(made)


async def take_up_enrolment(code: str, *, at: datetime) -> tuple[TillIdentity, str]:
    """Spend a one-time code; the till, and the device's credential. Raises `EnrolmentRefused`."""
    credential = new_secret(CREDENTIAL_PREFIX)
    row = await database.row(
        "UPDATE stores.till SET credential_hash = $2, enrolment_hash = NULL, enrolment_expires_at = NULL FROM stores.store "
        "WHERE enrolment_hash = $1 AND enrolment_expires_at > $3 AND store.id = store_id "
        "RETURNING till.id AS till_id, store.code AS store, till.code AS till",
        fingerprint(re.sub(r"[\s-]", "", code).upper()),
        fingerprint(credential),
        at,
    )
    if row is None:
        raise EnrolmentRefused
    return TillIdentity(**dict(row)), credential


async def enrol_till(store: str, till: str) -> str:
    """Make (or re-key) a till and return its credential: for whoever sets the device up themselves."""
    credential = new_secret(CREDENTIAL_PREFIX)
    enrolled = await database.value(
        "INSERT INTO stores.till (store_id, code, credential_hash) SELECT id, $2, $3 FROM stores.store WHERE code = $1 "
        "ON CONFLICT (store_id, code) DO UPDATE SET credential_hash = excluded.credential_hash RETURNING id",
        store,
        till,
        fingerprint(credential),
    )
    if enrolled is None:
        raise UnknownStore(code=store)
    return credential


async def withdraw_till(store: str, till: str) -> None:
    """The device of a lost or sold till is a till no longer. Raises `UnknownTill`."""
    withdrawn = await database.execute(
        "UPDATE stores.till SET credential_hash = NULL, enrolment_hash = NULL, enrolment_expires_at = NULL "
        "FROM stores.store WHERE store.id = store_id AND store.code = $1 AND till.code = $2",
        store,
        till,
    )
    if not withdrawn:
        raise UnknownTill(store=store, till=till)


async def identify_till(credential: str) -> TillIdentity | None:
    """The till of a credential, or None."""
    row = await database.row(
        "SELECT till.id AS till_id, store.code AS store, till.code AS till, shift.staff_id FROM stores.till "
        "JOIN stores.store ON store.id = store_id LEFT JOIN stores.shift ON shift.till_id = till.id AND closed_at IS NULL "
        "WHERE credential_hash = $1",
        fingerprint(credential),
    )
    return TillIdentity(**dict(row)) if row else None


async def signing_key(till_id: int) -> bytes:
    """What a till signs with while it is offline: the SHA-256 of its credential, which both sides can make and no log has."""
    key = await database.value("SELECT credential_hash FROM stores.till WHERE id = $1", till_id)
    return bytes(key or b"")


async def tills(store: str) -> list[TillShown]:
    """A store's tills by code."""
    rows = await database.rows(
        "SELECT till.code, credential_hash IS NOT NULL AS enrolled, staff.name AS cashier FROM stores.till "
        "JOIN stores.store ON store.id = store_id LEFT JOIN stores.shift ON shift.till_id = till.id AND closed_at IS NULL "
        "LEFT JOIN stores.staff ON staff.id = shift.staff_id WHERE store.code = $1 ORDER BY 1",
        store,
    )
    return [TillShown(**dict(row)) for row in rows]
