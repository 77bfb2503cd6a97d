"""Finding members and showing who they are."""

import re
import unicodedata
from datetime import datetime
from typing import Any

import msgspec

import database
from membership.cards import check_number, member_of_card
from membership.contact import normal_phone
from membership.errors import InvalidPhone
from stores.chain import the_chain

RESULTS_MAX = 20


class MemberSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the till shows of a member before it opens the profile."""

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
    source: dict[str, Any]
    registered_at: datetime


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One fact about a member. `id` is its place for paging."""

    id: int
    kind: str
    at: datetime
    store: str | None
    data: dict[str, Any]


async def search(text: str) -> list[MemberSummary]:
    """One box: card, phone or its last digits, e-mail, or the beginning of a name. At most `RESULTS_MAX`."""
    text = unicodedata.normalize("NFKC", text).strip()
    if not text:
        return []
    digits = re.sub(r"[\s().-]", "", text)
    if re.fullmatch(r"2\d{12}", digits):
        check_number(digits)
        return await _found("card.number = $1", digits)
    if "@" in text:
        return await _found("member.email = $1", text.lower())
    if re.fullmatch(r"\+?\d{3,15}", digits):
        return await _by_phone(digits)
    return await _found("lower(member.name) LIKE $1", _like(text.lower()) + "%")


async def _by_phone(digits: str) -> list[MemberSummary]:
    try:
        phone = normal_phone(digits, (await the_chain()).region)
    except InvalidPhone:
        phone = ""
    exact = await _found("member.phone = $1", phone) if phone else []
    return exact or await _found("reverse(member.phone) LIKE $1", digits.lstrip("+")[::-1] + "%")


async def _found(where: str, value: str) -> list[MemberSummary]:
    rows = await database.rows(
        "SELECT card.number, member.name, member.phone, member.email FROM membership.member "
        "JOIN membership.card ON member_id = member.id AND card.status = 'active' "
        f"WHERE member.status = 'active' AND {where} ORDER BY lower(member.name), member.id LIMIT {RESULTS_MAX}",
        value,
    )
    return [MemberSummary(**dict(row)) for row in rows]


def _like(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


async def profile(number: str) -> MemberProfile:
    """A member's own data. Raises `UnknownMember`, `InvalidCard`, `CardReplaced`."""
    member_id = await member_of_card(number)
    row = await database.row(
        "SELECT card.number, member.name, phone, email, birth_year, birth_month, birth_day, gender, language, "
        "store.code AS home_store, external_ref, tags, notes, source, registered_at FROM membership.member "
        "JOIN membership.card ON member_id = member.id AND card.status = 'active' "
        "LEFT JOIN stores.store ON store.id = home_store_id WHERE member.id = $1",
        member_id,
    )
    assert row is not None
    return MemberProfile(**{**dict(row), "source": msgspec.json.decode(row["source"])})


async def timeline(
    member_id: int, *, before: int | None = None, limit: int = 50, stores: frozenset[str] | None = None
) -> list[TimelineEvent]:
    """Newest first, from before the event `before`. `stores` leaves out what happened elsewhere."""
    rows = await database.rows(
        "SELECT event.id, kind, at, store.code AS store, data FROM membership.event "
        "LEFT JOIN stores.store ON store.id = store_id WHERE member_id = $1 "
        "AND ($2::bigint IS NULL OR (at, event.id) < (SELECT at, id FROM membership.event WHERE id = $2 AND member_id = $1)) "
        "AND ($4::text[] IS NULL OR store_id IS NULL OR store.code = ANY($4)) ORDER BY at DESC, event.id DESC LIMIT $3",
        member_id,
        before,
        limit,
        None if stores is None else sorted(stores),
    )
    return [TimelineEvent(**{**dict(row), "data": msgspec.json.decode(row["data"])}) for row in rows]
