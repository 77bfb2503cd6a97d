"""What pricing a basket reads, in as few round trips as there can be: the till waits for each of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

import database
from errors import InvalidInput
from loyalty.caps import what_is_left
from loyalty.funds import Funds, accounts_of, funds, funds_sql
from loyalty.households import pool_of
from loyalty.locks import ACCOUNT_COLUMNS, Account, account_of, lock_account, lock_accounts
from loyalty.pricing import Buyer, Place
from loyalty.programme import Programme, the_programme
from loyalty.sales import Basket
from loyalty.tiers import Standing, standing, window
from membership.cards import member_of_card
from stores.catalogue import CatalogueProduct
from stores.errors import UnknownProduct, UnknownStore

CLOCK_AHEAD_MAX = timedelta(days=1)


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """The locked accounts of a sale: the member's own, everybody's that is spent from, and their stored value. `shown` are the ids of
    all that they could spend from, locked or not."""

    own: Account
    pool: Sequence[Account]
    shown: Sequence[int]
    money: Account | None = None

    @property
    def member_id(self) -> int:
        return self.own.member_id


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Where, under which rules and by whom a basket is bought. `recorded_id` is the receipt that has its number already."""

    store_id: int
    place: Place
    programme: Programme
    products: Mapping[str, CatalogueProduct]
    buyer: Buyer | None
    recorded_id: int | None


async def lock_buyer(basket: Basket) -> Accounts:
    """Lock what the sale touches: the member's account, and with points or stored value to spend all that it may be taken from.

    Points first, in the order of the accounts, then stored value: everywhere the same, so that nobody waits in a circle.
    """
    assert basket.member is not None
    if basket.points_to_spend == 0:
        row = await database.row(_LOCK_BY_CARD, basket.member)
        own = account_of(row) if row is not None else await lock_account(await member_of_card(basket.member))
        pool = [own]
        shares = row is None or row["shares"]
        shown = await accounts_of(await pool_of(own.member_id)) if shares else [own.id]
    else:
        member_id = await member_of_card(basket.member)
        locked = await lock_accounts(await pool_of(member_id))
        own = locked[member_id]
        shared = set(await pool_of(own.member_id))  # as it is under the locks
        pool = list({one.id: one for one in locked.values() if one.member_id in shared}.values())
        shown = [account.id for account in pool]
    money = await lock_account(own.member_id, "money") if basket.stored_value_to_spend else None
    return Accounts(own=own, pool=pool, shown=shown, money=money)


# Card and account in one; whoever is not found so is looked for, and refused, at length.
_LOCK_BY_CARD = (
    f"SELECT {', '.join('a.' + column for column in ACCOUNT_COLUMNS.split(', '))}, EXISTS (SELECT FROM "
    "loyalty.household_member h WHERE h.member_id = m.id) AS shares FROM membership.card c "
    "JOIN membership.member m ON m.id = c.member_id JOIN loyalty.account a ON a.member_id = m.id AND a.unit = 'points' "
    "WHERE c.number = $1 AND c.status = 'active' AND m.status = 'active' AND a.moved_to IS NULL FOR NO KEY UPDATE OF a"
)


async def find_buyer(number: str) -> tuple[int, list[int]]:
    """A member and the accounts of their pool, unlocked: for quoting."""
    member_id = await member_of_card(number)
    return member_id, await accounts_of(await pool_of(member_id))


async def read_scene(
    basket: Basket,
    *,
    till: str = "",
    number: str = "",
    member_id: int | None = None,
    account_ids: Sequence[int] = (),
    segments: frozenset[str] = frozenset(),
) -> Scene:
    """Everything about a basket. After the accounts' locks, so that of two tills with the same receipt the second finds the
    first's. Raises `UnknownStore`, `UnknownProduct`, and `InvalidInput` for another currency or a clock that is wrong."""
    at = basket.business_time
    _check_clock(at)
    skus = sorted({line.sku for line in basket.lines})
    known = await the_programme(cached=True)
    first, today = _counting_days(known, at)
    row = await database.row(
        _scene_sql(known.tier_metric, one_account=len(account_ids) == 1),
        basket.store,
        till,
        number,
        skus,
        member_id,
        account_ids[0] if len(account_ids) == 1 else list(account_ids),
        at,
        first,
        today,
    )
    if row is None or row["store_id"] is None:
        raise UnknownStore(code=basket.store)
    programme = await the_programme(row["revision"])
    if basket.currency is not None and basket.currency != programme.chain.currency:
        raise InvalidInput(field="currency", why=f"the chain's is {programme.chain.currency}, not {basket.currency}")
    products = {product.sku: product for product in msgspec.json.decode(row["products"], type=list[CatalogueProduct])}
    if len(products) < len(skus):
        raise UnknownProduct(skus=[sku for sku in skus if sku not in products])
    place = Place(store=basket.store, region=row["region"], zone=ZoneInfo(row["time_zone"]), channel=basket.channel)
    buyer = None
    if member_id is not None:
        counted = programme.revision == known.revision and programme.tier_period != "anniversary"
        buyer = await _buyer(row, member_id, programme, at, segments, counted=counted)
        if basket.stored_value_to_spend:
            money = await funds(await accounts_of([member_id], "money"), at)
            buyer = msgspec.structs.replace(buyer, money=money.usable)
    return Scene(
        store_id=row["store_id"],
        place=place,
        programme=programme,
        products=products,
        buyer=buyer,
        recorded_id=row["recorded_id"],
    )


def _check_clock(at: datetime) -> None:
    if at.tzinfo is None:
        raise InvalidInput(field="business_time", why="needs an offset, such as 2026-03-01T10:15:00+08:00")
    if at > datetime.now(UTC) + CLOCK_AHEAD_MAX:
        raise InvalidInput(field="business_time", why="lies in the future; check the till's clock")


def _counting_days(programme: Programme, at: datetime) -> tuple[date, date]:
    today = at.astimezone(programme.chain.zone).date()
    return window(programme, today, today)[0], today


async def _buyer(
    row: database.Row,
    member_id: int,
    programme: Programme,
    at: datetime,
    segments: frozenset[str],
    *,
    counted: bool,
) -> Buyer:
    reached = (
        Standing(
            tier=programme.tier_by_id(row["tier_id"]),
            qualifying=row["qualifying"],
            earned=programme.tier_by_id(row["earned_id"]),
            granted=programme.tier_by_id(row["granted_id"]),
            granted_until=row["granted_until"],
            until=row["until"],
        )
        if counted
        else await standing(member_id, programme, at)
    )
    left, day_left = await what_is_left(
        programme.rules_at(at),
        member_id=member_id,
        day=at.astimezone(programme.chain.zone).date(),
        member_day_max=programme.member_day_max,
    )
    return Buyer(
        member_id=member_id,
        funds=Funds(usable=row["usable"], pending=row["pending"], debt=row["own_debt"]),
        standing=reached,
        birth_month=row["birth_month"],
        birth_day=row["birth_day"],
        first_purchase=row["first_purchase"],
        joined=row["registered_at"],
        segments=segments,
        left=left,
        day_left=day_left,
    )


@lru_cache(maxsize=16)
def _scene_sql(metric: str, *, one_account: bool) -> str:
    """One account is asked for as one: PostgreSQL takes an array for ten, and would plan this anew for each sale rather than keep a
    plan that it takes for dear."""
    accounts = "$6::bigint" if one_account else "ANY($6::bigint[])"
    return f"""
SELECT s.id AS store_id, s.region, s.time_zone, p.revision, r.id AS recorded_id,
    (SELECT coalesce(json_agg(x), '[]') FROM (SELECT id, sku, name, category, brand, kind, price FROM stores.product
        WHERE sku = ANY($4)) x) AS products,
    m.birth_month, m.birth_day, m.registered_at, coalesce(c.receipts, 0) = 0 AS first_purchase,
    st.tier_id, st.earned_id, st.granted_id, st.granted_until, st.until, f.usable, f.pending, coalesce(o.debt, 0) AS own_debt,
    (SELECT coalesce(sum({metric}), 0)::bigint FROM loyalty.qualifying WHERE member_id = $5 AND day BETWEEN $8 AND $9) AS qualifying
FROM loyalty.programme p
LEFT JOIN stores.store s ON s.code = $1
LEFT JOIN stores.receipt r ON (r.store_id, r.till, r.number) = (s.id, $2, $3)
LEFT JOIN membership.member m ON m.id = $5::bigint
LEFT JOIN membership.consumption c ON c.member_id = m.id
LEFT JOIN loyalty.standing st ON st.member_id = m.id
LEFT JOIN loyalty.account o ON o.member_id = m.id AND o.unit = 'points'
CROSS JOIN LATERAL ({funds_sql(accounts, "$7::timestamptz")}) f
"""
