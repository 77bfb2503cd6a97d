"""What tiers should do, in plain Python: what somebody has, and since and until when."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

TIERS = {"silver": 5_000, "gold": 15_000}  # spent within so many months
TIER_MONTHS = 1


@dataclass
class ModelStanding:
    """What tier a member has earned and until when, and what was given by hand."""

    earned: str | None = None
    until: datetime | None = None
    granted: str | None = None
    granted_until: datetime | None = None
    shown: str | None = None
    since: datetime | None = None

    @property
    def tier(self) -> str | None:
        return higher(self.earned, self.granted)

    def settle(self, now: datetime) -> None:
        """Remember since when they have the tier that they have."""
        if self.tier != self.shown:
            self.shown, self.since = self.tier, now if self.tier else None


ORDER = [None, *TIERS]


def rank(tier: str | None) -> int:
    return ORDER.index(tier)


def higher(one: str | None, other: str | None) -> str | None:
    return ORDER[max(rank(one), rank(other))]


def tier_of(spent: int) -> str | None:
    return ORDER[sum(spent >= threshold for threshold in TIERS.values())]


def local_day(moment: datetime) -> date:
    return (moment + timedelta(hours=8)).date()


def months_after(day: date, months: int) -> date:
    """The same day of another month, or its last."""
    month = day.year * 12 + day.month - 1 + months
    for number in (day.day, 30, 29, 28):
        try:
            return date(month // 12, month % 12 + 1, number)
        except ValueError:
            continue
    raise AssertionError
