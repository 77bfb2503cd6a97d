"""Spending points: hold, then capture or void; and giving back what was captured. Held points are not available twice."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

import msgspec

import database
from errors import InvalidInput
from loyalty.errors import HoldSettled, InsufficientPoints, RefundRefused, UnknownHold
from loyalty.funds import accounts_of, funds, lots_to_spend
from loyalty.giving_back import Involved, lock_held, put_back
from loyalty.households import pool_of
from loyalty.ledger import Posting, debit, repay
from loyalty.locks import Account, lock_accounts, lock_accounts_by_id
from loyalty.lots import LotUse, split_spend
from loyalty.programme import the_programme
from loyalty.rewards import StockedReward, check_reward, reward, reward_batch
from loyalty.tiers import standing
from loyalty.voucher_batches import issue
from membership.cards import member_of_card

HoldStatus = Literal["held", "captured", "void", "expired", "refunded"]


class Redemption(msgspec.Struct, frozen=True, kw_only=True):
    """A hold and what became of it. `available` is what the member can still spend; `voucher` is what a captured reward became."""

    id: int
    member: str
    points: int
    reward: str | None
    status: HoldStatus
    expires_at: datetime
    available: int
    voucher: str | None = None


async def hold(
    member: str, *, at: datetime, points: int | None = None, reward: str | None = None, store: str | None = None
) -> Redemption:
    """Set points aside, by number or for a reward, in the lots that spending would take.

    Raises `InsufficientPoints`, `UnknownReward`, and `RewardRefused` for one that this member cannot have here and now.
    """
    if (points is None) == (reward is None):
        raise InvalidInput(field="points", why="give either points or a reward")
    if points is not None and points <= 0:
        raise InvalidInput(field="points", why=f"{points} must be above zero")
    async with database.transaction():
        member_id = await member_of_card(member)
        locked = await lock_accounts(await pool_of(member_id))
        account = locked[member_id]
        shared = set(await pool_of(account.member_id))  # as it is under the locks
        pool = list({one.id for one in locked.values() if one.member_id in shared})
        wanted = await _wanted(reward, account, store, at) if reward is not None else None
        cost = wanted.points if wanted is not None else points
        assert cost is not None
        there = (await funds(pool, at)).usable
        if there < cost:
            raise InsufficientPoints(available=there, cost=cost)
        uses = split_spend(await lots_to_spend(pool, at, cost), cost)
        expires_at = at + timedelta(minutes=(await the_programme()).hold_minutes)
        hold_id = await database.value(
            "WITH hold AS (INSERT INTO loyalty.hold (account_id, points, reward_id, store_id, held_at, expires_at) "
            "VALUES ($1, $2, $3, (SELECT id FROM stores.store WHERE code = $4), $5, $6) RETURNING id), "
            "use AS (SELECT * FROM unnest($7::bigint[], $8::bigint[]) AS u (lot_id, points)), "
            "kept AS (INSERT INTO loyalty.lot_hold SELECT hold.id, use.lot_id, use.points FROM hold, use), "
            "held AS (UPDATE loyalty.lot SET held = held + use.points FROM use WHERE lot.id = use.lot_id), "
            "taken AS (UPDATE loyalty.reward SET taken = taken + 1 WHERE id = $3) SELECT id FROM hold",
            account.id,
            cost,
            wanted.id if wanted is not None else None,
            store,
            at,
            expires_at,
            [use.lot_id for use in uses],
            [use.points for use in uses],
        )
    return Redemption(
        id=hold_id,
        member=member,
        points=cost,
        reward=reward,
        status="held",
        expires_at=expires_at,
        available=there - cost,
    )


async def _wanted(code: str, account: Account, store: str | None, at: datetime) -> StockedReward:
    """The reward, locked, for a member who can have it."""
    wanted = await reward(code, lock=True)
    programme = await the_programme()
    tier = (await standing(account.member_id, programme, at)).tier
    await check_reward(wanted, account_id=account.id, tier=tier, programme=programme, store=store, at=at)
    return wanted


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    member_id: int
    reward: str | None
    status: HoldStatus
    store_id: int | None
    expires_at: datetime
    voucher_id: int | None


async def store_of_hold(hold_id: int) -> str | None:
    """The store a hold was made in. Raises `UnknownHold`."""
    row = await database.row(
        "SELECT store.code FROM loyalty.hold LEFT JOIN stores.store ON store.id = store_id WHERE hold.id = $1", hold_id
    )
    if row is None:
        raise UnknownHold(hold_id=hold_id)
    return str(row["code"]) if row["code"] else None


async def capture(hold_id: int, *, at: datetime) -> Redemption:
    """Spend the held points; a reward that takes something off becomes a voucher of the member's own. Capturing twice changes
    nothing; a void or expired hold is refused."""
    async with database.transaction():
        involved, held = await _lock_hold(hold_id)
        if held.status not in ("held", "captured") or (held.status == "held" and held.expires_at <= at):
            raise HoldSettled(hold_id=hold_id, status="expired" if held.status == "held" else held.status)
        if held.status == "held":
            entries = [
                await debit(account, _posting(held, uses, at, kind="spend"), uses, held=True)
                for account, uses in await _held_lots(involved, hold_id)
            ]
            assert involved.own is not None
            voucher_id = await _voucher_of(held, involved.own, at)
            await database.execute(
                "UPDATE loyalty.hold SET status = 'captured', entry_id = $2, voucher_id = $3 WHERE id = $1",
                hold_id,
                entries[0].id,
                voucher_id,
            )
        return await _shown(hold_id, at)


def _posting(held: _Held, uses: Sequence[LotUse], at: datetime, *, kind: str) -> Posting:
    points = sum(use.points for use in uses)
    spend = kind == "spend"
    reason = f"reward {held.reward}" if held.reward else "points redeemed"
    return Posting(
        amount=-points if spend else points,
        kind=kind,
        reason=reason if spend else f"redemption {held.id} refunded",
        event_at=at,
        store_id=held.store_id,
        explanation={"redemption": held.id, "spent_by": held.member_id},
    )


async def _voucher_of(held: _Held, account: Account, at: datetime) -> int | None:
    """The voucher that a reward becomes, if it becomes one."""
    if held.reward is None:
        return None
    given = await reward(held.reward)
    if given.kind == "product":
        return None
    batch = given.batch if given.kind == "voucher" else reward_batch(given.code)
    assert batch is not None
    return (await issue(batch, [account.member_id], at=at))[account.member_id]


async def void(hold_id: int, *, at: datetime) -> Redemption:
    """Give the held points back. Voiding twice changes nothing; a captured hold is refused."""
    async with database.transaction():
        involved, held = await _lock_hold(hold_id)
        if held.status in ("captured", "refunded"):
            raise HoldSettled(hold_id=hold_id, status=held.status)
        if held.status == "held":
            await _release([hold_id], "void")
            for account in involved.accounts.values():
                if account.debt:
                    await repay(account, at=at)
        return await _shown(hold_id, at)


async def expire(hold_ids: Sequence[int], *, at: datetime) -> int:
    """Give back what is still held by any of these; how many were. Inside the caller's transaction."""
    accounts = {account.id: account for account in await lock_accounts_by_id(await _accounts_of_lots(hold_ids))}
    rows = await database.rows(  # under the locks; since it was found due another may have been captured or voided
        "SELECT id FROM loyalty.hold WHERE id = ANY($1::bigint[]) AND status = 'held'", list(hold_ids)
    )
    due = [row["id"] for row in rows]
    if due:
        await _release(due, "expired")
        for account_id in await _accounts_of_lots(due):
            if accounts[account_id].debt:
                await repay(accounts[account_id], at=at)
    return len(due)


async def _accounts_of_lots(hold_ids: Sequence[int]) -> list[int]:
    """The accounts that holds have lots of. They stay the same ones: held lots do not move."""
    rows = await database.rows(
        "SELECT DISTINCT account_id FROM loyalty.lot_hold JOIN loyalty.lot ON lot.id = lot_id WHERE hold_id = ANY($1::bigint[]) "
        "ORDER BY 1",
        list(hold_ids),
    )
    return [row["account_id"] for row in rows]


async def _release(hold_ids: Sequence[int], status: HoldStatus) -> None:
    """Free the lots of open holds whose accounts are locked, and what they took of rewards."""
    await database.execute(
        "WITH freed AS (SELECT lot_id, sum(points) AS points FROM loyalty.lot_hold WHERE hold_id = ANY($1::bigint[]) GROUP BY 1), "
        "lots AS (UPDATE loyalty.lot SET held = held - freed.points FROM freed WHERE lot.id = freed.lot_id), "
        f"rewards AS ({_UNTAKEN}) UPDATE loyalty.hold SET status = $2 WHERE id = ANY($1::bigint[])",
        list(hold_ids),
        status,
    )


_UNTAKEN = (
    "UPDATE loyalty.reward SET taken = taken - u.holds FROM (SELECT reward_id, count(*) AS holds FROM loyalty.hold "
    "WHERE id = ANY($1::bigint[]) AND reward_id IS NOT NULL GROUP BY 1) u WHERE reward.id = u.reward_id"
)


async def refund(hold_id: int, *, at: datetime) -> Redemption:
    """Undo a captured redemption: its points go back into their lots, what it took of a reward is there again. Refunding twice
    changes nothing. Raises `HoldSettled` for one that was never captured, `RefundRefused` when its voucher has been used."""
    async with database.transaction():
        involved, held = await _lock_hold(hold_id)
        if held.status not in ("captured", "refunded"):
            raise HoldSettled(hold_id=hold_id, status=held.status)
        if held.status == "captured":
            await _withdraw_voucher(held, at)
            grace = at + timedelta(days=(await the_programme()).grace_days)
            for home, uses in await _held_lots(involved, hold_id):
                posting = _posting(held, uses, at, kind="restore")
                await put_back(involved, home, uses, posting=posting, expires_min=grace)
            await database.execute(
                f"WITH rewards AS ({_UNTAKEN}) UPDATE loyalty.hold SET status = 'refunded' WHERE id = ANY($1::bigint[])",
                [hold_id],
            )
        return await _shown(hold_id, at)


async def _withdraw_voucher(held: _Held, at: datetime) -> None:
    if held.voucher_id is None:
        return
    voucher = await database.row(
        "SELECT code, uses FROM loyalty.voucher WHERE id = $1 FOR NO KEY UPDATE", held.voucher_id
    )
    assert voucher is not None
    if voucher["uses"]:
        raise RefundRefused(hold_id=held.id, voucher=voucher["code"])
    await database.execute("UPDATE loyalty.voucher SET cancelled_at = $2 WHERE id = $1", held.voucher_id, at)


async def _lock_hold(hold_id: int) -> tuple[Involved, _Held]:
    """A hold is changed only under its accounts' locks, so that capture, void and expiry cannot meet."""
    involved = await lock_held(hold_id)
    row = await database.row(
        "SELECT hold.id, member_id, reward.code AS reward, status, store_id, expires_at, voucher_id FROM loyalty.hold "
        "JOIN loyalty.account ON account.id = account_id LEFT JOIN loyalty.reward ON reward.id = reward_id WHERE hold.id = $1",
        hold_id,
    )
    assert row is not None
    return involved, _Held(**dict(row))


async def _held_lots(involved: Involved, hold_id: int) -> list[tuple[Account, list[LotUse]]]:
    """What a hold has of each account."""
    rows = await database.rows(
        "SELECT lot_id, lot_hold.points, account_id FROM loyalty.lot_hold JOIN loyalty.lot ON lot.id = lot_id WHERE hold_id = $1 "
        "ORDER BY account_id, lot_id",
        hold_id,
    )
    return [
        (involved.accounts[account_id], [LotUse(row["lot_id"], row["points"]) for row in of_account])
        for account_id, of_account in groupby(rows, key=lambda row: row["account_id"])
    ]


async def _shown(hold_id: int, at: datetime) -> Redemption:
    row = await database.row(
        "SELECT hold.id, card.number AS member, hold.points, reward.code AS reward, hold.status, hold.expires_at, "
        "membership.survivor(account.member_id) AS member_id, voucher.code AS voucher FROM loyalty.hold "
        "JOIN loyalty.account ON account.id = account_id LEFT JOIN membership.card ON card.member_id = "
        "membership.survivor(account.member_id) AND card.status = 'active' LEFT JOIN loyalty.reward ON reward.id = reward_id "
        "LEFT JOIN loyalty.voucher ON voucher.id = voucher_id WHERE hold.id = $1",
        hold_id,
    )
    assert row is not None
    fields = dict(row)
    pool = await accounts_of(await pool_of(fields.pop("member_id")))
    return Redemption(**fields, available=(await funds(pool, at)).usable)
