"""What a basket earns, and why. Pure."""

from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from loyalty.earning import Conditions, EarnContext, EarnLine, EarnRule, earn

BASE = EarnRule(code="base", version=3, kind="base", points=1, per=100)
MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


def line(amount: int, *, sku: str = "TEA", category: str = "drinks/tea", kind: str = "goods") -> EarnLine:
    return EarnLine(sku=sku, category=category, brand="", kind=kind, amount=amount)


def context(**fields: object) -> EarnContext:
    return EarnContext(**{"currency": "MYR", "store": "KL01", "at_local": MONDAY, **fields})  # type: ignore[arg-type]  # a test's shorthand


def test_points_round_once_for_the_whole_receipt_and_down() -> None:
    assert earn([BASE], [line(150), line(150), line(99)], context()).points == 3


def test_the_explanation_says_rule_version_and_amount() -> None:
    award = earn([BASE], [line(1530)], context())
    said = award.explanation[0]
    assert (said.rule, said.version, said.points, said.because) == ("base", 3, 15, "1 per MYR 1.00 on MYR 15.30")


def test_services_and_gift_cards_earn_nothing() -> None:
    assert earn([BASE], [line(500, kind="service"), line(5000, kind="gift_card"), line(200)], context()).points == 2


def test_what_was_paid_with_points_earns_nothing() -> None:
    assert earn([BASE], [line(1000)], context(cash_share=Fraction(3, 10))).points == 3


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


def test_without_a_base_rule_nothing_is_earned() -> None:
    assert earn([EarnRule(code="b", version=1, kind="bonus", fixed=5)], [line(1000)], context()).points == 0


@given(
    st.lists(st.integers(0, 10**7), min_size=1, max_size=10),
    st.integers(1000, 10_000),
    st.integers(0, 500),
    st.fractions(0, 1, max_denominator=1000),
)
def test_the_explanation_always_sums_to_the_award(amounts: list[int], milli: int, fixed: int, share: Fraction) -> None:
    bonus = EarnRule(code="b", version=1, kind="bonus", multiplier_milli=milli, fixed=fixed)
    award = earn([BASE, bonus], [line(amount) for amount in amounts], context(cash_share=share))
    assert sum(part.points for part in award.explanation) == award.points
    assert award.points >= 0
