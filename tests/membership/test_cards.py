"""Member numbers that any till scanner reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import database
from membership.cards import (
    barcode_png,
    barcode_svg,
    check_digit,
    check_number,
    member_of_card,
    qr_png,
    qr_svg,
    replace_card,
)
from membership.errors import CardReplaced, InvalidCard, UnknownMember
from tests import shop

twelve_digits = st.from_regex(r"2[0-9]{11}", fullmatch=True)


def test_the_check_digit_is_gs1_s() -> None:
    assert check_digit("400638133393") == 1  # the example of the GS1 General Specifications
    assert check_digit("200000001234") == 6


@given(twelve_digits)
def test_every_wrong_single_digit_is_noticed(twelve: str) -> None:
    number = twelve + str(check_digit(twelve))
    check_number(number)
    for place in range(1, 13):
        wrong = number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]
        with pytest.raises(InvalidCard, match="check digit"):
            check_number(wrong)


async def test_sql_and_python_agree_on_the_check_digit() -> None:
    for twelve in ("200000001234", "299999999999", "210987654321"):
        assert await database.value("SELECT membership.ean13($1)", twelve) == twelve + str(check_digit(twelve))


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("123", "13 digits"),
        ("4006381333931", "start with 2"),
        ("2000000012347", "check digit"),
        ("２" * 13, "13 digits"),
    ],
)
async def test_what_is_no_card_says_why(number: str, why: str) -> None:
    with pytest.raises(InvalidCard, match=why):
        await member_of_card(number)


async def test_an_unknown_card_is_unknown() -> None:
    with pytest.raises(UnknownMember):
        await member_of_card("2000000012346")


async def test_a_lost_card_is_refused_with_the_reason_and_the_history_stays() -> None:
    await shop.open_shop()
    old = await shop.join()
    await shop.sell(old, ("TEA", 4, 255))
    new = await replace_card(old)
    with pytest.raises(CardReplaced, match="replaced"):
        await shop.sell(old, ("TEA", 1, 255))
    assert await shop.balance_of(new) == 10


async def test_the_card_is_drawn_as_barcode_and_qr() -> None:
    assert b"<svg" in barcode_svg("2000000012346")
    assert b"<svg" in qr_svg("2000000012346")
    for drawn in (barcode_png("2000000012346"), qr_png("2000000012346")):
        assert drawn.startswith(b"\x89PNG")
