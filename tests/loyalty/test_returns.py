"""Goods come back."""

from datetime import timedelta

import pytest

import database
from errors import InvalidInput
from loyalty.accounts import adjust
from loyalty.errors import NotASale, NothingToReturn
from loyalty.redemption import capture, hold
from loyalty.verification import verify_ledger
from stores.errors import ReceiptDiffers
from tests import shop


@pytest.fixture(autouse=True)
async def _shop() -> None:
    await shop.open_shop()


async def test_a_return_refunds_and_claws_back_what_the_goods_earned() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("TEA", 6, 255), ("CUP", 1, 1000))
    back = await shop.bring_back(sale, (2, 1))
    assert (back.refund, back.points_clawed_back, back.usable) == (1000, 10, 15)
    assert (await verify_ledger()).ok


async def test_two_half_returns_give_what_one_whole_return_gives() -> None:
    one, other = await shop.join(), await shop.join()
    whole = await shop.sell(one, ("TEA", 7, 255))
    halves = await shop.sell(other, ("TEA", 7, 255))
    at_once = await shop.bring_back(whole, (1, 7))
    parts = [await shop.bring_back(halves, (1, quantity)) for quantity in (1, 2, 4)]
    assert sum(part.refund for part in parts) == at_once.refund == 1785
    assert sum(part.points_clawed_back for part in parts) == at_once.points_clawed_back == 17
    assert await shop.balance_of(one) == await shop.balance_of(other) == 0


async def test_a_return_never_takes_more_than_was_sold() -> None:
    sale = await shop.sell(await shop.join(), ("TEA", 6, 255))
    await shop.bring_back(sale, (1, 4))
    with pytest.raises(NothingToReturn) as refused:
        await shop.bring_back(sale, (1, 3))
    assert refused.value.facts["left"] == 2


async def test_points_already_spent_are_not_recovered_and_the_return_goes_through() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 3, 1000))
    await capture((await hold(member, points=25, at=shop.NOON)).id, at=shop.NOON)
    back = await shop.bring_back(sale, (1, 3))
    assert (back.refund, back.points_clawed_back, back.points_not_recovered) == (3000, 5, 25)
    assert await shop.balance_of(member) == 0
    await shop.sell(member, ("CUP", 1, 1000))
    assert await shop.balance_of(member) == 10  # nothing is taken afterwards


async def test_points_that_paid_for_returned_goods_go_back_to_their_own_lots() -> None:
    member = await shop.join()
    await shop.give(member, 300, expires_at=shop.NOON + timedelta(days=5))
    await shop.give(member, 300, expires_at=shop.NOON + timedelta(days=90))
    sale = await shop.sell(member, ("CUP", 1, 1000), points_to_spend=400)
    back = await shop.bring_back(sale, (1, 1))
    assert (back.refund, back.points_given_back) == (600, 400)
    lots = await database.rows("SELECT remaining FROM loyalty.lot WHERE receipt_id IS NULL ORDER BY expires_at")
    assert [row["remaining"] for row in lots] == [300, 300]
    assert (await verify_ledger()).ok


async def test_a_lot_that_expired_meanwhile_gets_its_grace() -> None:
    member = await shop.join()
    await shop.give(member, 300, expires_at=shop.NOON + timedelta(days=5))
    sale = await shop.sell(member, ("CUP", 1, 1000), points_to_spend=300)
    later = shop.NOON + timedelta(days=10)
    back = await shop.bring_back(sale, (1, 1), at=later)
    assert (back.points_given_back, back.usable) == (300, 300)
    assert await database.value(
        "SELECT max(expires_at) FROM loyalty.lot WHERE receipt_id IS NULL"
    ) == later + timedelta(days=30)


async def test_splitting_a_return_of_goods_paid_with_points_changes_no_sum() -> None:
    member = await shop.join()
    await shop.give(member, 1000)
    sale = await shop.sell(member, ("TEA", 7, 255), points_to_spend=333)
    parts = [await shop.bring_back(sale, (1, quantity)) for quantity in (3, 3, 1)]
    assert sum(part.points_given_back for part in parts) == 333
    assert sum(part.refund for part in parts) == 1785 - 333
    assert await shop.balance_of(member) == 1000


async def test_the_same_return_again_changes_nothing() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("TEA", 6, 255))
    first = await shop.bring_back(sale, (1, 2), number="R1")
    again = await shop.bring_back(sale, (1, 2), number="R1")
    assert (again.again, again.refund, again.points_clawed_back) == (True, first.refund, first.points_clawed_back)
    with pytest.raises(ReceiptDiffers):
        await shop.bring_back(sale, (1, 3), number="R1")
    assert await shop.balance_of(member) == 10


async def test_an_anonymous_sale_can_be_returned() -> None:
    sale = await shop.sell(None, ("TEA", 6, 255))
    assert (await shop.bring_back(sale, (1, 6))).refund == 1530


async def test_a_return_is_not_returned_and_lines_must_exist() -> None:
    sale = await shop.sell(None, ("TEA", 6, 255))
    back = await shop.bring_back(sale, (1, 1))
    with pytest.raises(NotASale):
        await shop.bring_back(shop.Sale(**{**_fields(sale), "receipt_id": back.receipt_id}), (1, 1))
    with pytest.raises(InvalidInput, match="no line 2"):
        await shop.bring_back(sale, (2, 1))
    with pytest.raises(InvalidInput, match="above zero"):
        await shop.bring_back(sale, (1, -1))


def _fields(sale: shop.Sale) -> dict[str, object]:
    return {name: getattr(sale, name) for name in sale.__struct_fields__}


async def test_a_discount_by_voucher_is_returned_in_proportion() -> None:
    member = await shop.join()
    code = await shop.voucher(member, value=300)
    sale = await shop.sell(member, ("CUP", 2, 1000), ("TEA", 4, 250), vouchers=[code])
    assert sale.total == 2700
    backs = [await shop.bring_back(sale, (1, 1)), await shop.bring_back(sale, (1, 1), (2, 4))]
    assert sum(back.refund for back in backs) == 2700
    assert await shop.balance_of(member) == 0


@pytest.mark.parametrize(
    ("clawback", "taken", "owed", "not_recovered", "balance"),
    [("only_pending", 0, 0, 10, 20), ("within_balance", 0, 0, 10, 20), ("allow_debt", 10, 0, 0, 10)],
)
async def test_points_of_another_sale_that_still_wait_are_taken_only_where_debt_is_allowed(
    clawback: str, taken: int, owed: int, not_recovered: int, balance: int
) -> None:
    await shop.policy(clawback=clawback, pending_days=7)
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 1, 1000), at=shop.NOON - timedelta(days=10))
    await adjust(member, -10, reason="spent elsewhere", at=shop.NOON)
    await shop.sell(member, ("CUP", 2, 1000))
    back = await shop.bring_back(sale, (1, 1))
    assert (back.points_clawed_back, back.points_owed, back.points_not_recovered) == (taken, owed, not_recovered)
    assert await shop.balance_of(member) == balance
    assert (await verify_ledger()).ok


async def test_what_comes_back_makes_room_under_the_most_that_a_day_may_earn() -> None:
    await shop.policy(member_day_max=25)
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 3, 1000))
    assert sale.earned == 25
    assert (await shop.sell(member, ("CUP", 1, 1000))).earned == 0
    assert (await shop.bring_back(sale, (1, 2))).points_clawed_back == 15
    assert (await shop.sell(member, ("CUP", 2, 1000))).earned == 15
    assert (await shop.sell(member, ("CUP", 1, 1000))).earned == 0


async def test_where_a_day_has_no_most_nothing_is_counted_for_it() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 3, 1000))
    await shop.bring_back(sale, (1, 2))
    assert await database.value("SELECT count(*) FROM loyalty.rule_given") == 0
