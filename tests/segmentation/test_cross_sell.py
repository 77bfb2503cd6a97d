"""Pairs counted in integers, against a count by hand."""

from collections import Counter
from datetime import date
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membership.cards import member_of_card
from segmentation import cross_sell
from segmentation.cross_sell import relate_products, related_pairs, suggest
from segmentation.errors import TooLittleData
from stores.catalogue import Product, stock
from tests import shop

baskets = st.lists(st.sets(st.integers(0, 6), min_size=1, max_size=5), min_size=5, max_size=60)


@settings(deadline=None)
@given(baskets)
def test_counts_confidence_and_lift_are_those_of_a_count_by_hand(given_baskets: list[set[int]]) -> None:
    basket = np.array([place for place, items in enumerate(given_baskets) for _ in items])
    product = np.array([item for items in given_baskets for item in sorted(items)])
    pairs = related_pairs(basket, product)
    single = Counter(item for items in given_baskets for item in items)
    both = Counter(pair for items in given_baskets for pair in permutations(items, 2))
    n = len(given_baskets)
    for a, b, c, confidence, lift, low in zip(
        pairs.item, pairs.related, pairs.together, pairs.confidence, pairs.lift, pairs.lift_low, strict=True
    ):
        assert c == both[a, b] >= cross_sell.TOGETHER_MIN
        assert confidence == pytest.approx(c / single[a])
        assert lift == pytest.approx(n * c / (single[a] * single[b]))
        assert 1 < low <= lift


async def test_suggestions_say_what_for_and_leave_out_what_is_there_already() -> None:
    await shop.open_shop()
    member = await shop.join()
    await stock([Product(sku=f"P{place}") for place in range(4)])
    for _ in range(15):
        await shop.sell(None, ("TEA", 1, 255), ("CUP", 1, 1000))
        await shop.sell(None, ("P0", 1, 100), ("P1", 1, 100))
        await shop.sell(None, ("P2", 1, 100), ("P3", 1, 100), ("POST", 1, 500))
    done = await relate_products(date(2026, 4, 1))
    assert (done.baskets, done.products, done.pairs) == (45, 6, 6)  # postage goes with nothing
    found = await suggest(["TEA"])
    assert [(one.sku, one.goes_with, one.together) for one in found] == [("CUP", "TEA", 15)]
    assert found[0].lift == pytest.approx(3)
    assert await suggest(["TEA", "CUP"]) == []
    await shop.sell(member, ("CUP", 1, 1000))
    assert await suggest(["TEA"], not_bought_by=await member_of_card(member)) == []


async def test_too_few_baskets_are_refused() -> None:
    await shop.open_shop()
    with pytest.raises(TooLittleData, match="baskets"):
        await relate_products(date(2026, 4, 1))
