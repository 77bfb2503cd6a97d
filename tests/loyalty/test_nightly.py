"""The night's work is done once, however often it runs and however long it was off."""

from datetime import timedelta

import database
from loyalty.nightly import run_nightly
from loyalty.programme import define_tier
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
