"""The survivor's own data in a merge: what it lacked is filled in, and given up again when the merge is undone."""

from typing import Any, Final

import msgspec

import database
from membership.merge_journal import Merge

# What the survivor takes over where it has nothing of its own.
_FILLED: Final = ("phone", "email", "gender", "home_store_id")
_BIRTH: Final = ("birth_year", "birth_month", "birth_day")


async def fill_profile(merge: Merge, survivor: database.Row, loser: database.Row) -> None:
    """Fill in what only the loser has; tags, notes and fields of both."""
    became: dict[str, Any] = {}
    for name in _FILLED:
        if not survivor[name] and loser[name]:
            became[name] = loser[name]
            if name in ("phone", "email"):
                became[f"{name}_shared"] = loser[f"{name}_shared"]
    if survivor["birth_month"] is None and loser["birth_month"] is not None:
        became |= {name: loser[name] for name in _BIRTH}
    became["tags"] = list(dict.fromkeys([*survivor["tags"], *loser["tags"]]))
    became["notes"] = "\n\n".join(filter(None, dict.fromkeys([survivor["notes"], loser["notes"]])))
    custom = msgspec.json.decode(loser["custom"]) | msgspec.json.decode(survivor["custom"])
    became["custom"] = msgspec.json.encode(custom).decode()
    before = {name: survivor[name] for name in became}
    await _set_profile(merge.survivor_id, became)
    await database.execute(
        "UPDATE membership.merge SET profile_before = $2, profile_after = $3 WHERE id = $1",
        merge.id,
        msgspec.json.encode(before).decode(),
        msgspec.json.encode(became).decode(),
    )


async def restore_profile(merge: Merge) -> None:
    """Each field that the merge filled, unless it was changed since."""
    row = await database.row("SELECT profile_before, profile_after FROM membership.merge WHERE id = $1", merge.id)
    now = await database.row("SELECT * FROM membership.member WHERE id = $1", merge.survivor_id)
    assert row is not None
    assert now is not None
    before, after = (msgspec.json.decode(row[name]) for name in ("profile_before", "profile_after"))
    await _set_profile(merge.survivor_id, {name: before[name] for name in before if _same(now[name], after[name])})


def _same(now: object, then: object) -> bool:
    if isinstance(now, str) and isinstance(then, str) and now.startswith("{"):
        return bool(msgspec.json.decode(now) == msgspec.json.decode(then))
    return now == then


async def _set_profile(member_id: int, values: dict[str, Any]) -> None:
    if not values:
        return
    assignments = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, start=2))
    await database.execute(f"UPDATE membership.member SET {assignments} WHERE id = $1", member_id, *values.values())
