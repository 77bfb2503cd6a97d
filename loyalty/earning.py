"""What a basket earns. Pure: rules, basket and context in, award and its explanation out.

Everything here grows with the basket: goods that come back never raise what the rest earns, whatever the rules. That is why
the best base rule is the one whose award is the largest, bonuses and caps included, and why returns can simply recompute.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from loyalty.rules import Birthday, Caps, Conditions, EarnRule, in_hours
from loyalty.wording import Language, Reason, joined, times
from stores.money import shown


class EarnLine(msgspec.Struct, frozen=True, kw_only=True):
    """What earning needs of a line. `amount` is minor units after every discount, tax taken off where it does not count;
    `earns` is false for what no rule may reward: services, gift cards, deposits, excluded categories."""

    sku: str
    category: str
    brand: str
    amount: int
    quantity: int
    earns: bool = True


class EarnContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where, when and who.

    `cash` is the part of the total not paid with points, as numerator and denominator. `left` is what the caps of rules leave
    of them, by code, and `day_left` what the member may still earn today by all of them; None has no bound.
    """

    currency: str
    store: str
    at_local: datetime
    region: str = ""
    channel: str = "store"
    tier: str | None = None
    tier_multiplier_milli: int = 1000
    segments: frozenset[str] = frozenset()
    birthday: frozenset[Birthday] = frozenset()
    first_purchase: bool = False
    cash: tuple[int, int] = (1, 1)
    left: Mapping[str, int] = {}
    day_left: int | None = None


class RulePoints(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule contributed, and why."""

    rule: str
    version: int
    points: int
    reasons: list[Reason]

    def because(self, language: Language = "en") -> str:
        """The reasons in words."""
        return joined(self.reasons, language)


class Award(msgspec.Struct, frozen=True, kw_only=True):
    """The points of a basket and why. Rounded once, down, for the whole receipt. `applied` are the rules that held, whether
    they won or not: what is computed anew after a return is computed from these."""

    points: int = 0
    explanation: list[RulePoints] = []
    applied: list[tuple[str, int]] = []


class _Reach(msgspec.Struct, frozen=True):
    """The lines that a rule matches: their amounts, items, and which they are."""

    rule: EarnRule
    amount: int
    items: int
    lines: frozenset[int]


class _Part(msgspec.Struct, frozen=True):
    """What a rule gives before rounding, in units of 1 / the award's scale."""

    code: str
    version: int
    worth: int
    reasons: list[Reason]


def earn(rules: Sequence[EarnRule], lines: Sequence[EarnLine], context: EarnContext) -> Award:
    """The best base rule wins; tier and bonuses add to it.

    Nothing is rounded before the end: each rule is credited with what its part raises the rounded running sum by, so that the
    explanation sums to the award.
    """
    if context.cash[0] <= 0:
        return Award()
    reaches = [reach for rule in rules if (reach := _reach(rule, lines, context)) is not None]
    bonuses = sorted((reach for reach in reaches if reach.rule.kind == "bonus"), key=lambda reach: reach.rule.code)
    bases = sorted((reach for reach in reaches if reach.rule.kind == "base"), key=lambda reach: reach.rule.code)
    awards = [_award(base, bonuses, lines, context) for base in bases] or [_award(None, bonuses, lines, context)]
    points, explanation = max(awards, key=lambda award: award[0])
    if points <= 0:
        return Award()
    applied = [(reach.rule.code, reach.rule.version) for reach in (*bases, *bonuses)]
    return Award(points=points, explanation=explanation, applied=applied)


def _reach(rule: EarnRule, lines: Sequence[EarnLine], context: EarnContext) -> _Reach | None:
    """What a rule matches, or None when it does not apply."""
    conditions = rule.conditions
    if not _here(conditions, context):
        return None
    matched = frozenset(
        place for place, line in enumerate(lines) if line.amount > 0 and line.earns and matches(conditions, line)
    )
    amount = sum(lines[place].amount for place in matched)
    if amount < max(conditions.spend_min, 1):
        return None
    return _Reach(rule, amount, sum(lines[place].quantity for place in matched), matched)


def _here(conditions: Conditions, context: EarnContext) -> bool:
    return (
        (not conditions.stores or context.store in conditions.stores)
        and (not conditions.regions or context.region in conditions.regions)
        and (not conditions.channels or context.channel in conditions.channels)
        and (not conditions.tiers or context.tier in conditions.tiers)
        and (not conditions.segments or not conditions.segments.isdisjoint(context.segments))
        and (conditions.birthday is None or conditions.birthday in context.birthday)
        and (not conditions.first_purchase or context.first_purchase)
        and in_hours(conditions, context.at_local)
    )


def matches(conditions: Conditions, line: EarnLine) -> bool:
    """Whether a line is among the goods of a rule or voucher: the SKU decides before the brand and the category."""
    if line.sku in conditions.excluded_skus:
        return False
    if line.sku in conditions.skus:
        return True
    if conditions.skus and not (conditions.categories or conditions.brands):
        return False
    return (
        not _under(line.category, conditions.excluded_categories)
        and line.brand not in conditions.excluded_brands
        and (not conditions.categories or _under(line.category, conditions.categories))
        and (not conditions.brands or line.brand in conditions.brands)
    )


def _under(category: str, paths: frozenset[str]) -> bool:
    return any(category == path or category.startswith(path + "/") for path in paths)


def _award(
    base: _Reach | None, bonuses: Sequence[_Reach], lines: Sequence[EarnLine], context: EarnContext
) -> tuple[int, list[RulePoints]]:
    scale = (base.rule.per if base else 1) * context.cash[1] * 1000
    parts = _base_parts(base, context, scale) if base else []
    parts += [_bonus_part(bonus, base, lines, context, scale) for bonus in bonuses]
    explanation = _rounded([_capped(part, context, scale) for part in parts], scale)
    points = sum(part.points for part in explanation)
    if context.day_left is not None and points > context.day_left:
        over = context.day_left - points
        said = [Reason("day_max", {"points": context.day_left})]
        explanation.append(RulePoints(rule="day_max", version=1, points=over, reasons=said))
        points = context.day_left
    return points, explanation


def _base_parts(base: _Reach, context: EarnContext, scale: int) -> list[_Part]:
    rule = base.rule
    worth = _worth(rule, base.amount, base.items, context)
    reasons = []
    if rule.points:
        facts = {
            "points": rule.points,
            "per": shown(rule.per, context.currency),
            "amount": shown(base.amount * context.cash[0] // context.cash[1], context.currency),
        }
        reasons.append(Reason("rate", facts))
    if rule.per_item:
        reasons.append(Reason("per_item", {"points": rule.per_item, "items": base.items}))
    parts = [_Part(rule.code, rule.version, worth, reasons)]
    if context.tier and context.tier_multiplier_milli > 1000:
        said = Reason("tier", {"tier": context.tier, "times": times(context.tier_multiplier_milli)})
        extra = worth // 1000 * (context.tier_multiplier_milli - 1000)
        parts.append(_Part(f"tier:{context.tier}", 1, extra, [said]))
    return parts


def _worth(rule: EarnRule, amount: int, items: int, context: EarnContext) -> int:
    """What a base rule gives, times `per` and the denominator of `cash` and 1000: a whole number, and a multiple of 1000."""
    return (amount * rule.points + items * rule.per_item * rule.per) * context.cash[0] * 1000


def _bonus_part(
    bonus: _Reach, base: _Reach | None, lines: Sequence[EarnLine], context: EarnContext, scale: int
) -> _Part:
    rule, worth, reasons = bonus.rule, 0, []
    if rule.multiplier_milli > 1000 and base is not None:
        both = bonus.lines & base.lines
        amount, items = sum(lines[place].amount for place in both), sum(lines[place].quantity for place in both)
        worth += _worth(base.rule, amount, items, context) // 1000 * (rule.multiplier_milli - 1000)
        reasons.append(Reason("times", {"times": times(rule.multiplier_milli)}))
    if rule.fixed:
        worth += rule.fixed * scale
        reasons.append(Reason("plus", {"points": rule.fixed}))
    if rule.per_item:
        worth += bonus.items * rule.per_item * context.cash[0] * (scale // context.cash[1])
        reasons.append(Reason("per_item", {"points": rule.per_item, "items": bonus.items}))
    return _Part(rule.code, rule.version, worth, reasons)


def _capped(part: _Part, context: EarnContext, scale: int) -> _Part:
    left = context.left.get(part.code)
    if left is None or part.worth <= left * scale:
        return part
    return _Part(part.code, part.version, left * scale, [*part.reasons, Reason("capped", {"points": left})])


def _rounded(parts: Sequence[_Part], scale: int) -> list[RulePoints]:
    running, given, explanation = 0, 0, []
    for part in parts:
        running += part.worth
        points = running // scale - given
        given += points
        explanation.append(RulePoints(rule=part.code, version=part.version, points=points, reasons=part.reasons))
    return explanation


def left_of(caps: Caps, *, in_day: int, ever: int, budget_given: int) -> int | None:
    """What a rule can still give, from what it gave this member today and ever and everybody together; None has no bound."""
    bounds = [
        max(0, most - given)
        for most, given in (
            (caps.receipt_max, 0),
            (caps.member_day_max, in_day),
            (caps.member_max, ever),
            (caps.budget, budget_given),
        )
        if most is not None
    ]
    return min(bounds, default=None)


def explained(award: Award, context: EarnContext) -> dict[str, Any]:
    """What an entry keeps of an award: enough to compute it again when part of the basket comes back."""
    kept = {
        "rules": [
            {"rule": part.rule, "version": part.version, "points": part.points, "because": part.because()}
            | {"reasons": [[reason.key, reason.facts] for reason in part.reasons]}
            for part in award.explanation
        ],
        "applied": award.applied,
        "at_local": context.at_local.isoformat(),
        "region": context.region,
        "channel": context.channel,
        "tier": context.tier,
        "tier_multiplier_milli": context.tier_multiplier_milli,
        "segments": sorted(context.segments),
        "birthday": sorted(context.birthday),
        "first_purchase": context.first_purchase,
        "cash": list(context.cash),
        "left": dict(context.left),
        "day_left": context.day_left,
    }
    return {name: value for name, value in kept.items() if value not in (None, [], {}, "", False)}


def context_of(explanation: dict[str, Any], *, currency: str, store: str, business_time: datetime) -> EarnContext:
    """The context that an entry was awarded in."""
    at_local = explanation.get("at_local")
    numerator, denominator = explanation.get("cash") or explanation.get("cash_share") or (1, 1)
    return EarnContext(
        currency=currency,
        store=store,
        at_local=datetime.fromisoformat(at_local) if at_local else business_time,
        region=explanation.get("region", ""),
        channel=explanation.get("channel", "store"),
        tier=explanation.get("tier"),
        tier_multiplier_milli=explanation.get("tier_multiplier_milli", 1000),
        segments=frozenset(explanation.get("segments", ())),
        birthday=frozenset(explanation.get("birthday", ())),
        first_purchase=explanation.get("first_purchase", False),
        cash=(numerator, denominator),
        left=explanation.get("left", {}),
        day_left=explanation.get("day_left"),
    )


def rules_of(explanation: dict[str, Any]) -> list[tuple[str, int]]:
    """The rule versions to compute an award from again; of old entries those that contributed."""
    applied = explanation.get("applied") or [(part["rule"], part["version"]) for part in explanation["rules"]]
    return [(code, version) for code, version in applied]


def points_of(explanation: dict[str, Any]) -> list[RulePoints]:
    """An award's explanation as it was given; entries from before there were reasons say it in English."""
    return [
        RulePoints(
            rule=part["rule"],
            version=part["version"],
            points=part["points"],
            reasons=[Reason(key, facts) for key, facts in part["reasons"]]
            if "reasons" in part
            else [Reason("plain", {"text": part["because"]})],
        )
        for part in explanation["rules"]
    ]
