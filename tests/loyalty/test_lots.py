"""Which points are spent first, and when they end."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

import database
from loyalty.lots import Lot, LotUse, Terms, available, expiry, pending, split_clawback, split_spend, usable

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KL = ZoneInfo("Asia/Kuala_Lumpur")


def lot(number: int, free: int, *, expires: int | None = None, starts: int = -10, receipt: int | None = None) -> Lot:
    day = timedelta(days=1)
    return Lot(
        id=number,
        free=free,
        activates_at=NOW + starts * day,
        expires_at=None if expires is None else NOW + expires * day,
        receipt_id=receipt,
    )


def test_earliest_expiry_first_never_expiring_last_oldest_first_among_equals() -> None:
    lots = [lot(1, 10), lot(2, 10, expires=30), lot(3, 10, expires=5), lot(4, 10, expires=5, starts=-20)]
    assert split_spend(lots, 35) == [LotUse(4, 10), LotUse(3, 10), LotUse(2, 10), LotUse(1, 5)]


def test_only_active_and_unexpired_points_can_be_spent() -> None:
    lots = [lot(1, 10, expires=0), lot(2, 10, starts=1), lot(3, 10, expires=1), lot(4, 10, starts=0)]
    assert [found.id for found in usable(lots, NOW)] == [3, 4]
    assert (available(lots, NOW), pending(lots, NOW)) == (20, 10)


def test_a_clawback_takes_the_purchase_s_own_lot_first_even_pending() -> None:
    lots = [lot(1, 10, expires=5), lot(2, 6, starts=3, receipt=7)]
    assert split_clawback(lots, 8, receipt_id=7, at=NOW, policy="within_balance") == [LotUse(2, 6), LotUse(1, 2)]


def test_a_clawback_takes_no_more_than_there_is() -> None:
    assert split_clawback([lot(1, 3)], 8, receipt_id=7, at=NOW, policy="within_balance") == [LotUse(1, 3)]


@pytest.mark.parametrize(
    ("activated", "months", "until"),
    [
        ("2025-01-31T12:00", 1, "2025-03-01"),  # to the end of February
        ("2024-01-31T12:00", 1, "2024-03-01"),
        ("2025-12-31T23:59", 12, "2027-01-01"),
        ("2025-06-01T00:00", 24, "2027-07-01"),
    ],
)
async def test_expiry_is_the_end_of_the_month_in_python_and_in_sql(activated: str, months: int, until: str) -> None:
    at = datetime.fromisoformat(activated).replace(tzinfo=KL)
    expected = datetime.fromisoformat(until).replace(tzinfo=KL)
    assert expiry(at, Terms(zone=KL, expiry_months=months)) == expected
    assert await database.value("SELECT loyalty.expiry($1, $2, 'Asia/Kuala_Lumpur', 'month')", at, months) == expected


def test_points_may_never_expire() -> None:
    assert expiry(NOW, Terms(zone=KL)) is None
