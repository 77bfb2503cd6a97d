"""Two members become one, and two again: what membership/ and stores/ hold of them. `loyalty.merging` opens the transaction and
moves the points.

Each row that moves is in a journal, which is all that undoing needs. What cannot be changed (events, consent records) is not
moved: it is read across everyone whom a member has absorbed.
"""

from datetime import datetime
from typing import Final

import database
from membership.consumption import recompute
from membership.errors import NotMerged, SameMember
from membership.merge_consent import keep_strictest_consent, restore_consent
from membership.merge_journal import Merge, move, move_back
from membership.merge_profile import fill_profile, restore_profile

# Tables whose rows change hands whole. Other domains add theirs with `move`.
MOVED: Final[tuple[str, ...]] = ("stores.receipt", "membership.ticket", "membership.task", "membership.contact")


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
    await keep_strictest_consent(merge, staff_id, at)
    # The loser first: its phone and e-mail are free then.
    await database.execute(
        "UPDATE membership.member SET status = 'merged', merged_into = $2 WHERE id = $1", loser_id, survivor_id
    )
    await fill_profile(merge, rows[survivor_id], rows[loser_id])
    await _join_advisor(merge)
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
    await restore_consent(merge, staff_id, at)
    await restore_profile(merge)
    await _part_advisor(merge)
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


async def _join_advisor(merge: Merge) -> None:
    """The survivor's advisor stays; without one the loser's goes on looking after them."""
    await database.execute(
        "WITH moved AS (UPDATE membership.advisor SET member_id = $1 WHERE member_id = $2 AND NOT EXISTS "
        "(SELECT FROM membership.advisor WHERE member_id = $1) RETURNING staff_id) "
        "INSERT INTO membership.merge_move (merge_id, what, row_id) SELECT $3, 'membership.advisor', staff_id FROM moved",
        merge.survivor_id,
        merge.loser_id,
        merge.id,
    )


async def _part_advisor(merge: Merge) -> None:
    """The loser's goes with the loser, unless the survivor has got another since."""
    await database.execute(
        "UPDATE membership.advisor SET member_id = $1 WHERE member_id = $2 AND staff_id IN "
        "(SELECT row_id FROM membership.merge_move WHERE merge_id = $3 AND what = 'membership.advisor')",
        merge.loser_id,
        merge.survivor_id,
        merge.id,
    )


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
