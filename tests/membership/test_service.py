"""Tickets, tasks, advisors."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import database
from errors import InvalidInput
from membership.advising import (
    ContactMade,
    advisor_of,
    claim,
    hand_over,
    members_of,
    note_contact,
    pool,
    release,
    release_idle,
)
from membership.cards import member_of_card
from membership.errors import AdvisorFull, AlreadyAdvised, TicketMoveRefused
from membership.policy import MemberPolicyChange, change_member_policy
from membership.profiles import timeline
from membership.tasks import TaskChange, TaskSet, change_task, set_task, tasks
from membership.tickets import Ticket, TicketChange, TicketOpened, change_ticket, open_ticket, tickets
from stores.branches import BranchChange, change_store
from stores.hours import Hours, after_open_seconds, check_hours, open_seconds
from stores.staff import hire
from tests import shop

KL = ZoneInfo("Asia/Kuala_Lumpur")
NEW_YORK = ZoneInfo("America/New_York")
WORKDAYS: Hours = {"mon": ["09:00-13:00", "14:00-18:00"], "tue": ["09:00-17:00"]}
MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=KL)
_numbers = iter(range(10**6))


async def clerk(**fields: Any) -> int:
    email = f"clerk{next(_numbers)}-{id(fields)}@shop.example"
    fields = {"role": "cashier", "stores": ["KL01"], **fields}
    return await hire(email=email, name="Mei", password=None, **fields)


async def opened(number: str, at: datetime = MONDAY, **fields: Any) -> Ticket:
    ticket = TicketOpened(**{"store": "KL01", "subject": "Broken cup", **fields})
    return await open_ticket(await member_of_card(number), ticket, staff_id=None, at=at)


def test_opening_time_is_counted_in_the_stores_hours() -> None:
    def clock(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2026, 3, day, hour, minute, tzinfo=KL)

    assert open_seconds(WORKDAYS, KL, clock(2, 8), clock(2, 10)) == 3600
    assert open_seconds(WORKDAYS, KL, clock(2, 12), clock(2, 15)) == 2 * 3600
    assert open_seconds(WORKDAYS, KL, clock(2, 17), clock(3, 10)) == 2 * 3600
    assert open_seconds(WORKDAYS, KL, clock(3, 18), clock(8, 18)) == 0
    assert after_open_seconds(WORKDAYS, KL, clock(2, 8), 5 * 3600) == clock(2, 15)
    assert after_open_seconds(WORKDAYS, KL, clock(2, 17, 30), 3600) == clock(3, 9, 30)
    assert after_open_seconds(WORKDAYS, KL, clock(3, 16, 30), 3600) == clock(9, 9, 30)
    assert after_open_seconds({}, KL, clock(2, 8), 3600) == clock(2, 9)


def test_a_day_of_23_hours_has_an_hour_less() -> None:
    hours: Hours = {"sun": ["00:00-24:00"]}
    start = datetime(2026, 3, 8, 0, 0, tzinfo=NEW_YORK)  # clocks go forward
    assert open_seconds(hours, NEW_YORK, start, datetime(2026, 3, 9, 0, 0, tzinfo=NEW_YORK)) == 23 * 3600


@pytest.mark.parametrize("hours", [{"mon": ["13:00-09:00"]}, {"mon": ["09:00-12:00", "11:00-15:00"]}, {"mon": []}])
def test_hours_that_make_no_sense_are_refused(hours: Any) -> None:
    with pytest.raises(InvalidInput, match="hours"):
        check_hours(hours)


class TestTickets:
    @pytest.fixture(autouse=True)
    async def _shop(self) -> None:
        await shop.open_shop()

    async def test_the_clock_respects_the_stores_opening_hours_and_reopening_resumes_it(self) -> None:
        await change_store("KL01", BranchChange(hours=WORKDAYS))
        await change_member_policy(MemberPolicyChange(sla_minutes_high=300))
        number = await shop.join()
        ticket = await opened(number, priority="high")
        assert ticket.due_at == datetime(2026, 3, 2, 15, 0, tzinfo=KL)
        at = datetime(2026, 3, 2, 11, 0, tzinfo=KL)  # two hours of five are used
        waiting = await change_ticket(ticket.id, TicketChange(status="waiting"), at=at)
        assert (waiting.due_at, waiting.used_seconds) == (None, 7200)
        at = datetime(2026, 3, 2, 17, 0, tzinfo=KL)
        again = await change_ticket(ticket.id, TicketChange(status="in_progress"), at=at)
        assert again.due_at == datetime(2026, 3, 3, 11, 0, tzinfo=KL)
        resolved = await change_ticket(ticket.id, TicketChange(status="resolved"), at=at + timedelta(minutes=30))
        assert resolved.used_seconds == 9000
        closed = await change_ticket(
            ticket.id, TicketChange(status="closed", score=4, comment="Quick"), at=at + timedelta(hours=2)
        )
        assert (closed.score, closed.used_seconds, closed.due_at) == (4, 9000, None)
        reopened = await change_ticket(
            ticket.id, TicketChange(status="in_progress"), at=datetime(2026, 3, 3, 9, 0, tzinfo=KL)
        )
        assert reopened.due_at == datetime(2026, 3, 3, 11, 30, tzinfo=KL)
        kinds = [event.kind for event in await timeline(await member_of_card(number)) if "ticket" in event.kind]
        assert kinds == [
            "ticket_reopened",
            "ticket_closed",
            "ticket_resolved",
            "ticket_in_progress",
            "ticket_waiting",
            "ticket_opened",
        ]

    async def test_a_status_is_not_skipped_and_a_score_comes_at_the_end(self) -> None:
        ticket = await opened(await shop.join())
        with pytest.raises(TicketMoveRefused):
            await change_ticket(ticket.id, TicketChange(status="closed"), at=MONDAY)
        with pytest.raises(InvalidInput, match="score"):
            await change_ticket(ticket.id, TicketChange(status="resolved", score=5), at=MONDAY)

    async def test_assignment_is_to_the_least_busy_then_who_waited_longest(self) -> None:
        first, second = await clerk(), await clerk()
        await clerk(stores=["JB02"])
        number = await shop.join()
        at = iter(MONDAY + timedelta(minutes=minute) for minute in range(99))
        one = await opened(number, next(at))
        two = await opened(number, next(at))
        assert {one.assignee_id, two.assignee_id} == {first, second}
        await change_ticket(two.id, TicketChange(status="resolved"), at=next(at))
        assert (await opened(number, next(at))).assignee_id == two.assignee_id, "less busy"
        assert (await opened(number, next(at))).assignee_id == one.assignee_id, "as busy, and idle for longer"
        await change_member_policy(MemberPolicyChange(ticket_assignment="none"))
        assert (await opened(number, next(at))).assignee_id is None

    async def test_late_tickets_are_listed(self) -> None:
        number = await shop.join()
        ticket = await opened(number, priority="urgent")
        assert await tickets(overdue_at=MONDAY + timedelta(minutes=119)) == []
        assert [late.id for late in await tickets(overdue_at=MONDAY + timedelta(minutes=121))] == [ticket.id]
        assert await tickets(stores=frozenset({"JB02"})) == []

    async def test_a_task_that_is_done_is_a_fact(self) -> None:
        number, owner = await shop.join(), await clerk()
        member_id = await member_of_card(number)
        made = await set_task(member_id, TaskSet(title="Call", due_at=MONDAY), owner_id=owner, at=MONDAY)
        done = await change_task(made.id, TaskChange(done=True), at=MONDAY)
        assert done.done_at == MONDAY
        assert (await change_task(made.id, TaskChange(title="Call again"), at=MONDAY)).done_at == MONDAY
        assert await tasks(owner_id=owner, still_open=True) == []
        assert "followed_up" in {event.kind for event in await timeline(member_id)}


class TestAdvisors:
    @pytest.fixture(autouse=True)
    async def _shop(self) -> None:
        await shop.open_shop()

    async def test_the_pool_limits_release_and_hand_over(self) -> None:
        mei, siti = await clerk(), await clerk()
        numbers = [await shop.join(home_store="KL01") for _ in range(3)]
        one, two, three = [await member_of_card(number) for number in numbers]
        assert len(await pool(stores=frozenset({"KL01"}))) == 3
        assert await pool(stores=frozenset({"JB02"})) == []
        await change_member_policy(MemberPolicyChange(advisor_members_max=2, advisor_idle_days=30))
        await claim(one, mei, at=MONDAY)
        await claim(two, mei, at=MONDAY)
        with pytest.raises(AdvisorFull):
            await claim(three, mei, at=MONDAY)
        with pytest.raises(AlreadyAdvised, match="Mei"):
            await claim(one, siti, at=MONDAY)
        assert [member.number for member in await pool()] == [numbers[2]]
        await release(two, at=MONDAY)
        await claim(three, mei, at=MONDAY)
        await claim(two, siti, at=MONDAY)
        with pytest.raises(AdvisorFull):
            await hand_over(mei, siti, at=MONDAY)
        await release(two, at=MONDAY)
        assert await hand_over(mei, siti, at=MONDAY) == 2
        assert {member.number for member in await members_of(siti)} == {numbers[0], numbers[2]}
        assert await hand_over(siti, None, at=MONDAY) == 2
        assert len(await pool()) == 3

    async def test_a_member_whose_advisor_forgot_them_goes_back_and_a_call_keeps_them(self) -> None:
        mei = await clerk()
        kept, lost = [await member_of_card(await shop.join(home_store="KL01")) for _ in range(2)]
        for member_id in (kept, lost):
            await claim(member_id, mei, at=MONDAY)
        called = MONDAY + timedelta(days=60)
        await note_contact(kept, ContactMade(kind="called", note="Well"), staff_id=mei, store_id=None, at=called)
        assert await release_idle(MONDAY + timedelta(days=91)) == 1
        assert await advisor_of(lost) is None
        assert (await advisor_of(kept)).contacted_at == called  # type: ignore[union-attr]  # there is one
        kinds = [event.kind for event in await timeline(lost)]
        assert kinds[0] == "advisor_lost"
        assert "advisor_gained" in kinds


@pytest.mark.usefixtures("own_database")
async def test_ticket_assignment_is_fair_under_concurrency() -> None:
    await shop.open_shop()
    staff = [await clerk() for _ in range(4)]
    numbers = [await shop.join() for _ in range(40)]
    await asyncio.gather(*(opened(number, datetime.now(UTC)) for number in numbers))
    rows = await database.rows("SELECT assignee_id, count(*) AS tickets FROM membership.ticket GROUP BY 1")
    assert {row["assignee_id"]: row["tickets"] for row in rows} == dict.fromkeys(staff, 10)


@pytest.mark.usefixtures("own_database")
async def test_two_staff_claiming_one_member_at_once_and_one_staff_claiming_many() -> None:
    await shop.open_shop()
    await change_member_policy(MemberPolicyChange(advisor_members_max=5))
    staff = [await clerk() for _ in range(8)]
    wanted = await member_of_card(await shop.join())
    outcomes = await asyncio.gather(*(claim(wanted, each, at=MONDAY) for each in staff), return_exceptions=True)
    assert sum(isinstance(each, AlreadyAdvised) for each in outcomes) == 7
    members = [await member_of_card(await shop.join()) for _ in range(12)]
    outcomes = await asyncio.gather(*(claim(each, staff[0], at=MONDAY) for each in members), return_exceptions=True)
    assert len(await members_of(staff[0])) == 5
    assert all(isinstance(each, AdvisorFull) for each in outcomes if isinstance(each, BaseException))
