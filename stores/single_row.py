"""Settings that are one row of a table: read and changed whole, as a Struct with the columns' names."""

from typing import TypeVar

import msgspec

import database
from stores.changes import given

Settings = TypeVar("Settings", bound=msgspec.Struct)


async def read_row(table: str, shape: type[Settings], *, lock: bool = False) -> Settings:
    """The one row; `lock` keeps others from changing it."""
    row = await database.row(f"SELECT * FROM {table}{' FOR NO KEY UPDATE' if lock else ''}")
    assert row is not None, "its migration puts it there"
    return shape(**{name: row[name] for name in shape.__struct_fields__})


async def change_row(table: str, shape: type[Settings], change: msgspec.Struct) -> Settings:
    """The row after what `change` says of it."""
    async with database.transaction():
        became = msgspec.structs.replace(await read_row(table, shape, lock=True), **given(change))
        names = shape.__struct_fields__
        assignments = ", ".join(f"{name} = ${place}" for place, name in enumerate(names, start=1))
        await database.execute(f"UPDATE {table} SET {assignments}", *(getattr(became, name) for name in names))
    return became
