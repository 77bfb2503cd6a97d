"""Birthdays: 29 February, a year that nobody knows, and the day as it is where the member's store stands."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

import database
from stores.chain import the_chain

DAYS_MAX: Final = 366


class Birthdays(msgspec.Struct, frozen=True, kw_only=True):
    """Days of the year (month x 100 + day) that are somebody's birthday within a span, for each time zone."""

    zones: Sequence[str]
    days: Sequence[int]


def celebrated(month: int, day: int, year: int) -> date:
    """The day a birthday falls on in a year: 29 February on the 28th when there is no 29th."""
    if (month, day) == (2, 29) and not _leap(year):
        day = 28
    return date(year, month, day)


def days_until(month: int, day: int, today: date) -> int:
    """How many days until the next birthday; 0 on the day itself."""
    this_year = celebrated(month, day, today.year)
    following = this_year if this_year >= today else celebrated(month, day, today.year + 1)
    return (following - today).days


def birth_days(day: date) -> list[int]:
    """Whose birthday a day is, as month x 100 + day."""
    own = day.month * 100 + day.day
    return [own, 229] if own == 228 and not _leap(day.year) else [own]


async def birthdays(at: datetime, *, within_days: int) -> Birthdays:
    """Birthdays from today to so many days later, where today is each store's own."""
    rows = await database.rows("SELECT DISTINCT time_zone FROM stores.store")
    zones, days = [], []
    for zone in {(await the_chain()).time_zone, *(row["time_zone"] for row in rows)}:
        today = at.astimezone(ZoneInfo(zone)).date()
        for offset in range(within_days + 1):
            for day in birth_days(today + timedelta(days=offset)):
                zones.append(zone)
                days.append(day)
    return Birthdays(zones=zones, days=days)


async def today_of(member_id: int, at: datetime) -> date:
    """Today's date where the member's home store stands, or the chain."""
    zone = await database.value(
        "SELECT coalesce(store.time_zone, chain.time_zone) FROM stores.chain, membership.member "
        "LEFT JOIN stores.store ON store.id = home_store_id WHERE member.id = $1",
        member_id,
    )
    return at.astimezone(ZoneInfo(zone)).date()


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
