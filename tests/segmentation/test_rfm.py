"""Scores by value edges, and the map of codes."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import database
from membership.cards import member_of_card
from segmentation.errors import NoRun, TooLittleData
from segmentation.rfm import edges, score, score_members, score_of
from segmentation.rfm_map import CODES, SEGMENTS, code_map
from segmentation.runs import newest_run, runs
from tests import shop


def test_the_map_is_total_and_disjoint() -> None:
    assert len(CODES) == 125
    assert sum(len(codes.split()) for codes in SEGMENTS.values()) == 125


@pytest.mark.parametrize(
    ("segments", "why"),
    [
        ({"A": "555"}, "missing"),
        ({**SEGMENTS, "Other": "555"}, "stands in both"),
        ({**SEGMENTS, "X": "666"}, "unknown"),
    ],
)
def test_a_map_that_is_not_is_refused(segments: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        code_map(segments)


@given(st.lists(st.integers(0, 10**9), min_size=5, max_size=300))
def test_equal_values_score_equal_and_higher_never_lower(values: list[int]) -> None:
    array = np.array(sorted(values))
    scores = score(array, edges(array))
    assert scores.min() >= 1
    assert scores.max() <= 5
    assert (np.diff(scores) >= 0).all()
    assert all(len(set(scores[array == value])) == 1 for value in set(values))


@given(st.lists(st.integers(0, 10**9), min_size=5, max_size=300))
def test_edges_are_values_that_occur(values: list[int]) -> None:
    assert set(edges(np.array(values))) <= set(values)


async def _buyers(count: int) -> list[str]:
    await shop.open_shop()
    members = [await shop.join(f"Member {place}") for place in range(count)]
    for place, member in enumerate(members):
        for _ in range(1 + place % 3):
            await shop.sell(member, ("CUP", 1 + place, 1000))
    return members


async def test_a_run_is_recorded_and_the_same_inputs_give_the_same_result() -> None:
    members = await _buyers(8)
    first = await score_members(date(2026, 4, 1))
    second = await score_members(date(2026, 4, 1))
    one, other = (await runs(kind="rfm"))[:2]
    assert (one.input_digest, one.result) == (other.input_digest, other.result)
    assert one.row_count == first.members == 8
    assert sum(segment.members for segment in first.segments) == 8
    assert second.movement == {name: {name: count} for name, count in _stayed(first).items()}
    found = await score_of(await member_of_card(members[0]))
    assert found is not None
    assert found.recency_days == 29


def _stayed(result) -> dict[str, int]:  # type: ignore[no-untyped-def]  # an RfmResult
    return {segment.name: segment.members for segment in result.segments if segment.members}


async def test_gross_ignores_returns_and_net_counts_them() -> None:
    members = await _buyers(6)
    sale = await shop.sell(members[0], ("CUP", 5, 1000))
    await shop.bring_back(sale, (1, 5))
    gross = await score_members(date(2026, 4, 1), gross=True)
    net = await score_members(date(2026, 4, 1))
    assert gross.value - net.value == 5000


async def test_looking_back_counts_only_what_had_happened() -> None:
    members = await _buyers(6)
    await score_members(date(2026, 3, 3))
    await shop.sell(members[0], ("CUP", 9, 1000), at=shop.NOON.replace(month=5))
    back = await score_members(date(2026, 3, 3))
    one, other = (await runs(kind="rfm"))[:2]
    assert one.result == other.result
    assert back.members == 6


async def test_too_few_members_are_refused_and_nothing_is_recorded() -> None:
    await shop.open_shop()
    with pytest.raises(TooLittleData):
        await score_members(date(2026, 4, 1))
    with pytest.raises(NoRun):
        await newest_run("rfm")
    assert await database.value("SELECT count(*) FROM segmentation.rfm_score") == 0
