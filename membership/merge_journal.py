"""The journal of a merge: each row that moved or changed, and what it takes to undo that."""

from datetime import datetime
from typing import Any

import msgspec

import database


class Merge(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that is in force."""

    id: int
    survivor_id: int
    loser_id: int
    merged_at: datetime


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


async def move(table: str, merge: Merge, *, only: str = "true") -> None:
    """Give every row of a table that is the loser's to the survivor; `only` says in SQL which, where not all."""
    await database.execute(
        f"WITH moved AS (UPDATE {table} SET member_id = $1 WHERE member_id = $2 AND {only} RETURNING id) "
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
