"""One member, one voucher, one budget: fifty ways at once, as if one after the other.

SOAK_SHUFFLES says in how many orders they set out; `make soak` tries more.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

import database
from loyalty.accounts import adjust, top_up, transfer
from loyalty.claiming import claim
from loyalty.errors import (
    ClaimRefused,
    HoldSettled,
    InsufficientFunds,
    InsufficientPoints,
    NothingToReturn,
    OpenHolds,
    RewardRefused,
    TransferRefused,
    UnmergeRefused,
    VoucherRefused,
)
from loyalty.households import join as share
from loyalty.households import leave
from loyalty.merging import merge_members, unmerge_members
from loyalty.nightly import run_nightly
from loyalty.programme import define_tier, publish_rule, the_programme
from loyalty.redemption import capture, hold, refund, void
from loyalty.returns import cancel
from loyalty.rewards import RewardSent, publish_reward
from loyalty.rules import Caps, EarnRule
from loyalty.tiers import grant, withdraw
from loyalty.verification import verify_ledger
from membership.errors import CardReplaced, NotMerged, SameMember
from tests import shop

pytestmark = pytest.mark.usefixtures("own_database")

REFUSALS = (
    CardReplaced,
    ClaimRefused,
    NotMerged,
    UnmergeRefused,
    HoldSettled,
    InsufficientFunds,
    InsufficientPoints,
    NothingToReturn,
    OpenHolds,
    RewardRefused,
    SameMember,
    TransferRefused,
    VoucherRefused,
)


async def at_once(*work: Coroutine[Any, Any, Any]) -> Counter[str]:
    """How often each outcome came. Anything but a refusal, a deadlock above all, is a failure."""
    results = await asyncio.gather(*work, return_exceptions=True)
    faults = [one for one in results if isinstance(one, Exception) and not isinstance(one, REFUSALS)]
    if faults:
        raise ExceptionGroup("no refusals", faults)
    return Counter(type(one).__name__ if isinstance(one, BaseException) else "ok" for one in results)


SHUFFLES = int(os.environ.get("SOAK_SHUFFLES", "5"))


@pytest.mark.parametrize("seed", range(SHUFFLES))
async def test_everything_at_once_on_one_member_and_those_they_share_with_is_serial(seed: int) -> None:
    """Tills, offices, the night and a merge; no deadlock, no lost update, and the ledger is whole."""
    await shop.open_shop()
    await shop.policy(transfer_day_max=1_000_000, clawback="allow_debt")
    await define_tier(code="silver", name="Silver", rank=1, threshold=4000)
    one, two, three = [await shop.join() for _ in range(3)]
    for number in (one, two, three):
        await shop.give(number, 200)
        await shop.give(number, 30, expires_at=shop.NOON + timedelta(minutes=18))
        await top_up(number, 5000, at=shop.NOON)
    await share(one, [two], at=shop.NOON)
    sales = [await shop.sell(one, ("CUP", 2, 1000)) for _ in range(6)]
    held = [await hold(one, points=5, at=shop.NOON) for _ in range(6)]
    four = await shop.join()
    theirs = [await shop.sell(four, ("CUP", 2, 2)) for _ in range(3)]
    await merge_members(one, four, reason="One person", at=shop.NOON)
    strangers = [await shop.sell(None, ("CUP", 2, 1000), number=f"A{n}") for n in range(3)]
    programme = await the_programme()

    async def redeem(number: str) -> None:
        await capture((await hold(number, points=7, at=shop.NOON)).id, at=shop.NOON)

    work = [
        *(shop.sell(one, ("CUP", 1, 1000), points_to_spend=9) for _ in range(10)),
        *(shop.sell(two, ("CUP", 1, 1000), points_to_spend=9, stored_value_to_spend=100) for _ in range(8)),
        *(shop.bring_back(sale, (1, 1)) for sale in sales),
        *(cancel(s.receipt_id, till="T1", number=f"X{s.receipt_id}", business_time=shop.NOON) for s in sales[:3]),
        *(capture(each.id, at=shop.NOON) for each in held[:4]),
        *(void(each.id, at=shop.NOON) for each in held[2:]),
        *(refund(each.id, at=shop.NOON) for each in held[:2]),
        *(redeem(number) for number in (one, two, three)),
        *(transfer(one, three, 3, at=shop.NOON) for _ in range(3)),
        *(transfer(three, one, 3, at=shop.NOON) for _ in range(3)),
        *(adjust(two, points, reason="by hand", at=shop.NOON) for points in (5, -5)),
        *(run_nightly(shop.NOON + timedelta(minutes=20)) for _ in range(3)),
        *(
            claim(number, store="KL01", receipt_number=f"A{n}", total=2000, at=shop.NOON)
            for n in range(3)
            for number in (one, two)
        ),
        *(shop.bring_back(sale, (1, 1)) for sale in strangers),
        grant(two, "silver", until=shop.NOON + timedelta(minutes=10), programme=programme, at=shop.NOON),
        withdraw(two, programme=programme, at=shop.NOON),
        unmerge_members(one, four, at=shop.NOON),
        *(shop.bring_back(sale, (1, 1)) for sale in theirs),
        merge_members(two, three, reason="One person", at=shop.NOON),
        leave(two, at=shop.NOON),
    ]
    assert len(work) >= 50
    random.Random(seed).shuffle(work)
    found = await at_once(*work)
    assert found["ok"] >= 35, found
    verified = await verify_ledger()
    assert verified.ok, verified.breaks
    rollup = await database.value("SELECT sum(spend) FROM membership.consumption")
    assert rollup == await database.value("SELECT sum(total) FROM stores.receipt")


async def test_fifty_sales_share_one_budget_to_the_last_point() -> None:
    await shop.open_shop()
    await publish_rule(EarnRule(code="b", version=1, kind="bonus", fixed=30, caps=Caps(budget=1000, member_day_max=50)))
    members = [await shop.join() for _ in range(25)]
    sales = await asyncio.gather(*(shop.sell(member, ("CUP", 1, 1000)) for member in members * 2))
    given = [sale.earned - 10 for sale in sales]
    assert sum(given) == 1000 == await database.value("SELECT points FROM loyalty.rule_budget")
    by_member = await database.rows("SELECT points FROM loyalty.rule_given WHERE code = 'b' AND period = 'all'")
    assert all(row["points"] <= 50 for row in by_member)
    assert sum(row["points"] for row in by_member) == 1000
    assert (await verify_ledger()).ok


async def test_fifty_tills_use_one_shared_voucher_as_often_as_it_says() -> None:
    await shop.open_shop()
    code = await shop.voucher(None, uses_max=20)
    found = await at_once(*(shop.sell(None, ("CUP", 1, 1000), vouchers=[code]) for _ in range(50)))
    assert found == {"ok": 20, "VoucherRefused": 30}


async def test_the_same_voucher_at_two_tills_is_used_once() -> None:
    await shop.open_shop()
    code = await shop.voucher(None)
    found = await at_once(*(shop.sell(None, ("CUP", 1, 1000), vouchers=[code]) for _ in range(2)))
    assert found == {"ok": 1, "VoucherRefused": 1}


async def test_fifty_members_take_the_last_seven_of_a_reward() -> None:
    await shop.open_shop()
    await publish_reward(RewardSent(code="tote", name="Tote", points=10, kind="product", sku="CUP", stock=7))
    members = [await shop.join() for _ in range(10)]
    for member in members:
        await shop.give(member, 50)
    found = await at_once(*(hold(member, reward="tote", at=shop.NOON) for member in members * 5))
    assert found == {"ok": 7, "RewardRefused": 43}
    assert (await verify_ledger()).ok


async def test_one_account_is_locked_in_one_order_by_two_that_share() -> None:
    """Two of one household spend from each other, over and over: neither waits for the other in a circle."""
    await shop.open_shop()
    one, two = await shop.join(), await shop.join()
    for number in (one, two):
        await shop.give(number, 250)
    await share(one, [two], at=shop.NOON)
    found = await at_once(
        *(shop.sell(number, ("CUP", 1, 1000), points_to_spend=20) for _ in range(25) for number in (one, two))
    )
    assert found["ok"] >= 25
    assert (await verify_ledger()).ok
