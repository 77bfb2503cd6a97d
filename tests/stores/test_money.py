"""Money in minor units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidInput
from stores.money import exponent_of, parsed, shown, spread


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1530, "MYR", "MYR 15.30"), (-5, "MYR", "MYR -0.05"), (1530, "JPY", "JPY 1,530"), (1530, "KWD", "KWD 1.530")],
)
def test_amounts_show_the_currency_s_own_decimals(minor: int, currency: str, text: str) -> None:
    assert shown(minor, currency) == text


def test_a_headline_has_no_decimals_and_rounds_to_even() -> None:
    assert [shown(minor, "MYR", whole=True) for minor in (1_234_549, 150, 250, -99)] == [
        "MYR 12,345",
        "MYR 2",
        "MYR 2",
        "MYR -1",
    ]
    assert shown(123_456_700, "MYR") == "MYR 1,234,567.00"


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (10, [1, 1, 1], [3, 3, 4]),
        (7, [5, 0, 5], [3, 0, 4]),
        (5, [0, 0], [0, 0]),
        (0, [3, 4], [0, 0]),
        (100, [1, 99], [1, 99]),
        (1, [1, 1], [0, 1]),
    ],
)
def test_a_spread_rounds_down_and_leaves_the_rest_to_the_last(
    amount: int, weights: list[int], parts: list[int]
) -> None:
    assert spread(amount, weights) == parts


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("15.30", 1530),
        ("15.3", 1530),
        ("-0.05", -5),
        ("7", 700),
        ("1.300", 130),
        ("123456789012.000000", 12345678901200),
    ],
)
def test_decimals_become_minor_units(text: str, minor: int) -> None:
    assert parsed(text, "MYR", field="price") == minor


@pytest.mark.parametrize(
    "text", ["", "1,50", "1.5e3", "NaN", "0.001", "0.009", "١٥", "--1", "1234567890123", "1.0000000", "1.", ".5"]
)
def test_what_the_currency_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="price"):
        parsed(text, "MYR", field="price")


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_a_spread_sums_to_the_amount_and_takes_from_no_empty_line(amount: int, weights: list[int]) -> None:
    parts = spread(amount, weights)
    assert sum(parts) == (amount if sum(weights) else 0)
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


@pytest.mark.parametrize(
    ("currencies", "exponent"),
    [
        ("CLP ISK JPY KRW VND", 0),
        ("MYR SGD CNY EUR USD GBP", 2),
        ("BHD IQD JOD KWD OMR TND", 3),
    ],
)
def test_every_currency_has_its_decimals(currencies: str, exponent: int) -> None:
    assert {exponent_of(currency) for currency in currencies.split()} == {exponent}
