"""Follow-ups: what somebody has promised to do for a member, and until when."""

from datetime import datetime
from typing import Annotated, Final

import msgspec

import database
from errors import NotFound
from stores.branches import store_id_of
from stores.changes import given
from stores.scope import Scope, codes, in_scope
from stores.staff import staff_by_id

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class TaskSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to do. Without an owner it is one's own."""

    title: Title
    due_at: datetime
    store: str | None = None
    owner_id: int | None = None
    ticket_id: int | None = None


class TaskChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a task; what is left out stays."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    due_at: datetime | msgspec.UnsetType = msgspec.UNSET
    owner_id: int | msgspec.UnsetType = msgspec.UNSET
    done: bool | msgspec.UnsetType = msgspec.UNSET


class Task(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    member: str
    store: str | None
    ticket_id: int | None
    owner_id: int
    owner: str
    title: str
    due_at: datetime
    done_at: datetime | None


async def set_task(member_id: int, task: TaskSet, *, owner_id: int, at: datetime) -> Task:
    """Promise a member something. Raises `UnknownStaff`, `UnknownStore`, `NotFound`."""
    async with database.transaction():
        owner = await staff_by_id(task.owner_id or owner_id)
        if task.ticket_id is not None and not await database.value(
            "SELECT true FROM membership.ticket WHERE id = $1 AND member_id = $2", task.ticket_id, member_id
        ):
            raise NotFound(kind="ticket", name=task.ticket_id)
        task_id = await database.value(
            "INSERT INTO membership.task (member_id, store_id, ticket_id, owner_id, title, due_at, created_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
            member_id,
            await store_id_of(task.store),
            task.ticket_id,
            owner.id,
            task.title,
            task.due_at,
            at,
        )
        return await one_task(task_id)


async def change_task(task_id: int, change: TaskChange, *, at: datetime, stores: Scope = None) -> Task:
    """Change a task, or tick it off, which is a fact of the member's timeline. Raises `NotFound`, `UnknownStaff`."""
    values = given(change)
    async with database.transaction():
        await one_task(task_id, stores=stores)
        (row,) = await database.lock_rows("membership.task", [task_id])
        if "owner_id" in values:
            await staff_by_id(values["owner_id"])
        done = values.pop("done", row["done_at"] is not None)
        values["done_at"] = (row["done_at"] or at) if done else None
        assignments = ", ".join(f"{name} = ${place}" for place, name in enumerate(values, start=2))
        await database.execute(f"UPDATE membership.task SET {assignments} WHERE id = $1", task_id, *values.values())
        if done and row["done_at"] is None:
            await database.execute(
                "INSERT INTO membership.event (member_id, kind, ref, at, store_id, data) VALUES ($1, 'followed_up', "
                "'task:' || $2::bigint || ':' || extract(epoch FROM $3::timestamptz), $3, $4, jsonb_build_object('task', $2::bigint))",
                row["member_id"],
                task_id,
                at,
                row["store_id"],
            )
        return await one_task(task_id)


async def one_task(task_id: int, *, stores: Scope = None) -> Task:
    """One task. Raises `NotFound`."""
    row = await database.row(f"{_SELECT} WHERE task.id = $1 AND {_IN_VIEW.format(2)}", task_id, codes(stores))
    if row is None:
        raise NotFound(kind="task", name=task_id)
    return Task(**dict(row))


async def tasks(
    *,
    before: int | None = None,
    limit: int = 50,
    stores: Scope = None,
    member_id: int | None = None,
    owner_id: int | None = None,
    still_open: bool = False,
) -> list[Task]:
    """Tasks in view, newest first, from before the task `before`."""
    rows = await database.rows(
        f"{_SELECT} WHERE ($1::bigint IS NULL OR task.id < $1) AND {_IN_VIEW.format(3)} "
        "AND ($4::bigint IS NULL OR task.member_id = $4) AND ($5::bigint IS NULL OR owner_id = $5) "
        "AND (NOT $6 OR done_at IS NULL) ORDER BY task.id DESC LIMIT $2",
        before,
        limit,
        codes(stores),
        member_id,
        owner_id,
        still_open,
    )
    return [Task(**dict(row)) for row in rows]


_IN_VIEW: Final = "(task.store_id IS NULL OR " + in_scope("task.store_id", 0).replace("$0", "${0}") + ")"
_SELECT: Final = (
    "SELECT task.id, number AS member, store.code AS store, ticket_id, owner_id, staff.name AS owner, title, due_at, done_at "
    "FROM membership.task JOIN stores.staff ON staff.id = owner_id LEFT JOIN stores.store ON store.id = task.store_id "
    "JOIN membership.card ON card.member_id = task.member_id AND card.status = 'active'"
)
