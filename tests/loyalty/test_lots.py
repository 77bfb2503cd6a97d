"""Which points are spent first, and when they end."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import database
from loyalty.lots import Lot, LotUse, Terms, activation, expiry, split_clawback, split_spend, usable

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


@pytest.mark.parametrize(
    ("policy", "uses"),
    [
        ("only_pending", [(3, 5)]),
        ("within_balance", [(3, 5), (4, 4), (2, 6), (1, 10)]),
        ("allow_debt", [(3, 5), (4, 4), (2, 6), (1, 10), (5, 7)]),
    ],
)
def test_a_clawback_takes_its_own_pending_its_own_active_what_can_be_spent_and_with_debt_what_is_pending(
    policy: Any, uses: list[tuple[int, int]]
) -> None:
    lots = [
        lot(1, 10),
        lot(2, 6, expires=3),
        lot(3, 5, starts=2, receipt=7),
        lot(4, 4, starts=0, receipt=7),
        lot(5, 7, starts=1, receipt=8),
        lot(6, 9, expires=0, receipt=9),  # gone
        lot(7, 0, starts=1),
        lot(8, 0, receipt=7),
    ]
    assert split_clawback(lots, 1000, receipt_id=7, at=NOW, policy=policy) == [LotUse(*use) for use in uses]


def test_a_clawback_stops_at_what_is_due() -> None:
    lots = [lot(1, 10), lot(2, 5, starts=2, receipt=7), lot(3, 4, receipt=7)]
    for points, uses in ((3, [(2, 3)]), (5, [(2, 5)]), (7, [(2, 5), (3, 2)]), (12, [(2, 5), (3, 4), (1, 3)])):
        taken = split_clawback(lots, points, receipt_id=7, at=NOW, policy="within_balance")
        assert taken == [LotUse(*use) for use in uses]


@pytest.mark.parametrize(
    ("rounding", "months", "until"),
    [
        ("none", 1, "2025-02-28T12:30"),
        ("none", 13, "2026-02-28T12:30"),
        ("none", 2, "2025-03-31T12:30"),
        ("none", 11, "2025-12-31T12:30"),
        ("none", 12, "2026-01-31T12:30"),
        ("month", 0, "2025-02-01T00:00"),
        ("month", 10, "2025-12-01T00:00"),
        ("month", 11, "2026-01-01T00:00"),
        ("quarter", 0, "2025-04-01T00:00"),
        ("quarter", 2, "2025-04-01T00:00"),
        ("quarter", 3, "2025-07-01T00:00"),
        ("quarter", 11, "2026-01-01T00:00"),
        ("year", 0, "2026-01-01T00:00"),
        ("year", 11, "2026-01-01T00:00"),
        ("year", 12, "2027-01-01T00:00"),
    ],
)
def test_points_of_31_january_end(rounding: Any, months: int, until: str) -> None:
    at = datetime(2025, 1, 31, 12, 30, tzinfo=KL)
    terms = Terms(zone=KL, expiry_months=months, expiry_rounding=rounding)
    assert expiry(at, terms) == datetime.fromisoformat(until).replace(tzinfo=KL)


def test_points_wait_for_days_a_date_or_an_event() -> None:
    assert activation(NOW, Terms(zone=KL, pending_days=3)) == (NOW + timedelta(days=3), None)
    date_to_come, gone = date(2026, 3, 10), date(2026, 3, 1)
    assert activation(NOW, Terms(zone=KL, pending_date=date_to_come)) == (datetime(2026, 3, 10, tzinfo=KL), None)
    assert activation(NOW, Terms(zone=KL, pending_date=gone)) == (NOW, None)
    waits, event = activation(NOW, Terms(zone=KL, pending_event="delivered", pending_days=3))
    assert event == "delivered"
    assert expiry(waits, Terms(zone=KL, expiry_months=1)) is None
