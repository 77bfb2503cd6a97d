"""The cases that loyalty systems get wrong, each by its name."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

import database
from loyalty.accounts import report_event, top_up
from loyalty.blind_returns import take_back_blind
from loyalty.checkout import checkout
from loyalty.claiming import claim
from loyalty.earning import EarnContext, EarnLine, earn
from loyalty.errors import ClaimRefused, InsufficientPoints, RefundRefused, RewardRefused, VoucherRefused
from loyalty.lots import Terms, expiry
from loyalty.merging import merge_members
from loyalty.nightly import run_nightly
from loyalty.pricing import BasketLine
from loyalty.programme import define_tier, publish_rule, the_programme
from loyalty.redemption import capture, hold, refund
from loyalty.returns import cancel
from loyalty.rewards import RewardSent, publish_reward, rewards
from loyalty.rules import Caps, Conditions, EarnRule, birthdays_around, in_hours
from loyalty.sales import Basket
from loyalty.statement import tier_of
from loyalty.tiers import grant, withdraw
from membership.cards import member_of_card, replace_card
from membership.errors import CardReplaced
from membership.registration import BirthDate
from stores.catalogue import Product, stock
from tests import shop

KL = ZoneInfo("Asia/Kuala_Lumpur")
NOON = shop.NOON
OLD = datetime(2021, 3, 2, 12, tzinfo=UTC)  # long enough ago for two years to have passed


pytestmark = pytest.mark.usefixtures("whole_ledger")


def line(amount: int, sku: str = "TEA", category: str = "drinks/tea", **fields: Any) -> EarnLine:
    return EarnLine(sku=sku, category=category, brand="", amount=amount, quantity=1, **fields)


def rule(**fields: Any) -> EarnRule:
    return EarnRule(**{"code": "r", "version": 1, "kind": "bonus", **fields})


BASE = EarnRule(code="base", version=1, kind="base", points=1, per=100)


def context(at: datetime = NOON, **fields: Any) -> EarnContext:
    return EarnContext(currency="MYR", store="KL01", at_local=at, **fields)


# Returns


async def test_a_refund_does_not_keep_the_points() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 2, 1000))
    assert await shop.balance_of(member) == 20
    assert (await shop.bring_back(sale, (1, 2))).points_clawed_back == 20
    assert await shop.balance_of(member) == 0


@pytest.mark.parametrize("price", [99, 150, 333, 1001])
async def test_two_half_refunds_give_what_one_whole_does(price: int) -> None:
    one, other = await shop.join(), await shop.join()
    await shop.give(one, 500)
    await shop.give(other, 500)
    whole = await shop.sell(one, ("TEA", 2, price), ("CUP", 1, 1000), points_to_spend=77)
    halves = await shop.sell(other, ("TEA", 2, price), ("CUP", 1, 1000), points_to_spend=77)
    back = await shop.bring_back(whole, (1, 2))
    first, second = await shop.bring_back(halves, (1, 1)), await shop.bring_back(halves, (1, 1))
    for name in ("refund", "points_clawed_back", "points_given_back"):
        assert getattr(back, name) == getattr(first, name) + getattr(second, name), name
    assert await shop.balance_of(one) == await shop.balance_of(other)


async def test_a_return_recomputes_with_the_rule_that_is_left_when_a_minimum_is_missed() -> None:
    much = rule(code="much", kind="base", points=2, per=100, conditions=Conditions(spend_min=10_000))
    await publish_rule(much)
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 12, 1000))
    assert sale.earned == 240
    assert (await shop.bring_back(sale, (1, 3))).points_clawed_back == 150  # 90.00 stays, at one a ringgit
    assert await shop.balance_of(member) == 90


async def test_no_return_takes_more_than_was_earned_whatever_the_order() -> None:
    """The base that is best for the rest need not be the one that was best for the whole."""
    cups = Conditions(skus=frozenset({"CUP"}))
    await publish_rule(rule(code="cups", kind="base", points=2, per=100, conditions=cups))
    await publish_rule(rule(code="ten", multiplier_milli=10_000, conditions=cups))
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 10, 1000), ("TEA", 60, 255))
    first, second = await shop.bring_back(sale, (2, 60)), await shop.bring_back(sale, (1, 10))
    assert first.points_clawed_back + second.points_clawed_back == sale.earned
    assert await shop.balance_of(member) == 0


async def test_the_refund_of_a_redeemed_reward_gives_points_stock_and_takes_its_voucher() -> None:
    member = await shop.join()
    await shop.give(member, 600)
    await publish_reward(RewardSent(code="off", name="5 off", points=500, kind="amount_off", value=500, stock=1))
    taken = await capture((await hold(member, reward="off", at=NOON)).id, at=NOON)
    assert taken.voucher is not None
    assert await rewards(at=NOON) == []
    undone = await refund(taken.id, at=NOON)
    assert (undone.status, undone.available) == ("refunded", 600)
    assert [reward.left for reward in await rewards(at=NOON)] == [1]
    with pytest.raises(VoucherRefused, match="cancelled"):
        await shop.sell(member, ("CUP", 1, 1000), vouchers=[taken.voucher])
    assert (await refund(taken.id, at=NOON)).available == 600


async def test_a_reward_whose_voucher_was_used_is_not_refunded() -> None:
    member = await shop.join()
    await shop.give(member, 600)
    await publish_reward(RewardSent(code="off", name="5 off", points=500, kind="amount_off", value=500))
    taken = await capture((await hold(member, reward="off", at=NOON)).id, at=NOON)
    assert (await shop.sell(member, ("CUP", 1, 1000), vouchers=[str(taken.voucher)])).total == 500
    with pytest.raises(RefundRefused, match="has been used"):
        await refund(taken.id, at=NOON)


async def test_the_refund_of_a_gift_card_sale_takes_no_points_because_it_earned_none() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("GIFT", 1, 5000), ("CUP", 1, 1000))
    assert sale.earned == 10
    back = await shop.bring_back(sale, (1, 1))
    assert (back.refund, back.points_clawed_back) == (5000, 0)
    assert await shop.balance_of(member) == 10


async def test_a_voucher_does_not_buy_a_gift_card() -> None:
    code = await shop.voucher(None)
    with pytest.raises(VoucherRefused, match="none of the goods"):
        await shop.sell(None, ("GIFT", 1, 5000), vouchers=[code])


async def test_a_return_without_a_receipt_takes_what_such_goods_earn_and_never_more_than_there_is() -> None:
    member = await shop.join()
    await shop.sell(member, ("TEA", 2, 255))
    lines = [BasketLine(sku="CUP", quantity=1, unit_price=1000)]
    back = await take_back_blind(lines, store="KL01", till="T1", number="B1", business_time=NOON, member=member)
    assert (back.refund, back.points_clawed_back, back.points_not_recovered, back.usable) == (1000, 5, 5, 0)
    again = await take_back_blind(lines, store="KL01", till="T1", number="B1", business_time=NOON, member=member)
    assert (again.again, again.receipt_id) == (True, back.receipt_id)
    assert (again.points_clawed_back, again.points_not_recovered) == (5, 5)
    anonymous = await take_back_blind(lines, store="KL01", till="T1", number="B2", business_time=NOON)
    assert (anonymous.refund, anonymous.usable) == (1000, None)


async def test_a_return_is_computed_under_the_rule_version_of_its_sale() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 2, 1000))
    await publish_rule(rule(code="base", kind="base", points=5, per=100), valid_from=NOON + timedelta(hours=1))
    later = NOON + timedelta(days=1)
    assert (await shop.sell(member, ("CUP", 1, 1000), at=later)).earned == 50
    assert (await shop.bring_back(sale, (1, 1), at=later)).points_clawed_back == 10


@pytest.mark.parametrize(
    ("clawback", "taken", "owed", "not_recovered", "after"),
    [("only_pending", 0, 0, 20, 30), ("within_balance", 0, 0, 20, 30), ("allow_debt", 20, 20, 0, 10)],
)
async def test_a_clawback_of_points_already_spent_then_earning_again(
    clawback: str, taken: int, owed: int, not_recovered: int, after: int
) -> None:
    await shop.policy(clawback=clawback)
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 2, 1000))
    await capture((await hold(member, points=20, at=NOON)).id, at=NOON)
    back = await shop.bring_back(sale, (1, 2))
    assert (back.points_clawed_back, back.points_owed, back.points_not_recovered) == (taken, owed, not_recovered)
    assert await shop.balance_of(member) == -owed
    again = await shop.sell(member, ("CUP", 3, 1000))
    assert (again.earned, again.usable) == (30, after)
    assert await shop.balance_of(member) == after


async def test_only_pending_points_are_clawed_back_where_the_programme_says_so() -> None:
    await shop.policy(clawback="only_pending", pending_days=14)
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 2, 1000))
    assert (await shop.bring_back(sale, (1, 1))).points_clawed_back == 10
    late = await shop.bring_back(sale, (1, 1), at=NOON + timedelta(days=15))
    assert (late.points_clawed_back, late.points_not_recovered) == (0, 10)


async def test_a_debt_outlives_expiry_and_is_paid_by_pending_points_too() -> None:
    await shop.policy(clawback="allow_debt", expiry_months=1)
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 2, 1000))
    await capture((await hold(member, points=20, at=NOON)).id, at=NOON)
    await shop.bring_back(sale, (1, 2))
    later = NOON + timedelta(days=90)
    assert (await run_nightly(later)).points_expired == 0
    assert await shop.balance_of(member) == -20
    await shop.policy(pending_days=7)
    assert (await shop.sell(member, ("CUP", 3, 1000), at=later)).pending == 10
    assert await shop.balance_of(member) == 10


async def test_a_held_point_is_not_taken_for_a_debt_until_the_hold_is_settled() -> None:
    await shop.policy(clawback="allow_debt")
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 2, 1000))
    held = await hold(member, points=20, at=NOON)
    assert (await shop.bring_back(sale, (1, 2))).points_owed == 20
    assert await shop.balance_of(member) == 0
    assert (await run_nightly(NOON + timedelta(hours=1))).holds_expired == 1
    assert await database.value("SELECT debt FROM loyalty.account") == 0
    assert held.available == 0


async def test_points_restored_to_a_lot_that_expired_live_for_the_days_of_grace() -> None:
    member = await shop.join()
    await shop.give(member, 50, expires_at=NOON + timedelta(days=2))
    sale = await shop.sell(member, ("CUP", 1, 1000), points_to_spend=50)
    late = NOON + timedelta(days=10)
    await run_nightly(late)
    back = await shop.bring_back(sale, (1, 1), at=late)
    assert (back.points_given_back, back.usable) == (50, 50)
    assert (await run_nightly(late + timedelta(days=29))).points_expired == 0
    assert (await run_nightly(late + timedelta(days=30))).points_expired == 50


async def test_cancelling_a_sale_releases_its_voucher_and_a_return_does_not() -> None:
    member = await shop.join()
    code = await shop.voucher(member)
    returned = await shop.sell(member, ("CUP", 1, 1000), vouchers=[code])
    await shop.bring_back(returned, (1, 1))
    with pytest.raises(VoucherRefused, match="has been used"):
        await shop.sell(member, ("CUP", 1, 1000), vouchers=[code])
    await database.execute("UPDATE loyalty.voucher_use SET released_at = now()")
    await database.execute("UPDATE loyalty.voucher SET uses = 0")
    sale = await checkout(shop.basket(member, ("CUP", 2, 1000), vouchers=[code]), till="T1", number="X1")
    back = await cancel(sale.receipt_id, till="T1", number="X2", business_time=NOON)
    assert back.refund == 1500
    assert (await cancel(sale.receipt_id, till="T1", number="X2", business_time=NOON)).again
    assert (await shop.sell(member, ("CUP", 1, 1000), vouchers=[code])).total == 500


# What earns


def test_points_are_not_earned_on_the_part_paid_with_points() -> None:
    assert earn([BASE], [line(1000)], context(cash=(300, 1000))).points == 3
    assert earn([BASE, rule(fixed=50)], [line(1000)], context(cash=(0, 1000))).points == 0


async def test_points_are_not_earned_on_tax_where_the_programme_says_so_and_returns_agree() -> None:
    await shop.policy(earn_on_tax=False)
    member = await shop.join()
    basket = Basket(
        store="KL01",
        business_time=NOON,
        member=member,
        lines=[BasketLine(sku="CUP", quantity=2, unit_price=1060, tax=120)],
    )
    sale = await checkout(basket, till="T1", number="TAX")
    assert sale.earned == 20
    await shop.policy(earn_on_tax=True)  # the sale keeps to what it was computed with
    assert (await shop.bring_back(sale, (1, 1))).points_clawed_back == 10


async def test_points_are_not_earned_on_a_deposit_or_an_excluded_category() -> None:
    await stock(
        [Product(sku="BOTTLE", kind="deposit", price=50), Product(sku="SMOKE", category="tobacco/cigars", price=2000)]
    )
    await shop.policy(earn_excluded=["tobacco"])
    sale = await shop.sell(await shop.join(), ("CUP", 1, 1000), ("BOTTLE", 6, 50), ("SMOKE", 1, 2000))
    assert sale.earned == 10


def test_a_multiplier_and_a_bonus_both_match_and_add() -> None:
    rules = [
        BASE,
        rule(code="x2", multiplier_milli=2000),
        rule(code="x3", multiplier_milli=3000),
        rule(code="plus", fixed=7),
    ]
    award = earn(rules, [line(1000)], context(tier="gold", tier_multiplier_milli=1500))
    assert award.points == 10 + 5 + 10 + 20 + 7
    assert sum(part.points for part in award.explanation) == award.points


def test_a_category_is_excluded_and_a_sku_of_it_included() -> None:
    conditions = Conditions(
        excluded_categories=frozenset({"drinks"}), skus=frozenset({"TEA"}), categories=frozenset({"home"})
    )
    lines = [line(1000), line(500, sku="COLA", category="drinks/soft"), line(200, sku="CUP", category="home")]
    assert earn([BASE, rule(multiplier_milli=2000, conditions=conditions)], lines, context()).points == 17 + 12


def test_points_per_item_and_thousandths_round_once_and_down() -> None:
    per_item = EarnLine(sku="CUP", category="home", brand="", amount=999, quantity=3)
    assert earn([rule(kind="base", per_item=5)], [per_item], context()).points == 15
    assert earn([BASE, rule(multiplier_milli=1999)], [line(1000)], context()).points == 19  # 19.99
    assert earn([BASE, rule(multiplier_milli=1001)], [line(99_999)], context()).points == 1000  # 1000.98999


def test_happy_hour_across_midnight_belongs_to_the_day_it_began() -> None:
    late = Conditions(hours=frozenset({"22:00-02:00"}), weekdays=frozenset({5}))  # Friday
    friday = datetime(2026, 3, 6, tzinfo=KL)
    hits = {hour: in_hours(late, friday + timedelta(hours=hour)) for hour in (1, 21, 22, 23, 24, 25, 26)}
    assert hits == {1: False, 21: False, 22: True, 23: True, 24: True, 25: True, 26: False}


def test_happy_hour_across_a_clock_change_goes_by_the_clock_on_the_wall() -> None:
    hour = Conditions(hours=frozenset({"01:00-02:00"}))
    london = ZoneInfo("Europe/London")
    # 25 October 2026: 01:30 comes twice. 29 March 2026: the clock jumps from 01:00 to 02:00.
    twice = [datetime(2026, 10, 25, utc, 30, tzinfo=UTC).astimezone(london) for utc in (0, 1, 2)]
    assert [in_hours(hour, at) for at in twice] == [True, True, False]
    never = [
        datetime(2026, 3, 29, 0, minute, tzinfo=UTC) + timedelta(hours=utc) for utc in (0, 1) for minute in (0, 59)
    ]
    assert not any(in_hours(hour, at.astimezone(london)) for at in never)


def test_a_birthday_on_29_february_is_the_28th_in_other_years() -> None:
    assert birthdays_around(2, 29, datetime(2024, 2, 29).date()) == {"day", "week", "month"}  # noqa: DTZ001  (a day)
    assert birthdays_around(2, 29, datetime(2026, 2, 28).date()) == {"day", "week", "month"}  # noqa: DTZ001
    assert birthdays_around(2, 29, datetime(2026, 3, 1).date()) == {"week"}  # noqa: DTZ001
    assert birthdays_around(1, 1, datetime(2025, 12, 30).date()) == {"week"}  # noqa: DTZ001


async def test_a_birthday_bonus_and_a_first_purchase_bonus_are_given_once() -> None:
    await publish_rule(rule(code="birthday", fixed=100, conditions=Conditions(birthday="day")))
    await publish_rule(rule(code="first", fixed=30, conditions=Conditions(first_purchase=True)))
    member = await shop.join(birth=BirthDate(month=3, day=2))
    assert (await shop.sell(member, ("CUP", 1, 1000))).earned == 140
    assert (await shop.sell(member, ("CUP", 1, 1000), at=NOON + timedelta(days=1))).earned == 10


async def test_caps_bound_a_member_a_day_and_a_budget_and_returns_give_them_back() -> None:
    from loyalty.rules import Caps

    capped = rule(code="capped", fixed=40, caps=Caps(member_day_max=60, budget=100))
    await publish_rule(capped)
    one, other = await shop.join(), await shop.join()
    first = await shop.sell(one, ("CUP", 1, 1000))
    assert [first.earned, (await shop.sell(one, ("CUP", 1, 1000))).earned] == [
        50,
        30,
    ]  # 40, then 20 are left of the day
    assert (await shop.sell(other, ("CUP", 1, 1000))).earned == 50  # which empties the budget
    assert (await shop.sell(other, ("CUP", 1, 1000), at=NOON + timedelta(days=1))).earned == 10
    await shop.bring_back(first, (1, 1))
    assert (await shop.sell(other, ("CUP", 1, 1000), at=NOON + timedelta(days=1))).earned == 50
    assert await database.value("SELECT points FROM loyalty.rule_budget") == 100


async def test_a_member_earns_no_more_in_a_day_than_the_programme_allows() -> None:
    await shop.policy(member_day_max=25)
    member = await shop.join()
    assert [(await shop.sell(member, ("CUP", 2, 1000))).earned for _ in range(3)] == [20, 5, 0]
    assert (await shop.sell(member, ("CUP", 2, 1000), at=NOON + timedelta(days=1))).earned == 20


# Members, tiers, time


async def test_two_cards_of_one_member_are_one_balance() -> None:
    old, other = await shop.join(), await shop.join("Siti")
    await shop.sell(old, ("CUP", 1, 1000))
    new = await replace_card(old)
    with pytest.raises(CardReplaced):
        await shop.sell(old, ("CUP", 1, 1000))
    await shop.sell(other, ("CUP", 2, 1000))
    await merge_members(new, other, reason="One person", at=NOON)
    assert (await shop.sell(other, ("CUP", 1, 1000))).usable == 40
    assert (await shop.sell(new, ("CUP", 1, 1000), points_to_spend=40)).usable == 9


async def tiers() -> None:
    await define_tier(code="silver", name="Silver", rank=1, threshold=10_000)
    await define_tier(code="gold", name="Gold", rank=2, threshold=50_000, multiplier_milli=2000)


async def code_of(member: str, at: datetime) -> str | None:
    return (await tier_of(await member_of_card(member), at)).code


async def test_a_tier_that_is_not_earned_again_goes_down_a_level_when_its_period_ends() -> None:
    await tiers()
    member = await shop.join()
    assert (await shop.sell(member, ("CUP", 60, 1000), at=OLD)).tier.code == "gold"  # type: ignore[union-attr]  # there are tiers
    assert (await run_nightly(OLD + timedelta(days=364))).tiers_lost == 0
    assert (await run_nightly(OLD + timedelta(days=366))).tiers_lost == 1
    assert await code_of(member, OLD + timedelta(days=366)) == "silver"
    assert (await run_nightly(OLD + timedelta(days=366 + 370))).tiers_lost == 1
    kinds = await database.rows("SELECT kind FROM membership.event WHERE kind LIKE 'tier%' ORDER BY id")
    assert [row["kind"] for row in kinds] == ["tier_gained", "tier_lost", "tier_lost"]


@pytest.mark.parametrize(("downgrade", "after"), [("one_level", "silver"), ("re_evaluate", None)])
async def test_downgrade_is_one_level_or_what_is_reached(downgrade: str, after: str | None) -> None:
    await tiers()
    await shop.policy(tier_downgrade=downgrade, tier_period="calendar")
    member = await shop.join()
    await shop.sell(member, ("CUP", 60, 1000), at=OLD)
    new_year = datetime(2023, 1, 1, 1, tzinfo=KL)  # gold for the rest of 2021, and 2022
    assert (await run_nightly(new_year - timedelta(days=1))).tiers_lost == 0
    await run_nightly(new_year)
    assert await code_of(member, new_year) == after


async def test_grace_keeps_a_tier_for_days_in_which_it_can_be_earned_again() -> None:
    await tiers()
    await shop.policy(tier_grace_days=30)
    member = await shop.join()
    await shop.sell(member, ("CUP", 60, 1000), at=OLD)
    ends = OLD + timedelta(days=366)
    assert (await run_nightly(ends)).tiers_lost == 0
    await shop.sell(member, ("CUP", 50, 1000), at=ends)
    assert (await run_nightly(ends + timedelta(days=31))).tiers_lost == 0
    assert await code_of(member, ends + timedelta(days=31)) == "gold"


async def test_a_downgrade_due_on_the_day_of_an_upgrade_does_not_happen() -> None:
    await tiers()
    member = await shop.join()
    await shop.sell(member, ("CUP", 12, 1000), at=OLD)
    review = OLD + timedelta(days=366)
    assert (await shop.sell(member, ("CUP", 60, 1000), at=review)).tier.code == "gold"  # type: ignore[union-attr]
    night = await run_nightly(review + timedelta(hours=12))
    assert (night.tiers_gained, night.tiers_lost) == (0, 0)
    assert await code_of(member, review + timedelta(hours=12)) == "gold"


async def test_a_tier_given_by_hand_is_a_floor_until_its_day() -> None:
    await tiers()
    member = await shop.join()
    until = OLD + timedelta(days=30)
    programme = await the_programme()
    assert (await grant(member, "silver", until=until, programme=programme, at=OLD)).code == "silver"
    assert (await shop.sell(member, ("CUP", 60, 1000), at=OLD)).tier.code == "gold"  # type: ignore[union-attr]
    assert (await run_nightly(until)).tiers_lost == 0
    assert await code_of(member, until) == "gold"
    poor = await shop.join()
    await grant(poor, "gold", until=until, programme=programme, at=OLD)
    assert (await shop.sell(poor, ("CUP", 1, 1000), at=OLD)).earned == 20
    assert (await run_nightly(until)).tiers_lost == 1
    assert await code_of(poor, until) is None
    await grant(poor, "gold", until=until + timedelta(days=30), programme=programme, at=until)
    assert (await withdraw(poor, programme=programme, at=until)).code is None


async def test_returns_count_down_what_counts_towards_a_tier_on_the_day_it_was_bought() -> None:
    await tiers()
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 9, 1000), at=OLD)
    await shop.bring_back(sale, (1, 5), at=OLD + timedelta(days=3))
    assert (await shop.sell(member, ("CUP", 5, 1000), at=OLD + timedelta(days=4))).tier.code is None  # type: ignore[union-attr]


@pytest.mark.parametrize(("metric", "counted"), [("points", 19), ("visits", 2)])
async def test_tiers_count_points_or_visits_where_the_programme_says_so(metric: str, counted: int) -> None:
    await shop.policy(tier_metric=metric)
    await define_tier(code="silver", name="Silver", rank=1, threshold=counted + 1)
    member = await shop.join()
    await shop.sell(member, ("CUP", 1, 1000), at=OLD)
    gone = await shop.sell(member, ("CUP", 3, 1000), at=OLD)
    assert (await shop.sell(member, ("CUP", 1, 900), at=OLD)).tier.code == "silver"  # type: ignore[union-attr]
    await shop.bring_back(gone, (1, 3), at=OLD)
    assert (await tier_of(await member_of_card(member), OLD)).to_next is None
    row = await database.row("SELECT points, visits FROM loyalty.qualifying")
    assert (row["points"], row["visits"]) == (19, 2)


async def test_the_nightly_order_twice_or_after_three_days_off_does_the_same() -> None:
    await tiers()
    member = await shop.join()
    await shop.policy(pending_days=1, expiry_months=1, expiry_rounding="none")
    await shop.sell(member, ("CUP", 12, 1000))
    await hold_expiring(member)
    later = NOON + timedelta(days=60)
    first = await run_nightly(later)
    assert (first.lots_activated, first.holds_expired, first.points_expired) == (1, 1, 170)
    again = await run_nightly(later)
    assert set(msgspec.to_builtins(again).values()) == {0}


async def hold_expiring(member: str) -> None:
    await shop.give(member, 50, expires_at=NOON + timedelta(days=3))
    await hold(member, points=50, at=NOON)


@pytest.mark.parametrize(
    ("activated", "months", "rounding", "until"),
    [
        ("2026-01-31T12:00", 1, "none", "2026-02-28T12:00"),
        ("2024-01-31T12:00", 1, "none", "2024-02-29T12:00"),
        ("2026-02-28T12:00", 12, "none", "2027-02-28T12:00"),
        ("2026-01-31T12:00", 1, "month", "2026-03-01T00:00"),
        ("2026-01-31T12:00", 1, "quarter", "2026-04-01T00:00"),
        ("2026-01-31T12:00", 1, "year", "2027-01-01T00:00"),
        ("2025-12-31T23:59", 0, "quarter", "2026-01-01T00:00"),
    ],
)
async def test_month_end_arithmetic_in_python_and_in_sql(
    activated: str, months: int, rounding: Any, until: str
) -> None:
    at, expected = (datetime.fromisoformat(text).replace(tzinfo=KL) for text in (activated, until))
    assert expiry(at, Terms(zone=KL, expiry_months=months, expiry_rounding=rounding)) == expected
    assert (
        await database.value("SELECT loyalty.expiry($1, $2, 'Asia/Kuala_Lumpur', $3)", at, months, rounding) == expected
    )


async def test_points_wait_for_a_date_or_an_event_and_expire_from_then() -> None:
    member = await shop.join()
    await shop.policy(pending_date=datetime(2026, 4, 1).date())  # noqa: DTZ001  (a day)
    sale = await shop.sell(member, ("CUP", 1, 1000))
    assert (sale.pending, sale.usable) == (10, 0)
    assert (await shop.sell(member, ("CUP", 1, 1000), at=datetime(2026, 4, 1, 9, tzinfo=KL))).usable == 20
    await shop.policy(pending_date=None, pending_event="delivered")
    waiting = await shop.sell(member, ("CUP", 1, 1000))
    assert waiting.pending == 30  # with the two before, of which the day has not come
    assert await report_event(waiting.receipt_id, "delivered", at=NOON) == 10
    assert await report_event(waiting.receipt_id, "delivered", at=NOON) == 0
    expires = await database.value("SELECT expires_at FROM loyalty.lot WHERE receipt_id = $1", waiting.receipt_id)
    assert expires == datetime(2028, 4, 1, tzinfo=KL)


async def test_a_sale_is_not_paid_with_the_points_that_it_earns() -> None:
    member = await shop.join()
    await shop.give(member, 5)  # without end, so that what ends is spent before it
    with pytest.raises(InsufficientPoints):
        await shop.sell(member, ("CUP", 1, 1000), points_to_spend=6)
    sale = await shop.sell(member, ("CUP", 1, 1000), points_to_spend=5)
    lots = await database.rows("SELECT remaining FROM loyalty.lot ORDER BY id")
    assert ([row["remaining"] for row in lots], sale.earned) == ([0, 9], 9)


async def test_a_receipt_is_claimed_once_by_its_number_and_total() -> None:
    member, other = await shop.join(), await shop.join()
    sale = await shop.sell(None, ("CUP", 3, 1000), number="A77")
    await shop.bring_back(sale, (1, 1))
    with pytest.raises(ClaimRefused, match="number and total"):
        await claim(member, store="KL01", receipt_number="A77", total=2999, at=NOON)
    claimed = await claim(member, store="KL01", receipt_number="A77", total=3000, at=NOON + timedelta(days=3))
    assert (claimed.earned, claimed.balance) == (20, 20)
    with pytest.raises(ClaimRefused, match="already"):
        await claim(other, store="KL01", receipt_number="A77", total=3000, at=NOON + timedelta(days=3))
    assert (await shop.bring_back(sale, (1, 1))).points_clawed_back == 10
    await shop.sell(None, ("CUP", 1, 1000), number="OLD")
    with pytest.raises(ClaimRefused, match="older than 30 days"):
        await claim(member, store="KL01", receipt_number="OLD", total=1000, at=NOON + timedelta(days=31))


async def test_a_claim_is_bound_by_the_caps_of_its_day_like_a_sale() -> None:
    await publish_rule(
        EarnRule(code="base", version=1, kind="base", points=1, per=100, caps=Caps(member_day_max=25, budget=40))
    )
    member, other = await shop.join(), await shop.join()
    for number in ("A1", "A2", "A3"):
        await shop.sell(None, ("CUP", 2, 1000), number=number)
    claims = [
        await claim(who, store="KL01", receipt_number=number, total=2000, at=NOON)
        for who, number in ((member, "A1"), (member, "A2"), (other, "A3"))
    ]
    assert [one.earned for one in claims] == [20, 5, 15]
    assert (await shop.sell(member, ("CUP", 1, 1000))).earned == 0
    assert await database.value("SELECT points FROM loyalty.rule_budget WHERE code = 'base'") == 40


async def test_a_reward_has_stock_limits_a_tier_and_stores() -> None:
    await tiers()
    member, other = await shop.join(), await shop.join()
    await shop.give(member, 500)
    await shop.give(other, 500)
    tote = RewardSent(
        code="tote", name="Tote", points=50, kind="product", sku="CUP", stock=2, member_max=1, member_days=30
    )
    await publish_reward(tote)
    await capture((await hold(member, reward="tote", at=NOON)).id, at=NOON)
    with pytest.raises(RewardRefused, match="1 times at most within 30 days"):
        await hold(member, reward="tote", at=NOON)
    await hold(other, reward="tote", at=NOON)
    with pytest.raises(RewardRefused, match="none are left"):
        await hold(member, reward="tote", at=NOON + timedelta(days=31))
    await publish_reward(msgspec.structs.replace(tote, stock=None, tier_min="silver", stores=frozenset({"JB02"})))
    with pytest.raises(RewardRefused, match="this store"):
        await hold(member, reward="tote", store="KL01", at=NOON + timedelta(days=31))
    with pytest.raises(RewardRefused, match="silver and above"):
        await hold(member, reward="tote", store="JB02", at=NOON + timedelta(days=31))


async def test_vouchers_have_scope_stacking_and_limits_and_say_which_kept_them_out() -> None:
    member = await shop.join()
    tea = await shop.voucher(
        None, kind="percent_off", value=50, scope={"skus": ["TEA"]}, batch="tea", uses_max=None, member_uses_max=1
    )
    lone = await shop.voucher(member, stacking="alone", batch="lone")
    sale = await shop.sell(member, ("TEA", 2, 500), ("CUP", 1, 1000), vouchers=[tea])
    assert sale.discount == 500
    with pytest.raises(VoucherRefused, match="as often as allowed"):
        await shop.sell(member, ("TEA", 2, 500), vouchers=[tea])
    with pytest.raises(VoucherRefused, match="needs a member"):
        await shop.sell(None, ("TEA", 2, 500), vouchers=[tea])
    friend = await shop.join()
    with pytest.raises(VoucherRefused, match="none of the goods"):
        await shop.sell(friend, ("CUP", 1, 1000), vouchers=[tea])
    free = await shop.voucher(None, batch="free")
    with pytest.raises(VoucherRefused, match="does not go with another"):
        await shop.sell(member, ("CUP", 2, 1000), vouchers=[free, lone])
    elsewhere = await shop.voucher(None, scope={"stores": ["JB02"]}, batch="jb")
    with pytest.raises(VoucherRefused, match="not for this store"):
        await shop.sell(member, ("CUP", 2, 1000), vouchers=[elsewhere])


async def test_a_household_spends_from_one_pool_and_every_use_says_whose_it_was() -> None:
    from loyalty.households import join as share

    mother, father = await shop.join("Siti"), await shop.join("Ahmad")
    await shop.give(mother, 30, expires_at=NOON + timedelta(days=5))
    await shop.give(father, 30, expires_at=NOON + timedelta(days=9))
    await share(mother, [father], at=NOON)
    sale = await shop.sell(father, ("CUP", 1, 1000), points_to_spend=40)
    assert (await shop.balance_of(mother), await shop.balance_of(father)) == (0, 20 + sale.earned)
    said = await database.value(
        "SELECT explanation->>'spent_by' FROM loyalty.entry WHERE kind = 'spend' ORDER BY id LIMIT 1"
    )
    assert int(said) == await member_of_card(father)
    assert (await shop.bring_back(sale, (1, 1))).points_given_back == 40
    assert (await shop.balance_of(mother), await shop.balance_of(father)) == (30, 30)


async def test_stored_value_pays_goes_back_where_it_was_and_earns_like_money() -> None:
    await shop.policy(topup_bonus_milli=100)
    member = await shop.join()
    assert (await top_up(member, 5000, at=NOON)).balance == 5500
    sale = await shop.sell(member, ("CUP", 2, 1000), stored_value_to_spend=1500)
    assert (sale.due, sale.stored_value, sale.earned) == (500, 1500, 20)
    back = await shop.bring_back(sale, (1, 1))
    assert (back.refund, back.stored_value) == (250, 750)
    assert await database.value("SELECT balance FROM loyalty.account WHERE unit = 'money'") == 4750
