"""All that can be done to the ledger, in any order, beside a model in plain Python; compared after every step.

`make soak` runs it for longer: SOAK_EXAMPLES says how many runs of forty steps.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import database
from errors import DomainError
from loyalty.accounts import adjust, top_up, transfer
from loyalty.blind_returns import take_back_blind
from loyalty.claiming import claim
from loyalty.errors import (
    ClaimRefused,
    HoldSettled,
    InsufficientFunds,
    InsufficientPoints,
    NothingToReturn,
    OpenHolds,
    UnmergeRefused,
    VoucherRefused,
)
from loyalty.households import join as join_household
from loyalty.households import leave as leave_household
from loyalty.merging import merge_members, unmerge_members
from loyalty.nightly import run_nightly
from loyalty.programme import define_tier, forget_programme, publish_rule, the_programme
from loyalty.redemption import capture, hold, refund, void
from loyalty.returns import cancel, take_back
from loyalty.rules import Conditions, EarnRule
from loyalty.sales import BasketLine, Return, ReturnedLine
from loyalty.tiers import grant, withdraw
from loyalty.verification import verify_ledger
from membership.cards import member_of_card
from membership.errors import NotMerged
from tests import shop
from tests.properties.ledger_model import NOBODY, Model, ModelVoucher, less
from tests.properties.tier_model import TIER_MONTHS, TIERS, months_after

EXAMPLES = int(os.environ.get("SOAK_EXAMPLES", "55"))
STEPS = 40
START = shop.NOON - timedelta(days=2000)
MEMBERS = 3
Answer = TypeVar("Answer")
Goods: TypeAlias = tuple[int, int, int]  # tea, cups, and what a tea costs
members = st.integers(0, MEMBERS - 1)
baskets = st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(1, 3000)).filter(
    lambda goods: goods[0] or goods[1]
)
LOOPS: list[asyncio.AbstractEventLoop] = []

# Everything that an operation could have changed.
_ALL = " UNION ALL ".join(
    f"SELECT '{table}' AS name, md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS rows FROM {table} t"
    for table in (
        "loyalty.account",
        "loyalty.entry",
        "loyalty.lot",
        "loyalty.lot_use",
        "loyalty.debt_move",
        "loyalty.hold",
        "loyalty.lot_hold",
        "loyalty.household_member",
        "loyalty.qualifying",
        "loyalty.standing",
        "loyalty.rule_given",
        "loyalty.voucher",
        "loyalty.voucher_use",
        "membership.consumption",
        "membership.event",
        "stores.receipt",
        "stores.receipt_line",
        "stores.payment",
    )
)


async def everything() -> dict[str, str]:
    """A fingerprint of each table."""
    return {row["name"]: row["rows"] for row in await database.rows(_ALL)}


def wait(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run on the test's own loop, in whose transaction all of it happens."""
    return asyncio.run_coroutine_threadsafe(work, LOOPS[-1]).result(60)


def _lines(goods: Goods) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int]]]:
    """The lines of a basket with what one costs, and with what all do."""
    tea, cups, price = goods
    lines = [(sku, quantity, each) for sku, quantity, each in (("TEA", tea, price), ("CUP", cups, 1000)) if quantity]
    return lines, [(sku, quantity, quantity * each) for sku, quantity, each in lines]


class LedgerMachine(RuleBasedStateMachine):
    """Three members, and all that tills, offices and the night do with them."""

    @initialize()
    def open_shop(self) -> None:
        wait(self._open())
        self.model = Model(START)
        for member in range(MEMBERS):
            self.model.join(member)
        self.numbers = [wait(shop.join()) for _ in range(MEMBERS)]
        self.ids = [wait(member_of_card(number)) for number in self.numbers]
        self.receipts: list[int] = []
        self.hold_ids: list[int] = []

    async def _open(self) -> None:
        forget_programme()
        await database.execute("SAVEPOINT example")
        await shop.open_shop()
        tea = Conditions(skus=frozenset({"TEA"}))
        await publish_rule(EarnRule(code="tea", version=1, kind="bonus", multiplier_milli=1500, conditions=tea))
        for rank, (code, threshold) in enumerate(TIERS.items(), start=1):
            await define_tier(code=code, name=code, rank=rank, threshold=threshold)
        await database.execute(
            "UPDATE loyalty.programme SET expiry_months = 1, transfer_day_max = 1000000, tier_months = $1", TIER_MONTHS
        )

    def teardown(self) -> None:
        if hasattr(self, "model"):
            found = wait(verify_ledger())
            assert found.ok, found.breaks
        wait(database.execute("ROLLBACK TO SAVEPOINT example"))

    def refused(self, work: Coroutine[Any, Any, Any], *expected: type[DomainError]) -> None:
        """It must be refused, and leave every row as it was."""
        before = wait(everything())
        with pytest.raises(expected):
            wait(work)
        assert wait(everything()) == before

    def active(self, member: int) -> int:
        return self.model.who(member)

    # Three rules, because most steps should be sales: without them there is nothing to take back, expire or merge.
    @rule(member=members, goods=baskets)
    def sell(self, member: int, goods: Goods) -> None:
        self._sell(member, goods)

    @rule(member=members, goods=baskets, points=st.integers(0, 60), stored=st.integers(0, 500))
    def sell_for_points(self, member: int, goods: Goods, points: int, stored: int) -> None:
        self._sell(member, goods, points, stored)

    @rule(
        member=members,
        goods=baskets,
        coupon=st.sampled_from(["own", "anybody's", "another's", "an old one", "an old one"]),
        points=st.sampled_from([0, 0, 5]),
    )
    def sell_with_voucher(self, member: int, goods: Goods, coupon: str, points: int) -> None:
        self._sell(member, goods, points, 0, coupon)

    @rule(goods=baskets)
    def sell_to_nobody(self, goods: Goods) -> None:
        lines, costs = _lines(goods)
        self.model.sell_to_nobody(costs)
        sale = wait(shop.sell(None, *lines, number=f"P{len(self.receipts)}", at=self.model.now))
        self.receipts.append(sale.receipt_id)

    @precondition(lambda self: self.receipts)
    @rule(member=members, which=st.integers(0, 99))
    def claim(self, member: int, which: int) -> None:
        strangers = [number for number, sale in enumerate(self.model.sales) if sale.member == NOBODY]
        number = which % len(self.receipts) if which % 4 == 0 or not strangers else strangers[which % len(strangers)]
        work = claim(
            self.numbers[member],
            store="KL01",
            till="T1",
            receipt_number=f"P{number}",
            total=self.model.sales[number].total,
            at=self.model.now,
        )
        if not self.model.claimable(number):
            self.refused(work, ClaimRefused)
            return
        expected = self.model.claim(self.active(member), number)
        assert wait(work).earned == expected

    @rule(member=members, goods=baskets)
    def take_back_blind(self, member: int, goods: Goods) -> None:
        lines, costs = _lines(goods)
        total, number = sum(amount for _, _, amount in costs), f"B{self.next()}"

        def bring_back() -> Coroutine[Any, Any, Return]:
            goods = [BasketLine(sku=sku, quantity=quantity, unit_price=price) for sku, quantity, price in lines]
            buyer, now = self.numbers[member], self.model.now
            return take_back_blind(goods, store="KL01", till="T1", number=number, business_time=now, member=buyer)

        expected = self.model.take_back_blind(self.active(member), total)
        for again in (False, True):
            back = wait(bring_back())
            assert (back.again, back.points_clawed_back) == (again, expected)
            assert back.points_not_recovered == total // 100 - expected

    def _sell(self, member: int, goods: Goods, points: int = 0, stored: int = 0, coupon: str = "") -> None:
        lines, costs = _lines(goods)
        owner = self.active(member)
        voucher = self._voucher(coupon, member, goods[2])
        total = sum(amount for _, _, amount in (less(costs, voucher.value) if voucher else costs))
        points = min(points, total)
        stored = min(stored, total - points)
        number = f"P{len(self.receipts)}"
        work = shop.sell(
            self.numbers[member],
            *lines,
            number=number,
            at=self.model.now,
            points_to_spend=points,
            stored_value_to_spend=stored,
            vouchers=[voucher.code] if voucher else [],
        )
        if points > self.model.usable(owner):
            self.refused(work, InsufficientPoints)
            return
        if stored > self.model.stored(owner):
            self.refused(work, InsufficientFunds)
            return
        if voucher is not None and not self.model.good(voucher, owner):
            self.refused(work, VoucherRefused)
            return
        expected = self.model.sell(owner, costs, points, stored, voucher)
        sale = wait(work)
        self.receipts.append(sale.receipt_id)
        assert (sale.total, sale.earned, sale.spent) == (expected.total, expected.earned, points)
        assert sale.stored_value == stored
        assert sale.usable == self.model.usable(owner)
        again = wait(shop.sell(self.numbers[member], *lines, number=number, at=self.model.now))
        assert again.again
        assert (again.receipt_id, again.earned) == (sale.receipt_id, sale.earned)

    @precondition(lambda self: self.receipts)
    @rule(which=st.integers(0, 99), quantities=st.lists(st.integers(0, 5), min_size=2, max_size=2))
    def take_back(self, which: int, quantities: list[int]) -> None:
        number = which % len(self.receipts)
        sale = self.model.sales[number]
        wanted = {place: quantity for place, quantity in enumerate(quantities[: len(sale.lines)]) if quantity}
        if not wanted:
            return
        work = take_back(
            self.receipts[number],
            [ReturnedLine(line_no=place + 1, quantity=quantity) for place, quantity in wanted.items()],
            till="T1",
            number=f"R{self.next()}",
            business_time=self.model.now,
        )
        if any(quantity > sale.lines[place][1] - sale.returned[place] for place, quantity in wanted.items()):
            self.refused(work, NothingToReturn)
            return
        expected = self.model.take_back(number, wanted)
        back = wait(work)
        assert (back.points_clawed_back, back.points_owed, back.points_given_back) == expected

    @precondition(lambda self: self.receipts)
    @rule(which=st.integers(0, 99))
    def cancel(self, which: int) -> None:
        number = which % len(self.receipts)
        sale = self.model.sales[number]
        left = {p: line[1] - sale.returned[p] for p, line in enumerate(sale.lines) if line[1] > sale.returned[p]}
        work = cancel(self.receipts[number], till="T1", number=f"C{self.next()}", business_time=self.model.now)
        if not left:
            self.refused(work, NothingToReturn)
            return
        expected = self.model.take_back(number, left)
        back = wait(work)
        assert (back.points_clawed_back, back.points_owed, back.points_given_back) == expected
        assert sale.given_back == sum(points for _, points in sale.spent)
        if sale.voucher is not None:
            sale.voucher.used_by = None

    def _voucher(self, whose: str, buyer: int, value: int) -> ModelVoucher | None:
        if not whose:
            return None
        if whose == "an old one":
            return self.model.vouchers[value % len(self.model.vouchers)] if self.model.vouchers else None
        member = {"own": buyer, "another's": (buyer + 1) % MEMBERS}.get(whose)
        number = None if member is None else self.numbers[member]
        code = wait(shop.voucher(number, value=value, issued_at=self.model.now, valid_days=3650))
        voucher = ModelVoucher(code, None if member is None else self.active(member), value)
        self.model.vouchers.append(voucher)
        return voucher

    @rule(member=members, tier=st.sampled_from(list(TIERS)), days=st.integers(1, 60))
    def grant(self, member: int, tier: str, days: int) -> None:
        until = self.model.now + timedelta(days=days)
        self.model.grant(self.active(member), tier, until)
        wait(self._with_programme(grant, self.numbers[member], tier, until=until))

    @rule(member=members)
    def withdraw(self, member: int) -> None:
        self.model.grant(self.active(member), None, None)
        wait(self._with_programme(withdraw, self.numbers[member]))

    async def _with_programme(self, does: Callable[..., Coroutine[Any, Any, Any]], *of: str, **named: Any) -> None:
        await does(*of, **named, programme=await the_programme(), at=self.model.now)

    @rule(member=members, points=st.integers(1, 80))
    def hold(self, member: int, points: int) -> None:
        owner = self.active(member)
        work = hold(self.numbers[member], points=points, at=self.model.now)
        if points > self.model.usable(owner):
            self.refused(work, InsufficientPoints)
            return
        self.model.hold(owner, points)
        self.hold_ids.append(wait(work).id)

    @precondition(lambda self: self.hold_ids)
    @rule(which=st.integers(0, 99), step=st.sampled_from(["capture", "void", "refund"]))
    def settle(self, which: int, step: str) -> None:
        number = which % len(self.hold_ids)
        held = self.model.holds[number]
        does, of, twice = {
            "capture": (capture, self.model.capture, "captured"),
            "void": (void, lambda held: self.model.release(held, "void"), "void"),
            "refund": (refund, self.model.refund, "refunded"),
        }[step]
        work = does(self.hold_ids[number], at=self.model.now)
        live = held.status == "held" and held.expires > self.model.now
        possible = (
            held.status == "captured" if step == "refund" else live if step == "capture" else held.status == "held"
        )
        unchanged = held.status == twice or (step == "void" and held.status == "expired")
        if possible:
            of(held)
            assert wait(work).status == twice
        elif unchanged:
            before = wait(everything())
            wait(work)
            assert wait(everything()) == before
        else:
            self.refused(work, HoldSettled)

    @rule(member=members, points=st.integers(-60, 60).filter(bool))
    def adjust(self, member: int, points: int) -> None:
        owner = self.active(member)
        work = adjust(self.numbers[member], points, reason="by hand", at=self.model.now)
        if points < 0 and -points > sum(lot.free for lot in self.model.spendable({owner})):
            self.refused(work, InsufficientPoints)
            return
        self.model.adjust(owner, points)
        wait(work)

    @rule(giver=members, taker=members, points=st.integers(1, 40))
    def transfer(self, giver: int, taker: int, points: int) -> None:
        one, other = self.active(giver), self.active(taker)
        if one == other:
            return
        work = transfer(self.numbers[giver], self.numbers[taker], points, at=self.model.now)
        if points > sum(lot.free for lot in self.model.spendable({one})):
            self.refused(work, InsufficientPoints)
            return
        self.model.transfer(one, other, points)
        wait(work)

    @rule(member=members, amount=st.integers(1, 2000))
    def top_up(self, member: int, amount: int) -> None:
        self.model.top_up(self.active(member), amount)
        wait(top_up(self.numbers[member], amount, at=self.model.now))

    @rule(one=members, other=members)
    def share(self, one: int, other: int) -> None:
        first, second = self.active(one), self.active(other)
        if first == second or len(self.model.pool(second)) > 1:
            return
        wait(join_household(self.numbers[one], [self.numbers[other]], at=self.model.now))
        for home in self.model.households:
            home.discard(second)  # of one who is left alone in theirs
        home = next((home for home in self.model.households if first in home), None)
        if home is None:
            self.model.households.append({first, second})
        else:
            home.add(second)

    @rule(member=members)
    def part(self, member: int) -> None:
        owner = self.active(member)
        if len(self.model.pool(owner)) < 2:
            return
        wait(leave_household(self.numbers[member], at=self.model.now))
        home = next(home for home in self.model.households if owner in home)
        home.discard(owner)
        if len(home) == 1:
            home.clear()

    @rule(one=members, other=members)
    def merge(self, one: int, other: int) -> None:
        survivor, loser = self.active(one), self.active(other)
        if survivor == loser:
            return
        work = merge_members(self.numbers[survivor], self.numbers[loser], reason="one person", at=self.model.now)
        if any(lot.held for lot in self.model.lots if lot.owner == loser):
            self.refused(work, OpenHolds)
            return
        self.model.merge(survivor, loser)
        wait(work)

    @precondition(lambda self: self.model.merged)
    @rule(which=st.integers(0, 99))
    def unmerge(self, which: int) -> None:
        absorbed = sorted(self.model.merged)
        loser = absorbed[which % len(absorbed)] if which % 8 else which % MEMBERS
        survivor = self.active(loser)
        work = unmerge_members(self.numbers[survivor], self.numbers[loser], at=self.model.now)
        if self.model.merged.get(loser) != survivor:
            self.refused(work, NotMerged)
        elif self.model.unmerge(loser):
            wait(work)
        else:
            self.refused(work, UnmergeRefused)

    @rule(days=st.integers(0, 40), minutes=st.integers(0, 30))
    def time_passes(self, days: int, minutes: int) -> None:
        """Without the night's work, as when the worker is down."""
        self.time_passes_by(days, minutes)

    def time_passes_by(self, days: int, minutes: int = 0) -> None:
        if self.model.now > shop.NOON:
            return  # a till's clock that is ahead is refused
        self.model.now += timedelta(days=days, minutes=minutes)

    @rule(days=st.sampled_from([0, 1, 35]))
    def night(self, days: int) -> None:
        self.time_passes_by(days)
        self.model.night()
        wait(run_nightly(self.model.now))
        before = wait(everything())
        wait(run_nightly(self.model.now))
        assert wait(everything()) == before

    @rule(
        policy=st.sampled_from(["only_pending", "within_balance", "allow_debt"]),
        pending_days=st.sampled_from([0, 0, 5]),
    )
    def change_policy(self, policy: str, pending_days: int) -> None:
        self.model.policy, self.model.pending_days = policy, pending_days
        wait(database.execute("UPDATE loyalty.programme SET clawback = $1, pending_days = $2", policy, pending_days))

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "model"):
            return
        rows = wait(
            database.rows(
                "SELECT m.id, coalesce(p.balance, 0) AS balance, coalesce(p.debt, 0) AS debt, coalesce(s.balance, 0) AS stored, "
                "ARRAY(SELECT ROW(remaining, held, extract(epoch FROM expires_at)::bigint)::text FROM loyalty.lot "
                "WHERE account_id = p.id AND remaining > 0 ORDER BY lot.id) AS lots, "
                "coalesce((SELECT sum(spend) FROM loyalty.qualifying q WHERE q.member_id = m.id AND day > $2), 0) AS counted, "
                "t.code AS tier, e.code AS earned, g.code AS granted, until, granted_until, since FROM membership.member m "
                "LEFT JOIN loyalty.standing d ON d.member_id = m.id LEFT JOIN loyalty.tier t ON t.id = tier_id "
                "LEFT JOIN loyalty.tier e ON e.id = earned_id LEFT JOIN loyalty.tier g ON g.id = granted_id "
                "LEFT JOIN loyalty.account p ON p.member_id = m.id AND p.unit = 'points' "
                "LEFT JOIN loyalty.account s ON s.member_id = m.id AND s.unit = 'money' WHERE m.id = ANY($1::bigint[])",
                self.ids,
                months_after(self.model.today, -TIER_MONTHS),
            )
        )
        there = {row["id"]: (row["balance"], row["debt"], row["stored"], row["lots"]) for row in rows}
        for member, member_id in enumerate(self.ids):
            lots = [
                f"({lot.remaining},{lot.held},{int(lot.expires.timestamp()) if lot.expires else ''})"
                for lot in self.model.lots
                if lot.owner == member and lot.remaining > 0
            ]
            expected = (self.model.balance(member), self.model.debts[member], self.model.stored(member), lots)
            assert there[member_id] == expected, member
        standings = {
            row["id"]: (
                row["counted"],
                row["tier"],
                row["earned"],
                row["until"],
                row["granted"],
                row["granted_until"],
                row["since"],
            )
            for row in rows
        }
        for member in set(range(MEMBERS)) - set(self.model.merged):
            now = self.model.standings[member]
            stands = (now.tier, now.earned, now.until, now.granted, now.granted_until, now.since)
            assert standings[self.ids[member]] == (self.model.qualifying(member), *stands), member

    def next(self) -> int:
        self.counter = getattr(self, "counter", 0) + 1
        return self.counter


async def test_no_sequence_of_operations_parts_the_ledger_from_its_model() -> None:
    LOOPS.append(asyncio.get_running_loop())
    bound = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    await asyncio.to_thread(run_state_machine_as_test, LedgerMachine, settings=bound)
