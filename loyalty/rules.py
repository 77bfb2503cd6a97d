"""What an earn rule says: its conditions, its effects and its caps. Pure; `earning.py` applies rules, `programme.py` keeps them."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal

import msgspec

from errors import InvalidInput

Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}$")]
Window = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
Points = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
Birthday = Literal["day", "week", "month"]


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a rule applies. An empty condition holds always; categories match as path prefixes (`food` holds `food/tea`).

    Of goods the more specific wins: a SKU that is named counts even when its category is excluded. `hours` are wall-clock
    windows of the store, `22:00-02:00` runs past midnight and belongs to the weekday (1 is Monday) it began on.
    """

    stores: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    weekdays: frozenset[Annotated[int, msgspec.Meta(ge=1, le=7)]] = frozenset()
    hours: frozenset[Window] = frozenset()
    birthday: Birthday | None = None
    first_purchase: bool = False
    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    excluded_categories: frozenset[str] = frozenset()
    excluded_brands: frozenset[str] = frozenset()
    excluded_skus: frozenset[str] = frozenset()
    spend_min: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 0

    @property
    def any_goods(self) -> bool:
        """Whether every line that earns at all matches."""
        return not (
            self.categories
            or self.brands
            or self.skus
            or self.excluded_categories
            or self.excluded_brands
            or self.excluded_skus
        )


class Caps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much a rule gives at most, in points: on one receipt, to one member in a day or ever, to everybody together."""

    receipt_max: Limit | None = None
    member_day_max: Limit | None = None
    member_max: Limit | None = None
    budget: Limit | None = None

    @property
    def counted(self) -> bool:
        """Whether what it gave before has to be known."""
        return any(cap is not None for cap in (self.member_day_max, self.member_max, self.budget))


class EarnRule(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a rule.

    A base rule gives `points` per `per` minor units and `per_item` for each item. A bonus multiplies what the base gave on the
    lines it matches (thousandths, 2000 doubles) and adds `fixed`, and `per_item` for each item. A version that is not active ends
    the rule.
    """

    code: str
    version: int
    kind: Literal["base", "bonus"]
    name: str = ""
    points: int = 0
    per: int = 1
    per_item: int = 0
    multiplier_milli: int = 1000
    fixed: int = 0
    conditions: Conditions = Conditions()
    caps: Caps = Caps()
    active: bool = True


class RuleSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as it is written down: a new one, or the next version of the one of that code."""

    code: Code
    kind: Literal["base", "bonus"]
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    points: Points = 0
    per: Annotated[int, msgspec.Meta(ge=1, le=10**12)] = 1
    per_item: Points = 0
    multiplier_milli: Annotated[int, msgspec.Meta(ge=1000, le=10_000)] = 1000
    fixed: Points = 0
    conditions: Conditions = Conditions()
    caps: Caps = Caps()
    active: bool = True


def checked(sent: RuleSent, *, version: int = 0) -> EarnRule:
    """The rule that was sent. Raises `InvalidInput` for one that could never give anything, or says what a kind cannot."""
    base = sent.kind == "base"
    if base and not (sent.points or sent.per_item):
        raise InvalidInput(field="points", why="a base rule gives points for an amount, or per_item")
    if base and (sent.fixed or sent.multiplier_milli != 1000):
        raise InvalidInput(field="kind", why="only a bonus has a multiplier or fixed points")
    if not base and (sent.points or sent.per != 1):
        raise InvalidInput(field="kind", why="only a base rule has points per amount; a bonus multiplies or adds")
    if not base and sent.multiplier_milli == 1000 and not (sent.fixed or sent.per_item):
        raise InvalidInput(field="multiplier_milli", why="a bonus multiplies above 1000 thousandths, or adds points")
    for window in sent.conditions.hours:
        if len(set(minutes_of(window))) == 1:
            raise InvalidInput(field="conditions.hours", why=f"{window} is empty; the whole day is 00:00-24:00")
    return EarnRule(**{name: getattr(sent, name) for name in RuleSent.__struct_fields__}, version=version)


@lru_cache(maxsize=4096)
def minutes_of(window: str) -> tuple[int, int]:
    """Start and end of `22:00-02:00` in minutes of the day."""
    start, end = ((int(text[:2]) * 60 + int(text[3:])) for text in window.split("-"))
    return start, end


def in_hours(conditions: Conditions, at_local: datetime) -> bool:
    """Whether weekday and hour fit, by the wall clock: an hour that a clock change repeats counts twice, one it skips never."""
    weekdays, today = conditions.weekdays, at_local.isoweekday()
    if not conditions.hours:
        return not weekdays or today in weekdays
    minute = at_local.hour * 60 + at_local.minute
    yesterday = today - 1 or 7
    for window in conditions.hours:
        start, end = minutes_of(window)
        if start < end:
            if start <= minute < end and (not weekdays or today in weekdays):
                return True
        elif (minute >= start and (not weekdays or today in weekdays)) or (
            minute < end and (not weekdays or yesterday in weekdays)
        ):
            return True
    return False


def birthdays_around(month: int | None, day: int | None, today: date) -> frozenset[Birthday]:
    """Which of a birthday's day, week (Monday to Sunday) and month hold today. 29 February is the 28th in other years."""
    if month is None:
        return frozenset()
    around: set[Birthday] = {"month"} if today.month == month else set()
    if day is not None:
        monday = today - timedelta(days=today.isoweekday() - 1)
        dates = {_on(year, month, day) for year in {monday.year, (monday + timedelta(days=6)).year}}
        if today in dates:
            around.add("day")
        if any(monday <= birthday < monday + timedelta(days=7) for birthday in dates):
            around.add("week")
    return frozenset(around)


def _on(year: int, month: int, day: int) -> date:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return date(year, month, 28 if (month, day) == (2, 29) and not leap else day)
