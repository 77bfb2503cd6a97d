"""Returns line by line: every sum that a whole return makes, its parts make too."""

from typing import Any

import pytest

import database
from loyalty.accounts import adjust
from loyalty.checkout import checkout
from loyalty.errors import NothingToReturn
from loyalty.households import join as share
from loyalty.pricing import BasketLine
from loyalty.programme import publish_rule
from loyalty.returns import cancel
from loyalty.rules import Caps, Conditions, EarnRule
from loyalty.sales import Basket, Sale
from tests import shop

NOON = shop.NOON

pytestmark = pytest.mark.usefixtures("whole_ledger")


async def sell(member: str | None, *lines: BasketLine, **fields: Any) -> Sale:
    basket = Basket(store="KL01", business_time=NOON, member=member, lines=list(lines), **fields)
    return await checkout(basket, till="T1", number=f"L{await database.value('SELECT count(*) FROM stores.receipt')}")


async def returned_lines(of: int) -> list[tuple[int, int, int]]:
    """Quantity, amount and tax of what came back of a sale, in its order."""
    rows = await database.rows(
        "SELECT quantity, l.amount, tax FROM stores.receipt_line l JOIN stores.receipt r ON r.id = receipt_id "
        "WHERE r.original_id = $1 ORDER BY r.id, line_no",
        of,
    )
    return [(row["quantity"], row["amount"], row["tax"]) for row in rows]


async def counted() -> tuple[int, int, int]:
    row = await database.row(
        "SELECT sum(spend) AS spend, sum(points) AS points, sum(visits) AS visits FROM loyalty.qualifying"
    )
    return row["spend"], row["points"], row["visits"]


async def test_amounts_and_tax_of_partial_returns_sum_to_the_line_s() -> None:
    line = BasketLine(sku="CUP", quantity=3, unit_price=100, discount=1, tax=17)
    sale = await sell(await shop.join(), line)
    for _ in range(3):
        await shop.bring_back(sale, (1, 1))
    assert await returned_lines(sale.receipt_id) == [(-1, -99, -5), (-1, -100, -6), (-1, -100, -6)]


async def test_two_at_once_are_worth_what_two_one_by_one_are() -> None:
    line = BasketLine(sku="CUP", quantity=3, unit_price=100, discount=1, tax=17)
    sale = await sell(None, line, BasketLine(sku="TEA", quantity=2, unit_price=50))
    await shop.bring_back(sale, (1, 2), (2, 1))
    back = await shop.bring_back(sale, (1, 1))
    assert await returned_lines(sale.receipt_id) == [(-2, -199, -11), (-1, -50, 0), (-1, -100, -6)]
    assert (back.refund, back.usable, back.points_clawed_back) == (100, None, 0)


async def test_what_was_free_comes_back_for_nothing() -> None:
    free = BasketLine(sku="CUP", quantity=2, unit_price=100, discount=200)
    sale = await sell(await shop.join(), free, BasketLine(sku="TEA", quantity=1, unit_price=500))
    back = await shop.bring_back(sale, (1, 1))
    assert (back.amount, back.refund, back.points_clawed_back) == (0, 0, 0)
    assert await returned_lines(sale.receipt_id) == [(-1, 0, 0)]


async def test_a_line_that_came_back_has_no_discount_of_its_own() -> None:
    """It is in the amount already."""
    sale = await sell(None, BasketLine(sku="CUP", quantity=2, unit_price=100, discount=50))
    await shop.bring_back(sale, (1, 1))
    discounts = await database.rows("SELECT discount FROM stores.receipt_line WHERE quantity < 0")
    assert [row["discount"] for row in discounts] == [0]


async def test_half_of_what_is_due_is_taken_and_half_is_owed() -> None:
    await shop.policy(clawback="allow_debt")
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 1, 1000))
    await adjust(member, -5, reason="spent elsewhere", at=NOON)
    back = await shop.bring_back(sale, (1, 1))
    assert (back.points_clawed_back, back.points_owed) == (10, 5)
    assert await shop.balance_of(member) == -5


async def test_points_by_the_item_go_with_each_item() -> None:
    await publish_rule(EarnRule(code="base", version=1, kind="base", per_item=3))
    sale = await shop.sell(await shop.join(), ("CUP", 7, 1000))
    assert sale.earned == 21
    clawed = [(await shop.bring_back(sale, (1, count))).points_clawed_back for count in (1, 2, 3, 1)]
    assert clawed == [3, 6, 9, 3]


async def test_a_visit_counts_until_nothing_is_left_of_it() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 3, 1))
    assert await counted() == (3, 0, 1)
    await shop.bring_back(sale, (1, 2))
    assert await counted() == (1, 0, 1)
    await shop.bring_back(sale, (1, 1))
    assert await counted() == (0, 0, 0)


async def test_what_counts_towards_tiers_loses_the_points_that_went() -> None:
    sale = await shop.sell(await shop.join(), ("CUP", 2, 1000))
    await shop.bring_back(sale, (1, 1))
    assert await counted() == (1000, 10, 1)


async def test_a_free_sale_is_no_visit_and_its_return_takes_none() -> None:
    member = await shop.join()
    await shop.sell(member, ("CUP", 1, 1000))
    sale = await sell(member, BasketLine(sku="CUP", quantity=1, unit_price=100, discount=100))
    await shop.bring_back(sale, (1, 1))
    assert await counted() == (1000, 10, 1)


async def test_stored_value_and_points_go_back_by_shares_that_sum() -> None:
    from loyalty.accounts import top_up

    member = await shop.join()
    await shop.give(member, 100)
    await top_up(member, 1000, at=NOON)
    sale = await shop.sell(member, ("CUP", 3, 333), points_to_spend=100, stored_value_to_spend=500)
    assert (sale.total, sale.due) == (999, 399)
    backs = [await shop.bring_back(sale, (1, 1)) for _ in range(3)]
    assert [back.points_given_back for back in backs] == [33, 33, 34]
    assert [back.stored_value for back in backs] == [166, 167, 167]
    assert [back.refund for back in backs] == [134, 133, 132]
    assert [back.amount for back in backs] == [333, 333, 333]


async def test_a_debt_that_a_return_leaves_is_paid_by_what_it_gives_back() -> None:
    await shop.policy(clawback="allow_debt")
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 2, 1000))
    spends = await shop.sell(member, ("CUP", 1, 1000), points_to_spend=20)
    back = await shop.bring_back(sale, (1, 2))
    earned = spends.earned
    assert (back.points_clawed_back, back.points_owed, back.points_not_recovered) == (20, 20 - earned, 0)
    assert await shop.balance_of(member) == earned - 20
    again = await shop.bring_back(spends, (1, 1))
    assert (again.points_given_back, again.points_owed) == (20, earned)
    account = await database.row("SELECT balance, debt FROM loyalty.account WHERE unit = 'points'")
    assert (account["balance"], account["debt"]) == (0, 0)


async def test_what_cannot_be_recovered_is_told_and_owed_by_nobody() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 2, 1000))
    await shop.sell(member, ("POST", 1, 500), points_to_spend=15)
    back = await shop.bring_back(sale, (1, 2))
    assert (back.points_clawed_back, back.points_not_recovered, back.points_owed, back.usable) == (5, 15, 0, 0)


async def test_caps_take_back_what_a_return_took() -> None:
    goods = Conditions(skus=frozenset({"CUP"}))
    caps = Caps(member_max=30, budget=1000)
    await publish_rule(EarnRule(code="cup", version=1, kind="bonus", per_item=10, conditions=goods, caps=caps))
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 3, 1000))
    assert sale.earned == 60
    assert (await shop.sell(member, ("CUP", 1, 1000))).earned == 10
    await shop.bring_back(sale, (1, 2))
    given = await database.rows("SELECT points FROM loyalty.rule_given WHERE code = 'cup'")
    assert {row["points"] for row in given} == {10}
    assert await database.value("SELECT points FROM loyalty.rule_budget WHERE code = 'cup'") == 10
    assert (await shop.sell(member, ("CUP", 1, 1000))).earned == 20


async def test_a_voucher_s_bonus_stays_as_long_as_anything_does() -> None:
    member = await shop.join()
    code = await shop.voucher(member, kind="bonus_points", value=50)
    sale = await shop.sell(member, ("CUP", 2, 1000), vouchers=[code])
    assert sale.earned == 70
    assert (await shop.bring_back(sale, (1, 1))).points_clawed_back == 10
    assert (await shop.bring_back(sale, (1, 1))).points_clawed_back == 60


async def test_excluded_goods_take_nothing_when_they_come_back() -> None:
    await shop.policy(earn_excluded=["home"])
    sale = await shop.sell(await shop.join(), ("CUP", 1, 1000), ("TEA", 2, 255))
    assert sale.earned == 5
    await shop.policy(earn_excluded=[])
    assert (await shop.bring_back(sale, (1, 1))).points_clawed_back == 0
    assert (await shop.bring_back(sale, (2, 2))).points_clawed_back == 5


async def test_a_cancel_takes_what_earlier_returns_left() -> None:
    sale = await shop.sell(await shop.join(), ("CUP", 3, 1000), ("TEA", 2, 255))
    await shop.bring_back(sale, (1, 1), (2, 2))
    back = await cancel(sale.receipt_id, till="T1", number="C", business_time=NOON)
    assert (back.amount, back.points_clawed_back) == (2000, 20)
    assert await returned_lines(sale.receipt_id) == [(-1, -1000, 0), (-2, -510, 0), (-2, -2000, 0)]


async def test_a_household_s_quote_is_what_its_checkout_does() -> None:
    from loyalty.checkout import quote

    mother, father = await shop.join("Siti"), await shop.join("Ahmad")
    await shop.give(mother, 30)
    await share(mother, [father], at=NOON)
    for points in (0, 25):
        said = await quote(shop.basket(father, ("CUP", 1, 1000), points_to_spend=points))
        done = await shop.sell(father, ("CUP", 1, 1000), points_to_spend=points)
        assert (said.usable, said.pending) == (done.usable, done.pending)
    assert (await shop.balance_of(mother)) + (await shop.balance_of(father)) == done.usable


async def test_points_that_are_given_pay_what_is_owed_first() -> None:
    await shop.policy(clawback="allow_debt")
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 2, 1000))
    await shop.sell(member, ("POST", 1, 500), points_to_spend=20)
    await shop.bring_back(sale, (1, 2))
    await adjust(member, 25, reason="goodwill", at=NOON)
    account = await database.row("SELECT balance, debt FROM loyalty.account WHERE unit = 'points'")
    lots = await database.value("SELECT sum(remaining) FROM loyalty.lot")
    assert (account["balance"], account["debt"], lots) == (5, 0, 5)


async def test_a_single_point_goes_back_and_no_more() -> None:
    member = await shop.join()
    await shop.give(member, 1)
    sale = await shop.sell(member, ("POST", 2, 50), points_to_spend=1)
    assert [(await shop.bring_back(sale, (1, 1))).points_given_back for _ in range(2)] == [0, 1]


async def test_nothing_left_to_cancel_is_told_by_the_first_line() -> None:
    sale = await shop.sell(await shop.join(), ("CUP", 1, 1000), ("TEA", 1, 255))
    await shop.bring_back(sale, (1, 1), (2, 1))
    with pytest.raises(NothingToReturn) as refused:
        await cancel(sale.receipt_id, till="T1", number="C", business_time=NOON)
    assert (refused.value.facts["line_no"], refused.value.facts["left"]) == (1, 0)
