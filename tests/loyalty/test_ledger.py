"""What the ledger takes from nobody: postings that are no postings, or are not what their lots say."""

from collections.abc import Awaitable, Callable

import pytest

import database
from loyalty.ledger import Posting, credit, debit, restore
from loyalty.locks import Account, lock_account
from loyalty.lots import LotUse
from membership.cards import member_of_card
from tests import shop


async def _account() -> tuple[Account, int]:
    """An account of ten points and the lot that has them."""
    await shop.open_shop()
    member = await shop.join()
    await shop.give(member, 10)
    account = await lock_account(await member_of_card(member))
    return account, await database.value("SELECT id FROM loyalty.lot")


def _posting(amount: int) -> Posting:
    return Posting(amount=amount, kind="adjust", event_at=shop.NOON)


Work = Callable[[Account, int], Awaitable[object]]


@pytest.mark.parametrize(
    "work",
    [
        lambda account, _: credit(account, _posting(0), activates_at=shop.NOON, expires_at=None),
        lambda account, _: credit(account, _posting(-5), activates_at=shop.NOON, expires_at=None),
        lambda account, _: debit(account, _posting(0), []),
        lambda account, lot: debit(account, _posting(5), [LotUse(lot, -5)]),
        lambda account, lot: debit(account, _posting(-5), [LotUse(lot, 4)]),
        lambda account, lot: debit(account, _posting(-5), [LotUse(lot, 4)], owed=2),
        lambda account, _: restore(account, _posting(0), [], expires_min=None),
        lambda account, lot: restore(account, _posting(-5), [LotUse(lot, -5)], expires_min=None),
        lambda account, lot: restore(account, _posting(3), [LotUse(lot, 4)], expires_min=None),
        lambda account, lot: restore(account, _posting(5), [LotUse(lot, 4)], expires_min=None),
    ],
)
async def test_a_posting_moves_points_its_way_and_as_many_as_its_lots(work: Work) -> None:
    account, lot = await _account()
    with pytest.raises(AssertionError):
        await work(account, lot)
    assert await database.value("SELECT count(*) FROM loyalty.entry") == 1


async def test_a_single_point_pays_one_of_what_is_owed() -> None:
    account, lot = await _account()
    await debit(account, _posting(-13), [LotUse(lot, 10)], owed=3)
    await credit(account, _posting(1), activates_at=shop.NOON, expires_at=None)
    row = await database.row("SELECT balance, debt FROM loyalty.account WHERE id = $1", account.id)
    assert row is not None
    assert tuple(row) == (-2, 2)
