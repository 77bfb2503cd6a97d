"""What the ledger should do, in plain Python: lists of lots and no database. It is slow, obvious, and shares no code with the product."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.properties.tier_model import (
    ORDER,
    TIER_MONTHS,
    ModelStanding,
    higher,
    local_day,
    months_after,
    rank,
    tier_of,
)

HOLD_MINUTES, GRACE_DAYS, MONTHS = 15, 30, 1
CLAIM_DAYS = 30
NOBODY = -1


@dataclass
class ModelLot:
    owner: int
    number: int
    remaining: int
    active: datetime
    expires: datetime | None
    sale: int | None = None
    held: int = 0
    expired: int = 0

    def __post_init__(self) -> None:
        self.points = self.remaining

    @property
    def free(self) -> int:
        return self.remaining - self.held

    def usable(self, now: datetime) -> bool:
        return self.active <= now and (self.expires is None or self.expires > now)

    def order(self) -> tuple[Any, ...]:
        return (self.expires is None, self.expires or self.active, self.active, self.number)


@dataclass
class ModelSale:
    member: int
    lines: list[tuple[str, int, int]]  # kind of goods, quantity, what the line cost
    earned: int
    cash: Fraction
    spent: list[tuple[ModelLot, int]]
    stored: list[tuple[ModelLot, int]]
    at: datetime
    voucher: "ModelVoucher | None" = None
    returned: list[int] = field(default_factory=list)
    given_back: int = 0
    stored_back: int = 0

    @property
    def total(self) -> int:
        return sum(amount for _, _, amount in self.lines)

    @property
    def day(self) -> date:
        return local_day(self.at)

    def worth(self, place: int, quantity: int) -> int:
        """What so many of a line are worth, of all of it."""
        _, whole, amount = self.lines[place]
        return amount * quantity // whole

    def back(self) -> int:
        return sum(self.worth(place, self.returned[place]) for place in range(len(self.lines)))

    def award(self) -> int:
        """1 a ringgit, half as much again on tea, on what stayed and was not paid with points."""
        stayed = [
            (kind, amount - self.worth(place, self.returned[place]))
            for place, (kind, _, amount) in enumerate(self.lines)
        ]
        base = Fraction(sum(amount for _, amount in stayed), 100) * self.cash
        tea = Fraction(sum(amount for kind, amount in stayed if kind == "TEA"), 100) * self.cash
        return int(base + tea / 2) if base > 0 else 0


@dataclass
class ModelVoucher:
    code: str
    owner: int | None
    value: int
    used_by: int | None = None  # the sale, by its number


@dataclass
class ModelMerge:
    """What it takes to make two of them again."""

    survivor: int
    sales: int  # how many there were
    vouchers: list[ModelVoucher]
    moved: list[tuple[ModelLot, ModelLot]] = field(default_factory=list)  # home, and what came of it
    own: ModelStanding | None = None  # the survivor's tier as it was, if the merge changed it
    became: ModelStanding | None = None
    home: set[int] | None = None  # the household that the absorbed member was in
    survivor_joined: bool = False


@dataclass
class ModelHold:
    member: int
    uses: list[tuple[ModelLot, int]]
    expires: datetime
    status: str = "held"


class Model:
    """Members by number; a merged one points at the survivor."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.lots: list[ModelLot] = []
        self.coins: list[ModelLot] = []  # stored value, which never ends
        self.debts: dict[int, int] = {}
        self.merged: dict[int, int] = {}
        self.merges: dict[int, ModelMerge] = {}  # by the absorbed member
        self.households: list[set[int]] = []
        self.sales: list[ModelSale] = []
        self.brought_back: list[tuple[int, date, int]] = []  # without a receipt: by whom, when, what for
        self.holds: list[ModelHold] = []
        self.vouchers: list[ModelVoucher] = []
        self.standings: dict[int, ModelStanding] = {}
        self.policy, self.pending_days = "within_balance", 0

    def join(self, member: int) -> None:
        self.debts[member] = 0
        self.standings[member] = ModelStanding()

    def who(self, member: int) -> int:
        while member in self.merged:
            member = self.merged[member]
        return member

    def pool(self, member: int) -> set[int]:
        return next((home for home in self.households if member in home), {member})

    def spendable(self, owners: set[int]) -> list[ModelLot]:
        return sorted(
            (lot for lot in self.lots if lot.owner in owners and lot.free > 0 and lot.usable(self.now)),
            key=ModelLot.order,
        )

    def usable(self, member: int) -> int:
        return sum(lot.free for lot in self.spendable(self.pool(member)))

    def stored(self, member: int) -> int:
        return sum(coin.remaining for coin in self.coins if coin.owner == member)

    def top_up(self, member: int, amount: int) -> None:
        self.coins.append(ModelLot(member, len(self.coins), amount, self.now, None))

    def balance(self, member: int) -> int:
        return sum(lot.remaining for lot in self.lots if lot.owner == member) - self.debts[member]

    def open(
        self, owner: int, points: int, active: datetime, expires: datetime | None, sale: int | None = None
    ) -> ModelLot:
        lot = ModelLot(owner, len(self.lots), points, active, expires, sale)
        self.lots.append(lot)
        self.repay(owner)
        return lot

    def repay(self, owner: int) -> None:
        """Whatever is free, pending points too, pays what is owed."""
        free = sorted(
            (
                lot
                for lot in self.lots
                if lot.owner == owner and lot.free > 0 and (lot.expires is None or lot.expires > self.now)
            ),
            key=ModelLot.order,
        )
        for lot in free:
            paid = min(self.debts[owner], lot.free)
            lot.remaining -= paid
            self.debts[owner] -= paid

    @staticmethod
    def take(lots: list[ModelLot], points: int) -> list[tuple[ModelLot, int]]:
        uses = []
        for lot in lots:
            taken = min(points, lot.free)
            if taken:
                uses.append((lot, taken))
                points -= taken
        return uses

    def earned_lot(self, owner: int, points: int, sale: int) -> None:
        active = self.sales[sale].at + timedelta(days=self.pending_days)
        self.open(owner, points, active, end_of_month(active, MONTHS), sale)

    @property
    def today(self) -> date:
        return local_day(self.now)

    def qualifying(self, owner: int) -> int:
        """What was spent in the months up to today, less what came back of it."""
        first = months_after(self.today, -TIER_MONTHS) + timedelta(days=1)
        bought = sum(
            sale.total - sale.back()
            for sale in self.sales
            if self.who(sale.member) == owner and first <= sale.day <= self.today
        )
        return bought - sum(
            amount
            for member, day, amount in self.brought_back
            if self.who(member) == owner and first <= day <= self.today
        )

    def rise(self, owner: int) -> None:
        now, reached = self.standings[owner], tier_of(self.qualifying(owner))
        if higher(reached, now.earned) != now.earned:
            now.earned, now.until = reached, self.period_end()
            now.settle(self.now)

    def grant(self, owner: int, tier: str | None, until: datetime | None) -> None:
        now = self.standings[owner]
        now.granted, now.granted_until = tier, until
        now.settle(self.now)

    def period_end(self) -> datetime:
        ends = months_after(self.today, TIER_MONTHS)
        return datetime(ends.year, ends.month, ends.day, tzinfo=self.now.tzinfo) - timedelta(hours=8)

    def good(self, voucher: ModelVoucher, buyer: int) -> bool:
        return voucher.used_by is None and (voucher.owner is None or self.who(voucher.owner) == buyer)

    def sell(
        self,
        member: int,
        lines: list[tuple[str, int, int]],
        points: int,
        stored: int,
        voucher: ModelVoucher | None = None,
    ) -> ModelSale:
        if voucher is not None:
            voucher.used_by, lines = len(self.sales), less(lines, voucher.value)
        total = sum(amount for _, _, amount in lines)
        uses = self.take(self.spendable(self.pool(member)), points)
        for lot, taken in uses:
            lot.remaining -= taken
        coins = self.take([coin for coin in self.coins if coin.owner == member], stored)
        for coin, taken in coins:
            coin.remaining -= taken
        cash = Fraction(total - points, total) if total else Fraction(1)
        sale = ModelSale(member, lines, 0, cash, uses, coins, self.now, voucher, [0] * len(lines))
        sale.earned = sale.award()
        self.sales.append(sale)
        if sale.earned:
            self.earned_lot(member, sale.earned, len(self.sales) - 1)
        self.rise(member)
        return sale

    def sell_to_nobody(self, lines: list[tuple[str, int, int]]) -> None:
        self.sales.append(ModelSale(NOBODY, lines, 0, Fraction(1), [], [], self.now, None, [0] * len(lines)))

    def claimable(self, number: int) -> bool:
        sale = self.sales[number]
        return sale.member == NOBODY and self.now <= sale.at + timedelta(days=CLAIM_DAYS)

    def claim(self, member: int, number: int) -> int:
        """What stayed of the goods earns, from the day of the sale on."""
        sale = self.sales[number]
        sale.member, sale.earned = member, sale.award()
        if sale.earned:
            self.earned_lot(member, sale.earned, number)
        self.rise(member)
        return sale.earned

    def take_back_blind(self, member: int, total: int) -> int:
        """What goods without a receipt take back: 1 a ringgit, of what is there."""
        self.brought_back.append((member, self.today, total))
        own = self.spendable({member})
        points = 0 if self.policy == "only_pending" else min(total // 100, sum(lot.free for lot in own))
        for lot, taken in self.take(own, points):
            lot.remaining -= taken
        return points

    def take_back(self, number: int, quantities: dict[int, int]) -> tuple[int, int, int]:
        """Points clawed back, owed and given back."""
        sale = self.sales[number]
        if sale.member == NOBODY:
            for place, quantity in quantities.items():
                sale.returned[place] += quantity
            return 0, 0, 0
        owner, before = self.who(sale.member), sale.award()
        for place, quantity in quantities.items():
            sale.returned[place] += quantity
        due = before - sale.award()
        taken = self._claw_back(owner, number, due)
        owed = due - taken if self.policy == "allow_debt" else 0
        self.debts[owner] += owed
        given = self._give_back(sale, sale.spent, sale.given_back)
        sale.given_back += given
        sale.stored_back += self._give_back(sale, sale.stored, sale.stored_back)
        return taken + owed, owed, given

    def _claw_back(self, owner: int, number: int, due: int) -> int:
        own = [lot for lot in self.lots if lot.owner == owner and lot.sale == number and lot.free > 0]
        others = [lot for lot in self.lots if lot.owner == owner and lot.sale != number and lot.free > 0]
        sources = [[lot for lot in own if lot.active > self.now]]
        if self.policy != "only_pending":
            sources.append([lot for lot in own if lot.active <= self.now])
            sources.append([lot for lot in others if lot.usable(self.now)])
        if self.policy == "allow_debt":
            sources.append([lot for lot in others if lot.active > self.now])
        taken = 0
        for source in sources:
            for lot, points in self.take(sorted(source, key=ModelLot.order), due - taken):
                lot.remaining -= points
                taken += points
        return taken

    def _give_back(self, sale: ModelSale, spent: list[tuple[ModelLot, int]], before: int) -> int:
        paid = sum(points for _, points in spent)
        due = paid * sale.back() // sale.total - before if sale.total else 0
        self.put_back(slice_of(sorted(spent, key=lambda use: use[0].number), before, due))
        return due

    def put_back(self, uses: list[tuple[ModelLot, int]]) -> None:
        """Into the very lots, account by account; what belonged to somebody merged goes on to the survivor."""
        for owner in sorted({lot.owner for lot, _ in uses}):
            for lot, points in uses:
                if lot.owner == owner:
                    lot.remaining += points
                    if lot.expires is not None and lot.expires <= self.now:
                        lot.expires = self.now + timedelta(days=GRACE_DAYS)
            self.repay(owner)
            home = owner
            while home in self.merged:
                self.move(home, self.merged[home])
                home = self.merged[home]

    def move(self, owner: int, into: int) -> None:
        journal = self.merges[owner].moved
        for lot in [lot for lot in self.lots if lot.owner == owner and lot.remaining > 0]:
            points, lot.remaining = lot.remaining, 0
            journal.append((lot, self.open(into, points, lot.active, lot.expires, lot.sale)))
        for coin in [coin for coin in self.coins if coin.owner == owner and coin.remaining > 0]:
            self.coins.append(ModelLot(into, len(self.coins), coin.remaining, coin.active, None))
            coin.remaining = 0
            journal.append((coin, self.coins[-1]))

    def merge(self, survivor: int, loser: int) -> None:
        vouchers = [
            voucher for voucher in self.vouchers if voucher.owner is not None and self.who(voucher.owner) == loser
        ]
        merge = self.merges[loser] = ModelMerge(survivor, len(self.sales), vouchers)
        self.move(loser, survivor)
        self.debts[survivor] += self.debts[loser]
        self.debts[loser] = 0
        self.repay(survivor)
        self.merged[loser] = survivor
        self._join_tiers(merge, self.standings[loser])
        for home in self.households:
            if loser in home:
                home.discard(loser)
                merge.home = home
                if not any(survivor in other for other in self.households):
                    home.add(survivor)
                    merge.survivor_joined = True

    def _join_tiers(self, merge: ModelMerge, theirs: ModelStanding) -> None:
        own = self.standings[merge.survivor]
        before = replace(own)
        if theirs.tier is None:
            return
        if (rank(theirs.earned), theirs.until or self.now) > (rank(own.earned), own.until or self.now):
            own.earned, own.until = theirs.earned, theirs.until
        if (rank(theirs.granted), theirs.granted_until or self.now) > (
            rank(own.granted),
            own.granted_until or self.now,
        ):
            own.granted, own.granted_until = theirs.granted, theirs.granted_until
        if own.since is None or rank(theirs.tier) > rank(before.tier):
            own.since = theirs.since
        elif theirs.tier == before.tier and theirs.since is not None:
            own.since = min(own.since, theirs.since)
        own.shown = own.tier
        if own != before:
            merge.own, merge.became = before, replace(own)

    def unmerge(self, loser: int) -> bool:
        """Whether they can be parted; if so they are. What has been bought since stays with the survivor."""
        merge = self.merges[loser]
        spent = any(lot.points - lot.remaining - lot.expired + lot.held for _, lot in merge.moved)
        if spent or any(voucher.used_by is not None and voucher.used_by >= merge.sales for voucher in merge.vouchers):
            return False
        for home, lot in merge.moved:
            if lot.remaining == lot.points:
                lot.remaining = 0
                home.remaining += lot.points
        if merge.own is not None and self.standings[merge.survivor] == merge.became:
            self.standings[merge.survivor] = merge.own
        if merge.home is not None:
            if merge.home and not any(loser in home for home in self.households):
                merge.home.add(loser)
            if merge.survivor_joined:
                merge.home.discard(merge.survivor)
        del self.merged[loser], self.merges[loser]
        return True

    def hold(self, member: int, points: int) -> ModelHold:
        uses = self.take(self.spendable(self.pool(member)), points)
        for lot, taken in uses:
            lot.held += taken
        held = ModelHold(member, uses, self.now + timedelta(minutes=HOLD_MINUTES))
        self.holds.append(held)
        return held

    def release(self, held: ModelHold, status: str) -> None:
        held.status = status
        for lot, points in held.uses:
            lot.held -= points
        for owner in {lot.owner for lot, _ in held.uses}:
            self.repay(owner)

    def capture(self, held: ModelHold) -> None:
        held.status = "captured"
        for lot, points in held.uses:
            lot.held -= points
            lot.remaining -= points

    def refund(self, held: ModelHold) -> None:
        held.status = "refunded"
        self.put_back(held.uses)

    def transfer(self, giver: int, taker: int, points: int) -> None:
        for lot, taken in self.take(self.spendable({giver}), points):
            lot.remaining -= taken
            self.open(taker, taken, lot.active, lot.expires)

    def adjust(self, member: int, points: int) -> None:
        if points > 0:
            self.open(member, points, self.now, end_of_month(self.now, MONTHS))
        else:
            for lot, taken in self.take(self.spendable({member}), -points):
                lot.remaining -= taken

    def night(self) -> None:
        owners = [owner for owner in self.standings if owner not in self.merged]
        for owner in owners:
            self.rise(owner)
        for held in self.holds:
            if held.status == "held" and held.expires <= self.now:
                self.release(held, "expired")
        for lot in self.lots:
            if lot.expires is not None and lot.expires <= self.now:
                lot.expired += lot.free
                lot.remaining = lot.held
        for owner in owners:
            self.review(owner)

    def review(self, owner: int) -> None:
        """A tier whose months have passed is kept if it is still reached, and goes down by one if not."""
        now = self.standings[owner]
        if now.until is not None and now.until <= self.now:
            reached = tier_of(self.qualifying(owner))
            if rank(reached) < rank(now.earned):
                now.earned = ORDER[rank(now.earned) - 1]
            now.until = self.period_end() if now.earned else None
        if now.granted_until is not None and now.granted_until <= self.now:
            now.granted = now.granted_until = None
        now.settle(self.now)


def less(lines: list[tuple[str, int, int]], off: int) -> list[tuple[str, int, int]]:
    """Lines with so much off all of them together, in proportion; what rounding leaves is the later lines'."""
    total = sum(amount for _, _, amount in lines)
    off, running, given, after = min(off, total), 0, 0, []
    for kind, quantity, amount in lines:
        running += amount
        part = int(Fraction(off * running, total)) - given
        given += part
        after.append((kind, quantity, amount - part))
    return after


def slice_of(uses: list[tuple[ModelLot, int]], skip: int, count: int) -> list[tuple[ModelLot, int]]:
    """The next `count` points after the first `skip`, one by one."""
    one_by_one = [lot for lot, points in uses for _ in range(points)][skip : skip + count]
    counted: dict[int, tuple[ModelLot, int]] = {}
    for lot in one_by_one:
        counted[lot.number] = (lot, counted.get(lot.number, (lot, 0))[1] + 1)
    return list(counted.values())


def end_of_month(moment: datetime, months: int) -> datetime:
    """The first moment of the month after the one that lies `months` later, in Kuala Lumpur, which has no clock changes."""
    local = moment + timedelta(hours=8)
    month = local.year * 12 + local.month - 1 + months + 1
    return local.replace(
        year=month // 12, month=month % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    ) - timedelta(hours=8)
