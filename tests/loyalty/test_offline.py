"""A till that sold while it could not ask: what it did is booked as it was, once, and nothing half."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

import database
from loyalty.errors import InsufficientPoints
from loyalty.households import join as share
from loyalty.offline import TillEvent, sync
from loyalty.programme import publish_rule
from loyalty.returns import cancel
from loyalty.rules import EarnRule
from membership.cards import member_of_card, replace_card
from stores.catalogue import Product, stock
from tests import shop

NOON = shop.NOON

pytestmark = pytest.mark.usefixtures("whole_ledger")


def told(number: str, member: str | None, *lines: tuple[str, int, int], at: datetime = NOON, **fields: Any) -> str:
    charged = fields.pop("charged", sum(quantity * price for _, quantity, price in lines))
    basket = msgspec.to_builtins(shop.basket(member, *lines, at=at, **fields))
    return msgspec.json.encode({"kind": "sale", "number": number, "charged": charged, "basket": basket}).decode()


async def replay(*events: tuple[int, str], lost: list[int] | None = None) -> Any:
    batch = [TillEvent(sequence=sequence, body=body) for sequence, body in events]
    return await sync(batch, store="KL01", till="T9", lost=lost or [])


async def test_an_offline_till_replays_yesterday_under_yesterday_s_rules() -> None:
    member = await shop.join()
    await publish_rule(
        EarnRule(version=1, code="base", kind="base", points=9, per=100), valid_from=NOON + timedelta(hours=20)
    )
    done = await replay((1, told("1", member, ("CUP", 1, 1000))))
    assert [(item.status, item.earned) for item in done.items] == [("done", 10)]


async def test_the_same_offline_batch_twice_out_of_order_and_with_a_gap() -> None:
    member = await shop.join()
    bodies = {n: told(str(n), member, ("CUP", n, 1000)) for n in (1, 2, 3, 4)}
    gap = await replay((4, bodies[4]), (1, bodies[1]), (2, bodies[2]))
    assert [(item.sequence, item.status) for item in gap.items] == [(1, "done"), (2, "done"), (4, "waiting")]
    assert (gap.next, gap.missing) == (3, [3])
    again = await replay((2, bodies[2]), (1, bodies[1]), (3, bodies[3]), (4, bodies[4]))
    assert [(item.sequence, item.status, item.again) for item in again.items] == [
        (1, "done", True),
        (2, "done", True),
        (3, "done", False),
        (4, "done", False),
    ]
    assert await shop.balance_of(member) == 100
    other = await replay((2, told("2", member, ("CUP", 9, 1000))))
    assert [(item.status, item.conflicts[0]["what"]) for item in other.items] == [("conflict", "sequence")]
    closed = await replay((6, told("6", member, ("CUP", 1, 1000))), lost=[5])
    assert [(item.sequence, item.status) for item in closed.items] == [(5, "lost"), (6, "done")]


async def test_an_offline_sale_is_booked_as_charged_and_what_does_not_fit_is_told() -> None:
    await shop.policy(offline_points_max=30)
    member = await shop.join()
    await shop.give(member, 50)
    code = await shop.voucher(None)
    await shop.sell(None, ("CUP", 1, 1000), vouchers=[code])
    await shop.sell(member, ("CUP", 1, 1000), points_to_spend=50)
    taken = told("1", member, ("CUP", 2, 1000), charged=1500, vouchers=[code], points_to_spend=60)
    done = await replay((1, taken))
    [item] = done.items
    assert item.status == "conflict"
    assert {conflict["what"] for conflict in item.conflicts} == {"points", "voucher", "price"}
    assert await shop.balance_of(member) == 9 - 39 + item.earned == -16
    receipt = await database.row("SELECT id, total FROM stores.receipt WHERE till = 'T9'")
    payments = await database.rows(
        "SELECT method, amount FROM stores.payment WHERE receipt_id = $1 ORDER BY 1", receipt["id"]
    )
    assert receipt["total"] == 1500
    assert {row["method"]: row["amount"] for row in payments} == {"money": 1440, "points": 39, "uncovered": 21}


async def test_an_offline_sale_that_cannot_be_booked_yet_is_parked_and_booked_later() -> None:
    done = await replay((1, told("1", None, ("NEW", 1, 700))), (2, told("2", None, ("CUP", 1, 1000))))
    assert [item.status for item in done.items] == ["parked", "done"]
    assert "NEW" in done.items[0].why
    await stock([Product(sku="NEW", price=700)])
    later = await replay()
    assert later.next == 3
    assert await database.value("SELECT status FROM loyalty.till_event WHERE sequence = 1") == "done"
    assert await database.value("SELECT count(*) FROM stores.receipt WHERE till = 'T9'") == 2


async def test_an_offline_sale_to_a_card_that_is_none_is_booked_to_nobody() -> None:
    old = await shop.join()
    await replace_card(old)
    done = await replay((1, told("1", old, ("CUP", 1, 1000))))
    assert [(item.status, item.conflicts[0]["what"]) for item in done.items] == [("conflict", "member")]
    assert await database.value("SELECT member_id FROM stores.receipt WHERE till = 'T9'") is None


async def payments_of(receipt_id: int) -> dict[str, int]:
    rows = await database.rows("SELECT method, amount FROM stores.payment WHERE receipt_id = $1", receipt_id)
    return {row["method"]: row["amount"] for row in rows}


async def overdrawn() -> tuple[str, Any]:
    """A member with 40 points, of whom an offline till took 60: 15 are owed, 5 nobody pays; and the sale."""
    await shop.policy(offline_points_max=15)
    member = await shop.join()
    await shop.give(member, 40)
    [item] = (await replay((1, told("1", member, ("CUP", 2, 1000), points_to_spend=60)))).items
    assert [conflict["what"] for conflict in item.conflicts] == ["points"]
    return member, await database.row("SELECT id FROM stores.receipt WHERE till = 'T9'")


async def test_what_an_offline_sale_overdrew_comes_back_last_and_pays_what_is_owed() -> None:
    member, sale = await overdrawn()
    assert await payments_of(sale["id"]) == {"money": 1940, "points": 55, "uncovered": 5}
    account = await database.row("SELECT balance, debt FROM loyalty.account WHERE unit = 'points'")
    earned = 19  # 19.40 were paid with money; they repaid the 15 at once
    assert (account["balance"], account["debt"]) == (earned - 15, 0)
    half = await shop.bring_back(sale_of(sale["id"]), (1, 1))
    assert (half.points_given_back, half.points_clawed_back, half.points_not_recovered) == (27, 4, 6)
    assert await shop.balance_of(member) == 27
    rest = await shop.bring_back(sale_of(sale["id"]), (1, 1))
    assert (rest.points_given_back, rest.points_clawed_back) == (28, 9)
    assert await shop.balance_of(member) == 27 + 28 - 9
    assert half.refund + rest.refund == 1940
    lots = await database.rows("SELECT points, remaining FROM loyalty.lot ORDER BY id")
    assert [row["points"] for row in lots] == [40, earned, 15]
    returned = [await payments_of(one) for one in (half.receipt_id, rest.receipt_id)]
    assert [paid.get("uncovered") for paid in returned] == [-2, -3]


def sale_of(receipt_id: int) -> Any:
    """Enough of a sale to bring it back."""
    return msgspec.defstruct("Receipt", [("receipt_id", int)])(receipt_id)


async def test_cancelling_an_overdrawn_sale_forgives_what_is_still_owed() -> None:
    await shop.policy(offline_points_max=15, pending_days=5, clawback="only_pending")
    member = await shop.join()
    await shop.give(member, 40)
    await replay((1, told("1", member, ("POST", 1, 500), points_to_spend=55)))  # a service earns nothing
    assert await database.value("SELECT debt FROM loyalty.account WHERE unit = 'points'") == 15
    sale = await database.value("SELECT id FROM stores.receipt WHERE till = 'T9'")
    back = await cancel(sale, till="T1", number="C1", business_time=NOON)
    assert (back.points_given_back, back.refund) == (55, 445)
    account = await database.row("SELECT balance, debt FROM loyalty.account WHERE unit = 'points'")
    assert (account["balance"], account["debt"]) == (40, 0)


async def test_an_event_that_cannot_be_booked_leaves_nothing_and_those_around_it_are_done() -> None:
    member = await shop.join()
    beyond = told("2", member, ("CUP", 1, 1000), charged=5000)  # more than the goods cost
    done = await replay((1, told("1", member, ("CUP", 2, 1000))), (2, beyond), (3, told("3", member, ("CUP", 1, 1000))))
    assert [item.status for item in done.items] == ["done", "parked", "done"]
    numbers = await database.rows("SELECT number FROM stores.receipt WHERE till = 'T9' ORDER BY id")
    assert [row["number"] for row in numbers] == ["1", "3"]
    assert await shop.balance_of(member) == 30


async def test_a_household_can_spend_offline_what_its_pool_has() -> None:
    mother, father = await shop.join("Siti"), await shop.join("Ahmad")
    await shop.give(mother, 30)
    await shop.give(father, 30)
    await share(mother, [father], at=NOON)
    [item] = (await replay((1, told("1", father, ("CUP", 1, 1000), points_to_spend=50)))).items
    assert item.status == "done"
    assert (await shop.balance_of(mother)) + (await shop.balance_of(father)) == 10 + item.earned
    with pytest.raises(InsufficientPoints):
        await shop.sell(father, ("CUP", 1, 1000), points_to_spend=40)
    assert (
        await database.value(
            "SELECT count(DISTINCT account_id) FROM loyalty.entry WHERE kind = 'spend' AND (explanation->>'spent_by')::bigint = $1",
            await member_of_card(father),
        )
        == 1
    )
