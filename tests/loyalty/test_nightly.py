"""The night's work is done once, however often it runs and however long it was off."""

from datetime import timedelta

import pytest

import database
from loyalty.merging import merge_members, unmerge_members
from loyalty.nightly import run_nightly
from loyalty.programme import define_tier
from loyalty.redemption import hold
from loyalty.verification import verify_ledger
from tests import shop


async def test_points_expire_once_and_with_the_time_they_were_due() -> None:
    await shop.open_shop()
    member = await shop.join()
    due = shop.NOON + timedelta(days=3)
    await shop.give(member, 30, expires_at=due)
    await shop.give(member, 20)
    assert (await run_nightly(due - timedelta(seconds=1))).points_expired == 0
    after_days_off = await run_nightly(due + timedelta(days=4))
    assert (after_days_off.lots_expired, after_days_off.points_expired) == (1, 30)
    assert (await run_nightly(due + timedelta(days=4))).points_expired == 0
    entry = await database.row("SELECT amount, event_at FROM loyalty.entry WHERE kind = 'expire'")
    assert entry is not None
    assert tuple(entry) == (-30, due)
    assert await shop.balance_of(member) == 20
    assert (await verify_ledger()).ok


async def test_members_are_raised_to_the_tier_their_spend_reaches() -> None:
    await shop.open_shop()
    member = await shop.join()
    await shop.sell(member, ("CUP", 5, 1000))
    await define_tier(code="silver", name="Silver", rank=1, threshold=5000)
    assert (await run_nightly(shop.NOON)).tiers_gained == 1
    assert (await run_nightly(shop.NOON)).tiers_gained == 0
    assert await database.value("SELECT count(*) FROM membership.event WHERE kind = 'tier_gained'") == 1


async def test_a_night_of_many_accounts_comes_to_what_one_of_them_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BATCH", 2)
    await shop.open_shop()
    members = [await shop.join() for _ in range(5)]
    due = shop.NOON + timedelta(minutes=10)
    for member in members:
        await shop.give(member, 30, expires_at=due)
        await shop.give(member, 20)
        await shop.sell(member, ("CUP", 5, 1000))
        await hold(member, points=5, at=shop.NOON)
    await define_tier(code="silver", name="Silver", rank=1, threshold=5000)
    night = await run_nightly(shop.NOON + timedelta(minutes=20))
    assert (night.tiers_gained, night.holds_expired, night.lots_expired, night.points_expired) == (5, 5, 5, 150)
    later = await run_nightly(shop.NOON + timedelta(days=800))
    assert (later.tiers_lost, later.lots_expired, later.points_expired) == (5, 5, 250)
    assert [await shop.balance_of(member) for member in members] == [20] * 5
    assert (await verify_ledger()).ok


async def test_a_tier_of_somebody_absorbed_waits_for_them_to_be_parted() -> None:
    await shop.open_shop()
    member, again = await shop.join(), await shop.join()
    await define_tier(code="silver", name="Silver", rank=1, threshold=5000)
    await shop.sell(again, ("CUP", 5, 1000))
    await merge_members(member, again, reason="One person", at=shop.NOON)
    later = shop.NOON + timedelta(days=800)
    assert (await run_nightly(later)).tiers_lost == 1  # the survivor's, who has it from them
    await unmerge_members(member, again, at=later)
    assert (await run_nightly(later)).tiers_lost == 1
