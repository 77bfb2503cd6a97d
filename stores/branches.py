"""Stores (branches) and where they are."""

import re
from datetime import date
from typing import Annotated, Literal

import msgspec

import database
from stores.chain import check_time_zone
from stores.changes import given
from stores.errors import StoreExists, UnknownStore
from stores.hours import Hours, check_hours
from stores.scope import Scope, codes, in_scope

Code = Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9][A-Z0-9_-]{0,31}$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
ShortText = Annotated[str, msgspec.Meta(max_length=500)]
Status = Literal["planned", "open", "closed"]


class Branch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A store as the outside sees it."""

    code: Code
    name: Name
    time_zone: str
    region: ShortText = ""
    address: ShortText = ""
    opened_on: date | None = None
    status: Status = "open"
    hours: Hours = {}


class BranchChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a store; what is left out stays."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    time_zone: str | msgspec.UnsetType = msgspec.UNSET
    region: ShortText | msgspec.UnsetType = msgspec.UNSET
    address: ShortText | msgspec.UnsetType = msgspec.UNSET
    opened_on: date | msgspec.UnsetType | None = msgspec.UNSET
    status: Status | msgspec.UnsetType = msgspec.UNSET
    hours: Hours | msgspec.UnsetType = msgspec.UNSET


def store_code(name: str) -> str:
    """A store code made from a name: `United Kingdom` becomes `UNITED-KINGDOM`."""
    return re.sub(r"[^A-Z0-9]+", "-", name.upper()).strip("-")[:32] or "STORE"


async def open_store(branch: Branch) -> int:
    """Add a store, or bring the one of that code up to date; its id."""
    check_time_zone(branch.time_zone)
    check_hours(branch.hours)
    return int(
        await database.value(
            "INSERT INTO stores.store (code, name, time_zone, region, address, opened_on, status, hours) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (code) DO UPDATE SET (name, time_zone, region, address, "
            "opened_on, status, hours) = (excluded.name, excluded.time_zone, excluded.region, excluded.address, "
            "excluded.opened_on, excluded.status, excluded.hours) RETURNING id",
            branch.code,
            branch.name,
            branch.time_zone,
            branch.region,
            branch.address,
            branch.opened_on,
            branch.status,
            msgspec.json.encode(branch.hours).decode(),
        )
    )


async def open_new_store(branch: Branch) -> Branch:
    """Add a store. Raises `StoreExists`."""
    async with database.transaction():
        if await database.value("SELECT true FROM stores.store WHERE code = $1", branch.code):
            raise StoreExists(code=branch.code)
        await open_store(branch)
    return branch


async def change_store(code: str, change: BranchChange) -> Branch:
    """Change a store. Raises `UnknownStore`."""
    async with database.transaction():
        now = await branch(code, lock=True)
        became = msgspec.structs.replace(now, **given(change))
        await open_store(became)
    return became


async def store_id_of(code: str | None) -> int | None:
    """The id of a store's code; None for none. Raises `UnknownStore`."""
    if code is None:
        return None
    store_id = await database.value("SELECT id FROM stores.store WHERE code = $1", code)
    if store_id is None:
        raise UnknownStore(code=code)
    return int(store_id)


async def branches(
    *,
    stores: Scope = None,
    after: str = "",
    limit: int | None = None,
    status: Status | None = None,
    region: str | None = None,
) -> list[Branch]:
    """Stores in view by code, from the one after `after`."""
    rows = await database.rows(
        f"SELECT {_COLUMNS} FROM stores.store WHERE code > $1 AND {in_scope('id', 3)} AND ($4::text IS NULL OR status = $4) "
        "AND ($5::text IS NULL OR region = $5) ORDER BY code LIMIT $2",
        after,
        limit,
        codes(stores),
        status,
        region,
    )
    return [_branch(row) for row in rows]


async def branch(code: str, *, lock: bool = False) -> Branch:
    """One store; `lock` keeps others from changing it. Raises `UnknownStore`."""
    row = await database.row(
        f"SELECT {_COLUMNS} FROM stores.store WHERE code = $1{' FOR NO KEY UPDATE' if lock else ''}", code
    )
    if row is None:
        raise UnknownStore(code=code)
    return _branch(row)


_COLUMNS = "code, name, time_zone, region, address, opened_on, status, hours"


def _branch(row: database.Row) -> Branch:
    return Branch(**{**dict(row), "hours": msgspec.json.decode(row["hours"])})
