"""What the ledger should do, in plain Python: lists of lots and no database. It is slow, obvious, and shares no code with the product."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

HOLD_MINUTES, GRACE_DAYS, MONTHS = 15, 30, 1
TIERS = {"silver": 5_000, "gold": 15_000}  # spent within so many months
TIER_MONTHS = 1


@dataclass
class ModelLot:
    owner: int
    number: int
    remaining: int
    active: datetime
    expires: datetime | None
    sale: int | None = None
    held: int = 0

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
    stored: int
    day: date
    voucher: "ModelVoucher | None" = None
    returned: list[int] = field(default_factory=list)
    given_back: int = 0
    stored_back: int = 0

    @property
    def total(self) -> int:
        return sum(amount for _, _, amount in self.lines)

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
    used: bool = False


@dataclass
class ModelStanding:
    """What tier a member has earned and until when, and what was given by hand."""

    earned: str | None = None
    until: datetime | None = None
    granted: str | None = None
    granted_until: datetime | None = None

    @property
    def tier(self) -> str | None:
        return higher(self.earned, self.granted)


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
        self.debts: dict[int, int] = {}
        self.money: dict[int, int] = {}
        self.merged: dict[int, int] = {}
        self.households: list[set[int]] = []
        self.sales: list[ModelSale] = []
        self.holds: list[ModelHold] = []
        self.vouchers: list[ModelVoucher] = []
        self.standings: dict[int, ModelStanding] = {}
        self.policy, self.pending_days = "within_balance", 0

    def join(self, member: int) -> None:
        self.debts[member] = self.money[member] = 0
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
        active = self.now + timedelta(days=self.pending_days)
        self.open(owner, points, active, end_of_month(active, MONTHS), sale)

    @property
    def today(self) -> date:
        return (self.now + timedelta(hours=8)).date()

    def qualifying(self, owner: int) -> int:
        """What was spent in the months up to today, less what came back of it."""
        first = months_after(self.today, -TIER_MONTHS) + timedelta(days=1)
        return sum(
            sale.total - sale.back()
            for sale in self.sales
            if self.who(sale.member) == owner and first <= sale.day <= self.today
        )

    def rise(self, owner: int) -> None:
        now, reached = self.standings[owner], tier_of(self.qualifying(owner))
        if higher(reached, now.earned) != now.earned:
            now.earned, now.until = reached, self.period_end()

    def period_end(self) -> datetime:
        ends = months_after(self.today, TIER_MONTHS)
        return datetime(ends.year, ends.month, ends.day, tzinfo=self.now.tzinfo) - timedelta(hours=8)

    def good(self, voucher: ModelVoucher, buyer: int) -> bool:
        return not voucher.used and (voucher.owner is None or self.who(voucher.owner) == buyer)

    def sell(
        self,
        member: int,
        lines: list[tuple[str, int, int]],
        points: int,
        stored: int,
        voucher: ModelVoucher | None = None,
    ) -> ModelSale:
        if voucher is not None:
            voucher.used, lines = True, less(lines, voucher.value)
        total = sum(amount for _, _, amount in lines)
        uses = self.take(self.spendable(self.pool(member)), points)
        for lot, taken in uses:
            lot.remaining -= taken
        self.money[member] -= stored
        cash = Fraction(total - points, total) if total else Fraction(1)
        sale = ModelSale(member, lines, 0, cash, uses, stored, self.today, voucher, [0] * len(lines))
        sale.earned = sale.award()
        self.sales.append(sale)
        if sale.earned:
            self.earned_lot(member, sale.earned, len(self.sales) - 1)
        self.rise(member)
        return sale

    def take_back(self, number: int, quantities: dict[int, int]) -> tuple[int, int, int]:
        """Points clawed back, owed and given back."""
        sale = self.sales[number]
        owner, before = self.who(sale.member), sale.award()
        for place, quantity in quantities.items():
            sale.returned[place] += quantity
        due = before - sale.award()
        taken = self._claw_back(owner, number, due)
        owed = due - taken if self.policy == "allow_debt" else 0
        self.debts[owner] += owed
        given = self._give_back(sale)
        stored = sale.stored * sale.back() // sale.total - sale.stored_back if sale.total else 0
        sale.stored_back += stored
        self.money[owner] += stored
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

    def _give_back(self, sale: ModelSale) -> int:
        paid = sum(points for _, points in sale.spent)
        due = paid * sale.back() // sale.total - sale.given_back if sale.total else 0
        self.put_back(slice_of(sorted(sale.spent, key=lambda use: use[0].number), sale.given_back, due))
        sale.given_back += due
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
        for lot in [lot for lot in self.lots if lot.owner == owner and lot.remaining > 0]:
            points, lot.remaining = lot.remaining, 0
            self.open(into, points, lot.active, lot.expires, lot.sale)

    def merge(self, survivor: int, loser: int) -> None:
        self.move(loser, survivor)
        self.debts[survivor] += self.debts[loser]
        self.debts[loser] = 0
        self.repay(survivor)
        self.money[survivor] += self.money[loser]
        self.money[loser] = 0
        self.merged[loser] = survivor
        own, theirs = self.standings[survivor], self.standings[loser]
        if (rank(theirs.earned), theirs.until or self.now) > (rank(own.earned), own.until or self.now):
            own.earned, own.until = theirs.earned, theirs.until
        if (rank(theirs.granted), theirs.granted_until or self.now) > (
            rank(own.granted),
            own.granted_until or self.now,
        ):
            own.granted, own.granted_until = theirs.granted, theirs.granted_until
        for home in self.households:
            if loser in home:
                home.discard(loser)
                if not any(survivor in other for other in self.households):
                    home.add(survivor)

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


ORDER = [None, *TIERS]


def rank(tier: str | None) -> int:
    return ORDER.index(tier)


def higher(one: str | None, other: str | None) -> str | None:
    return ORDER[max(rank(one), rank(other))]


def tier_of(spent: int) -> str | None:
    return ORDER[sum(spent >= threshold for threshold in TIERS.values())]


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


def months_after(day: date, months: int) -> date:
    """The same day of another month, or its last."""
    month = day.year * 12 + day.month - 1 + months
    for number in (day.day, 30, 29, 28):
        try:
            return date(month // 12, month % 12 + 1, number)
        except ValueError:
            continue
    raise AssertionError


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
