"""Two become one, and two again."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

import database
from loyalty.checkout import quote
from loyalty.errors import OpenHolds, RewardRefused, UnmergeRefused, VoucherRefused
from loyalty.households import join as share
from loyalty.merging import merge_members, unmerge_members
from loyalty.nightly import run_nightly
from loyalty.programme import publish_rule
from loyalty.redemption import capture, hold
from loyalty.rewards import RewardSent, publish_reward
from loyalty.rules import Caps, EarnRule
from loyalty.statement import balance, open_vouchers, tier_of
from loyalty.verification import verify_ledger
from membership.advising import advisor_of, claim
from membership.cards import member_of_card, replace_card
from membership.consent import ConsentGiven, current_consents, record_consent
from membership.consumption import consumption_of
from membership.editing import MemberChange, change_member
from membership.errors import NotMerged, SameMember
from membership.profiles import profile, timeline
from membership.registration import BirthDate, identify
from membership.search import search
from membership.tickets import TicketOpened, open_ticket, tickets
from stores.staff import hire
from tests import shop

LATER = shop.NOON + timedelta(days=1)
# Rows that are only ever added: an undone merge leaves its traces there, and nowhere else.
ADDED_ONLY = {
    "membership.event",
    "membership.consent",
    "membership.merge",
    "membership.merge_move",
    "membership.duplicate_pair",
}
ADDED_ONLY |= {"loyalty.entry", "loyalty.lot_use", "api.idempotency", "api.audit"}


@pytest.fixture(autouse=True)
async def _shop() -> None:
    await shop.open_shop()
    await database.execute(
        "INSERT INTO loyalty.tier (code, name, rank, threshold) VALUES ('silver', 'Silver', 1, 10000), ('gold', 'Gold', 2, 50000)"
    )


async def two() -> tuple[str, str]:
    """A survivor and a richer loser, each with purchases, points, a voucher and a few words."""
    one = await shop.join("Tan Mei Ling", tags=["tea"], notes="Likes the window seat")
    other = await shop.join("Tan Mei Lin", email="mei@example.com", birth=BirthDate(month=5, day=31), tags=["cake"])
    await shop.sell(one, ("TEA", 4, 255))
    await shop.sell(other, ("CUP", 30, 1000), store="JB02", at=shop.NOON - timedelta(days=40))
    await shop.sell(other, ("TEA", 2, 255), at=shop.NOON - timedelta(days=3), points_to_spend=50)
    await shop.voucher(other, issued_at=shop.NOON, valid_days=30)
    clerk = await hire(email="clerk@shop.example", name="Mei", role="cashier", password=None, stores=["KL01"])
    await claim(await member_of_card(other), clerk, at=shop.NOON)
    ticket = TicketOpened(store="KL01", subject="Broken cup")
    await open_ticket(await member_of_card(other), ticket, staff_id=clerk, at=shop.NOON)
    return one, other


async def seen(number: str) -> bytes:
    """All that a till or an office can read of a member, but the history."""
    member_id = await member_of_card(number)
    shown: list[Any] = [
        await profile(number),
        await current_consents(member_id),
        await consumption_of(member_id),
        await balance(member_id, LATER),
        await tier_of(member_id, LATER),
        await open_vouchers(member_id, LATER),
    ]
    return msgspec.json.encode(shown)


async def stored() -> dict[str, list[str]]:
    """Every row of every table that can change, as text."""
    tables = await database.rows(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('stores', 'membership', 'loyalty', "
        "'segmentation', 'campaigns', 'api')"
    )
    rows = {
        table["name"]: await database.rows(f"SELECT to_jsonb(t) - 'version' - 'seal' AS row FROM {table['name']} t")
        for table in tables
        if table["name"] not in ADDED_ONLY
    }
    # The survivor's lots that the merge made are empty again.
    return {
        name: sorted(row["row"] for row in found if name != "loyalty.lot" or '"remaining": 0' not in row["row"])
        for name, found in rows.items()
    }


async def test_a_merge_moves_receipts_points_vouchers_and_tier() -> None:
    one, other = await two()
    points = [await shop.balance_of(each) for each in (one, other)]
    merged = await merge_members(one, other, reason="The same person", at=LATER)
    assert (merged.points_moved, merged.receipts_moved) == (points[1], 2)
    member_id = await member_of_card(one)
    assert await shop.balance_of(one) == sum(points)
    bought = await consumption_of(member_id)
    assert (bought.receipts, bought.stores, bought.spend) == (3, 2, 1020 + 30_000 + 510)
    assert (await tier_of(member_id, LATER)).code == "silver"
    assert len(await open_vouchers(member_id, LATER)) == 1
    found = await profile(one)
    assert (found.email, found.birth_month, found.tags) == ("mei@example.com", 5, ["tea", "cake"])
    assert [each.subject for each in await tickets(member_id=member_id)] == ["Broken cup"]
    assert await advisor_of(member_id) is not None
    kinds = {event.kind for event in await timeline(member_id)}
    assert {"merged", "bought", "registered", "tier_gained"} <= kinds
    assert len([event for event in await timeline(member_id) if event.kind == "registered"]) == 2
    assert (await verify_ledger()).ok


async def test_points_move_as_transfer_entries_lot_by_lot() -> None:
    one, other = await two()
    lots = await database.rows(
        "SELECT remaining, activates_at, expires_at, receipt_id FROM loyalty.lot WHERE remaining > 0"
    )
    await merge_members(one, other, reason="The same person", at=LATER)
    now = await database.rows(
        "SELECT remaining, activates_at, expires_at, receipt_id FROM loyalty.lot WHERE remaining > 0"
    )
    assert sorted(map(tuple, now), key=str) == sorted(map(tuple, lots), key=str)
    entries = await database.rows("SELECT kind, amount FROM loyalty.entry WHERE kind LIKE 'transfer%' ORDER BY id")
    assert [row["kind"] for row in entries] == ["transfer_out", "transfer_in"] * (len(entries) // 2)
    assert sum(row["amount"] for row in entries) == 0


async def test_the_losing_card_is_the_survivors_at_the_till() -> None:
    one, other = await two()
    await merge_members(one, other, reason="The same person", at=LATER)
    before = await shop.balance_of(one)
    await shop.sell(other, ("TEA", 4, 255), at=LATER)
    assert await shop.balance_of(one) == before + 10
    assert [found.number for found in await search(other)] == [one]
    assert (await profile(other)).number == one
    assert await identify([other]) == {other: await member_of_card(one)}
    replaced = await replace_card(other)
    assert (await profile(other)).number == replaced


async def test_an_unmerge_is_the_byte_identical_state_when_nothing_was_spent() -> None:
    one, other = await two()
    await record_consent(await member_of_card(one), ConsentGiven(channel="email"), source="till", at=shop.NOON)
    for channel in ("email", "sms"):
        withdrawn = ConsentGiven(channel=channel, given=False)  # type: ignore[arg-type]  # a Channel
        await record_consent(await member_of_card(other), withdrawn, source="till", at=shop.NOON)
    before, rows = [await seen(one), await seen(other)], await stored()
    await merge_members(one, other, reason="The same person", at=LATER)
    assert await seen(one) != before[0]
    await unmerge_members(one, other, at=LATER)
    assert [await seen(one), await seen(other)] == before
    assert await stored() == rows
    assert (await verify_ledger()).ok


async def test_merging_again_after_an_unmerge_works() -> None:
    one, other = await two()
    for _ in range(3):
        await merge_members(one, other, reason="The same person", at=LATER)
        await unmerge_members(one, other, at=LATER)
    await merge_members(other, one, reason="The other way", at=LATER)
    assert (await verify_ledger()).ok


async def test_what_was_spent_cannot_be_undone_and_the_refusal_says_what() -> None:
    one, other = await two()
    await merge_members(one, other, reason="The same person", at=LATER)
    await shop.sell(one, ("TEA", 4, 255), at=LATER, points_to_spend=20)
    (voucher,) = await open_vouchers(await member_of_card(one), LATER)
    await shop.sell(one, ("TEA", 4, 255), at=LATER, vouchers=[voucher.code])
    before = await stored()
    with pytest.raises(UnmergeRefused) as refused:
        await unmerge_members(one, other, at=LATER)
    assert refused.value.facts == {"points_spent": 20, "vouchers_used": [voucher.code]}
    assert await stored() == before


async def test_the_survivors_own_points_may_be_spent_and_later_receipts_stay() -> None:
    one, other = await two()
    await shop.give(one, 5, at=shop.NOON, expires_at=LATER + timedelta(days=2))  # spent first: the earliest to expire
    await merge_members(one, other, reason="The same person", at=LATER)
    await shop.sell(one, ("TEA", 4, 255), at=LATER, points_to_spend=5)
    undone = await unmerge_members(one, other, at=LATER)
    assert undone.stays == ["1 receipts that came after the merge"]
    assert (await consumption_of(await member_of_card(one))).receipts == 2
    assert (await consumption_of(await member_of_card(other))).receipts == 2
    assert (await verify_ledger()).ok


async def test_points_that_expired_meanwhile_keep_nobody_from_unmerging() -> None:
    one, other = await shop.join(), await shop.join()
    await shop.give(other, 40, expires_at=LATER + timedelta(days=1))
    await shop.give(other, 10)
    await merge_members(one, other, reason="The same person", at=LATER)
    await run_nightly(LATER + timedelta(days=3))
    assert (await unmerge_members(one, other, at=LATER + timedelta(days=4))).points_moved_back == 10
    assert await shop.balance_of(other) == 10
    assert (await verify_ledger()).ok


async def test_a_merge_keeps_the_strictest_consent() -> None:
    one, other = await shop.join(), await shop.join()

    async def says(number: str, channel: Any, given: bool) -> None:
        await record_consent(
            await member_of_card(number), ConsentGiven(channel=channel, given=given), source="till", at=shop.NOON
        )

    await says(one, "email", True)
    await says(other, "email", False)  # withdrawn by one of them
    await says(one, "sms", False)
    await says(other, "sms", True)  # withdrawn by the other
    await says(other, "chat", True)  # given for another address alone
    await says(one, "post", True)  # given, and nothing against it
    await merge_members(one, other, reason="The same person", at=LATER)
    now = {consent.channel: consent.given for consent in await current_consents(await member_of_card(one))}
    assert now == {"email": False, "sms": False, "post": True}


async def test_what_the_member_said_after_the_merge_outlives_the_unmerge() -> None:
    one, other = await shop.join(), await shop.join()
    await record_consent(
        await member_of_card(other), ConsentGiven(channel="email", given=False), source="till", at=shop.NOON
    )
    await merge_members(one, other, reason="The same person", at=LATER)
    await record_consent(await member_of_card(one), ConsentGiven(channel="email"), source="till", at=LATER)
    await change_member(one, MemberChange(tags=["vip"]), at=LATER)
    await unmerge_members(one, other, at=LATER)
    assert [consent.given for consent in await current_consents(await member_of_card(one))] == [True]
    assert (await profile(one)).tags == ["vip"]


async def test_goods_bought_with_points_before_the_merge_give_them_back_to_the_survivor() -> None:
    one, other = await shop.join(), await shop.join()
    await shop.give(other, 100)
    sale = await shop.sell(other, ("CUP", 1, 1000), points_to_spend=60)
    await merge_members(one, other, reason="The same person", at=LATER)
    before = await shop.balance_of(one)
    returned = await shop.bring_back(sale, (1, 1), at=LATER)
    assert returned.points_given_back == 60
    assert await shop.balance_of(one) == before + 60 - returned.points_clawed_back
    assert await shop.balance_of(other) == await shop.balance_of(one)
    assert (await verify_ledger()).ok


async def test_points_on_hold_are_settled_first() -> None:
    one, other = await shop.join(), await shop.join()
    await shop.give(other, 100)
    held = await hold(other, points=30, at=LATER)
    with pytest.raises(OpenHolds):
        await merge_members(one, other, reason="The same person", at=LATER)
    await capture(held.id, at=LATER)
    assert (await merge_members(one, other, reason="The same person", at=LATER)).points_moved == 70


async def test_one_member_is_not_merged_with_themselves_nor_twice() -> None:
    one, other = await shop.join(), await shop.join()
    with pytest.raises(SameMember):
        await merge_members(one, one, reason="Why not", at=LATER)
    with pytest.raises(NotMerged):
        await unmerge_members(one, other, at=LATER)
    await merge_members(one, other, reason="The same person", at=LATER)
    with pytest.raises(SameMember):
        await merge_members(one, other, reason="Again", at=LATER)
    with pytest.raises(NotMerged):
        await unmerge_members(one, one, at=LATER)


async def test_merges_in_a_row_lead_to_the_last_and_come_apart_from_the_end() -> None:
    first, second, third = [await shop.join() for _ in range(3)]
    for number in (first, second, third):
        await shop.give(number, 10)
    await merge_members(second, first, reason="The same person", at=LATER)
    await merge_members(third, second, reason="The same person", at=LATER)
    assert await member_of_card(first) == await member_of_card(third)
    assert await shop.balance_of(first) == 30
    with pytest.raises(NotMerged):
        await unmerge_members(third, first, at=LATER)
    await unmerge_members(third, second, at=LATER)
    await unmerge_members(second, first, at=LATER)
    assert [await shop.balance_of(number) for number in (first, second, third)] == [10, 10, 10]
    assert (await verify_ledger()).ok


async def test_a_household_is_shared_by_the_survivor_and_an_unmerge_gives_it_back() -> None:
    aisyah, again, mother = await shop.join("Aisyah"), await shop.join("Aisyah"), await shop.join("Siti")
    await share(mother, [again], at=shop.NOON)

    async def homes() -> list[tuple[str, int]]:
        rows = await database.rows(
            "SELECT c.number, h.household_id FROM loyalty.household_member h JOIN membership.card c USING (member_id) "
            "WHERE c.status = 'active' ORDER BY c.number"
        )
        return [(row["number"], row["household_id"]) for row in rows]

    before = await homes()
    await merge_members(aisyah, again, reason="one person", at=shop.NOON)
    assert [number for number, _ in await homes()] == sorted([aisyah, mother])
    await unmerge_members(aisyah, again, at=shop.NOON)
    assert await homes() == before


async def test_who_shared_a_household_already_stays_in_it_after_an_unmerge() -> None:
    aisyah, again, mother = await shop.join("Aisyah"), await shop.join("Aisyah"), await shop.join("Siti")
    await share(mother, [aisyah, again], at=shop.NOON)
    await merge_members(aisyah, again, reason="one person", at=shop.NOON)
    assert await database.value("SELECT count(*) FROM loyalty.household_member") == 2
    await unmerge_members(aisyah, again, at=shop.NOON)
    assert await database.value("SELECT count(*) FROM loyalty.household_member") == 3


async def test_what_a_rule_gave_to_either_counts_for_both_as_one_person() -> None:
    caps = Caps(member_max=15, member_day_max=12)
    await publish_rule(EarnRule(code="welcome", version=1, kind="bonus", fixed=10, caps=caps))
    one, other = await shop.join(), await shop.join()
    assert (await shop.sell(other, ("CUP", 1, 1000))).earned == 20
    assert (await shop.sell(one, ("CUP", 1, 1000), at=shop.NOON - timedelta(days=90))).earned == 20
    before = await database.rows("SELECT * FROM loyalty.rule_given ORDER BY 1, 2, 3")
    await merge_members(one, other, reason="One person", at=shop.NOON)
    assert (await quote(shop.basket(one, ("CUP", 1, 1000)))).settlement.award.points == 10
    await unmerge_members(one, other, at=shop.NOON)
    assert (await quote(shop.basket(one, ("CUP", 1, 1000)))).settlement.award.points == 15
    after = await database.rows("SELECT * FROM loyalty.rule_given WHERE points > 0 ORDER BY 1, 2, 3")
    assert after == before


async def test_a_limit_for_each_member_is_one_for_both_cards_of_a_person() -> None:
    one, other = await shop.join(), await shop.join()
    code = await shop.voucher(None, uses_max=None, member_uses_max=1)
    await publish_reward(RewardSent(code="tote", name="Tote", points=10, kind="product", sku="CUP", member_max=1))
    await shop.sell(other, ("CUP", 5, 1000), vouchers=[code])
    await capture((await hold(other, reward="tote", at=shop.NOON)).id, at=shop.NOON)
    await shop.give(one, 50)
    await merge_members(one, other, reason="One person", at=shop.NOON)
    with pytest.raises(VoucherRefused, match="as often as allowed"):
        await shop.sell(one, ("CUP", 5, 1000), vouchers=[code])
    with pytest.raises(RewardRefused, match="1 times at most"):
        await hold(one, reward="tote", at=shop.NOON)
    await unmerge_members(one, other, at=shop.NOON)
    await hold(one, reward="tote", at=shop.NOON)
    assert (await shop.sell(one, ("CUP", 5, 1000), vouchers=[code])).vouchers[0].applied
    with pytest.raises(VoucherRefused):
        await shop.sell(other, ("CUP", 5, 1000), vouchers=[code])
