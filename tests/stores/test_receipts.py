"""Receipts are recorded once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import database
from stores.errors import ReceiptDiffers, UnknownProduct
from stores.receipts import find_receipt, fingerprint
from tests import shop

lines = st.lists(st.tuples(*[st.integers(-(2**40), 2**40)] * 4), min_size=1, max_size=30)


@given(lines, st.randoms())
def test_a_fingerprint_does_not_depend_on_the_order_of_lines(
    given_lines: list[tuple[int, ...]], random: object
) -> None:
    shuffled = sorted(given_lines, key=lambda _: random.random())  # type: ignore[attr-defined]  # hypothesis' Random
    one, other = (fingerprint(*zip(*some, strict=True)).sum(dtype=np.int64) for some in (given_lines, shuffled))
    assert one == other


@given(st.tuples(*[st.integers(0, 2**40)] * 4), st.integers(0, 3))
def test_a_fingerprint_notices_a_change_in_any_field(line: tuple[int, ...], field: int) -> None:
    changed = [value + (place == field) for place, value in enumerate(line)]
    assert fingerprint(*([value] for value in line)) != fingerprint(*([value] for value in changed))


async def test_the_same_receipt_again_changes_nothing() -> None:
    await shop.open_shop()
    member = await shop.join()
    first = await shop.sell(member, ("TEA", 6, 255), number="000871")
    again = await shop.sell(member, ("TEA", 6, 255), number="000871")
    assert again.again
    assert not first.again
    assert (again.receipt_id, again.total, again.earned, again.usable) == (first.receipt_id, 1530, 15, 15)
    assert await shop.balance_of(member) == 15
    assert await database.value("SELECT count(*) FROM stores.receipt") == 1


async def test_a_taken_number_with_other_content_names_the_difference() -> None:
    await shop.open_shop()
    await shop.sell(None, ("TEA", 6, 255), number="000871")
    with pytest.raises(ReceiptDiffers) as refused:
        await shop.sell(None, ("TEA", 5, 255), number="000871")
    assert [difference["field"] for difference in refused.value.facts["differences"]] == ["lines"]  # type: ignore[attr-defined]  # facts are objects
    assert await database.value("SELECT count(*) FROM stores.receipt_line") == 1


async def test_a_taken_number_with_another_member_says_so_without_naming_them() -> None:
    await shop.open_shop()
    member = await shop.join()
    await shop.sell(None, ("TEA", 6, 255), number="000871")
    with pytest.raises(ReceiptDiffers) as refused:
        await shop.sell(member, ("TEA", 6, 255), number="000871")
    assert refused.value.facts["differences"] == [{"field": "member"}]
    assert await shop.balance_of(member) == 0


async def test_an_unknown_sku_is_named() -> None:
    await shop.open_shop()
    with pytest.raises(UnknownProduct, match="NOPE"):
        await shop.sell(None, ("TEA", 1, 255), ("NOPE", 1, 100))


async def test_the_database_itself_refuses_a_line_of_nothing() -> None:
    await shop.open_shop()
    sale = await shop.sell(None, ("TEA", 1, 255))
    with pytest.raises(Exception, match="unknown product 999"):
        async with database.transaction():
            await database.execute(
                "INSERT INTO stores.receipt_line (receipt_id, line_no, product_id, quantity, unit_price, amount) "
                "VALUES ($1, 9, 999, 1, 1, 1)",
                sale.receipt_id,
            )
    for column in ("store_id", "member_id"):
        with pytest.raises(Exception, match="receipt of unknown"):
            async with database.transaction():
                await database.execute(
                    "INSERT INTO stores.receipt (store_id, till, number, business_time, kind, member_id, total, gross, "
                    "eligible, units, line_count, fingerprint) "
                    f"SELECT {404 if column == 'store_id' else 'id'}, 'T', 'X', now(), 'sale', "
                    f"{404 if column == 'member_id' else 'NULL::bigint'}, 1, 1, 1, 1, 1, 1 FROM stores.store LIMIT 1"
                )
    with pytest.raises(Exception, match="unknown member"):
        async with database.transaction():
            await database.execute("UPDATE stores.receipt SET member_id = 404")
    with pytest.raises(Exception, match="cannot be changed or deleted"):
        async with database.transaction():
            await database.execute("DELETE FROM stores.receipt WHERE id = $1", sale.receipt_id)
    assert len((await find_receipt(receipt_id=sale.receipt_id)).lines) == 1
