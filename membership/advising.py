"""Clienteling: whose member somebody is. Who has no advisor is in the pool of their home store, for its staff to claim."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

import database
from membership.errors import AdvisorFull, AlreadyAdvised, NotAdvised
from membership.policy import member_policy
from membership.profiles import SUMMARY, MemberSummary
from stores.scope import Scope, codes, in_scope
from stores.staff import staff_by_id

ContactKind = Literal["called", "visited", "wrote", "met"]


class Advisor(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks after a member, since when, and when they last were in touch."""

    staff_id: int
    name: str
    since: datetime
    contacted_at: datetime


class ContactMade(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Staff were in touch with a member."""

    kind: ContactKind
    note: Annotated[str, msgspec.Meta(max_length=5000)] = ""


async def claim(member_id: int, staff_id: int, *, at: datetime) -> Advisor:
    """Take a member out of the pool. Raises `AlreadyAdvised`, `AdvisorFull`, `UnknownStaff`."""
    async with database.transaction():
        # The advisor's lock: two claims at once would otherwise both find room for the last one.
        await staff_by_id(staff_id, lock=True)
        most = (await member_policy()).advisor_members_max
        if await _load(staff_id) >= most:
            raise AdvisorFull(staff_id=staff_id, most=most)
        claimed = await database.execute(
            "INSERT INTO membership.advisor (member_id, staff_id, since, contacted_at) VALUES ($1, $2, $3, $3) "
            "ON CONFLICT (member_id) DO NOTHING",
            member_id,
            staff_id,
            at,
        )
        found = await advisor_of(member_id)
        assert found is not None
        if not claimed and found.staff_id != staff_id:
            raise AlreadyAdvised(advisor=found.name)
        if claimed:
            await _note([member_id], "advisor_gained", staff_id, at)
        return found


async def release(member_id: int, *, at: datetime) -> None:
    """Put a member back into the pool. Raises `NotAdvised`."""
    async with database.transaction():
        row = await database.row("DELETE FROM membership.advisor WHERE member_id = $1 RETURNING staff_id", member_id)
        if row is None:
            raise NotAdvised
        await _note([member_id], "advisor_lost", row["staff_id"], at)


async def hand_over(staff_id: int, to: int | None, *, at: datetime) -> int:
    """Give every member of an advisor to another one, or back to the pool; how many. For staff who leave, too. Raises
    `AdvisorFull` when they are too many for whom they go to."""
    async with database.transaction():
        if to is not None:
            await staff_by_id(to, lock=True)
            most, there = (await member_policy()).advisor_members_max, await _load(to)
            if to != staff_id and there + await _load(staff_id) > most:
                raise AdvisorFull(staff_id=to, most=most)
            rows = await database.rows(
                "UPDATE membership.advisor SET staff_id = $2, since = $3, contacted_at = $3 WHERE staff_id = $1 RETURNING member_id",
                staff_id,
                to,
                at,
            )
        else:
            rows = await database.rows(
                "DELETE FROM membership.advisor WHERE staff_id = $1 RETURNING member_id", staff_id
            )
        members = [row["member_id"] for row in rows]
        await _note(members, "advisor_lost" if to is None else "advisor_gained", to or staff_id, at)
    return len(members)


async def release_idle(at: datetime) -> int:
    """Put those back whose advisor has not been in touch for as long as the chain allows; how many."""
    async with database.transaction():
        since = at - timedelta(days=(await member_policy()).advisor_idle_days)
        rows = await database.rows(
            "DELETE FROM membership.advisor WHERE contacted_at < $1 RETURNING member_id, staff_id", since
        )
        for row in rows:
            await _note([row["member_id"]], "advisor_lost", row["staff_id"], at)
    return len(rows)


async def advisor_of(member_id: int) -> Advisor | None:
    """Who looks after a member."""
    row = await database.row(
        "SELECT staff_id, name, since, contacted_at FROM membership.advisor JOIN stores.staff ON staff.id = staff_id "
        "WHERE member_id = $1",
        member_id,
    )
    return Advisor(**dict(row)) if row else None


async def pool(*, stores: Scope = None, before: int | None = None, limit: int = 50) -> list[MemberSummary]:
    """Members without an advisor, of the stores in view, the newest first from before the member `before`."""
    rows = await database.rows(
        f"{SUMMARY} WHERE member.status = 'active' AND home_store_id IS NOT NULL AND {in_scope('home_store_id', 3)} "
        "AND NOT EXISTS (SELECT FROM membership.advisor a WHERE a.member_id = member.id) "
        "AND ($1::bigint IS NULL OR member.id < $1) ORDER BY member.id DESC LIMIT $2",
        before,
        limit,
        codes(stores),
    )
    return [MemberSummary(**dict(row)) for row in rows]


async def members_of(staff_id: int, *, before: int | None = None, limit: int = 50) -> list[MemberSummary]:
    """An advisor's members, the newest first from before the member `before`."""
    rows = await database.rows(
        f"{SUMMARY} JOIN membership.advisor a ON a.member_id = member.id WHERE a.staff_id = $3 "
        "AND ($1::bigint IS NULL OR member.id < $1) ORDER BY member.id DESC LIMIT $2",
        before,
        limit,
        staff_id,
    )
    return [MemberSummary(**dict(row)) for row in rows]


async def note_contact(
    member_id: int, contact: ContactMade, *, staff_id: int | None, store_id: int | None, at: datetime
) -> None:
    """Keep that staff were in touch; the advisor's doing so is what keeps the member theirs."""
    async with database.transaction():
        contact_id = await database.value(
            "INSERT INTO membership.contact (member_id, store_id, staff_id, kind, note, at) VALUES ($1, $2, $3, $4, $5, $6) "
            "RETURNING id",
            member_id,
            store_id,
            staff_id,
            contact.kind,
            contact.note,
            at,
        )
        await database.execute(
            "UPDATE membership.advisor SET contacted_at = greatest(contacted_at, $3) WHERE member_id = $1 AND staff_id = $2",
            member_id,
            staff_id,
            at,
        )
        await database.execute(
            "INSERT INTO membership.event (member_id, kind, ref, at, store_id, data) "
            "VALUES ($1, $2, 'contact:' || $3::bigint, $4, $5, jsonb_build_object('staff', $6::bigint))",
            member_id,
            contact.kind,
            contact_id,
            at,
            store_id,
            staff_id,
        )


async def _load(staff_id: int) -> int:
    return int(await database.value("SELECT count(*) FROM membership.advisor WHERE staff_id = $1", staff_id))


async def _note(member_ids: list[int], kind: str, staff_id: int, at: datetime) -> None:
    await database.execute(
        "INSERT INTO membership.event (member_id, kind, ref, at, data) SELECT id, $2, 'advisor:' || id || ':' || "
        "nextval('membership.event_id_seq'), $4, jsonb_build_object('staff', $3::bigint) FROM unnest($1::bigint[]) id",
        member_ids,
        kind,
        staff_id,
        at,
    )
