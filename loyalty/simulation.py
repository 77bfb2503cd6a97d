"""What a proposed set of rules would have given for receipts that there are: points, liability, and who wins and loses by tier.

The same `earn` as at the till, over columns that are read once. What cannot be known of the past is taken as it is today: the tier and
segments of members; caps and budgets count from nothing at the beginning of the period.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa

import database
from loyalty.caps import ALL_RULES, EVER
from loyalty.earning import EarnContext, EarnLine, earn, left_of
from loyalty.programme import Programme
from loyalty.rules import Birthday, EarnRule, birthdays_around

NO_TIER = ""
_SLICE = timedelta(days=31)  # of receipts at a time, so that memory does not grow with the period


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one set of rules gives. `value` is minor units at the cost of a point, `by_rule` the points of each rule."""

    points: int
    value: int
    receipts_earning: int
    by_rule: dict[str, int]


class TierOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the members of one tier fare; the one without a code are those without a tier."""

    tier: str
    members: int
    winners: int
    losers: int
    points_before: int
    points_after: int


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """Before and after, over the same receipts, net of what came back."""

    since: datetime
    until: datetime
    receipts: int
    members: int
    before: Side
    after: Side
    tiers: list[TierOutcome]


Rules = Callable[[datetime], Sequence[EarnRule]]


async def simulate(
    programme: Programme,
    proposed: Sequence[EarnRule],
    *,
    since: datetime,
    until: datetime,
    segments: Mapping[int, frozenset[str]],
    progress: Callable[[int], Awaitable[None]] | None = None,
) -> Simulation:
    """Replay the members' sales of [since, until) by the rules as they are, and with `proposed` in the place of those of the same
    code. `segments` are those of members by id. Writes nothing."""
    proposals = {rule.code: rule for rule in proposed}

    def after(at: datetime) -> Sequence[EarnRule]:
        kept = [rule for rule in programme.rules_at(at) if rule.code not in proposals]
        return kept + [rule for rule in proposals.values() if rule.active]

    sides = (_Replay(programme, programme.rules_at), _Replay(programme, after))
    tiers, births = await _members(programme)
    stores = await _stores()
    receipts = 0
    async for sale in _sales(since, until, stores, programme):
        receipts += 1
        member = sale.member_id
        tier = programme.tier_by_id(tiers.get(member))
        context = EarnContext(
            currency=programme.chain.currency,
            store=sale.store,
            region=sale.region,
            at_local=sale.at_local,
            tier=tier.code if tier else None,
            tier_multiplier_milli=tier.multiplier_milli if tier else 1000,
            segments=segments.get(member, frozenset()),
            birthday=_birthday(births.get(member), sale.at_local),
            first_purchase=sale.first,
            cash=sale.cash,
        )
        for side in sides:
            side.add(member, sale.lines, context, sale.business_time)
        if receipts % 10_000 == 0:
            await asyncio.sleep(0)  # whoever else is on this loop
            if progress is not None:
                await progress(receipts)
    before, then = sides
    return Simulation(
        since=since,
        until=until,
        receipts=receipts,
        members=len(before.by_member),
        before=before.side(),
        after=then.side(),
        tiers=_by_tier(programme, tiers, before.by_member, then.by_member),
    )


class _Sale(msgspec.Struct, frozen=True, kw_only=True):
    member_id: int
    store: str
    region: str
    at_local: datetime
    business_time: datetime
    first: bool
    cash: tuple[int, int]
    lines: list[EarnLine]


class _Replay:
    """One set of rules over receipts in the order of their time, with its own count of what caps have let through."""

    def __init__(self, programme: Programme, rules: Rules) -> None:
        self._programme, self._rules = programme, rules
        self._day, self._today = None, list[EarnRule]()
        self._given: dict[tuple[int, str, str], int] = defaultdict(int)
        self._budgets: dict[str, int] = defaultdict(int)
        self._earning = 0
        self._by_rule: dict[str, int] = defaultdict(int)
        self.by_member: dict[int, int] = defaultdict(int)

    def add(self, member: int, lines: list[EarnLine], context: EarnContext, at: datetime) -> None:
        """Award one receipt."""
        rules = list(self._rules(at))
        capped = [rule for rule in rules if rule.caps != _UNCAPPED]
        day_max = self._programme.member_day_max
        day = context.at_local.date().isoformat()
        if capped or day_max is not None:
            context = msgspec.structs.replace(
                context,
                left={rule.code: left for rule in capped if (left := self._left(rule, member, day)) is not None},
                day_left=None if day_max is None else max(0, day_max - self._given[member, ALL_RULES, day]),
            )
        award = earn(rules, lines, context)
        self.by_member[member] += award.points
        if not award.points:
            return
        self._earning += 1
        for part in award.explanation:
            self._by_rule[part.rule] += part.points
        for rule in capped:
            points = sum(part.points for part in award.explanation if part.rule == rule.code)
            self._given[member, rule.code, day] += points
            self._given[member, rule.code, EVER] += points
            self._budgets[rule.code] += points
        if day_max is not None:
            self._given[member, ALL_RULES, day] += award.points

    def _left(self, rule: EarnRule, member: int, day: str) -> int | None:
        return left_of(
            rule.caps,
            in_day=self._given[member, rule.code, day],
            ever=self._given[member, rule.code, EVER],
            budget_given=self._budgets[rule.code],
        )

    def side(self) -> Side:
        """What it came to."""
        points = sum(self.by_member.values())
        programme = self._programme
        cost = programme.point_cost_milli if programme.point_cost_milli is not None else programme.point_value * 1000
        return Side(
            points=points,
            value=points * cost // 1000,
            receipts_earning=self._earning,
            by_rule=dict(sorted(self._by_rule.items())),
        )


_UNCAPPED = EarnRule(code="", version=0, kind="base").caps


def _by_tier(
    programme: Programme, tiers: Mapping[int, int], before: Mapping[int, int], after: Mapping[int, int]
) -> list[TierOutcome]:
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for member, points in before.items():
        tier = programme.tier_by_id(tiers.get(member))
        found[tier.code if tier else NO_TIER].append((points, after[member]))
    order = [NO_TIER, *(tier.code for tier in programme.tiers)]
    return [
        TierOutcome(
            tier=tier,
            members=len(found[tier]),
            winners=sum(then > now for now, then in found[tier]),
            losers=sum(then < now for now, then in found[tier]),
            points_before=sum(now for now, _ in found[tier]),
            points_after=sum(then for _, then in found[tier]),
        )
        for tier in order
        if found.get(tier)
    ]


def _birthday(birth: tuple[int, int] | None, at_local: datetime) -> frozenset[Birthday]:
    return birthdays_around(*birth, at_local.date()) if birth is not None else frozenset()


async def _members(programme: Programme) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
    """The tier of each member who has one, and, if any rule asks, who was born on which day."""
    tiers = {
        row["member_id"]: row["tier_id"]
        for row in await database.rows("SELECT member_id, tier_id FROM loyalty.standing")
    }
    born = await database.columns(
        "SELECT id, birth_month, birth_day FROM membership.member WHERE birth_month IS NOT NULL",
        schema=pa.schema([("id", pa.int64()), ("birth_month", pa.int32()), ("birth_day", pa.int32())]),
    )
    columns = (born[name].to_pylist() for name in ("id", "birth_month", "birth_day"))
    return tiers, {member: (month, day) for member, month, day in zip(*columns, strict=True)}


async def _stores() -> dict[int, tuple[str, str, ZoneInfo]]:
    rows = await database.rows("SELECT id, code, region, time_zone FROM stores.store")
    return {row["id"]: (row["code"], row["region"], ZoneInfo(row["time_zone"])) for row in rows}


async def _sales(
    since: datetime, until: datetime, stores: Mapping[int, tuple[str, str, ZoneInfo]], programme: Programme
) -> Any:
    """The members' sales in the order of their time, a slice at a time."""
    products = await _products(programme)
    start = since
    while start < until:
        end = min(start + _SLICE, until)
        table = await database.columns(_LINES, start, end, schema=_SCHEMA)
        for sale in _grouped(table, stores, products, programme):
            yield sale
        start = end


def _grouped(
    table: pa.Table,
    stores: Mapping[int, tuple[str, str, ZoneInfo]],
    products: Mapping[int, tuple[str, str, str, bool]],
    programme: Programme,
) -> Iterator[_Sale]:
    columns = [table[name].to_pylist() for name in _SCHEMA.names]
    for (_, member, store_id, micros, first, points, total), lines in groupby(
        zip(*columns, strict=True), key=itemgetter(0, 1, 2, 3, 4, 5, 6)
    ):
        code, region, zone = stores[store_id]
        at = datetime.fromtimestamp(micros / 1_000_000, UTC)
        yield _Sale(
            member_id=member,
            store=code,
            region=region,
            at_local=at.astimezone(zone),
            business_time=at,
            first=bool(first),
            cash=(total - points, total) if points else (1, 1),
            lines=[
                _line(products[product], amount, tax, quantity, programme)
                for _, _, _, _, _, _, _, product, quantity, amount, tax in lines
            ],
        )


def _line(product: tuple[str, str, str, bool], amount: int, tax: int, quantity: int, programme: Programme) -> EarnLine:
    sku, category, brand, earns = product
    return EarnLine(
        sku=sku,
        category=category,
        brand=brand,
        amount=amount if programme.earn_on_tax else amount - tax,
        quantity=quantity,
        earns=earns,
    )


async def _products(programme: Programme) -> dict[int, tuple[str, str, str, bool]]:
    rows = await database.rows("SELECT id, sku, category, brand, kind FROM stores.product")
    return {
        row["id"]: (
            row["sku"],
            row["category"],
            row["brand"],
            row["kind"] == "goods"
            and not any(
                row["category"] == path or row["category"].startswith(path + "/") for path in programme.earn_excluded
            ),
        )
        for row in rows
    }


_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("member_id", pa.int64()),
        ("store_id", pa.int64()),
        ("micros", pa.int64()),
        ("first", pa.int8()),
        ("points", pa.int64()),
        ("total", pa.int64()),
        ("product_id", pa.int64()),
        ("quantity", pa.int64()),
        ("amount", pa.int64()),
        ("tax", pa.int64()),
    ]
)

# Each line with what has come back of it taken off.
_LINES = """
SELECT r.id, r.member_id, r.store_id, (extract(epoch FROM r.business_time) * 1000000)::bigint,
    (r.business_time <= c.first_purchase)::int, coalesce(p.amount, 0), r.total, l.product_id, l.quantity + coalesce(b.quantity, 0),
    l.amount + coalesce(b.amount, 0), l.tax + coalesce(b.tax, 0)
FROM stores.receipt r JOIN stores.receipt_line l ON l.receipt_id = r.id
LEFT JOIN membership.consumption c ON c.member_id = r.member_id
LEFT JOIN stores.payment p ON p.receipt_id = r.id AND p.method = 'points'
LEFT JOIN (SELECT original_id, original_line_no, sum(quantity) AS quantity, sum(amount) AS amount, sum(tax) AS tax
    FROM stores.receipt_line WHERE original_id IS NOT NULL GROUP BY 1, 2) b
    ON (b.original_id, b.original_line_no) = (l.receipt_id, l.line_no)
WHERE r.kind = 'sale' AND r.member_id IS NOT NULL AND r.business_time >= $1 AND r.business_time < $2
ORDER BY r.business_time, r.id, l.line_no
"""
