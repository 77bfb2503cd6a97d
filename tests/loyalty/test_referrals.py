"""Members who bring members, and those who only seem to."""

from datetime import timedelta
from typing import Any

import pytest

import database
from api.privacy.erasing import erase
from errors import InvalidInput
from loyalty.merging import merge_members
from loyalty.nightly import run_nightly
from loyalty.referrals import ReferralRuleChange, change_referral_rule
from loyalty.verification import verify_ledger
from membership.cards import member_of_card
from membership.duplicates import Override
from membership.profiles import profile, timeline
from membership.referring import referrals_of
from membership.registration import Registration, Source, register
from tests import shop

AFTER = shop.NOON + timedelta(days=15)


@pytest.fixture(autouse=True)
async def _rule() -> None:
    await shop.open_shop()
    await change_referral_rule(
        ReferralRuleChange(active=True, spend_min=1000, window_days=14, referrer_points=500, referee_points=200)
    )


async def brought(by: str, **fields: Any) -> str:
    return await shop.join("Siti", referred_by=(await profile(by)).referral_code, **fields)


async def standing_of(by: str) -> list[tuple[str, str]]:
    return [(each.status, each.reason) for each in await referrals_of(await member_of_card(by))]


async def test_both_sides_are_rewarded_once_the_purchase_can_be_returned_no_more() -> None:
    one = await shop.join()
    other = await brought(one)
    await shop.sell(other, ("TEA", 1, 255))  # not worth it
    await shop.sell(other, ("CUP", 1, 1000))
    assert (await run_nightly(shop.NOON + timedelta(days=13))).referrals_rewarded == 0
    assert (await run_nightly(AFTER)).referrals_rewarded == 1
    assert (await run_nightly(AFTER)).referrals_rewarded == 0
    assert (await shop.balance_of(one), await shop.balance_of(other)) == (500, 200 + 12)
    assert await standing_of(one) == [("rewarded", "")]
    assert "referred" in {event.kind for event in await timeline(await member_of_card(one))}
    assert (await verify_ledger()).ok


async def test_a_return_inside_the_window_takes_the_reward_away_and_a_later_purchase_brings_it() -> None:
    one = await shop.join()
    other = await brought(one)
    sale = await shop.sell(other, ("CUP", 1, 1000))
    await shop.bring_back(sale, (1, 1), at=shop.NOON + timedelta(days=10))
    assert (await run_nightly(AFTER)).referrals_rewarded == 0
    await shop.sell(other, ("CUP", 2, 1000), at=AFTER)
    assert (await run_nightly(AFTER + timedelta(days=14))).referrals_rewarded == 1


async def test_ones_own_code_on_the_same_phone_is_refused_and_registers_all_the_same() -> None:
    one = await shop.join(phone="+60123456789")
    registration = Registration(
        name="Me Again",
        phone="0123456789",
        referred_by=(await profile(one)).referral_code,
        override=Override(reason="Family phone"),
    )
    await register(registration, source=Source(), at=shop.NOON, may_override=True)
    assert await standing_of(one) == [("refused", "shared phone or e-mail")]


async def test_a_shared_device_is_refused() -> None:
    one = await shop.join(device="telephone-1")
    await brought(one, device="telephone-1")
    assert await standing_of(one) == [("refused", "shared device")]
    await brought(one, device="telephone-2")
    await brought(one, device="telephone-2")
    assert (await standing_of(one)).count(("refused", "shared device")) == 2
    assert "telephone-1" not in str(await profile(one))


async def test_a_loop_is_refused() -> None:
    one = await shop.join(phone="+60123456789")
    second = await brought(one)
    registration = Registration(
        name="One Again",
        phone="0123456789",
        referred_by=(await profile(second)).referral_code,
        override=Override(reason="Family phone"),
    )
    await register(registration, source=Source(), at=shop.NOON, may_override=True)
    assert await standing_of(second) == [("refused", "loop")]


async def test_two_who_turn_out_to_be_one_earn_nothing() -> None:
    one = await shop.join()
    other = await brought(one)
    await shop.sell(other, ("CUP", 1, 1000))
    await merge_members(one, other, reason="The same person", at=shop.NOON)
    assert (await run_nightly(AFTER)).referrals_rewarded == 0
    assert await standing_of(one) == [("refused", "merged into one")]
    assert await shop.balance_of(one) == 10


async def test_a_referrer_is_rewarded_so_many_times_a_period_and_the_newcomers_always() -> None:
    await change_referral_rule(ReferralRuleChange(rewards_max=2, period_days=30))
    one = await shop.join()
    newcomers = [await brought(one) for _ in range(3)]
    for newcomer in newcomers:
        await shop.sell(newcomer, ("CUP", 1, 1000))
    assert (await run_nightly(AFTER)).referrals_rewarded == 3
    assert await shop.balance_of(one) == 1000
    assert [await shop.balance_of(newcomer) for newcomer in newcomers] == [210] * 3


async def test_a_code_that_is_nobodys_is_told_and_a_members_own_is_nobody_elses() -> None:
    with pytest.raises(InvalidInput, match="referred_by"):
        await shop.join(referred_by="NOBODYS234")
    codes = {(await profile(await shop.join())).referral_code for _ in range(20)}
    assert len(codes) == 20
    assert await database.value("SELECT count(*) FROM membership.referral") == 0


async def test_who_was_erased_meanwhile_earns_nothing() -> None:
    one = await shop.join()
    other = await brought(one)
    await shop.sell(other, ("CUP", 1, 1000))
    await erase(one, at=shop.NOON)
    assert (await run_nightly(AFTER)).referrals_rewarded == 0
    assert await database.value("SELECT reason FROM membership.referral") == "erased"
