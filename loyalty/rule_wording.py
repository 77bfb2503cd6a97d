"""Earn rules in plain language, in the four languages: what a marketer reads before publishing, and a cashier when asked."""

from collections.abc import Collection
from typing import Final

from loyalty.rules import Conditions, EarnRule
from loyalty.wording import Language, times
from stores.money import shown

_WORDS: Final[dict[str, dict[Language, str]]] = {
    "rate": {
        "en": "{points} point{s} for every {per} spent",
        "ms": "{points} mata bagi setiap {per} yang dibelanjakan",
        "zh-Hans": "每消费 {per} 得 {points} 分",
        "zh-Hant": "每消費 {per} 得 {points} 點",
    },
    "per_item": {
        "en": "{points} point{s} for each item",
        "ms": "{points} mata bagi setiap barang",
        "zh-Hans": "每件商品得 {points} 分",
        "zh-Hant": "每件商品得 {points} 點",
    },
    "times": {
        "en": "{times} times the base points",
        "ms": "{times} kali mata asas",
        "zh-Hans": "基础积分的 {times} 倍",
        "zh-Hant": "基礎點數的 {times} 倍",
    },
    "fixed": {
        "en": "{points} extra point{s}",
        "ms": "{points} mata tambahan",
        "zh-Hans": "额外 {points} 分",
        "zh-Hant": "額外 {points} 點",
    },
    "stores": {"en": "in {names}", "ms": "di {names}", "zh-Hans": "在 {names}", "zh-Hant": "在 {names}"},
    "regions": {
        "en": "in the region {names}",
        "ms": "di wilayah {names}",
        "zh-Hans": "在 {names} 地区",
        "zh-Hant": "在 {names} 地區",
    },
    "channels": {
        "en": "through {names}",
        "ms": "melalui {names}",
        "zh-Hans": "通过 {names} 渠道",
        "zh-Hant": "透過 {names} 通路",
    },
    "tiers": {
        "en": "for members of {names}",
        "ms": "bagi ahli {names}",
        "zh-Hans": "限 {names} 会员",
        "zh-Hant": "限 {names} 會員",
    },
    "segments": {
        "en": "for the segment {names}",
        "ms": "bagi segmen {names}",
        "zh-Hans": "限 {names} 客群",
        "zh-Hant": "限 {names} 客群",
    },
    "weekdays": {"en": "on {names}", "ms": "pada {names}", "zh-Hans": "逢{names}", "zh-Hant": "逢{names}"},
    "hours": {
        "en": "between {names}",
        "ms": "antara {names}",
        "zh-Hans": "{names} 时段",
        "zh-Hant": "{names} 時段",
    },
    "birthday_day": {"en": "on their birthday", "ms": "pada hari jadi", "zh-Hans": "生日当天", "zh-Hant": "生日當天"},
    "birthday_week": {
        "en": "in the week of their birthday",
        "ms": "dalam minggu hari jadi",
        "zh-Hans": "生日当周",
        "zh-Hant": "生日當週",
    },
    "birthday_month": {
        "en": "in the month of their birthday",
        "ms": "dalam bulan hari jadi",
        "zh-Hans": "生日当月",
        "zh-Hant": "生日當月",
    },
    "first_purchase": {
        "en": "on the first purchase",
        "ms": "pada belian pertama",
        "zh-Hans": "首次购买",
        "zh-Hant": "首次購買",
    },
    "categories": {
        "en": "on the categories {names}",
        "ms": "untuk kategori {names}",
        "zh-Hans": "限 {names} 类商品",
        "zh-Hant": "限 {names} 類商品",
    },
    "brands": {
        "en": "on the brands {names}",
        "ms": "untuk jenama {names}",
        "zh-Hans": "限 {names} 品牌",
        "zh-Hant": "限 {names} 品牌",
    },
    "skus": {
        "en": "on the products {names}",
        "ms": "untuk produk {names}",
        "zh-Hans": "限商品 {names}",
        "zh-Hant": "限商品 {names}",
    },
    "excluded": {
        "en": "but not on {names}",
        "ms": "kecuali {names}",
        "zh-Hans": "不含 {names}",
        "zh-Hant": "不含 {names}",
    },
    "spend_min": {
        "en": "from {amount} of these goods",
        "ms": "bermula {amount} barang tersebut",
        "zh-Hans": "此类商品满 {amount}",
        "zh-Hant": "此類商品滿 {amount}",
    },
    "receipt_max": {
        "en": "at most {points} on one receipt",
        "ms": "paling banyak {points} bagi satu resit",
        "zh-Hans": "每单最多 {points} 分",
        "zh-Hant": "每單最多 {points} 點",
    },
    "member_day_max": {
        "en": "at most {points} a member and day",
        "ms": "paling banyak {points} bagi seorang ahli sehari",
        "zh-Hans": "每位会员每天最多 {points} 分",
        "zh-Hant": "每位會員每天最多 {points} 點",
    },
    "member_max": {
        "en": "at most {points} a member in all",
        "ms": "paling banyak {points} bagi seorang ahli keseluruhannya",
        "zh-Hans": "每位会员累计最多 {points} 分",
        "zh-Hant": "每位會員累計最多 {points} 點",
    },
    "budget": {
        "en": "until {points} have been given to everybody together",
        "ms": "sehingga {points} diberikan kepada semua orang",
        "zh-Hans": "全部发放满 {points} 分为止",
        "zh-Hant": "全部發放滿 {points} 點為止",
    },
    "ended": {"en": "ended", "ms": "tamat", "zh-Hans": "已结束", "zh-Hant": "已結束"},
}
_WEEKDAYS: Final[dict[Language, tuple[str, ...]]] = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "ms": ("Isnin", "Selasa", "Rabu", "Khamis", "Jumaat", "Sabtu", "Ahad"),
    "zh-Hans": ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    "zh-Hant": ("週一", "週二", "週三", "週四", "週五", "週六", "週日"),
}
_AND: Final[dict[Language, str]] = {"en": " and ", "ms": " dan ", "zh-Hans": "及", "zh-Hant": "及"}
_COMMA: Final[dict[Language, str]] = {"en": ", ", "ms": ", ", "zh-Hans": "、", "zh-Hant": "、"}
_BREAK: Final[dict[Language, str]] = {"en": ", ", "ms": ", ", "zh-Hans": "，", "zh-Hant": "，"}
_NAMED: Final = ("stores", "regions", "channels", "tiers", "segments", "categories", "brands", "skus")


def describe(rule: EarnRule, currency: str, language: Language) -> str:
    """What a rule gives, when and how much at most, in a sentence."""
    said = [_effects(rule, currency, language), *_conditions(rule.conditions, currency, language)]
    said += [
        _say(cap, language, points=f"{most:,}")
        for cap in ("receipt_max", "member_day_max", "member_max", "budget")
        if (most := getattr(rule.caps, cap)) is not None
    ]
    sentence = _BREAK[language].join(said)
    return sentence if rule.active else f"{sentence} ({_say('ended', language)})"


def _effects(rule: EarnRule, currency: str, language: Language) -> str:
    effects = []
    if rule.points:
        effects.append(_say("rate", language, **_counted(rule.points), per=shown(rule.per, currency)))
    if rule.multiplier_milli > 1000:
        effects.append(_say("times", language, times=times(rule.multiplier_milli)))
    if rule.fixed:
        effects.append(_say("fixed", language, **_counted(rule.fixed)))
    if rule.per_item:
        effects.append(_say("per_item", language, **_counted(rule.per_item)))
    return _AND[language].join(effects)


def _conditions(conditions: Conditions, currency: str, language: Language) -> list[str]:
    said = [
        _say(name, language, names=_list(getattr(conditions, name), language))
        for name in _NAMED
        if getattr(conditions, name)
    ]
    if conditions.weekdays:
        names = _COMMA[language].join(_WEEKDAYS[language][day - 1] for day in sorted(conditions.weekdays))
        said.append(_say("weekdays", language, names=names))
    if conditions.hours:
        said.append(
            _say("hours", language, names=_list([hour.replace("-", "–") for hour in conditions.hours], language))
        )
    if conditions.birthday is not None:
        said.append(_say(f"birthday_{conditions.birthday}", language))
    if conditions.first_purchase:
        said.append(_say("first_purchase", language))
    if conditions.spend_min:
        said.append(_say("spend_min", language, amount=shown(conditions.spend_min, currency)))
    excluded = [*conditions.excluded_categories, *conditions.excluded_brands, *conditions.excluded_skus]
    if excluded:
        said.append(_say("excluded", language, names=_list(excluded, language)))
    return said


def _counted(points: int) -> dict[str, str]:
    """A number of points, and the ending of their noun in English; the other languages have no plural."""
    return {"points": f"{points:,}", "s": "" if points == 1 else "s"}


def _list(names: Collection[str], language: Language) -> str:
    return _COMMA[language].join(sorted(names))


def _say(key: str, language: Language, **facts: object) -> str:
    return _WORDS[key][language].format_map(facts)
