"""The one box finds whom the cashier means."""

import pytest

from membership.cards import replace_card
from membership.errors import CardReplaced, InvalidCard
from membership.names import search_text, similarity
from membership.search import search
from tests import shop


@pytest.fixture(autouse=True)
async def _shop() -> None:
    await shop.open_shop()


async def numbers(text: str) -> list[str]:
    return [found.number for found in await search(text)]


@pytest.mark.parametrize(
    "typed",
    ["MING@Example.com", " 012-345 6789", "(012) 345 6789", "０１２３４５６７８９", "0123456789", "+60 12-345 6789"],
)
async def test_upper_case_email_spaces_national_formats_full_width_and_leading_zero_find_the_same_member(
    typed: str,
) -> None:
    number = await shop.join(phone="+60123456789", email="ming@example.com")
    assert await numbers(typed) == [number]


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("王小明", "王小明"),
        ("王小明", "小明"),
        ("王小明", "wxm"),
        ("王小明", "wangxiaoming"),
        ("王小明", "Wang Xiaoming"),
        ("王小明", "xiaom"),
        ("曾国藩", "zgf"),
        ("曾国藩", "cengguofan"),
        ("سيتي نورحليزا", "نورحليزا"),
        ("سيتي نورحليزا", "سيتي"),
        ("முத்துசாமி", "முத்து"),
        ("முத்துசாமி", "சாமி"),
        ("Nur Aisyah binti Abdullah", "aisyah"),
        ("Nur Aisyah binti Abdullah", "syah"),
        ("Nur Aisyah binti Abdullah", "ABDUL AISY"),
        ("José Álvarez", "jose alvarez"),
        ("O'Brien-Tan, Siu", "tan"),
    ],
)
async def test_a_name_is_found_by_any_part_in_any_script_and_by_pinyin(name: str, typed: str) -> None:
    number = await shop.join(name)
    await shop.join("Somebody Else")
    await shop.join("李四")
    assert await numbers(typed) == [number]


@pytest.mark.parametrize("typed", ["Aisyh", "Aishyah", "Aisyha", "Aisyeh", "aisya", "nur asyah"])
async def test_one_letter_wrong_in_a_latin_name_still_finds_it(typed: str) -> None:
    number = await shop.join("Nur Aisyah")
    await shop.join("Azizah")
    assert await numbers(typed) == [number]


async def test_two_letters_wrong_are_another_name() -> None:
    await shop.join("Aisyah")
    assert await numbers("Arsyoh") == []


async def test_whose_name_begins_so_comes_first_then_whole_words_then_parts() -> None:
    part, word, start = [await shop.join(name) for name in ("Jonathan", "Lim Tan", "Tan Ah Kow")]
    assert await numbers("tan") == [start, word]
    assert await numbers("than") == [part]


async def test_last_four_digits_and_card_find_a_member() -> None:
    number = await shop.join(phone="+60123456789")
    assert await numbers("6789") == [number]
    assert await numbers(f"{number[:7]} {number[7:]}") == [number]


async def test_a_card_that_is_no_good_says_why() -> None:
    number = await shop.join()
    await replace_card(number)
    with pytest.raises(CardReplaced):
        await search(number)
    with pytest.raises(InvalidCard, match="check digit"):
        await search(number[:12] + str((int(number[12]) + 1) % 10))


@pytest.mark.parametrize("typed", ["'", "\\", "' | 'z':*", "%", "_", "~z", "!", "&", "王'"])
async def test_what_means_something_to_the_database_is_only_text(typed: str) -> None:
    await shop.join("Aisyah")
    assert await numbers(typed) == []


def test_names_are_compared_without_case_accents_and_order() -> None:
    assert search_text("  José   ÁLVAREZ ") == "jose alvarez"
    assert search_text("***") == "***"
    assert similarity("Tan Ah Kow", "AH KOW TAN") == 1
    assert similarity("Aisyah", "Muthu") < 0.5
