"""Spending points: hold, then capture or void. Held points are not available twice."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

import database
from errors import InvalidInput
from loyalty.errors import HoldSettled, InsufficientPoints, UnknownHold, UnknownReward
from loyalty.ledger import Account, Posting, debit, lock_account, open_lots
from loyalty.lots import LotUse, available, split_spend, usable
from loyalty.programme import the_programme
from loyalty.tables import Reward
from membership.cards import member_of_card

HoldStatus = Literal["held", "captured", "void", "expired"]


class Redemption(msgspec.Struct, frozen=True, kw_only=True):
    """A hold and what became of it. `available` is what the member can still spend."""

    id: int
    member: str
    points: int
    reward: str | None
    status: HoldStatus
    expires_at: datetime
    available: int


class RewardOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A reward in the catalogue. `value` is minor units or percent by `kind`."""

    code: str
    name: str
    points: int
    kind: str
    value: int


async def rewards() -> list[RewardOffer]:
    """Active rewards, cheapest first."""
    rows = (
        await Reward.select(Reward.code, Reward.name, Reward.points, Reward.kind, Reward.value)
        .where(Reward.active.eq(True))
        .order_by(Reward.points)
    )
    return [RewardOffer(**row) for row in rows]


async def define_reward(*, code: str, name: str, points: int, kind: str, value: int = 0) -> None:
    """Add a reward, or change the one of that code. `value` is minor units or percent by `kind`."""
    await database.execute(
        "INSERT INTO loyalty.reward (code, name, points, kind, value) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (code) "
        "DO UPDATE SET (name, points, kind, value) = (excluded.name, excluded.points, excluded.kind, excluded.value)",
        code,
        name,
        points,
        kind,
        value,
    )


async def hold(
    member: str, *, at: datetime, points: int | None = None, reward: str | None = None, store: str | None = None
) -> Redemption:
    """Set points aside, by number or for a reward, in the lots that spending would take."""
    if (points is None) == (reward is None):
        raise InvalidInput(field="points", why="give either points or a reward")
    async with database.transaction():
        member_id = await member_of_card(member)
        account = await lock_account(member_id)
        reward_id, points = await _cost(points, reward)
        lots = usable(await open_lots(account.id), at)
        there = available(lots, at)
        if there < points:
            raise InsufficientPoints(available=there, cost=points)
        uses = split_spend(lots, points)
        expires_at = at + timedelta(minutes=(await the_programme()).hold_minutes)
        hold_id = await database.value(
            "WITH hold AS (INSERT INTO loyalty.hold (account_id, points, reward_id, store_id, held_at, expires_at) "
            "VALUES ($1, $2, $3, (SELECT id FROM stores.store WHERE code = $4), $5, $6) RETURNING id), "
            "use AS (SELECT * FROM unnest($7::bigint[], $8::bigint[]) AS u (lot_id, points)), "
            "kept AS (INSERT INTO loyalty.lot_hold SELECT hold.id, use.lot_id, use.points FROM hold, use), "
            "held AS (UPDATE loyalty.lot SET held = held + use.points FROM use WHERE lot.id = use.lot_id) "
            "SELECT id FROM hold",
            account.id,
            points,
            reward_id,
            store,
            at,
            expires_at,
            [use.lot_id for use in uses],
            [use.points for use in uses],
        )
    return Redemption(
        id=hold_id,
        member=member,
        points=points,
        reward=reward,
        status="held",
        expires_at=expires_at,
        available=there - points,
    )


async def _cost(points: int | None, reward: str | None) -> tuple[int | None, int]:
    if points is not None:
        if points <= 0:
            raise InvalidInput(field="points", why=f"{points} must be above zero")
        return None, points
    row = await Reward.select(Reward.id, Reward.points).where(Reward.code == reward, Reward.active.eq(True)).first()
    if row is None:
        raise UnknownReward(code=str(reward))
    return row["id"], row["points"]


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    account_id: int
    member_id: int
    points: int
    reward: str | None
    status: HoldStatus
    store_id: int | None
    expires_at: datetime


async def store_of_hold(hold_id: int) -> str | None:
    """The store a hold was made in. Raises `UnknownHold`."""
    row = await database.row(
        "SELECT store.code FROM loyalty.hold LEFT JOIN stores.store ON store.id = store_id WHERE hold.id = $1", hold_id
    )
    if row is None:
        raise UnknownHold(hold_id=hold_id)
    return str(row["code"]) if row["code"] else None


async def capture(hold_id: int, *, at: datetime) -> Redemption:
    """Spend the held points. Capturing twice changes nothing; a void or expired hold is refused."""
    async with database.transaction():
        account, held = await _lock_hold(hold_id)
        if held.status not in ("held", "captured") or (held.status == "held" and held.expires_at <= at):
            raise HoldSettled(hold_id=hold_id, status="expired" if held.status == "held" else held.status)
        if held.status == "held":
            reason = f"reward {held.reward}" if held.reward else "points redeemed"
            entry = await debit(
                account,
                Posting(amount=-held.points, kind="spend", reason=reason, event_at=at, store_id=held.store_id),
                await _held_lots(hold_id),
                held=True,
            )
            await database.execute(
                "UPDATE loyalty.hold SET status = 'captured', entry_id = $2 WHERE id = $1", hold_id, entry.id
            )
        return await _shown(held, "captured", at)


async def void(hold_id: int, *, at: datetime) -> Redemption:
    """Give the held points back. Voiding twice changes nothing; a captured hold is refused."""
    async with database.transaction():
        _, held = await _lock_hold(hold_id)
        if held.status == "captured":
            raise HoldSettled(hold_id=hold_id, status=held.status)
        if held.status == "held":
            await release([hold_id], "void")
        return await _shown(held, "void" if held.status == "held" else held.status, at)


async def release(hold_ids: list[int], status: HoldStatus) -> None:
    """Free the lots of open holds whose accounts are locked."""
    await database.execute(
        "WITH freed AS (SELECT lot_id, sum(points) AS points FROM loyalty.lot_hold WHERE hold_id = ANY($1::bigint[]) GROUP BY 1), "
        "lots AS (UPDATE loyalty.lot SET held = held - freed.points FROM freed WHERE lot.id = freed.lot_id) "
        "UPDATE loyalty.hold SET status = $2 WHERE id = ANY($1::bigint[])",
        hold_ids,
        status,
    )


async def _lock_hold(hold_id: int) -> tuple[Account, _Held]:
    """A hold is changed only under its account's lock, so that capture, void and expiry cannot meet."""
    member_id = await database.value(
        "SELECT member_id FROM loyalty.hold JOIN loyalty.account ON account.id = account_id WHERE hold.id = $1", hold_id
    )
    if member_id is None:
        raise UnknownHold(hold_id=hold_id)
    account = await lock_account(member_id)
    row = await database.row(
        "SELECT hold.id, account_id, member_id, hold.points, reward.code AS reward, status, store_id, expires_at "
        "FROM loyalty.hold JOIN loyalty.account ON account.id = account_id LEFT JOIN loyalty.reward ON reward.id = reward_id "
        "WHERE hold.id = $1",
        hold_id,
    )
    assert row is not None
    return account, _Held(**dict(row))


async def _held_lots(hold_id: int) -> list[LotUse]:
    rows = await database.rows(
        "SELECT lot_id, points FROM loyalty.lot_hold WHERE hold_id = $1 ORDER BY lot_id", hold_id
    )
    return [LotUse(row["lot_id"], row["points"]) for row in rows]


async def _shown(held: _Held, status: HoldStatus, at: datetime) -> Redemption:
    number = await database.value(
        "SELECT number FROM membership.card WHERE member_id = $1 AND status = 'active'", held.member_id
    )
    return Redemption(
        id=held.id,
        member=number,
        points=held.points,
        reward=held.reward,
        status=status,
        expires_at=held.expires_at,
        available=available(await open_lots(held.account_id), at),
    )
