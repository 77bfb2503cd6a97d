"""What a rule may say, and when it holds: the edges of hours, weekdays, birthdays and bounds. Pure."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from errors import InvalidInput
from loyalty.rules import Caps, Conditions, RuleSent, birthdays_around, checked, in_hours, minutes_of

MONDAY = date(2026, 3, 2)


def at(clock: str, day: date = MONDAY) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "holds", "fails"),
    [
        ("10:00-12:30", ("10:00", "11:15", "12:29"), ("09:59", "12:30", "23:00", "00:00")),
        ("22:15-02:30", ("22:15", "23:59", "00:00", "02:29"), ("22:14", "02:30", "12:00")),
        ("00:00-24:00", ("00:00", "12:00", "23:59"), ()),
        ("23:00-24:00", ("23:00", "23:59"), ("22:59", "00:00")),
        ("23:59-00:01", ("23:59", "00:00"), ("00:01", "23:58")),
    ],
)
def test_a_window_holds_from_its_first_minute_to_before_its_last(
    window: str, holds: tuple[str, ...], fails: tuple[str, ...]
) -> None:
    conditions = Conditions(hours=frozenset({window}))
    assert [clock for clock in holds if not in_hours(conditions, at(clock))] == []
    assert [clock for clock in fails if in_hours(conditions, at(clock))] == []


def test_a_window_in_minutes() -> None:
    assert minutes_of("00:00-24:00") == (0, 1440)
    assert minutes_of("21:07-09:58") == (21 * 60 + 7, 9 * 60 + 58)


@pytest.mark.parametrize(
    ("weekdays", "window", "clock", "day", "holds"),
    [
        ({1}, "10:00-12:00", "11:00", 2, True),
        ({1}, "10:00-12:00", "11:00", 3, False),
        ({1}, "22:00-02:00", "23:00", 2, True),
        ({1}, "22:00-02:00", "01:00", 3, True),  # Tuesday's small hours are Monday's night
        ({1}, "22:00-02:00", "01:00", 2, False),
        ({1}, "22:00-02:00", "23:00", 3, False),
        ({7}, "22:00-02:00", "01:00", 2, True),  # and Monday's are Sunday's
        ({7}, "22:00-02:00", "01:00", 3, False),
        ({2}, "22:00-02:00", "01:00", 4, True),
        ({1}, None, "01:00", 2, True),
        ({2, 3}, None, "01:00", 2, False),
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_it_began(
    weekdays: set[int], window: str | None, clock: str, day: int, holds: bool
) -> None:
    conditions = Conditions(weekdays=frozenset(weekdays), hours=frozenset({window}) if window else frozenset())
    assert in_hours(conditions, at(clock, date(2026, 3, day))) is holds


def test_any_of_several_windows_will_do() -> None:
    conditions = Conditions(hours=frozenset({"08:00-09:00", "17:00-18:00"}))
    assert [clock for clock in ("08:30", "12:00", "17:30") if in_hours(conditions, at(clock))] == ["08:30", "17:30"]


@pytest.mark.parametrize(
    ("month", "day", "today", "around"),
    [
        (3, 2, "2026-03-02", {"day", "week", "month"}),
        (3, 2, "2026-03-08", {"week", "month"}),  # Sunday of the same week
        (3, 2, "2026-03-09", {"month"}),
        (3, 2, "2026-03-01", {"month"}),
        (3, 8, "2026-03-02", {"week", "month"}),
        (3, 9, "2026-03-08", {"month"}),
        (3, 2, "2026-04-02", set()),
        (1, 1, "2025-12-29", {"week"}),  # the week runs into the next year
        (12, 31, "2026-01-01", {"week"}),
        (12, 28, "2026-01-01", set()),
        (2, 29, "2026-02-28", {"day", "week", "month"}),
        (2, 29, "2026-02-27", {"week", "month"}),
        (2, 29, "2024-02-29", {"day", "week", "month"}),
        (2, 29, "2024-02-28", {"week", "month"}),
        (2, 29, "2000-02-29", {"day", "week", "month"}),
        (2, 29, "2100-02-28", {"day", "week", "month"}),
        (2, 28, "2024-02-28", {"day", "week", "month"}),
        (3, 29, "2026-03-29", {"day", "week", "month"}),
        (3, None, "2026-03-02", {"month"}),
        (4, None, "2026-03-02", set()),
        (None, None, "2026-03-02", set()),
    ],
)
def test_a_birthday_s_day_week_and_month(month: int | None, day: int | None, today: str, around: set[str]) -> None:
    assert birthdays_around(month, day, date.fromisoformat(today)) == around


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"kind": "base"}, "points"),
        ({"kind": "base", "points": 1, "fixed": 5}, "kind"),
        ({"kind": "base", "points": 1, "multiplier_milli": 1001}, "kind"),
        ({"kind": "bonus", "points": 1, "fixed": 1}, "kind"),
        ({"kind": "bonus", "per": 2, "fixed": 1}, "kind"),
        ({"kind": "bonus"}, "multiplier_milli"),
        ({"kind": "bonus", "fixed": 1, "conditions": {"hours": ["10:00-10:00"]}}, "conditions.hours"),
        ({"kind": "base", "points": 1, "per": 100}, None),
        ({"kind": "base", "per_item": 1}, None),
        ({"kind": "bonus", "multiplier_milli": 1001}, None),
        ({"kind": "bonus", "fixed": 1}, None),
        ({"kind": "bonus", "per_item": 1}, None),
        ({"kind": "bonus", "fixed": 1, "conditions": {"hours": ["10:00-10:01", "22:00-02:00"]}}, None),
    ],
)
def test_a_rule_that_could_give_nothing_or_says_what_its_kind_cannot_is_refused(
    fields: dict[str, Any], refused: str | None
) -> None:
    sent = msgspec.convert({"code": "one", **fields}, RuleSent)
    if refused is None:
        rule = checked(sent, version=4)
        assert (rule.version, rule.kind, rule.points, rule.conditions) == (4, sent.kind, sent.points, sent.conditions)
    else:
        with pytest.raises(InvalidInput) as error:
            checked(sent)
        assert error.value.facts["field"] == refused


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("points", 0, 1_000_000),
        ("per", 1, 10**12),
        ("per_item", 0, 1_000_000),
        ("multiplier_milli", 1000, 10_000),
        ("fixed", 0, 1_000_000),
        ("conditions.spend_min", 0, 10**12),
        ("caps.receipt_max", 1, 10**12),
        ("caps.member_day_max", 1, 10**12),
        ("caps.member_max", 1, 10**12),
        ("caps.budget", 1, 10**12),
        ("conditions.weekdays", 1, 7),
    ],
)
def test_numbers_of_a_rule_have_bounds(field: str, least: int, most: int) -> None:
    def sent(value: int) -> RuleSent:
        outer, _, inner = field.rpartition(".")
        said: Any = [value] if inner == "weekdays" else value
        return msgspec.convert(
            {"code": "one", "kind": "base", **({outer: {inner: said}} if outer else {inner: said})}, RuleSent
        )

    assert sent(least) != sent(most)
    for outside in (least - 1, most + 1):
        with pytest.raises(msgspec.ValidationError):
            sent(outside)


def test_a_rule_has_neutral_defaults() -> None:
    rule = checked(msgspec.convert({"code": "one", "kind": "bonus", "fixed": 1}, RuleSent))
    assert (rule.points, rule.per, rule.per_item, rule.multiplier_milli, rule.version) == (0, 1, 0, 1000, 0)
    assert rule.active
    assert rule.conditions == Conditions()
    assert rule.conditions.spend_min == 0
    assert not rule.conditions.first_purchase


def test_a_cap_on_a_receipt_needs_no_memory_of_what_was_given() -> None:
    assert not Caps().counted
    assert not Caps(receipt_max=1).counted
    assert all(Caps(**{name: 1}).counted for name in ("member_day_max", "member_max", "budget"))


def test_any_goods_is_every_line_that_earns() -> None:
    assert Conditions(stores=frozenset({"KL01"}), spend_min=5).any_goods
    for name in ("categories", "brands", "skus", "excluded_categories", "excluded_brands", "excluded_skus"):
        assert not Conditions(**{name: frozenset({"x"})}).any_goods
