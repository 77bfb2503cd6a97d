"""Taking an import of members back: what it added goes, what it changed is as it was, unless there is more to it by now."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

import database
from membership.names import search_text

_TEXTS: Final = frozenset({"custom"})


class MembersUndone(msgspec.Struct, frozen=True, kw_only=True):
    """How many members went, how many were restored, and how many stay because there is more to them by now."""

    removed: int
    restored: int
    kept: int


async def undo_members(import_id: int, *, busy: Sequence[str]) -> MembersUndone:
    """Undo within the caller's transaction. `busy` are tables of the layers above: a member who is in one of them (column
    `member_id`) has bought, or been served, and stays."""
    tables = (
        "stores.receipt",
        "membership.ticket",
        "membership.task",
        "membership.contact",
        "membership.advisor",
        *busy,
    )
    conditions = " OR ".join(f"EXISTS (SELECT FROM {table} t WHERE t.member_id = m.id)" for table in tables)
    added = await database.rows(
        f"SELECT m.id, m.status <> 'active' OR {conditions} OR EXISTS (SELECT FROM membership.merge g WHERE g.survivor_id = m.id "
        "OR g.loser_id = m.id) OR EXISTS (SELECT FROM membership.referral r WHERE r.referrer_id = m.id) "
        "OR EXISTS (SELECT FROM membership.import_change c WHERE c.member_id = m.id) AS busy "
        "FROM membership.member m WHERE source->>'import_id' = $1::text ORDER BY m.id FOR UPDATE",
        str(import_id),
    )
    gone = [row["id"] for row in added if not row["busy"]]
    # The triggers let these rows go, and no others, while the transaction says which import it undoes.
    await database.execute(f"SET LOCAL regulars.undoing_import = '{int(import_id)}'")
    for table, column in (
        ("event", "member_id"),
        ("consent", "member_id"),
        ("opt_in", "member_id"),
        ("card", "member_id"),
        ("consumption", "member_id"),
        ("referral", "referee_id"),
        ("duplicate_pair", "one_id"),
        ("duplicate_pair", "other_id"),
        ("member", "id"),
    ):
        await database.execute(f"DELETE FROM membership.{table} WHERE {column} = ANY($1::bigint[])", gone)
    await database.execute("SET LOCAL regulars.undoing_import = ''")
    return MembersUndone(removed=len(gone), restored=await _restore(import_id), kept=len(added) - len(gone))


async def _restore(import_id: int) -> int:
    """Each changed field as it was, unless it has been changed again."""
    rows = await database.rows(
        "SELECT c.before, c.after, m.* FROM membership.import_change c JOIN membership.member m ON m.id = member_id "
        "WHERE import_id = $1 AND status = 'active' ORDER BY m.id FOR UPDATE OF m",
        import_id,
    )
    restored = 0
    for row in rows:
        before, after = msgspec.json.decode(row["before"]), msgspec.json.decode(row["after"])
        values: dict[str, Any] = {name: before[name] for name in before if _now(row, name) == after[name]}
        if "name" in values:
            values["name_search"] = search_text(values["name"])
        if values:
            stored = {n: msgspec.json.encode(v).decode() if n in _TEXTS else v for n, v in values.items()}
            assignments = ", ".join(f"{name} = ${place}" for place, name in enumerate(stored, start=2))
            await database.execute(
                f"UPDATE membership.member SET {assignments} WHERE id = $1", row["id"], *stored.values()
            )
            restored += 1
    await database.execute("DELETE FROM membership.import_change WHERE import_id = $1", import_id)
    return restored


def _now(row: database.Row, name: str) -> Any:
    return msgspec.json.decode(row[name]) if name in _TEXTS else row[name]
