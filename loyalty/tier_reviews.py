"""Every member's tier looked at again: up when what counts is enough, down when a period has ended. `tiers.py` has one member's."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial

import msgspec

import database
from loyalty.locks import lock_accounts
from loyalty.programme import Programme, TierLevel
from loyalty.tiers import (
    Change,
    Standing,
    add_months,
    counted_between,
    is_above,
    safe_until,
    settle_standings,
    standings,
    window,
)


async def raise_all(programme: Programme, at: datetime) -> int:
    """Raise every member whom what counts puts above the tier they have earned; how many were."""
    if not programme.tiers:
        return 0
    rows = await database.rows(_ABOVE.format(metric=programme.tier_metric), *_widest(programme, at))
    raised = await database.batch_by_batch(
        [row["member_id"] for row in rows], partial(_raise, programme=programme, at=at)
    )
    return sum(raised)


async def _raise(member_ids: Sequence[int], *, programme: Programme, at: datetime) -> int:
    today = at.astimezone(programme.chain.zone).date()
    changes = []
    for member_id, now in (await standings(await _locked(member_ids), programme, today)).items():
        tier = programme.tier_reached(now.standing.qualifying)
        if is_above(tier, now.standing.earned):
            until = safe_until(programme, today, now.joined)
            became = msgspec.structs.replace(now.standing, earned=tier, until=until)
            changes.append(Change(member_id=member_id, before=now.standing.tier, became=became))
    settled = await settle_standings(changes, at=at) if changes else []
    return sum(is_above(after.tier, change.before) for change, after in zip(changes, settled, strict=True))


async def _locked(member_ids: Sequence[int]) -> list[int]:
    """Members whose accounts are locked; not those who have become part of another while this waited."""
    accounts = await lock_accounts(member_ids)
    return [member_id for member_id in member_ids if accounts[member_id].member_id == member_id]


# Those who may have reached more; who really has is seen under the lock.
_ABOVE = """
SELECT q.member_id FROM loyalty.qualifying q LEFT JOIN loyalty.standing s USING (member_id)
LEFT JOIN loyalty.tier earned ON earned.id = s.earned_id
WHERE day BETWEEN $1 AND $2 GROUP BY q.member_id, earned.threshold
HAVING sum({metric}) >= (SELECT min(threshold) FROM loyalty.tier WHERE threshold > coalesce(earned.threshold, -1))
ORDER BY q.member_id
"""


def _widest(programme: Programme, at: datetime) -> tuple[date, date]:
    """Days outside which nothing counts for anybody; anniversaries differ by member and lie within the year."""
    today = at.astimezone(programme.chain.zone).date()
    if programme.tier_period == "anniversary":
        return add_months(today, -12), today
    return window(programme, today, today)[0], today


async def review(programme: Programme, at: datetime) -> int:
    """Look again at every tier whose period and grace have passed, and at grants that have ended; how many members went down.

    A member keeps the tier that the ended period, or what counts by now, reaches. Otherwise it goes down by a level, which is then
    safe for a period, or to what is reached, as the programme has it.
    """
    rows = await database.rows(
        "SELECT member_id FROM loyalty.standing JOIN membership.member m ON m.id = member_id "
        "WHERE (until <= $1 OR granted_until <= $2) AND m.status <> 'merged' ORDER BY member_id",
        _ended_by(programme, at),
        at,
    )
    lowered = await database.batch_by_batch(
        [row["member_id"] for row in rows], partial(_review, programme=programme, at=at)
    )
    return sum(lowered)


def _ended_by(programme: Programme, at: datetime) -> datetime:
    """When a tier has to have ended for its grace to be over, too."""
    return at - timedelta(days=programme.tier_grace_days)


async def _review(member_ids: Sequence[int], *, programme: Programme, at: datetime) -> int:
    zone = programme.chain.zone
    today, ended_by = at.astimezone(zone).date(), _ended_by(programme, at)
    now = await standings(await _locked(member_ids), programme, today)
    due = {
        member_id: (found.standing.until.astimezone(zone).date() - timedelta(days=1), found.joined)
        for member_id, found in now.items()
        if found.standing.until is not None and found.standing.until <= ended_by
    }
    first = [window(programme, last, joined)[0] for last, joined in due.values()]
    before = await counted_between(list(due), first, [last for last, _ in due.values()], programme)
    changes = []
    for member_id, found in now.items():
        became = found.standing
        if member_id in due:
            # A rolling period that ended holds the day on which the tier was reached; what counts is what came after.
            ended = 0 if programme.tier_period == "rolling" else before[member_id]
            counted = max(became.qualifying, ended)
            became = _reviewed(became, programme.tier_reached(counted), programme, today, found.joined)
        if became.granted_until is not None and became.granted_until <= at:
            became = msgspec.structs.replace(became, granted=None, granted_until=None)
        changes.append(Change(member_id=member_id, before=found.standing.tier, became=became))
    settled = await settle_standings(changes, at=at) if changes else []
    return sum(is_above(change.before, after.tier) for change, after in zip(changes, settled, strict=True))


def _reviewed(
    standing: Standing, reached: TierLevel | None, programme: Programme, today: date, joined: date
) -> Standing:
    """What is earned when a period has ended: kept, or down. Either is then safe to the end of the period that today is in; of a
    rolling one, as if it had been reached today."""
    earned = standing.earned
    if is_above(earned, reached):
        lower = [level for level in programme.tiers if is_above(earned, level)]
        one_level = max(lower, key=lambda level: level.threshold, default=None)
        earned = one_level if programme.tier_downgrade == "one_level" else reached
    ends = window(programme, today, joined)[1]
    until = datetime(ends.year, ends.month, ends.day, tzinfo=programme.chain.zone) if earned is not None else None
    return msgspec.structs.replace(standing, earned=earned, until=until)
