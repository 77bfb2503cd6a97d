"""Changing what a member told of themselves."""

from datetime import datetime
from typing import Final

import msgspec

import database
from errors import InvalidInput
from membership.cards import member_of_card
from membership.contact import normal_email, normal_phone
from membership.custom_fields import custom_fields
from membership.custom_values import Values, checked
from membership.duplicates import Identity, Override, note_different, screen
from membership.names import search_text
from membership.policy import member_policy
from membership.profiles import MemberProfile, profile
from membership.registration import BirthDate, Gender, Language, Notes, PersonName, Tags
from stores.branches import store_id_of
from stores.chain import the_chain
from stores.changes import given


class MemberChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a member; what is left out stays. Nothing may be left without phone and external reference both."""

    name: PersonName | msgspec.UnsetType = msgspec.UNSET
    phone: str | msgspec.UnsetType | None = msgspec.UNSET
    email: str | msgspec.UnsetType | None = msgspec.UNSET
    birth: BirthDate | msgspec.UnsetType | None = msgspec.UNSET
    gender: Gender | msgspec.UnsetType = msgspec.UNSET
    language: Language | msgspec.UnsetType = msgspec.UNSET
    home_store: str | msgspec.UnsetType | None = msgspec.UNSET
    tags: Tags | msgspec.UnsetType = msgspec.UNSET
    notes: Notes | msgspec.UnsetType = msgspec.UNSET
    custom: Values | msgspec.UnsetType = msgspec.UNSET
    override: Override | None = None


async def locked_profile(number: str) -> MemberProfile:
    """The member's data, which nobody else changes until the transaction ends."""
    await database.lock_rows("membership.member", [await member_of_card(number)])
    return await profile(number)


async def change_member(
    number: str, change: MemberChange, *, at: datetime, staff_id: int | None = None, may_override: bool = False
) -> MemberProfile:
    """Change a member, and note in the timeline which fields. Raises `MemberExists` or `PossibleDuplicate` when somebody else is
    found to be so, unless it is overridden as in a registration."""
    values = {name: value for name, value in given(change).items() if name != "override"}
    columns: dict[str, object] = {
        name: value for name, value in values.items() if name in ("gender", "language", "tags", "notes")
    }
    if "name" in values:
        columns["name"] = values["name"].strip()
        columns["name_search"] = search_text(values["name"])
        if not columns["name"]:
            raise InvalidInput(field="name", why="1 to 200 characters are needed")
    if "phone" in values:
        columns["phone"] = normal_phone(values["phone"], (await the_chain()).region) if values["phone"] else None
    if "email" in values:
        columns["email"] = normal_email(values["email"]) if values["email"] else None
    if "birth" in values:
        birth = values["birth"]
        for part in ("year", "month", "day"):
            columns[f"birth_{part}"] = getattr(birth, part) if birth else None
    async with database.transaction():
        now = await locked_profile(number)
        member_id = await member_of_card(number)
        if "custom" in values:
            filled = checked(await custom_fields(fixed=True), values["custom"], present=now.custom)
            columns["custom"] = msgspec.json.encode(filled).decode()
        if "home_store" in values:
            columns["home_store_id"] = await store_id_of(values["home_store"])
        if columns.get("phone", now.phone) is None and now.external_ref is None:
            raise InvalidInput(field="phone", why="is needed")
        if not columns:
            return now
        columns |= await _screened(member_id, now, columns, change.override, staff_id, at, may_override)
        assignments = ", ".join(f"{column} = ${place}" for place, column in enumerate(columns, start=2))
        await database.execute(
            f"UPDATE membership.member SET {assignments} WHERE id = $1", member_id, *columns.values()
        )
        await database.execute(
            "INSERT INTO membership.event (member_id, kind, ref, at, data) VALUES ($1, 'profile_changed', "
            "'change:' || nextval('membership.event_id_seq'), $2, $3)",
            member_id,
            at,
            msgspec.json.encode({"fields": sorted(values)}).decode(),
        )
        return await profile(number)


_IDENTITY: Final = frozenset(Identity.__struct_fields__)


async def _screened(
    member_id: int,
    now: MemberProfile,
    columns: dict[str, object],
    override: Override | None,
    staff_id: int | None,
    at: datetime,
    may_override: bool,
) -> dict[str, object]:
    """Whose phone and e-mail are another's, too, when what tells people apart has changed."""
    if not _IDENTITY & columns.keys():
        return {}
    who = Identity(**{name: columns.get(name, getattr(now, name)) for name in _IDENTITY})  # type: ignore[arg-type]  # as stored
    screened = await screen(
        who, await member_policy(), but=member_id, changed=columns.keys(), override=override, may_override=may_override
    )
    if override:
        await note_different(member_id, screened.others, reason=override.reason, staff_id=staff_id, at=at)
    return {f"{name}_shared": getattr(screened, f"{name}_shared") for name in ("phone", "email") if name in columns}
