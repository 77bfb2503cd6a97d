"""The service desk: tickets and follow-up tasks."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.access.permissions import Principal
from api.errors import NotPermitted
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit, redacted
from api.paging import Cursor, Limit, number_at, page
from api.privacy.views import seen_by
from membership.cards import member_of_card
from membership.tasks import Task, TaskChange, TaskSet, change_task, one_task, set_task, tasks
from membership.tickets import (
    Status,
    Ticket,
    TicketChange,
    TicketOpened,
    Words,
    add_note,
    change_ticket,
    open_ticket,
    ticket,
    tickets,
)
from stores.errors import UnknownStore
from stores.staff import colleague


class TicketPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Ticket]
    next: str | None = None


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Task]
    next: str | None = None


class NoteWritten(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: Words


class ServiceController(Controller):
    path = "/v1"
    tags = ("service",)
    opt = {"permission": "service:read"}

    @post(
        "/members/{number:str}/tickets",
        summary="Take a member's matter up",
        description="Without an assignee the least busy of the store's staff gets it, or whom the chain's rule says. The clock counts "
        "the store's opening hours alone. While a complaint is open the member hears nothing of marketing.",
        opt={"permission": "service:write"},
        status_code=201,
    )
    async def open(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[TicketOpened],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Ticket]:
        if not request.user.sees(data.store):
            raise UnknownStore(code=data.store)

        async def write() -> Ticket:
            opened = await open_ticket(
                await member_of_card(number), data, staff_id=request.user.staff_id, at=datetime.now(UTC)
            )
            await audit(request.user, "ticket.opened", f"ticket:{opened.id}", after=redacted(data))
            return opened

        return await once(request, idempotency_key, write)

    @get("/members/{number:str}/tickets", summary="A member's tickets, newest first")
    async def of_member(
        self, request: Request[Principal, Any, Any], number: FromPath[str], cursor: Cursor = None, limit: Limit = 50
    ) -> TicketPage:
        found = await tickets(
            member_id=await seen_by(request, number, "tickets"),
            before=number_at(cursor),
            limit=limit + 1,
            stores=request.user.stores,
        )
        items, after = page(found, limit, lambda each: [each.id])
        return TicketPage(items=items, next=after)

    @get("/tickets", summary="The desk: tickets of the stores in view, newest first")
    async def desk(
        self,
        request: Request[Principal, Any, Any],
        cursor: Cursor = None,
        limit: Limit = 50,
        status: Annotated[Status | None, QueryParameter(description="Only those of this status.")] = None,
        assignee: Annotated[int | None, QueryParameter(description="Only this one's.", ge=1, lt=1 << 62)] = None,
        overdue: Annotated[bool, QueryParameter(description="Only those that are late.")] = False,
    ) -> TicketPage:
        found = await tickets(
            before=number_at(cursor),
            limit=limit + 1,
            stores=request.user.stores,
            status=status,
            assignee_id=assignee,
            overdue_at=datetime.now(UTC) if overdue else None,
        )
        items, after = page(found, limit, lambda each: [each.id])
        return TicketPage(items=items, next=after)

    @get("/tickets/{ticket_id:int}", summary="One ticket with its notes")
    async def show(self, request: Request[Principal, Any, Any], ticket_id: FromPath[int]) -> Ticket:
        return await ticket(ticket_id, stores=request.user.stores)

    @patch(
        "/tickets/{ticket_id:int}",
        summary="Move a ticket on",
        description="Its clock stands while it waits, is resolved or closed; reopening resumes it. Closing takes a score of 1 to 5.",
        opt={"permission": "service:write"},
    )
    async def change(
        self,
        request: Request[Principal, Any, Any],
        ticket_id: FromPath[int],
        data: JSONBody[TicketChange],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Ticket]:
        async def write() -> Ticket:
            became = await change_ticket(ticket_id, data, at=datetime.now(UTC), stores=request.user.stores)
            await audit(request.user, "ticket.changed", f"ticket:{ticket_id}", after=redacted(data))
            return became

        return await once(request, idempotency_key, write, status=200)

    @post(
        "/tickets/{ticket_id:int}/notes",
        summary="Write something down",
        opt={"permission": "service:write"},
        status_code=201,
    )
    async def note(
        self,
        request: Request[Principal, Any, Any],
        ticket_id: FromPath[int],
        data: JSONBody[NoteWritten],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Ticket]:
        async def write() -> Ticket:
            await audit(request.user, "ticket.noted", f"ticket:{ticket_id}")
            return await add_note(
                ticket_id,
                data.text,
                staff_id=request.user.staff_id,
                at=datetime.now(UTC),
                stores=request.user.stores,
            )

        return await once(request, idempotency_key, write)

    @post(
        "/members/{number:str}/tasks",
        summary="Promise a member something",
        opt={"permission": "service:write"},
        status_code=201,
    )
    async def set_task(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[TaskSet],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Task]:
        owner = data.owner_id or request.user.staff_id
        if owner is None:
            raise NotPermitted(permission="service:write", role=request.user.role)
        if not request.user.sees(data.store):
            raise UnknownStore(code=str(data.store))
        await colleague(owner, stores=request.user.stores)

        async def write() -> Task:
            made = await set_task(await member_of_card(number), data, owner_id=owner, at=datetime.now(UTC))
            await audit(request.user, "task.set", f"task:{made.id}", after=redacted(data))
            return made

        return await once(request, idempotency_key, write)

    @get("/members/{number:str}/tasks", summary="What was promised to a member, newest first")
    async def tasks_of_member(
        self, request: Request[Principal, Any, Any], number: FromPath[str], cursor: Cursor = None, limit: Limit = 50
    ) -> TaskPage:
        found = await tasks(
            member_id=await seen_by(request, number, "tasks"),
            before=number_at(cursor),
            limit=limit + 1,
            stores=request.user.stores,
        )
        items, after = page(found, limit, lambda each: [each.id])
        return TaskPage(items=items, next=after)

    @get("/tasks", summary="Follow-up tasks in view, newest first")
    async def tasks(
        self,
        request: Request[Principal, Any, Any],
        cursor: Cursor = None,
        limit: Limit = 50,
        owner: Annotated[int | None, QueryParameter(description="Only this one's.", ge=1, lt=1 << 62)] = None,
        still_open: Annotated[bool, QueryParameter(name="open", description="Only what is still to do.")] = False,
    ) -> TaskPage:
        found = await tasks(
            before=number_at(cursor),
            limit=limit + 1,
            stores=request.user.stores,
            owner_id=owner,
            still_open=still_open,
        )
        items, after = page(found, limit, lambda each: [each.id])
        return TaskPage(items=items, next=after)

    @get("/tasks/{task_id:int}", summary="One task")
    async def task(self, request: Request[Principal, Any, Any], task_id: FromPath[int]) -> Task:
        return await one_task(task_id, stores=request.user.stores)

    @patch("/tasks/{task_id:int}", summary="Change a task, or tick it off", opt={"permission": "service:write"})
    async def change_task(
        self,
        request: Request[Principal, Any, Any],
        task_id: FromPath[int],
        data: JSONBody[TaskChange],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Task]:
        if isinstance(data.owner_id, int):
            await colleague(data.owner_id, stores=request.user.stores)

        async def write() -> Task:
            became = await change_task(task_id, data, at=datetime.now(UTC), stores=request.user.stores)
            await audit(request.user, "task.changed", f"task:{task_id}", after=redacted(data))
            return became

        return await once(request, idempotency_key, write, status=200)
