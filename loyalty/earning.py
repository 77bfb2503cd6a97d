"""What a basket earns. Pure: rules, basket and context in, award and its explanation out."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any, Literal

import msgspec

from stores.money import shown


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a rule applies. An empty condition holds always; categories match as path prefixes (`food` holds `food/tea`)."""

    stores: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    weekdays: frozenset[int] = frozenset()
    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    spend_min: int = 0


class EarnRule(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a rule.

    A base rule gives `points` per `per` minor units. A bonus multiplies what the base gave on the lines it matches
    (thousandths, 2000 doubles) and adds `fixed`.
    """

    code: str
    version: int
    kind: Literal["base", "bonus"]
    points: int = 0
    per: int = 1
    multiplier_milli: int = 1000
    fixed: int = 0
    conditions: Conditions = Conditions()


class EarnLine(msgspec.Struct, frozen=True, kw_only=True):
    """What earning needs of a line. `amount` is minor units after every discount."""

    sku: str
    category: str
    brand: str
    kind: str
    amount: int


class EarnContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where, when and who. `cash_share` is the part of the total not paid with points."""

    currency: str
    store: str
    at_local: datetime
    tier: str | None = None
    tier_multiplier_milli: int = 1000
    cash_share: Fraction = Fraction(1)


class RulePoints(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule contributed, in words."""

    rule: str
    version: int
    points: int
    because: str


class Award(msgspec.Struct, frozen=True, kw_only=True):
    """The points of a basket and why. Rounded once, down, for the whole receipt."""

    points: int
    explanation: list[RulePoints]


def earn(rules: Sequence[EarnRule], lines: Sequence[EarnLine], context: EarnContext) -> Award:
    """The best base rule wins; tier and bonuses add to it.

    Fractions stay exact until the end: each rule is credited with what its part raises the rounded running sum by, so that
    the explanation sums to the award.
    """
    base = max(
        (
            (_worth(rule, lines, context), rule)
            for rule in rules
            if rule.kind == "base" and _applies(rule, lines, context)
        ),
        key=lambda pair: pair[0],
        default=None,
    )
    if base is None or base[0] == 0:
        return Award(points=0, explanation=[])
    worth, rule = base
    amount = shown(int(_eligible(rule, lines) * context.cash_share), context.currency)
    parts: list[tuple[str, int, Fraction, str]] = [
        (rule.code, rule.version, worth, f"{rule.points} per {shown(rule.per, context.currency)} on {amount}")
    ]
    if context.tier and context.tier_multiplier_milli > 1000:
        extra = worth * (context.tier_multiplier_milli - 1000) / 1000
        parts.append(
            (f"tier:{context.tier}", 1, extra, f"{context.tier} earns ×{context.tier_multiplier_milli / 1000:g}")
        )
    parts += [
        (bonus.code, bonus.version, *_bonus(bonus, rule, lines, context))
        for bonus in sorted(rules, key=lambda bonus: bonus.code)
        if bonus.kind == "bonus" and _applies(bonus, lines, context)
    ]
    return _rounded(parts)


def _rounded(parts: list[tuple[str, int, Fraction, str]]) -> Award:
    running, given, explanation = Fraction(0), 0, []
    for code, version, worth, because in parts:
        running += worth
        points = int(running) - given
        given += points
        explanation.append(RulePoints(rule=code, version=version, points=points, because=because))
    return Award(points=given, explanation=explanation)


def _bonus(bonus: EarnRule, base: EarnRule, lines: Sequence[EarnLine], context: EarnContext) -> tuple[Fraction, str]:
    matched = [line for line in lines if _matches(bonus.conditions, line)]
    extra = _worth(base, matched, context) * (bonus.multiplier_milli - 1000) / 1000
    said = [f"×{bonus.multiplier_milli / 1000:g}"] if bonus.multiplier_milli > 1000 else []
    said += [f"+{bonus.fixed}"] if bonus.fixed else []
    return extra + bonus.fixed, " and ".join(said)


def _applies(rule: EarnRule, lines: Sequence[EarnLine], context: EarnContext) -> bool:
    conditions = rule.conditions
    return (
        (not conditions.stores or context.store in conditions.stores)
        and (not conditions.tiers or context.tier in conditions.tiers)
        and (not conditions.weekdays or context.at_local.isoweekday() in conditions.weekdays)
        and any(_matches(conditions, line) for line in lines)
        and _eligible(rule, lines) >= max(conditions.spend_min, 1)
    )


def _matches(conditions: Conditions, line: EarnLine) -> bool:
    if line.kind != "goods":
        return False
    in_category = not conditions.categories or any(
        line.category == path or line.category.startswith(path + "/") for path in conditions.categories
    )
    return (
        in_category
        and (not conditions.brands or line.brand in conditions.brands)
        and (not conditions.skus or line.sku in conditions.skus)
    )


def _eligible(rule: EarnRule, lines: Sequence[EarnLine]) -> int:
    return sum(line.amount for line in lines if _matches(rule.conditions, line))


def _worth(rule: EarnRule, lines: Sequence[EarnLine], context: EarnContext) -> Fraction:
    return max(Fraction(0), _eligible(rule, lines) * context.cash_share * rule.points / rule.per)


def explained(award: Award, context: EarnContext) -> dict[str, Any]:
    """What an entry keeps of an award: enough to compute it again when part of the basket comes back."""
    return {
        "rules": msgspec.to_builtins(award.explanation),
        "at_local": context.at_local.isoformat(),
        "tier": context.tier,
        "tier_multiplier_milli": context.tier_multiplier_milli,
        "cash_share": [context.cash_share.numerator, context.cash_share.denominator],
    }
