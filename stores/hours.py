"""When a store is open, and how much of a time that is. Pure: zone and moments are arguments."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from errors import InvalidInput

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Span = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$")]
Hours = dict[Weekday, Annotated[list[Span], msgspec.Meta(max_length=5)]]

_DAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEARCH_DAYS_MAX: Final = 400


def check_hours(hours: Hours) -> None:
    """Raises `InvalidInput` unless the spans of each day follow one another."""
    for day, spans in hours.items():
        ends = [half for span in spans for half in span.split("-")]
        if any(one >= other for one, other in pairwise(ends)):
            raise InvalidInput(field=f"hours.{day}", why="spans such as 10:00-13:00 have to follow one another")
    if hours and not any(hours.values()):
        raise InvalidInput(field="hours", why="a store that is never open; leave hours away for one that always is")


def open_seconds(hours: Hours, zone: ZoneInfo, start: datetime, end: datetime) -> int:
    """Seconds between two moments at which the store was open."""
    if not hours:
        return max(0, int((end - start).total_seconds()))
    seconds = 0.0
    for opens, closes in _spans(hours, zone, start):
        if opens >= end:
            break
        seconds += max(0.0, (min(closes, end) - max(opens, start)).total_seconds())
    return int(seconds)


def after_open_seconds(hours: Hours, zone: ZoneInfo, start: datetime, seconds: int) -> datetime:
    """When the store has been open for so long since `start`."""
    if not hours or seconds <= 0:
        return start + timedelta(seconds=max(0, seconds))
    closes, left = start, seconds
    for opens, closes in _spans(hours, zone, start):
        begins = max(opens, start)
        here = max(0, int((closes - begins).total_seconds()))
        if here >= left:
            return begins + timedelta(seconds=left)
        left -= here
    return closes


def _spans(hours: Hours, zone: ZoneInfo, start: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Spans from the day of `start` on, as moments. Through UTC, because a day may have 23 hours or 25."""
    first = start.astimezone(zone).date()
    for offset in range(SEARCH_DAYS_MAX):
        day = first + timedelta(days=offset)
        for span in hours.get(_DAYS[day.weekday()], []):
            opens, closes = span.split("-")
            yield _moment(day, opens, zone), _moment(day, closes, zone)


def _moment(day: date, clock: str, zone: ZoneInfo) -> datetime:
    if clock == "24:00":
        day, clock = day + timedelta(days=1), "00:00"
    return datetime.combine(day, time.fromisoformat(clock), zone).astimezone(UTC)
