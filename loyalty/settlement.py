"""Which store issued the points that which store redeemed, at cost. Between all of them it sums to zero."""

from datetime import datetime

import msgspec

import database
from errors import InvalidInput
from loyalty.programme import the_programme

HEADQUARTERS = ""  # points that no store issued, or that were spent in none


class StoreSettlement(msgspec.Struct, frozen=True, kw_only=True):
    """One store's account. Points it issued that were redeemed elsewhere, points of others that it took; `net` is minor units it is
    owed, negative what it owes. The store without a code is headquarters."""

    store: str
    issued_redeemed_elsewhere: int
    redeemed_of_others: int
    redeemed_of_own: int
    net: int


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one store that another took, and what the one owes the other in minor units."""

    issued_by: str
    redeemed_by: str
    points: int
    value: int


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """The settlement of a period of posting. `stores` sum to zero."""

    since: datetime
    until: datetime
    currency: str
    point_cost_milli: int
    stores: list[StoreSettlement]
    pairs: list[Pair]


async def settlement(*, since: datetime, until: datetime) -> Settlement:
    """Who owes whom for what was redeemed in [since, until), net of what was given back.

    Each pair is valued by itself and rounded once, down, so that what one owes is what the other is owed.
    """
    if since >= until:
        raise InvalidInput(field="until", why="must be after since")
    programme = await the_programme()
    cost = programme.point_cost_milli if programme.point_cost_milli is not None else programme.point_value * 1000
    rows = await database.rows(
        "SELECT coalesce(i.code, '') AS issued_by, coalesce(r.code, '') AS redeemed_by, points FROM (SELECT issued_by, redeemed_by, "
        "sum(points)::bigint AS points FROM loyalty.lot_use WHERE settles AND posted_at >= $1 AND posted_at < $2 GROUP BY 1, 2) u "
        "LEFT JOIN stores.store i ON i.id = issued_by LEFT JOIN stores.store r ON r.id = redeemed_by "
        "WHERE points <> 0 ORDER BY 1, 2",
        since,
        until,
    )
    pairs = [
        Pair(
            issued_by=row["issued_by"],
            redeemed_by=row["redeemed_by"],
            points=row["points"],
            value=row["points"] * cost // 1000,
        )
        for row in rows
    ]
    return Settlement(
        since=since,
        until=until,
        currency=programme.chain.currency,
        point_cost_milli=cost,
        stores=[
            _of_store(code, pairs) for code in sorted({name for p in pairs for name in (p.issued_by, p.redeemed_by)})
        ],
        pairs=[pair for pair in pairs if pair.issued_by != pair.redeemed_by],
    )


def _of_store(code: str, pairs: list[Pair]) -> StoreSettlement:
    elsewhere = [pair for pair in pairs if pair.issued_by == code != pair.redeemed_by]
    of_others = [pair for pair in pairs if pair.redeemed_by == code != pair.issued_by]
    return StoreSettlement(
        store=code,
        issued_redeemed_elsewhere=sum(pair.points for pair in elsewhere),
        redeemed_of_others=sum(pair.points for pair in of_others),
        redeemed_of_own=sum(pair.points for pair in pairs if pair.issued_by == pair.redeemed_by == code),
        net=sum(pair.value for pair in of_others) - sum(pair.value for pair in elsewhere),
    )
