"""Birthdays that are not as simple as a date."""

from datetime import UTC, date, datetime

import pytest

from membership.birthdays import birth_days, birthdays, celebrated, days_until
from membership.profiles import members
from membership.registration import BirthDate
from stores.branches import BranchChange, change_store
from tests import shop


def test_29_february_is_celebrated_on_the_28th_when_there_is_no_29th() -> None:
    assert celebrated(2, 29, 2027) == date(2027, 2, 28)
    assert celebrated(2, 29, 2028) == date(2028, 2, 29)
    assert birth_days(date(2027, 2, 28)) == [228, 229]
    assert birth_days(date(2028, 2, 28)) == [228]
    assert birth_days(date(2100, 2, 28)) == [228, 229]


@pytest.mark.parametrize(
    ("month", "day", "today", "days"),
    [
        (5, 31, date(2026, 5, 31), 0),
        (5, 31, date(2026, 6, 1), 364),
        (1, 1, date(2026, 12, 31), 1),
        (2, 29, date(2027, 2, 27), 1),
        (2, 29, date(2027, 3, 1), 365),
    ],
)
def test_the_next_birthday_is_so_many_days_away(month: int, day: int, today: date, days: int) -> None:
    assert days_until(month, day, today) == days


async def test_a_birthday_begins_at_midnight_of_the_home_store_and_needs_no_year() -> None:
    await shop.open_shop()
    await change_store("JB02", BranchChange(time_zone="America/Los_Angeles"))
    birth = BirthDate(month=3, day=3)
    east = await shop.join("Aisyah", birth=birth, home_store="KL01")
    west = await shop.join("Muthu", birth=birth, home_store="JB02")
    await shop.join(birth=BirthDate(month=3, day=5))

    async def born(at: datetime, days: int = 0) -> set[str]:
        return {each.number for each in await members(born=await birthdays(at, within_days=days))}

    assert await born(datetime(2026, 3, 2, 16, 0, tzinfo=UTC)) == {east}
    assert await born(datetime(2026, 3, 3, 9, 0, tzinfo=UTC)) == {east, west}
    assert await born(datetime(2026, 3, 4, 6, 0, tzinfo=UTC)) == {west}
    assert len(await born(datetime(2026, 3, 3, 9, 0, tzinfo=UTC), days=2)) == 3
