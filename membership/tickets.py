"""Service: what a member came with, whose it is, and how long it may still take."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

import database
from errors import InvalidInput, NotFound
from membership.assigning import check_assignee, next_assignee
from membership.errors import TicketMoveRefused
from membership.policy import member_policy
from stores.changes import given
from stores.errors import UnknownStore
from stores.hours import Hours, after_open_seconds, open_seconds
from stores.scope import Scope, codes, in_scope

Category = Literal["complaint", "question", "request", "praise", "other"]
Priority = Literal["low", "normal", "high", "urgent"]
Status = Literal["open", "in_progress", "waiting", "resolved", "closed"]
Subject = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=5000)]
Score = Annotated[int, msgspec.Meta(ge=1, le=5)]

_RUNNING: Final = frozenset({"open", "in_progress"})
_MOVES: Final[dict[Status, frozenset[Status]]] = {
    "open": frozenset({"in_progress", "waiting", "resolved"}),
    "in_progress": frozenset({"open", "waiting", "resolved"}),
    "waiting": frozenset({"in_progress", "resolved"}),
    "resolved": frozenset({"in_progress", "closed"}),
    "closed": frozenset({"in_progress"}),
}
# A member with one of these hears nothing of marketing. For joining into audiences.
COMPLAINING: Final = (
    "SELECT FROM membership.ticket WHERE ticket.member_id = {member} AND category = 'complaint' "
    "AND ticket.status NOT IN ('resolved', 'closed')"
)


class TicketOpened(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a member came with. Without an assignee the chain's rule finds one among the store's staff."""

    store: str
    subject: Subject
    category: Category = "request"
    priority: Priority = "normal"
    text: Words | None = None
    assignee_id: int | None = None


class TicketChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a ticket; what is left out stays. The score, 1 to 5, is given when it is closed."""

    status: Status | msgspec.UnsetType = msgspec.UNSET
    category: Category | msgspec.UnsetType = msgspec.UNSET
    priority: Priority | msgspec.UnsetType = msgspec.UNSET
    subject: Subject | msgspec.UnsetType = msgspec.UNSET
    assignee_id: int | msgspec.UnsetType | None = msgspec.UNSET
    score: Score | msgspec.UnsetType = msgspec.UNSET
    comment: Annotated[str, msgspec.Meta(max_length=2000)] | msgspec.UnsetType = msgspec.UNSET


class TicketNote(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    staff: str | None
    at: datetime
    text: str


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket. `due_at` counts opening time alone, and is null while the clock stands: waiting for the member, resolved,
    closed."""

    id: int
    member: str
    store: str
    category: Category
    priority: Priority
    subject: str
    status: Status
    assignee_id: int | None
    assignee: str | None
    opened_at: datetime
    due_at: datetime | None
    sla_minutes: int
    used_seconds: int
    resolved_at: datetime | None
    closed_at: datetime | None
    score: int | None
    comment: str
    notes: list[TicketNote] = []


async def open_ticket(member_id: int, opened: TicketOpened, *, staff_id: int | None, at: datetime) -> Ticket:
    """Take a member's matter up. Raises `UnknownStore`, `UnknownStaff`."""
    async with database.transaction():
        policy = await member_policy()
        store = await _locked_store(opened.store)
        assignee = opened.assignee_id
        if assignee is not None:
            await check_assignee(assignee, store["id"])
        else:
            assignee = await next_assignee(store["id"], policy.ticket_assignment)
        minutes: int = getattr(policy, f"sla_minutes_{opened.priority}")
        ticket_id = await database.value(
            "INSERT INTO membership.ticket (member_id, store_id, category, priority, subject, assignee_id, assigned_at, opened_by, "
            "opened_at, sla_minutes, running_since, due_at) VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $6::bigint IS NOT NULL "
            "THEN $8::timestamptz END, $7, $8, $9, $8, $10) RETURNING id",
            member_id,
            store["id"],
            opened.category,
            opened.priority,
            opened.subject,
            assignee,
            staff_id,
            at,
            minutes,
            after_open_seconds(_hours(store), ZoneInfo(store["time_zone"]), at, minutes * 60),
        )
        if opened.text:
            await _write(ticket_id, opened.text, staff_id, at)
        kind = "complained" if opened.category == "complaint" else "ticket_opened"
        facts = {"ticket": ticket_id, "category": opened.category, "priority": opened.priority}
        await _note(member_id, kind, f"ticket:{ticket_id}", store["id"], at, facts)
        return await ticket(ticket_id)


async def change_ticket(ticket_id: int, change: TicketChange, *, at: datetime, stores: Scope = None) -> Ticket:
    """Change a ticket. Leaving `open` and `in_progress` stops its clock, coming back resumes it. Raises `NotFound`,
    `TicketMoveRefused`, `UnknownStaff`."""
    values = given(change)
    async with database.transaction():
        row = await _locked(ticket_id, stores)
        store = await database.row("SELECT id, time_zone, hours FROM stores.store WHERE id = $1", row["store_id"])
        assert store is not None
        became: dict[str, Any] = {name: value for name, value in values.items() if name != "assignee_id"}
        status: Status = values.get("status", row["status"])
        if status != row["status"] and status not in _MOVES[row["status"]]:
            raise TicketMoveRefused(status=row["status"], wanted=status, possible=sorted(_MOVES[row["status"]]))
        if "score" in values and status != "closed":
            raise InvalidInput(field="score", why="is given when the ticket is closed")
        if "priority" in values:
            became["sla_minutes"] = getattr(await member_policy(), f"sla_minutes_{values['priority']}")
        if "assignee_id" in values:
            if values["assignee_id"] is not None:
                await check_assignee(values["assignee_id"], row["store_id"])
            became["assignee_id"] = values["assignee_id"]
            became["assigned_at"] = at if values["assignee_id"] is not None else None
        became |= _clock(row, store, status, became.get("sla_minutes", row["sla_minutes"]), at)
        assignments = ", ".join(f"{name} = ${place}" for place, name in enumerate(became, start=2))
        await database.execute(f"UPDATE membership.ticket SET {assignments} WHERE id = $1", ticket_id, *became.values())
        await _note_status(row, status, change, at)
        return await ticket(ticket_id)


def _clock(row: database.Row, store: database.Row, status: Status, sla_minutes: int, at: datetime) -> dict[str, Any]:
    """The clock's columns after a change: opening time used so far, and when the rest of it will be."""
    hours, zone, used = _hours(store), ZoneInfo(store["time_zone"]), row["used_seconds"]
    if row["running_since"] is not None:
        used += open_seconds(hours, zone, row["running_since"], at)
    runs = status in _RUNNING
    return {
        "used_seconds": used,
        "running_since": at if runs else None,
        "due_at": after_open_seconds(hours, zone, at, sla_minutes * 60 - used) if runs else None,
        "resolved_at": None if status not in ("resolved", "closed") else row["resolved_at"] or at,
        "closed_at": None if status != "closed" else row["closed_at"] or at,
    }


async def _note_status(row: database.Row, status: Status, change: TicketChange, at: datetime) -> None:
    if status == row["status"]:
        return
    reopened = row["status"] in ("resolved", "closed") and status == "in_progress"
    kind = "ticket_reopened" if reopened else f"ticket_{status}"
    facts: dict[str, Any] = {"ticket": row["id"], "category": row["category"]}
    if change.score is not msgspec.UNSET:
        facts["score"] = change.score
    # A ticket may be closed and reopened again and again: each time is a fact of its own.
    about = f"ticket:{row['id']}:{int(at.timestamp() * 1_000_000)}"
    await _note(row["member_id"], kind, about, row["store_id"], at, facts)


async def add_note(ticket_id: int, text: str, *, staff_id: int | None, at: datetime, stores: Scope = None) -> Ticket:
    """Write something down. Raises `NotFound`."""
    async with database.transaction():
        await _locked(ticket_id, stores)
        await _write(ticket_id, text, staff_id, at)
        return await ticket(ticket_id)


async def ticket(ticket_id: int, *, stores: Scope = None) -> Ticket:
    """One ticket with its notes. Raises `NotFound`."""
    row = await database.row(
        f"{_SELECT} WHERE ticket.id = $1 AND {in_scope('ticket.store_id', 2)}", ticket_id, codes(stores)
    )
    if row is None:
        raise NotFound(kind="ticket", name=ticket_id)
    notes = await database.rows(
        "SELECT n.id, staff.name AS staff, at, text FROM membership.ticket_note n LEFT JOIN stores.staff ON staff.id = staff_id "
        "WHERE ticket_id = $1 ORDER BY n.id",
        ticket_id,
    )
    return Ticket(**dict(row), notes=[TicketNote(**dict(note)) for note in notes])


async def tickets(
    *,
    before: int | None = None,
    limit: int = 50,
    stores: Scope = None,
    member_id: int | None = None,
    status: Status | None = None,
    assignee_id: int | None = None,
    overdue_at: datetime | None = None,
) -> list[Ticket]:
    """Tickets in view, newest first, from before the ticket `before`, without notes; `overdue_at` leaves those that are late
    then."""
    rows = await database.rows(
        f"{_SELECT} WHERE ($1::bigint IS NULL OR ticket.id < $1) AND {in_scope('ticket.store_id', 3)} "
        "AND ($4::bigint IS NULL OR ticket.member_id = $4) AND ($5::text IS NULL OR ticket.status = $5) "
        "AND ($6::bigint IS NULL OR assignee_id = $6) AND ($7::timestamptz IS NULL OR due_at < $7) ORDER BY ticket.id DESC LIMIT $2",
        before,
        limit,
        codes(stores),
        member_id,
        status,
        assignee_id,
        overdue_at,
    )
    return [Ticket(**dict(row)) for row in rows]


_SELECT: Final = (
    "SELECT ticket.id, number AS member, store.code AS store, category, priority, subject, ticket.status, assignee_id, "
    "staff.name AS assignee, opened_at, due_at, sla_minutes, used_seconds, resolved_at, closed_at, score, comment "
    "FROM membership.ticket JOIN stores.store ON store.id = ticket.store_id LEFT JOIN stores.staff ON staff.id = assignee_id "
    "JOIN membership.card ON card.member_id = ticket.member_id AND card.status = 'active'"
)


def _hours(store: database.Row) -> Hours:
    hours: Hours = msgspec.json.decode(store["hours"])
    return hours


async def _locked_store(code: str) -> database.Row:
    """The store, locked, so that two tickets at once see each other when staff are picked."""
    row = await database.row("SELECT id, time_zone, hours FROM stores.store WHERE code = $1 FOR NO KEY UPDATE", code)
    if row is None:
        raise UnknownStore(code=code)
    return row


async def _locked(ticket_id: int, stores: Scope) -> database.Row:
    row = await database.row(
        f"SELECT * FROM membership.ticket WHERE id = $1 AND {in_scope('store_id', 2)} FOR NO KEY UPDATE",
        ticket_id,
        codes(stores),
    )
    if row is None:
        raise NotFound(kind="ticket", name=ticket_id)
    return row


async def _write(ticket_id: int, text: str, staff_id: int | None, at: datetime) -> None:
    await database.execute(
        "INSERT INTO membership.ticket_note (ticket_id, staff_id, at, text) VALUES ($1, $2, $3, $4)",
        ticket_id,
        staff_id,
        at,
        text,
    )


async def _note(member_id: int, kind: str, about: str, store_id: int, at: datetime, facts: dict[str, Any]) -> None:
    await database.execute(
        "INSERT INTO membership.event (member_id, kind, ref, at, store_id, data) VALUES ($1, $2, $3, $4, $5, $6)",
        member_id,
        kind,
        about,
        at,
        store_id,
        msgspec.json.encode(facts).decode(),
    )
