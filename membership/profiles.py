"""Showing who members are."""

from datetime import datetime
from typing import Any

import msgspec

import database
from membership.birthdays import Birthdays
from membership.cards import member_of_card
from membership.custom_values import Condition, Values
from stores.scope import Scope, codes, in_scope


class MemberSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the till shows of a member before it opens the profile. `id` is its place for paging."""

    id: int
    number: str
    name: str
    phone: str | None
    email: str | None


class MemberProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A member's own data."""

    number: str
    name: str
    phone: str | None
    email: str | None
    birth_year: int | None
    birth_month: int | None
    birth_day: int | None
    gender: str
    language: str
    home_store: str | None
    external_ref: str | None
    tags: list[str]
    notes: str
    custom: Values
    referral_code: str
    source: dict[str, Any]
    registered_at: datetime


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One fact about a member. `id` is its place for paging."""

    id: int
    kind: str
    at: datetime
    store: str | None
    data: dict[str, Any]


async def members(
    *,
    before: int | None = None,
    limit: int = 50,
    home_store: str | None = None,
    tag: str | None = None,
    stores: Scope = None,
    custom: Condition | None = None,
    born: Birthdays | None = None,
) -> list[MemberSummary]:
    """Active members, the newest first, from before the member `before`; with `stores` those whose home is one of them; with
    `custom` those whose own fields say so; with `born` those whose birthday it is."""
    rows = await database.rows(
        f"{SUMMARY} LEFT JOIN stores.store ON store.id = home_store_id WHERE member.status = 'active' "
        "AND ($1::bigint IS NULL OR member.id < $1) AND ($3::text IS NULL OR store.code = $3) "
        f"AND ($4::text IS NULL OR $4 = ANY(tags)) AND {in_scope('home_store_id', 5)} "
        "AND ($6::text[] IS NULL OR EXISTS (SELECT FROM unnest($6::text[], $7::int[]) b (zone, day) "
        "WHERE b.zone = coalesce(store.time_zone, (SELECT time_zone FROM stores.chain)) AND b.day = birth_month * 100 + birth_day)) "
        f"{'AND ' + custom.sql.format('$8') if custom else ''} ORDER BY member.id DESC LIMIT $2",
        before,
        limit,
        home_store,
        tag,
        codes(stores),
        born.zones if born else None,
        born.days if born else None,
        *([custom.argument] if custom else []),
    )
    return [MemberSummary(**dict(row)) for row in rows]


SUMMARY = (
    "SELECT card.number, member.name, member.phone, member.email, member.id FROM membership.member "
    "JOIN membership.card ON member_id = member.id AND card.status = 'active'"
)


async def profile(number: str) -> MemberProfile:
    """A member's own data. Raises `UnknownMember`, `InvalidCard`, `CardReplaced`."""
    member_id = await member_of_card(number)
    row = await database.row(
        "SELECT card.number, member.name, phone, email, birth_year, birth_month, birth_day, gender, language, "
        "store.code AS home_store, external_ref, tags, notes, custom, referral_code, source, registered_at FROM membership.member "
        "JOIN membership.card ON member_id = member.id AND card.status = 'active' "
        "LEFT JOIN stores.store ON store.id = home_store_id WHERE member.id = $1",
        member_id,
    )
    assert row is not None
    return MemberProfile(**{**dict(row), **{name: msgspec.json.decode(row[name]) for name in ("source", "custom")}})


async def timeline(
    member_id: int, *, before: int | None = None, limit: int = 50, stores: Scope = None, kind: str | None = None
) -> list[TimelineEvent]:
    """Newest first, from before the event `before`, of the member and all who were merged into them; only those of a kind when
    it is given. `stores` leaves out what happened elsewhere."""
    rows = await database.rows(
        "SELECT event.id, kind, at, store.code AS store, data FROM membership.everyone_in($1) one, LATERAL ("
        "SELECT * FROM membership.event WHERE member_id = one "
        "AND ($2::bigint IS NULL OR (at, event.id) < (SELECT at, id FROM membership.event WHERE id = $2)) "
        f"AND (store_id IS NULL OR {in_scope('store_id', 4)}) AND ($5::text IS NULL OR kind = $5) "
        "ORDER BY at DESC, event.id DESC LIMIT $3) event LEFT JOIN stores.store ON store.id = store_id "
        "ORDER BY at DESC, event.id DESC LIMIT $3",
        member_id,
        before,
        limit,
        codes(stores),
        kind,
    )
    return [TimelineEvent(**{**dict(row), "data": msgspec.json.decode(row["data"])}) for row in rows]
