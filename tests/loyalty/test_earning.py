"""What a basket earns, and why. Pure."""

from datetime import UTC, datetime
from fractions import Fraction

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loyalty.earning import EarnContext, EarnLine, context_of, earn, explained, left_of, points_of, rules_of
from loyalty.rules import Caps, Conditions, EarnRule

BASE = EarnRule(code="base", version=3, kind="base", points=1, per=100)
MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


def line(amount: int, *, sku: str = "TEA", category: str = "drinks/tea", earns: bool = True) -> EarnLine:
    return EarnLine(sku=sku, category=category, brand="", amount=amount, quantity=1, earns=earns)


def context(**fields: object) -> EarnContext:
    return EarnContext(**{"currency": "MYR", "store": "KL01", "at_local": MONDAY, **fields})  # type: ignore[arg-type]  # a test's shorthand


def test_points_round_once_for_the_whole_receipt_and_down() -> None:
    assert earn([BASE], [line(150), line(150), line(99)], context()).points == 3


def test_a_point_that_is_short_by_the_smallest_part_is_not_given() -> None:
    """9.99 at one point a ringgit and a thousandth more is 9.99999."""
    slightly = EarnRule(code="slightly", version=1, kind="bonus", multiplier_milli=1001)
    assert earn([BASE, slightly], [line(999)], context()).points == 9


def test_the_explanation_says_rule_version_and_amount() -> None:
    award = earn([BASE], [line(1530)], context())
    said = award.explanation[0]
    assert (said.rule, said.version, said.points, said.because()) == ("base", 3, 15, "1 per MYR 1.00 on MYR 15.30")


def test_lines_that_do_not_earn_are_left_out() -> None:
    assert earn([BASE], [line(500, earns=False), line(200)], context()).points == 2


def test_what_was_paid_with_points_earns_nothing() -> None:
    assert earn([BASE], [line(1000)], context(cash=(3, 10))).points == 3


def test_the_best_base_rule_wins() -> None:
    better = EarnRule(code="better", version=1, kind="base", points=2, per=100)
    assert earn([BASE, better], [line(1000)], context()).points == 20


def test_a_multiplier_counts_only_on_the_lines_it_matches() -> None:
    double = EarnRule(
        code="tea",
        version=1,
        kind="bonus",
        multiplier_milli=2000,
        conditions=Conditions(categories=frozenset({"drinks"})),
    )
    award = earn([BASE, double], [line(1000), line(500, category="home")], context())
    assert award.points == 15 + 10
    assert [part.points for part in award.explanation] == [15, 10]


def test_a_category_does_not_match_another_that_begins_alike() -> None:
    double = EarnRule(
        code="d", version=1, kind="bonus", multiplier_milli=2000, conditions=Conditions(categories=frozenset({"drink"}))
    )
    assert earn([BASE, double], [line(1000)], context()).points == 10


def test_the_tier_multiplies_and_bonuses_add() -> None:
    fixed = EarnRule(code="fixed", version=1, kind="bonus", fixed=50)
    award = earn([BASE, fixed], [line(1000)], context(tier="gold", tier_multiplier_milli=1250))
    assert award.points == 10 + 2 + 50  # 12.5 rounds down with the rest: 62.5


def test_conditions_of_store_weekday_tier_and_spend() -> None:
    def bonus(**conditions: object) -> int:
        rule = EarnRule(code="b", version=1, kind="bonus", fixed=5, conditions=Conditions(**conditions))  # type: ignore[arg-type]
        return earn([BASE, rule], [line(1000)], context()).points - 10

    assert bonus(stores=frozenset({"KL01"})) == 5
    assert bonus(stores=frozenset({"JB02"})) == 0
    assert bonus(weekdays=frozenset({1})) == 5
    assert bonus(weekdays=frozenset({6, 7})) == 0
    assert bonus(tiers=frozenset({"gold"})) == 0
    assert bonus(spend_min=1000) == 5
    assert bonus(spend_min=1001) == 0


def test_a_fixed_bonus_needs_no_base_rule_and_a_multiplier_has_nothing_to_multiply() -> None:
    bonus = EarnRule(code="b", version=1, kind="bonus", fixed=5, multiplier_milli=3000)
    assert earn([bonus], [line(1000)], context()).points == 5


@given(
    st.lists(st.integers(0, 10**7), min_size=1, max_size=10),
    st.integers(1000, 10_000),
    st.integers(0, 500),
    st.fractions(0, 1, max_denominator=1000),
)
def test_the_explanation_always_sums_to_the_award(amounts: list[int], milli: int, fixed: int, share: Fraction) -> None:
    bonus = EarnRule(code="b", version=1, kind="bonus", multiplier_milli=milli, fixed=fixed)
    award = earn(
        [BASE, bonus], [line(amount) for amount in amounts], context(cash=(share.numerator, share.denominator))
    )
    assert sum(part.points for part in award.explanation) == award.points
    assert award.points >= 0


def test_a_bonus_by_the_item_counts_items_and_what_was_paid_with_money() -> None:
    cups = EarnLine(sku="CUP", category="home", brand="", amount=1200, quantity=3)
    bonus = EarnRule(code="each", version=1, kind="bonus", per_item=7)
    assert earn([BASE, bonus], [cups], context()).points == 12 + 21
    assert earn([BASE, bonus], [cups], context(cash=(1, 2))).points == 6 + 10  # 10.5
    assert earn([bonus], [cups], context(cash=(1, 3))).points == 7
    per = EarnRule(code="base", version=1, kind="base", points=2, per=300, per_item=1)
    assert earn([per, bonus], [cups], context(cash=(3, 4))).points == 24  # of 11 and 21 three quarters: 8.25 and 15.75


def test_what_caps_leave_is_the_tightest_of_them_and_never_below_nothing() -> None:
    caps = Caps(receipt_max=100, member_day_max=50, member_max=80, budget=1000)
    assert left_of(caps, in_day=0, ever=0, budget_given=0) == 50
    assert left_of(caps, in_day=20, ever=60, budget_given=0) == 20
    assert left_of(caps, in_day=0, ever=0, budget_given=995) == 5
    assert left_of(caps, in_day=60, ever=0, budget_given=0) == 0
    assert left_of(Caps(), in_day=9, ever=9, budget_given=9) is None
    assert left_of(Caps(receipt_max=7), in_day=9, ever=9, budget_given=9) == 7


def test_a_cap_takes_from_its_rule_alone_and_says_so() -> None:
    bonus = EarnRule(code="plus", version=1, kind="bonus", fixed=40)
    award = earn([BASE, bonus], [line(1000)], context(left={"plus": 15, "base": 10}))
    assert [(part.points, part.because()) for part in award.explanation] == [
        (10, "1 per MYR 1.00 on MYR 10.00"),
        (15, "+40, no more than 15 are left of the rule's limit"),
    ]


def test_the_day_s_maximum_is_a_line_of_its_own_that_takes_away() -> None:
    award = earn([BASE], [line(1000)], context(day_left=4))
    assert (award.points, [part.points for part in award.explanation]) == (4, [10, -6])
    assert earn([BASE], [line(1000)], context(day_left=10)).points == 10


def test_what_an_entry_keeps_is_enough_to_compute_it_again() -> None:
    rules = [BASE, EarnRule(code="first", version=2, kind="bonus", fixed=9, conditions=Conditions(first_purchase=True))]
    bought = context(
        region="North",
        channel="app",
        tier="gold",
        tier_multiplier_milli=1250,
        segments=frozenset({"Loyal"}),
        birthday=frozenset({"week"}),
        first_purchase=True,
        cash=(7, 9),
        left={"first": 8},
        day_left=500,
    )
    award = earn(rules, [line(9000)], bought)
    kept = msgspec.json.decode(msgspec.json.encode(explained(award, bought)))
    assert context_of(kept, currency="MYR", store="KL01", business_time=MONDAY) == bought
    assert rules_of(kept) == [("base", 3), ("first", 2)]
    assert points_of(kept) == award.explanation
    assert award.points == 70 + 17 + 8


def test_an_entry_from_before_there_were_reasons_reads_as_it_was_written() -> None:
    old = {"rules": [{"rule": "base", "version": 1, "points": 3, "because": "1 per MYR 1.00"}], "cash_share": [3, 10]}
    assert [part.because("ms") for part in points_of(old)] == ["1 per MYR 1.00"]
    assert rules_of(old) == [("base", 1)]
    found = context_of(old, currency="MYR", store="KL01", business_time=MONDAY)
    assert (found.cash, found.at_local, found.channel, found.tier_multiplier_milli) == ((3, 10), MONDAY, "store", 1000)


def test_a_tier_multiplies_by_the_thousandth() -> None:
    assert earn([BASE], [line(100_000)], context(tier="gold", tier_multiplier_milli=1250)).points == 1250
    assert earn([BASE], [line(100_000)], context(tier="gold", tier_multiplier_milli=1001)).points == 1001


def test_a_multiplier_is_exact_for_the_largest_baskets() -> None:
    double = EarnRule(code="double", version=1, kind="bonus", multiplier_milli=2000)
    award = earn([BASE, double], [line(123_456_700)], context(tier="gold", tier_multiplier_milli=1500))
    assert [part.points for part in award.explanation] == [1_234_567, 617_283, 1_234_567]
    assert award.points == 3_086_417
