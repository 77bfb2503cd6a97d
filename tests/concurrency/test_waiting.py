"""What one transaction decides while another waits for it: who comes second sees it, and nothing is done twice or by the wrong one."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from datetime import timedelta
from typing import Any

import pytest

import database
from loyalty.accounts import adjust, transfer
from loyalty.claiming import claim
from loyalty.errors import TransferRefused
from loyalty.merging import merge_members, unmerge_members
from loyalty.nightly import run_nightly
from loyalty.programme import define_tier
from loyalty.redemption import capture, hold
from loyalty.verification import verify_ledger
from tests import shop

pytestmark = pytest.mark.usefixtures("own_database")


def apart(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Somebody else doing `work`: outside the transaction that this is called in."""
    return asyncio.create_task(work, context=Context())


async def waiting(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """`work` begun by somebody else and come as far as a lock that the transaction has that this is called in."""
    task = apart(work)
    for _ in range(1000):
        assert not task.done(), "it was to wait"
        if await database.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            return task
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_goods_brought_back_while_their_receipt_is_claimed_take_the_points_with_them() -> None:
    await shop.open_shop()
    member = await shop.join()
    sale = await shop.sell(None, ("CUP", 2, 1000), number="A1")
    async with database.transaction():
        await claim(member, store="KL01", receipt_number="A1", total=2000, at=shop.NOON)
        back = await waiting(shop.bring_back(sale, (1, 1)))
    assert (await back).points_clawed_back == 10
    assert await shop.balance_of(member) == 10
    assert (await verify_ledger()).ok


async def test_goods_brought_back_while_two_members_part_take_the_points_of_whoever_bought_them() -> None:
    await shop.open_shop()
    one, other = await shop.join(), await shop.join()
    sale = await shop.sell(other, ("CUP", 2, 1000))
    await merge_members(one, other, reason="One person", at=shop.NOON)
    async with database.transaction():
        await unmerge_members(one, other, at=shop.NOON)
        back = await waiting(shop.bring_back(sale, (1, 1)))
    assert (await back).points_clawed_back == 10
    assert (await shop.balance_of(one), await shop.balance_of(other)) == (0, 10)
    assert (await verify_ledger()).ok


async def test_points_are_not_given_to_somebody_who_has_become_the_giver() -> None:
    await shop.open_shop()
    await shop.policy(transfer_day_max=100)
    one, other = await shop.join(), await shop.join()
    await shop.give(other, 10)
    async with database.transaction():
        await merge_members(one, other, reason="One person", at=shop.NOON)
        given = await waiting(transfer(other, one, 5, at=shop.NOON))
    with pytest.raises(TransferRefused, match="the same member's"):
        await given
    assert await shop.balance_of(one) == 10


async def test_a_hold_captured_while_the_night_waits_for_it_stays_captured() -> None:
    await shop.open_shop()
    member = await shop.join()
    await shop.give(member, 10)
    held = await hold(member, points=10, at=shop.NOON)
    async with database.transaction():
        await capture(held.id, at=shop.NOON)
        night = await waiting(run_nightly(shop.NOON + timedelta(hours=1)))
    assert (await night).holds_expired == 0
    assert await shop.balance_of(member) == 0
    assert (await verify_ledger()).ok


async def test_what_comes_due_while_the_night_waits_for_others_is_left_to_the_next() -> None:
    """Nobody holds that account: a till may be taking the points at this moment."""
    await shop.open_shop()
    member, other = await shop.join(), await shop.join()
    due = shop.NOON + timedelta(hours=1)
    await shop.give(member, 10, expires_at=due)
    async with database.transaction():
        await shop.give(member, 1)
        night = await waiting(run_nightly(due))
        await apart(shop.give(other, 20, expires_at=due))
    assert (await night).points_expired == 10
    assert await shop.balance_of(other) == 20
    assert (await run_nightly(due)).points_expired == 20
    assert (await verify_ledger()).ok


async def test_a_hold_made_while_the_night_waits_for_others_is_left_to_the_next() -> None:
    await shop.open_shop()
    member, other = await shop.join(), await shop.join()
    for number in (member, other):
        await shop.give(number, 10)
    await hold(member, points=10, at=shop.NOON)
    later = shop.NOON + timedelta(hours=1)
    async with database.transaction():
        await shop.give(member, 1)
        night = await waiting(run_nightly(later))
        held = await apart(hold(other, points=10, at=shop.NOON))
    assert (await night).holds_expired == 1
    assert (await capture(held.id, at=shop.NOON)).status == "captured"
    assert (await run_nightly(later)).holds_expired == 0
    assert (await verify_ledger()).ok


async def test_a_tier_whose_holder_is_absorbed_while_the_night_waits_is_left_as_it_was() -> None:
    """An unmerge gives it back."""
    await shop.open_shop()
    await define_tier(code="silver", name="Silver", rank=1, threshold=1000)
    one, other = await shop.join(), await shop.join()
    await shop.sell(other, ("CUP", 2, 1000))
    later = shop.NOON + timedelta(days=800)
    await adjust(other, -20, reason="so that there is nothing to expire", at=shop.NOON)
    async with database.transaction():
        await merge_members(one, other, reason="One person", at=shop.NOON)
        night = await waiting(run_nightly(later))
    assert (await night).tiers_lost == 0
    assert (await run_nightly(later)).tiers_lost == 1  # the survivor's, who has it by the merge
    await unmerge_members(one, other, at=later)
    assert (await run_nightly(later)).tiers_lost == 1
    assert (await verify_ledger()).ok


async def test_points_given_to_a_card_whose_holder_is_absorbed_meanwhile_are_the_survivor_s() -> None:
    await shop.open_shop()
    one, other = await shop.join(), await shop.join()
    await shop.give(other, 10)
    async with database.transaction():
        await merge_members(one, other, reason="One person", at=shop.NOON)
        given = await waiting(adjust(other, 5, reason="by hand", at=shop.NOON))
    assert (await given).balance == 15
    assert (await shop.balance_of(one)) == 15
    assert (await verify_ledger()).ok
