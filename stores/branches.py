"""Stores (branches) and where they are."""

import re
from datetime import date

import msgspec

import database
from stores.chain import check_time_zone
from stores.errors import UnknownStore
from stores.tables import Store


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A store as the outside sees it."""

    code: str
    name: str
    time_zone: str
    region: str = ""
    address: str = ""
    opened_on: date | None = None
    status: str = "open"


def store_code(name: str) -> str:
    """A store code made from a name: `United Kingdom` becomes `UNITED-KINGDOM`."""
    return re.sub(r"[^A-Z0-9]+", "-", name.upper()).strip("-")[:32] or "STORE"


async def open_store(branch: Branch) -> int:
    """Add a store, or bring the one of that code up to date; its id."""
    check_time_zone(branch.time_zone)
    return int(
        await database.value(
            "INSERT INTO stores.store (code, name, time_zone, region, address, opened_on, status) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (code) DO UPDATE SET (name, time_zone, region, address, "
            "opened_on, status) = (excluded.name, excluded.time_zone, excluded.region, excluded.address, "
            "excluded.opened_on, excluded.status) RETURNING id",
            branch.code,
            branch.name,
            branch.time_zone,
            branch.region,
            branch.address,
            branch.opened_on,
            branch.status,
        )
    )


async def branches(*, codes: frozenset[str] | None = None) -> list[Branch]:
    """Stores by code; only those of `codes` when given."""
    query = Store.select(*_COLUMNS).order_by(Store.code)
    if codes is not None:
        query = query.where(Store.code.is_in(sorted(codes) or [""]))
    return [Branch(**row) for row in await query]


async def branch(code: str) -> Branch:
    """One store. Raises `UnknownStore`."""
    row = await Store.select(*_COLUMNS).where(Store.code == code).first()
    if row is None:
        raise UnknownStore(code=code)
    return Branch(**row)


_COLUMNS = (Store.code, Store.name, Store.time_zone, Store.region, Store.address, Store.opened_on, Store.status)
