"""No sequence of operations breaks the ledger: entries sum to the balance, lots sum to it, and it is never negative."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import database
from loyalty.errors import HoldSettled, InsufficientPoints, NothingToReturn
from loyalty.nightly import run_nightly
from loyalty.programme import forget_programme
from loyalty.redemption import capture, hold, void
from loyalty.returns import take_back
from loyalty.sales import ReturnedLine
from loyalty.verification import verify_ledger
from tests import shop

amounts = st.integers(1, 3000)
operations = st.one_of(
    st.tuples(st.just("sell"), st.integers(1, 9), amounts, st.integers(0, 50)),
    st.tuples(st.just("return"), st.integers(0, 9), st.integers(1, 9)),
    st.tuples(st.just("again"), st.integers(0, 9)),
    st.tuples(st.just("hold"), st.integers(1, 200)),
    st.tuples(st.just("capture"), st.integers(0, 9)),
    st.tuples(st.just("void"), st.integers(0, 9)),
    st.tuples(st.just("give"), st.integers(1, 300), st.integers(1, 40)),
    st.tuples(st.just("night"), st.integers(0, 30)),
)


class _Undo(Exception):
    pass


class Ledger:
    """One member driven through operations, beside the plainest model of what they own: one number."""

    def __init__(self, member: str) -> None:
        self.member, self.now, self.points = member, shop.NOON, 0
        self.sales: list[tuple[object, str, int, int]] = []
        self.holds: list[int] = []
        self.returns = 0

    async def do(self, operation: tuple) -> None:  # type: ignore[type-arg]  # heterogeneous by design
        # When it is refused nothing may have changed, which the caller checks like everything else.
        with suppress(InsufficientPoints, NothingToReturn, HoldSettled):
            await getattr(self, f"_{operation[0]}")(*operation[1:])

    async def _sell(self, quantity: int, price: int, spend: int) -> None:
        spend = min(spend, quantity * price)
        number = f"P{len(self.sales)}"
        sale = await shop.sell(self.member, ("TEA", quantity, price), number=number, at=self.now, points_to_spend=spend)
        self.sales.append((sale, number, quantity, price))
        self.points += sale.earned - sale.spent

    async def _return(self, which: int, quantity: int) -> None:
        if self.sales:
            sale, *_ = self.sales[which % len(self.sales)]
            self.returns += 1
            back = await take_back(
                sale.receipt_id,  # type: ignore[attr-defined]  # a Sale
                [ReturnedLine(line_no=1, quantity=quantity)],
                till="T1",
                number=f"PR{self.returns}",
                business_time=self.now,
            )
            self.points += back.points_given_back - back.points_clawed_back

    async def _again(self, which: int) -> None:
        """A till that repeats a sale changes nothing."""
        if self.sales:
            sale, number, quantity, price = self.sales[which % len(self.sales)]
            at = await database.value("SELECT business_time FROM stores.receipt WHERE number = $1", number)
            again = await shop.sell(self.member, ("TEA", quantity, price), number=number, at=at)
            assert again.again
            assert again.receipt_id == sale.receipt_id  # type: ignore[attr-defined]  # a Sale

    async def _hold(self, points: int) -> None:
        self.holds.append((await hold(self.member, points=points, at=self.now)).id)

    async def _capture(self, which: int) -> None:
        if self.holds:
            before = await shop.balance_of(self.member)
            done = await capture(self.holds[which % len(self.holds)], at=self.now)
            after = await shop.balance_of(self.member)
            assert before - after in (0, done.points)
            self.points -= before - after

    async def _void(self, which: int) -> None:
        if self.holds:
            await void(self.holds[which % len(self.holds)], at=self.now)

    async def _give(self, points: int, days: int) -> None:
        await shop.give(self.member, points, at=self.now, expires_at=self.now + timedelta(days=days))
        self.points += points

    async def _night(self, days: int) -> None:
        self.now += timedelta(days=days)
        self.points -= (await run_nightly(self.now)).points_expired
        assert (await run_nightly(self.now)).points_expired == 0


@pytest.mark.parametrize("pending_days", [0, 5])
@settings(max_examples=40, deadline=None)
@given(script=st.lists(operations, min_size=1, max_size=14))
async def test_no_sequence_of_operations_breaks_the_ledger(pending_days: int, script: list[tuple]) -> None:  # type: ignore[type-arg]
    forget_programme()
    try:
        async with database.transaction():
            await shop.open_shop()
            await database.execute("UPDATE loyalty.programme SET expiry_months = 1, pending_days = $1", pending_days)
            ledger = Ledger(await shop.join())
            for operation in script:
                await ledger.do(operation)
                assert await shop.balance_of(ledger.member) == ledger.points >= 0, operation
            found = await verify_ledger()
            assert found.ok, found.breaks
            raise _Undo
    except _Undo:
        pass
