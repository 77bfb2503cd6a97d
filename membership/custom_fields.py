"""Defining a chain's own fields, and changing them without breaking what stands in them."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

import database
from errors import InvalidInput, NotFound
from membership.custom_values import CustomField, Kind, checked_value
from membership.errors import FieldExists, FieldInUse
from stores.changes import given


class CustomFieldChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a field; what is left out stays. Another kind is for fields that nobody has a value in."""

    kind: Kind | msgspec.UnsetType = msgspec.UNSET
    labels: dict[Literal["en", "zh-Hans", "zh-Hant", "ms"], Annotated[str, msgspec.Meta(max_length=100)]] | (
        msgspec.UnsetType
    ) = msgspec.UNSET
    options: list[Annotated[str, msgspec.Meta(min_length=1, max_length=100)]] | msgspec.UnsetType = msgspec.UNSET
    required: bool | msgspec.UnsetType = msgspec.UNSET
    searchable: bool | msgspec.UnsetType = msgspec.UNSET
    place: Annotated[int, msgspec.Meta(ge=0, le=10_000)] | msgspec.UnsetType = msgspec.UNSET


async def custom_fields(*, fixed: bool = False) -> list[CustomField]:
    """Every field, in the order of the form. `fixed` keeps them as they are until the transaction ends, for whoever writes
    values that were checked against them."""
    rows = await database.rows(f"{_SELECT} ORDER BY place, code{' FOR SHARE' if fixed else ''}")
    return [_field(row) for row in rows]


async def custom_field(code: str, *, lock: bool = False) -> CustomField:
    """One field; `lock` keeps others from changing it. Raises `NotFound`."""
    row = await database.row(f"{_SELECT} WHERE code = $1{' FOR NO KEY UPDATE' if lock else ''}", code)
    if row is None:
        raise NotFound(kind="field", name=code)
    return _field(row)


async def define_field(field: CustomField) -> CustomField:
    """Add a field. Raises `FieldExists`."""
    _check_options(field)
    added = await database.execute(
        "INSERT INTO membership.custom_field (code, kind, labels, options, required, searchable, place) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (code) DO NOTHING",
        *_columns(field),
    )
    if not added:
        raise FieldExists(code=field.code)
    return field


async def change_field(code: str, change: CustomFieldChange) -> CustomField:
    """Change a field. Raises `FieldInUse` with the count when values that are there would not fit any more."""
    async with database.transaction():
        now = await custom_field(code, lock=True)
        became = msgspec.structs.replace(now, **given(change))
        _check_options(became)
        if became.kind != now.kind or set(now.options) - set(became.options):
            members = await _misfits(became, everything=became.kind != now.kind)
            if members:
                raise FieldInUse(code=code, members=members, used_by=[])
        await database.execute(
            "UPDATE membership.custom_field SET kind = $2, labels = $3, options = $4, required = $5, searchable = $6, "
            "place = $7 WHERE code = $1",
            *_columns(became),
        )
    return became


async def remove_field(code: str, *, discard: bool = False, used_by: Sequence[str] = ()) -> None:
    """Remove a field. Raises `FieldInUse` listing what uses it, `used_by` from the layers above included; with `discard` the
    members' values go with it."""
    async with database.transaction():
        await custom_field(code, lock=True)
        members = int(await database.value(f"SELECT count(*) {_WITH_VALUE}", code))
        if used_by or (members and not discard):
            raise FieldInUse(code=code, members=members, used_by=list(used_by))
        await database.execute(f"UPDATE membership.member SET custom = custom - $1::text {_CONDITION}", code)
        await database.execute("DELETE FROM membership.custom_field WHERE code = $1", code)


# Said as the partial index is, so that it is used.
_CONDITION = "WHERE custom ? $1::text AND custom <> '{}'"
_WITH_VALUE = f"FROM membership.member {_CONDITION}"


async def _misfits(field: CustomField, *, everything: bool) -> int:
    if everything:
        return int(await database.value(f"SELECT count(*) {_WITH_VALUE}", field.code))
    rows = await database.rows(
        f"SELECT custom->$1::text AS value, count(*) AS members {_WITH_VALUE} GROUP BY 1", field.code
    )
    misfits = 0
    for row in rows:
        try:
            checked_value(field, msgspec.json.decode(row["value"]))
        except InvalidInput:
            misfits += row["members"]
    return misfits


def _check_options(field: CustomField) -> None:
    if (field.kind in ("choice", "choices")) != bool(field.options):
        raise InvalidInput(field="options", why="are needed for choice and choices, and for nothing else")
    if len(set(field.options)) < len(field.options):
        raise InvalidInput(field="options", why="stand there twice")
    if any(";" in option for option in field.options):
        raise InvalidInput(field="options", why="may hold no semicolon: it parts several of them in files")


_SELECT = "SELECT code, kind, labels, options, required, searchable, place FROM membership.custom_field"


def _columns(field: CustomField) -> tuple[object, ...]:
    labels = msgspec.json.encode(field.labels).decode()
    return (field.code, field.kind, labels, field.options, field.required, field.searchable, field.place)


def _field(row: database.Row) -> CustomField:
    return CustomField(**{**dict(row), "labels": msgspec.json.decode(row["labels"])})
