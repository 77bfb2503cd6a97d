"""What the points owe: outstanding by age and expiry, what is expected to expire, and what moved in a period, tied to the ledger.

A period is one of posting, not of when things happened: what is closed stays closed. Nothing here goes by member, so every figure is
the whole chain's; by store there is the settlement.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

import database
from errors import InvalidInput
from loyalty.programme import Programme, the_programme

AGES = (30, 90, 180, 365)  # days


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """What changed the points between two moments. opening + issued - redeemed - expired + adjusted = closing.

    `redeemed` is net of what refunds put back, `issued` net of what returns clawed back; `adjusted` holds corrections by hand and
    opening balances. Transfers between members cancel out.
    """

    opening: int
    issued: int
    redeemed: int
    expired: int
    adjusted: int
    closing: int
    by_kind: dict[str, int]


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Points outstanding of one age or one expiry. `value` is minor units."""

    name: str
    points: int
    value: int


class Liability(msgspec.Struct, frozen=True, kw_only=True):
    """The statement. `point_cost_milli` is thousandths of a minor unit a point is reckoned at; `expected_breakage_milli` the share of
    what is outstanding that is expected to expire, in thousandths, and `estimated` whether it comes from what has."""

    since: datetime
    until: datetime
    currency: str
    point_cost_milli: int
    movement: Movement
    outstanding: int
    owed_by_members: int
    value: int
    expected_breakage_milli: int
    estimated: bool
    expected_value: int
    by_age: list[Bucket]
    by_expiry: list[Bucket]


async def liability(*, since: datetime, until: datetime, now: datetime) -> Liability:
    """The statement of a period, and what is outstanding at its end. All of one snapshot."""
    if since >= until:
        raise InvalidInput(field="until", why="must be after since")
    async with database.transaction(snapshot=True):
        programme = await the_programme()
        rows = await database.rows(_MOVEMENT, since, until)
        movement = _movement(rows)
        # Rising: older than a year, than half a year ... and last what is not active yet.
        ages = [until - timedelta(days=days) for days in reversed(AGES)]
        buckets = await database.rows(_OUTSTANDING, until, until < now, [*ages, until + timedelta(microseconds=1)])
        debts = await database.value(_DEBTS, until)
        breakage, estimated = _breakage(programme, rows)
    cost = programme.point_cost_milli if programme.point_cost_milli is not None else programme.point_value * 1000
    outstanding = sum(row["points"] for row in buckets)
    value = outstanding * cost // 1000
    return Liability(
        since=since,
        until=until,
        currency=programme.chain.currency,
        point_cost_milli=cost,
        movement=movement,
        outstanding=outstanding,
        owed_by_members=debts,
        value=value,
        expected_breakage_milli=breakage,
        estimated=estimated,
        expected_value=outstanding * cost * (1000 - breakage) // 1_000_000,
        by_age=_by_age(buckets, cost),
        by_expiry=_by_expiry(buckets, cost),
    )


def _summed(named: Iterable[tuple[str, int]], cost: int) -> list[Bucket]:
    """Points by name, in the order in which the names first come."""
    points: dict[str, int] = {}
    for name, held in named:
        points[name] = points.get(name, 0) + held
    return [Bucket(name=name, points=held, value=held * cost // 1000) for name, held in points.items()]


def _by_age(rows: list[database.Row], cost: int) -> list[Bucket]:
    names = ["over 365 days", *(f"up to {days} days" for days in reversed(AGES)), "pending"]
    return _summed(((names[row["age"]], row["points"]) for row in sorted(rows, key=lambda row: -row["age"])), cost)


def _by_expiry(rows: list[database.Row], cost: int) -> list[Bucket]:
    def quarter(row: database.Row) -> str:
        month = row["month"]
        return "never" if month is None else f"{month.year}-Q{(month.month + 2) // 3}"

    ending = sorted((row for row in rows if row["month"] is not None), key=lambda row: row["month"])
    rising = [*ending, *(row for row in rows if row["month"] is None)]
    return _summed(((quarter(row), row["points"]) for row in rising), cost)


async def movements(*, since: datetime, until: datetime) -> Movement:
    """What was posted in [since, until)."""
    return _movement(await database.rows(_MOVEMENT, since, until))


def _movement(rows: list[database.Row]) -> Movement:
    kinds: dict[str, int] = {}
    for row in rows:
        if not row["before"] and row["amount"]:
            kinds[row["kind"]] = kinds.get(row["kind"], 0) + row["amount"]
    opening = sum(row["amount"] for row in rows if row["before"])
    issued = sum(kinds.get(kind, 0) for kind in ("earn", "bonus", "clawback"))
    redeemed = -sum(kinds.get(kind, 0) for kind in ("spend", "restore"))
    expired = -kinds.get("expire", 0)
    adjusted = sum(kinds.get(kind, 0) for kind in ("adjust", "opening", "transfer_in", "transfer_out"))
    return Movement(
        opening=opening,
        issued=issued,
        redeemed=redeemed,
        expired=expired,
        adjusted=adjusted,
        closing=opening + sum(kinds.values()),
        by_kind=kinds,
    )


# Once over all entries, from the index alone where that is cheaper: what came before, what in the period, and of either what in the
# last year, by which breakage is estimated.
_MOVEMENT = """
SELECT posted_at < $1 AS before, posted_at >= $2::timestamptz - interval '1 year' AS recent, kind, sum(amount)::bigint AS amount
FROM loyalty.entry WHERE unit = 'points' AND posted_at < $2 GROUP BY 1, 2, 3
"""

_DEBTS = """
SELECT (SELECT coalesce(sum(debt), 0) FROM loyalty.account WHERE unit = 'points' AND debt > 0)::bigint
    - coalesce((SELECT sum(points) FROM loyalty.debt_move JOIN loyalty.entry ON entry.id = entry_id WHERE posted_at >= $1), 0)::bigint
"""


# Of a moment that has passed: what lots hold now, with the uses since put back, and without the lots opened since. By age as the place
# among the moments $3, and by month of expiry: what they are called is said of a few hundred rows, not of millions.
_OUTSTANDING = """
WITH used_since AS (
    SELECT lot_id, sum(points) AS points FROM loyalty.lot_use WHERE $2 AND posted_at >= $1 GROUP BY 1
), opened_since AS (
    SELECT id FROM loyalty.entry WHERE $2 AND unit = 'points' AND posted_at >= $1
), held AS (
    SELECT lot.activates_at, lot.expires_at, lot.remaining AS points, account_id FROM loyalty.lot
    WHERE remaining > 0 AND (NOT $2 OR (lot.id NOT IN (SELECT lot_id FROM used_since) AND entry_id NOT IN (SELECT id FROM opened_since)))
    UNION ALL
    SELECT lot.activates_at, lot.expires_at, (lot.remaining + used_since.points)::bigint, account_id
    FROM used_since JOIN loyalty.lot ON lot.id = lot_id WHERE entry_id NOT IN (SELECT id FROM opened_since)
)
SELECT width_bucket(activates_at, $3::timestamptz[]) AS age, date_trunc('month', expires_at AT TIME ZONE 'UTC') AS month,
    sum(points)::bigint AS points
FROM held WHERE account_id NOT IN (SELECT id FROM loyalty.account WHERE unit <> 'points') GROUP BY 1, 2
"""


def _breakage(programme: Programme, rows: list[database.Row]) -> tuple[int, bool]:
    """The share expected to expire: what the programme says, or of all that was redeemed or expired in the last year the share that
    expired, in thousandths."""
    if programme.breakage_milli is not None:
        return programme.breakage_milli, False
    gone = {"expire": 0, "spend": 0, "restore": 0}
    for row in rows:
        if row["recent"] and row["kind"] in gone:
            gone[row["kind"]] -= row["amount"]
    whole = sum(gone.values())
    return (max(0, min(1000, gone["expire"] * 1000 // whole)) if whole > 0 else 0), True
