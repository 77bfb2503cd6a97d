"""Who is a member already, and who only looks like one."""

from typing import Any

import pytest

import database
from membership.cards import member_of_card
from membership.duplicate_scan import scan_duplicates
from membership.duplicates import Override, near_phones, open_pairs, tell_apart
from membership.editing import MemberChange, change_member
from membership.errors import MemberExists, PossibleDuplicate, UnknownPair
from membership.policy import MemberPolicyChange, change_member_policy
from membership.registration import BirthDate, Registration, Source, register
from membership.search import search
from tests import shop

BORN = BirthDate(year=1990, month=5, day=31)
FAMILY = Override(reason="Mother and daughter share it")


@pytest.fixture(autouse=True)
async def _shop() -> None:
    await shop.open_shop()


async def enrol(name: str, *, may_override: bool = False, **fields: Any) -> int:
    registration = Registration(name=name, **fields)
    return await register(registration, source=Source(), at=shop.NOON, may_override=may_override)


async def test_a_shared_family_phone_can_be_overridden_with_a_reason() -> None:
    mother = await shop.join("Siti", phone="+60123456789")
    with pytest.raises(MemberExists):
        await enrol("Aisyah", phone="0123456789", override=FAMILY)
    daughter = await enrol("Aisyah", phone="0123456789", override=FAMILY, may_override=True)
    assert len(await search("0123456789")) == 2
    pair = await database.row("SELECT * FROM membership.duplicate_pair")
    assert pair is not None
    assert (pair["one_id"], pair["other_id"]) == (await member_of_card(mother), daughter)
    assert (pair["status"], pair["note"]) == ("different", FAMILY.reason)


async def test_a_chain_may_only_be_warned_of_a_phone_or_not_care() -> None:
    await shop.join("Siti", phone="+60123456789")
    await change_member_policy(MemberPolicyChange(same_phone="warn"))
    with pytest.raises(PossibleDuplicate) as asked:
        await enrol("Aisyah", phone="0123456789")
    candidates: Any = asked.value.facts["candidates"]
    assert [(each["name"], each["rule"]) for each in candidates] == [("Siti", "same_phone")]
    await enrol("Aisyah", phone="0123456789", override=FAMILY)
    await change_member_policy(MemberPolicyChange(same_phone="ignore"))
    await enrol("Muthu", phone="0123456789")
    assert len(await search("0123456789")) == 3


async def test_a_similar_name_born_the_same_day_is_asked_about() -> None:
    await shop.join("Tan Mei Ling", birth=BORN)
    for name in ("TAN MEI LIN", "Mei Ling Tan"):
        with pytest.raises(PossibleDuplicate):
            await enrol(name, phone="0198765432", birth=BORN)
    with pytest.raises(PossibleDuplicate):
        await enrol("Tan Mei Ling", phone="0198765432", birth=BirthDate(month=5, day=31))
    assert await enrol("Tan Mei Ling", phone="0198765432", birth=BORN, override=Override(reason="Her cousin"))


async def test_a_phone_one_digit_away_is_asked_about_when_the_name_is_alike() -> None:
    await shop.join("Muthusamy", phone="+60123456789")
    for phone in ("0123456780", "0123456798"):
        with pytest.raises(PossibleDuplicate):
            await enrol("Muthusami", phone=phone)
    assert await enrol("Aisyah", phone="0123456780")


def test_near_phones_differ_in_one_digit_or_two_swapped() -> None:
    near = near_phones("+60123456789")
    assert "+60123456788" in near
    assert "+60123456798" in near
    assert "+60123456789" not in near
    assert all(len(each) == 12 for each in near)
    assert len(near) == 9 * 9 + 8


async def test_matching_on_weak_fields_never_merges_different_people() -> None:
    """The same name, the same birthday, neighbouring phones, one at a time: all of them stay who they are."""
    await shop.join("Tan Mei Ling", phone="+60123456789", birth=BORN)
    await enrol("Tan Mei Ling", phone="0198765432", birth=BirthDate(year=1971, month=1, day=2))
    await enrol("Ganesan", phone="0112223333", birth=BORN)
    await enrol("Aminah", phone="0123456788")
    await scan_duplicates(shop.NOON)
    assert await open_pairs() == []
    assert await database.value("SELECT count(*) FROM membership.member WHERE status = 'active'") == 4


async def test_a_change_is_screened_like_a_registration() -> None:
    await shop.join("Siti", phone="+60123456789")
    daughter = await shop.join("Aisyah")
    with pytest.raises(MemberExists):
        await change_member(daughter, MemberChange(phone="012-3456789"), at=shop.NOON)
    change = MemberChange(phone="012-3456789", override=FAMILY)
    changed = await change_member(daughter, change, at=shop.NOON, may_override=True)
    assert changed.phone == "+60123456789"
    renamed = await change_member(daughter, MemberChange(name="Nur Aisyah"), at=shop.NOON)
    assert renamed.name == "Nur Aisyah", "what is not about the phone is not asked again"
    again = await change_member(daughter, MemberChange(phone="0111111111"), at=shop.NOON)
    back = await change_member(daughter, MemberChange(phone="0123456789"), at=shop.NOON)
    assert back.phone == "+60123456789", "they were told apart already"
    again = await change_member(daughter, MemberChange(phone="0111111111"), at=shop.NOON)
    assert again.phone == "+60111111111"
    assert not await database.value("SELECT bool_or(phone_shared) FROM membership.member")


async def test_the_scan_queues_pairs_once_and_never_asks_again() -> None:
    await shop.join("Tan Mei Ling", phone="+60123456789", birth=BORN)
    unsure = Override(reason="not sure")
    twin = await enrol("Tan Mei Lin", phone="0123456780", birth=BORN, override=unsure)
    await shop.join("Somebody Else", birth=BORN)
    await database.execute("DELETE FROM membership.duplicate_pair")
    scan = await scan_duplicates(shop.NOON)
    assert (scan.members, scan.pairs, scan.queued) == (3, 1, 1)
    (pair,) = await open_pairs()
    assert pair.reasons == ["near_phone_similar_name", "same_birth_similar_name"]
    assert pair.score == 100
    assert {each.name for each in pair.members} == {"Tan Mei Ling", "Tan Mei Lin"}
    await tell_apart(pair.id, reason="Twins", staff_id=None, at=shop.NOON)
    assert (await scan_duplicates(shop.NOON)).queued == 0
    assert await open_pairs() == []
    with pytest.raises(UnknownPair):
        await tell_apart(pair.id, reason="Twins", staff_id=None, at=shop.NOON)
    assert twin
