"""Rewarding members who bring members: both sides, once the newcomer's first purchase worth it can be returned no more."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

import msgspec

import database
from loyalty.ledger import Posting, credit
from loyalty.locks import Account, lock_accounts
from loyalty.lots import expiry
from loyalty.programme import Programme, the_programme
from stores.single_row import change_row, read_row

Points = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
Days = Annotated[int, msgspec.Meta(ge=0, le=3650)]


class ReferralRule(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes and what it is worth. `spend_min` is minor units, net of returns; a referrer is rewarded at most
    `rewards_max` times in `period_days`."""

    active: bool
    spend_min: int
    window_days: int
    referrer_points: int
    referee_points: int
    rewards_max: int
    period_days: int


class ReferralRuleChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of the rule; what is left out stays."""

    active: bool | msgspec.UnsetType = msgspec.UNSET
    spend_min: Annotated[int, msgspec.Meta(ge=0, le=10**12)] | msgspec.UnsetType = msgspec.UNSET
    window_days: Days | msgspec.UnsetType = msgspec.UNSET
    referrer_points: Points | msgspec.UnsetType = msgspec.UNSET
    referee_points: Points | msgspec.UnsetType = msgspec.UNSET
    rewards_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | msgspec.UnsetType = msgspec.UNSET
    period_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | msgspec.UnsetType = msgspec.UNSET


async def referral_rule(*, lock: bool = False) -> ReferralRule:
    """The rule as it is; `lock` keeps others from changing it."""
    return await read_row("loyalty.referral_rule", ReferralRule, lock=lock)


async def change_referral_rule(change: ReferralRuleChange) -> ReferralRule:
    """Change the rule."""
    return await change_row("loyalty.referral_rule", ReferralRule, change)


async def reward_referrals(at: datetime) -> int:
    """Reward every referral that has come true by a moment; how many. Each in a transaction of its own."""
    rule = await referral_rule()
    if not rule.active:
        return 0
    due = await database.rows(_DUE, at - timedelta(days=rule.window_days), rule.spend_min)
    programme = await the_programme()
    return sum(
        [
            await database.retried(partial(_reward, row["referee_id"], row["receipt_id"], rule, programme, at))
            for row in due
        ]
    )


# The first purchase that is worth it, all that came back of it taken off; earlier ones that came back do not count.
_DUE = """
SELECT referee_id, first.id AS receipt_id FROM membership.referral, LATERAL (
    SELECT sale.id FROM stores.receipt sale
    WHERE sale.member_id = membership.survivor(referee_id) AND sale.kind = 'sale' AND sale.business_time >= referred_at - interval '1 day'
        AND sale.business_time <= $1
        AND sale.total + coalesce((SELECT sum(total) FROM stores.receipt back WHERE back.original_id = sale.id), 0) >= greatest($2, 1)
    ORDER BY sale.business_time, sale.id LIMIT 1) first
WHERE status = 'waiting' ORDER BY referee_id
"""


async def _reward(referee_id: int, receipt_id: int, rule: ReferralRule, programme: Programme, at: datetime) -> int:
    async with database.transaction():
        # The accounts before anything else, as everywhere, and before the cap is looked at, which they guard.
        both = await database.row(
            "SELECT membership.survivor(referrer_id), membership.survivor(referee_id) FROM membership.referral WHERE referee_id = $1",
            referee_id,
        )
        assert both is not None
        locked = await lock_accounts(list(both))
        referrer, referee = (locked[member_id] for member_id in both)
        erased = await database.value(
            "SELECT EXISTS (SELECT FROM membership.member WHERE id IN (referrer_id, referee_id) AND status = 'erased') "
            "FROM membership.referral WHERE referee_id = $1 AND status = 'waiting' FOR UPDATE",
            referee_id,
        )
        if erased is None:
            return 0
        if erased or referrer.id == referee.id:
            reason = "erased" if erased else "merged into one"
            await _decide(referee_id, "refused", reason, receipt_id, at)
            return 0
        await _credit_both(referrer, referee, referee_id, rule, programme, at)
        await _decide(referee_id, "rewarded", "", receipt_id, at)
        return 1


async def _credit_both(
    referrer: Account, referee: Account, referee_id: int, rule: ReferralRule, programme: Programme, at: datetime
) -> None:
    so_far = await database.value(
        "SELECT count(*) FROM loyalty.entry WHERE account_id IN (SELECT loyalty.with_absorbed($1)) AND kind = 'bonus' "
        "AND reason = 'referral' AND explanation->>'side' = 'referrer' AND event_at > $2",
        referrer.id,
        at - timedelta(days=rule.period_days),
    )
    points = {
        "referrer": (referrer, 0 if so_far >= rule.rewards_max else rule.referrer_points),
        "referee": (referee, rule.referee_points),
    }
    for side, (account, amount) in points.items():
        if amount:
            await credit(
                account,
                Posting(
                    amount=amount,
                    kind="bonus",
                    reason="referral",
                    event_at=at,
                    explanation={"side": side, "referee": referee_id},
                ),
                activates_at=at,
                expires_at=expiry(at, programme.at_once),
            )


async def _decide(referee_id: int, status: str, reason: str, receipt_id: int, at: datetime) -> None:
    await database.execute(
        "UPDATE membership.referral SET status = $2, reason = $3, receipt_id = $4, decided_at = $5 WHERE referee_id = $1",
        referee_id,
        status,
        reason,
        receipt_id,
        at,
    )
