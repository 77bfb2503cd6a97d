"""Holds: points set aside, then spent or given back."""

from datetime import timedelta

import pytest

from errors import InvalidInput
from loyalty.errors import HoldSettled, InsufficientPoints, UnknownHold, UnknownReward
from loyalty.nightly import run_nightly
from loyalty.redemption import capture, hold, void
from loyalty.rewards import RewardSent, publish_reward, rewards
from loyalty.verification import verify_ledger
from tests import shop


@pytest.fixture
async def member() -> str:
    await shop.open_shop()
    number = await shop.join()
    await shop.give(number, 100, expires_at=shop.NOON + timedelta(days=2))
    return number


async def test_held_points_are_not_available_twice(member: str) -> None:
    await hold(member, points=60, at=shop.NOON)
    with pytest.raises(InsufficientPoints) as refused:
        await hold(member, points=41, at=shop.NOON)
    assert refused.value.facts == {"available": 40, "cost": 41}


async def test_a_captured_hold_is_spent_once(member: str) -> None:
    held = await hold(member, points=60, at=shop.NOON)
    for _ in range(2):
        assert (await capture(held.id, at=shop.NOON)).status == "captured"
    assert await shop.balance_of(member) == 40
    with pytest.raises(HoldSettled, match="captured"):
        await void(held.id, at=shop.NOON)
    assert (await verify_ledger()).ok


async def test_a_void_hold_gives_its_points_back(member: str) -> None:
    held = await hold(member, points=60, at=shop.NOON)
    assert (await void(held.id, at=shop.NOON)).available == 100
    with pytest.raises(HoldSettled, match="void"):
        await capture(held.id, at=shop.NOON)


async def test_a_hold_expires(member: str) -> None:
    held = await hold(member, points=60, at=shop.NOON)
    later = shop.NOON + timedelta(minutes=15)
    with pytest.raises(HoldSettled, match="expired"):
        await capture(held.id, at=later)
    assert (await run_nightly(later)).holds_expired == 1
    assert (await hold(member, points=100, at=later)).available == 0


async def test_held_points_outlive_their_lot_until_the_hold_is_settled(member: str) -> None:
    midnight = shop.NOON + timedelta(days=2)
    held = await hold(member, points=60, at=midnight - timedelta(minutes=5))
    night = await run_nightly(midnight)
    assert night.points_expired == 40
    assert (await capture(held.id, at=midnight + timedelta(minutes=1))).status == "captured"
    assert await shop.balance_of(member) == 0
    assert (await verify_ledger()).ok


async def test_a_reward_costs_what_it_says(member: str) -> None:
    await publish_reward(RewardSent(code="tote", name="Tote", points=80, kind="product", sku="CUP"))
    assert [offer.code for offer in await rewards(at=shop.NOON)] == ["tote"]
    held = await hold(member, reward="tote", at=shop.NOON)
    assert (held.points, held.available) == (80, 20)


async def test_what_cannot_be_held_is_refused(member: str) -> None:
    with pytest.raises(UnknownReward):
        await hold(member, reward="nothing", at=shop.NOON)
    with pytest.raises(InvalidInput, match="either"):
        await hold(member, at=shop.NOON)
    with pytest.raises(InvalidInput, match="above zero"):
        await hold(member, points=0, at=shop.NOON)
    with pytest.raises(UnknownHold):
        await capture(404, at=shop.NOON)
