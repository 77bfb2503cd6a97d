"""Becoming a member, and being found again."""

import pytest

import database
from errors import InvalidInput
from membership.cards import member_of_card
from membership.consent import ConsentGiven, current_consents, record_consent
from membership.errors import InvalidPhone, MemberExists
from membership.profiles import profile, timeline
from membership.registration import BirthDate
from membership.search import search
from tests import shop


@pytest.fixture(autouse=True)
async def _shop() -> None:
    await shop.open_shop()


@pytest.mark.parametrize(
    "typed", ["+60123456789", "012-345 6789", "0123456789", "０１２３４５６７８９", "60 12 345 6789"]
)
async def test_every_way_to_write_a_phone_finds_the_same_member(typed: str) -> None:
    number = await shop.join(phone="+60123456789")
    assert [found.number for found in await search(typed)] == [number]


async def test_last_digits_card_email_and_name_find_the_member() -> None:
    number = await shop.join("王小明", phone="+60123456789", email="Ming@Example.com")
    for typed in ("6789", number, "ming@example.COM", "王小"):
        assert [found.number for found in await search(typed)] == [number], typed
    assert await search("%") == []
    assert await search("   ") == []


async def test_a_taken_phone_answers_with_the_candidate() -> None:
    number = await shop.join("Aisyah", phone="+60123456789")
    with pytest.raises(MemberExists) as refused:
        await shop.join("Someone else", phone="012-345 6789")
    assert refused.value.facts == {"field": "phone", "candidates": [{"number": number, "name": "Aisyah"}]}
    assert await database.value("SELECT count(*) FROM membership.member") == 1


async def test_a_taken_email_answers_whatever_its_case() -> None:
    await shop.join(email="a@example.com")
    with pytest.raises(MemberExists):
        await shop.join(email="A@EXAMPLE.com")


@pytest.mark.parametrize("phone", ["", "12", "not a phone", "+999999999999999999"])
async def test_a_phone_that_is_no_phone_is_refused(phone: str) -> None:
    with pytest.raises((InvalidPhone, InvalidInput), match="phone"):
        await shop.join(phone=phone)


@pytest.mark.parametrize("email", ["a", "a@b", "a b@c.de", "@c.de"])
async def test_an_email_that_is_none_is_refused(email: str) -> None:
    with pytest.raises(InvalidInput, match="email"):
        await shop.join(email=email)


async def test_a_name_is_needed() -> None:
    with pytest.raises(InvalidInput, match="name"):
        await shop.join("   ")


async def test_a_birthday_may_lack_its_year_and_fall_on_29_february() -> None:
    number = await shop.join(birth=BirthDate(month=2, day=29))
    found = await profile(number)
    assert (found.birth_year, found.birth_month, found.birth_day) == (None, 2, 29)
    with pytest.raises(ValueError, match="no day of the calendar"):
        BirthDate(year=2025, month=2, day=29)


async def test_consent_is_what_was_said_last_and_nothing_is_forgotten() -> None:
    number = await shop.join(consents=[ConsentGiven(channel="email", wording="v2")])
    member_id = await member_of_card(number)
    await record_consent(member_id, ConsentGiven(channel="email", given=False), source="till", at=shop.NOON)
    now = await current_consents(member_id)
    assert [(consent.channel, consent.given) for consent in now] == [("email", False)]
    assert await database.value("SELECT count(*) FROM membership.consent") == 2
    kinds = [event.kind for event in await timeline(member_id)]
    assert sorted(kinds) == ["consent_given", "consent_withdrawn", "registered"]


@pytest.mark.parametrize("table", ["membership.consent", "membership.event"])
async def test_history_cannot_be_rewritten(table: str) -> None:
    await shop.join(consents=[ConsentGiven(channel="email")])
    for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"UPDATE {table} SET member_id = member_id"):
        with pytest.raises(Exception, match="cannot be changed or deleted"):
            async with database.transaction():
                await database.execute(statement)


async def test_the_timeline_pages_in_order_without_gaps() -> None:
    number = await shop.join()
    for _ in range(5):
        await shop.sell(number, ("TEA", 1, 255))
    member_id = await member_of_card(number)
    whole = await timeline(member_id, limit=100)
    paged, before = [], None
    while page := await timeline(member_id, before=before, limit=3):
        paged += page
        before = page[-1].id
    assert paged == whole
    assert len(whole) == 11  # registered, five times bought, five times points


async def test_the_timeline_of_one_store_leaves_out_the_others() -> None:
    number = await shop.join()
    await shop.sell(number, ("TEA", 1, 255), store="KL01")
    await shop.sell(number, ("TEA", 1, 255), store="JB02")
    seen = await timeline(await member_of_card(number), stores=frozenset({"JB02"}))
    assert {event.store for event in seen} <= {"JB02", None}
