"""Two members become one, and two again: what membership/ and stores/ hold of them. `loyalty.merging` opens the transaction and
moves the points.

Each row that moves is in a journal, which is all that undoing needs. What cannot be changed (events, consent records) is not
moved: it is read across everyone whom a member has absorbed.
"""

from datetime import datetime
from typing import Any, Final

import msgspec

import database
from membership.consent import Channel, ConsentGiven, Purpose, append_consent
from membership.consumption import recompute
from membership.errors import NotMerged, SameMember

# Tables whose rows change hands whole. Other domains add theirs with `move`.
MOVED: Final[tuple[str, ...]] = ("stores.receipt", "membership.ticket", "membership.task", "membership.contact")
# What the survivor takes over where it has nothing of its own.
_FILLED: Final = ("phone", "email", "gender", "home_store_id")
_BIRTH: Final = ("birth_year", "birth_month", "birth_day")


class Merge(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that is in force."""

    id: int
    survivor_id: int
    loser_id: int
    merged_at: datetime


async def lock_pair(survivor_id: int, loser_id: int) -> dict[int, database.Row]:
    """Lock two members to be merged. Raises `SameMember`."""
    if survivor_id == loser_id:
        raise SameMember
    # Sorted, because two merges crossing the same pair would otherwise deadlock.
    rows = {row["id"]: row for row in await database.lock_rows("membership.member", [survivor_id, loser_id])}
    if any(row["status"] != "active" for row in rows.values()):
        raise SameMember
    return rows


async def absorb(survivor_id: int, loser_id: int, *, reason: str, staff_id: int | None, at: datetime) -> Merge:
    """Make one member part of another, within the caller's transaction, which has locked both of them and whatever else a sale to
    either would change; the merge, for journalling more."""
    rows = await lock_pair(survivor_id, loser_id)
    merge_id = await database.value(
        "INSERT INTO membership.merge (survivor_id, loser_id, reason, staff_id, merged_at, newest_receipt_id) "
        "SELECT $1, $2, $3, $4, $5, coalesce(max(id), 0) FROM stores.receipt RETURNING id",
        survivor_id,
        loser_id,
        reason,
        staff_id,
        at,
    )
    merge = Merge(id=merge_id, survivor_id=survivor_id, loser_id=loser_id, merged_at=at)
    await _join_consumption(merge)
    await _keep_strictest_consent(merge, staff_id, at)
    # The loser first: its phone and e-mail are free then.
    await database.execute(
        "UPDATE membership.member SET status = 'merged', merged_into = $2 WHERE id = $1", loser_id, survivor_id
    )
    await _fill_profile(merge, rows[survivor_id], rows[loser_id])
    await database.execute(
        "UPDATE membership.duplicate_pair SET status = 'merged', staff_id = $3, decided_at = $4 WHERE one_id = $1 AND other_id = $2",
        min(survivor_id, loser_id),
        max(survivor_id, loser_id),
        staff_id,
        at,
    )
    await _note(merge, "merged", at)
    return merge


async def release(merge: Merge, *, staff_id: int | None, at: datetime) -> None:
    """Make two of them again, within the caller's transaction, which has locked both by `open_merge`."""
    await _part_consumption(merge)
    await _restore_consent(merge, staff_id, at)
    await _restore_profile(merge)
    await database.execute(
        "UPDATE membership.member m SET status = 'active', merged_into = NULL, "
        "phone_shared = phone_shared OR EXISTS (SELECT FROM membership.member o WHERE o.phone = m.phone AND o.status = 'active'), "
        "email_shared = email_shared OR EXISTS (SELECT FROM membership.member o WHERE o.email = m.email AND o.status = 'active') "
        "WHERE id = $1",
        merge.loser_id,
    )
    await database.execute(
        "UPDATE membership.duplicate_pair SET status = 'different' WHERE one_id = $1 AND other_id = $2",
        min(merge.survivor_id, merge.loser_id),
        max(merge.survivor_id, merge.loser_id),
    )
    await database.execute("UPDATE membership.merge SET unmerged_at = $2 WHERE id = $1", merge.id, at)
    await _note(merge, "unmerged", at)


async def open_merge(survivor_id: int, loser_card: str) -> Merge:
    """The merge that made the holder of a card part of a member, both locked. Raises `NotMerged`."""
    loser_id = await database.value("SELECT member_id FROM membership.card WHERE number = $1", loser_card)
    if loser_id is not None:
        await database.lock_rows("membership.member", [survivor_id, loser_id])
    row = await database.row(
        "SELECT id, survivor_id, loser_id, merged_at FROM membership.merge WHERE loser_id = $1 AND survivor_id = $2 "
        "AND unmerged_at IS NULL",
        loser_id,
        survivor_id,
    )
    if row is None:
        raise NotMerged(number=loser_card)
    return Merge(**dict(row))


async def merge_of(loser_id: int) -> int | None:
    """The id of the merge by which a member is part of another; None for one who is not."""
    merge_id: int | None = await database.value(
        "SELECT id FROM membership.merge WHERE loser_id = $1 AND unmerged_at IS NULL", loser_id
    )
    return merge_id


async def journal(merge_id: int, what: str, row_id: int, before: object = None) -> None:
    """Note a row that a merge has changed, and what it takes to undo that."""
    await database.execute(
        "INSERT INTO membership.merge_move (merge_id, what, row_id, before) VALUES ($1, $2, $3, $4)",
        merge_id,
        what,
        row_id,
        None if before is None else msgspec.json.encode(before).decode(),
    )


async def journalled(merge_id: int, what: str) -> dict[int, Any]:
    """The journal's rows of a sort, by id."""
    rows = await database.rows(
        "SELECT row_id, before FROM membership.merge_move WHERE merge_id = $1 AND what = $2 ORDER BY row_id",
        merge_id,
        what,
    )
    return {row["row_id"]: None if row["before"] is None else msgspec.json.decode(row["before"]) for row in rows}


async def move(table: str, merge: Merge) -> None:
    """Give every row of a table that is the loser's to the survivor."""
    await database.execute(
        f"WITH moved AS (UPDATE {table} SET member_id = $1 WHERE member_id = $2 RETURNING id) "
        "INSERT INTO membership.merge_move (merge_id, what, row_id) SELECT $3, $4, id FROM moved",
        merge.survivor_id,
        merge.loser_id,
        merge.id,
        table,
    )


async def move_back(table: str, merge: Merge) -> None:
    """Give the rows that came with a merge back."""
    await database.execute(
        f"UPDATE {table} SET member_id = $1 WHERE member_id = $2 AND id IN "
        "(SELECT row_id FROM membership.merge_move WHERE merge_id = $3 AND what = $4)",
        merge.loser_id,
        merge.survivor_id,
        merge.id,
        table,
    )


async def _join_consumption(merge: Merge) -> None:
    await database.execute(
        "INSERT INTO membership.merge_move (merge_id, what, row_id, before) SELECT $1, 'consumption', member_id, to_jsonb(c) "
        "FROM membership.consumption c WHERE member_id = ANY($2::bigint[])",
        merge.id,
        [merge.survivor_id, merge.loser_id],
    )
    for table in MOVED:
        await move(table, merge)
    await recompute([merge.survivor_id, merge.loser_id])
    await database.execute(
        "INSERT INTO membership.merge_move (merge_id, what, row_id, before) SELECT $1, 'consumption_joined', member_id, to_jsonb(c) "
        "FROM membership.consumption c WHERE member_id = $2",
        merge.id,
        merge.survivor_id,
    )


async def _part_consumption(merge: Merge) -> None:
    """As it was where nothing was bought since; from the receipts where something was."""
    # What was brought back since of the loser's purchases goes with them.
    returned = await database.execute(
        "UPDATE stores.receipt SET member_id = $1 WHERE member_id = $2 AND original_id IN "
        "(SELECT row_id FROM membership.merge_move WHERE merge_id = $3 AND what = 'stores.receipt') "
        "AND id NOT IN (SELECT row_id FROM membership.merge_move WHERE merge_id = $3 AND what = 'stores.receipt')",
        merge.loser_id,
        merge.survivor_id,
        merge.id,
    )
    unchanged = not returned and await database.value(
        "SELECT (SELECT to_jsonb(c) FROM membership.consumption c WHERE member_id = $2) IS NOT DISTINCT FROM "
        "(SELECT before FROM membership.merge_move WHERE merge_id = $1 AND what = 'consumption_joined')",
        merge.id,
        merge.survivor_id,
    )
    for table in MOVED:
        await move_back(table, merge)
    await recompute([merge.survivor_id, merge.loser_id])
    if unchanged:
        await database.execute(
            "DELETE FROM membership.consumption WHERE member_id = ANY($1::bigint[])",
            [merge.survivor_id, merge.loser_id],
        )
        await database.execute(
            "INSERT INTO membership.consumption SELECT r.* FROM membership.merge_move, "
            "jsonb_populate_record(NULL::membership.consumption, before) r WHERE merge_id = $1 AND what = 'consumption'",
            merge.id,
        )


_NEWEST: Final = (
    "SELECT DISTINCT ON (channel, purpose) channel, purpose, given, cleared, wording, method, source, staff_id, store_id, at "
    "FROM membership.consent WHERE member_id = $1 ORDER BY channel, purpose, id DESC"
)


async def _newest(member_id: int) -> dict[tuple[Channel, Purpose], database.Row]:
    rows = await database.rows(_NEWEST, member_id)
    return {(row["channel"], row["purpose"]): row for row in rows if not row["cleared"]}


async def _keep_strictest_consent(merge: Merge, staff_id: int | None, at: datetime) -> None:
    """What either has withdrawn is withdrawn; what only the loser has given was given for other addresses, and is not given."""
    kept, lost = await _newest(merge.survivor_id), await _newest(merge.loser_id)
    for (channel, purpose), theirs in lost.items():
        own = kept.get((channel, purpose))
        if theirs["given"] or (own is not None and not own["given"]):
            continue
        withdrawn = ConsentGiven(
            channel=channel, purpose=purpose, given=False, wording=theirs["wording"], method="merge"
        )
        consent_id = await append_consent(merge.survivor_id, withdrawn, source="merge", staff_id=staff_id, at=at)
        before = (
            None
            if own is None
            else {"given": True, "wording": own["wording"], "method": own["method"], "at": own["at"]}
        )
        await journal(merge.id, "consent", consent_id, before)


async def _restore_consent(merge: Merge, staff_id: int | None, at: datetime) -> None:
    """What the merge withdrew is as it was, unless the member has said something since."""
    for consent_id, before in (await journalled(merge.id, "consent")).items():
        row = await database.row(
            "SELECT channel, purpose, wording FROM membership.consent c WHERE id = $1 AND NOT EXISTS (SELECT FROM "
            "membership.consent newer WHERE (newer.member_id, newer.channel, newer.purpose) = (c.member_id, c.channel, c.purpose) "
            "AND newer.id > c.id)",
            consent_id,
        )
        if row is None:
            continue
        again = ConsentGiven(
            channel=row["channel"],
            purpose=row["purpose"],
            given=before is not None,
            wording=before["wording"] if before else row["wording"],
            method=before["method"] if before else "unmerge",
        )
        said_at = datetime.fromisoformat(before["at"]) if before else at
        await append_consent(
            merge.survivor_id, again, source="unmerge", staff_id=staff_id, at=said_at, cleared=before is None
        )


async def _fill_profile(merge: Merge, survivor: database.Row, loser: database.Row) -> None:
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


async def _restore_profile(merge: Merge) -> None:
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


async def _note(merge: Merge, kind: str, at: datetime) -> None:
    await database.execute(
        "INSERT INTO membership.event (member_id, kind, ref, at, data) SELECT $1, $2, 'merge:' || $3::bigint, $4, "
        "jsonb_build_object('card', (SELECT number FROM membership.card WHERE member_id = $5 AND status = 'active'))",
        merge.survivor_id,
        kind,
        merge.id,
        at,
        merge.loser_id,
    )


async def receipts_since(merge: Merge) -> list[int]:
    """Receipts of the survivor that were recorded after the merge: nobody can say whose they would have been."""
    rows = await database.rows(
        "SELECT id FROM stores.receipt WHERE member_id = $1 AND id > (SELECT newest_receipt_id FROM membership.merge WHERE id = $2)",
        merge.survivor_id,
        merge.id,
    )
    return [row["id"] for row in rows]
