"""The verification finds every break that can be made by hand."""

import pytest

import database
from loyalty.redemption import hold
from loyalty.verification import verify_ledger
from tests import shop


@pytest.fixture
async def _ledger() -> None:
    await shop.open_shop()
    member = await shop.join()
    sale = await shop.sell(member, ("TEA", 6, 255), ("CUP", 3, 1000))
    await shop.sell(member, ("CUP", 1, 1000), points_to_spend=20)
    await shop.bring_back(sale, (1, 2))
    await hold(member, points=5, at=shop.NOON)


@pytest.mark.usefixtures("_ledger")
async def test_a_whole_ledger_is_whole() -> None:
    found = await verify_ledger()
    assert (found.ok, found.accounts, found.entries, found.breaks) == (True, 1, 4, [])


@pytest.mark.usefixtures("_ledger")
@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE loyalty.account SET balance = balance + 1", "balance is not the sum of entries"),
        ("UPDATE loyalty.account SET version = version + 1", "version is not the number of entries"),
        ("UPDATE loyalty.account SET seal = sha256('x')", "chain does not end at the account"),
        ("UPDATE loyalty.entry SET amount = amount + 1 WHERE version = 1", "chain is broken"),
        ("UPDATE loyalty.entry SET reason = 'changed' WHERE version = 2", "chain is broken"),
        ("UPDATE loyalty.entry SET explanation = '{}' WHERE version = 1", "chain is broken"),
        ("UPDATE loyalty.entry SET balance_after = balance_after + 1 WHERE version = 3", "running balance is broken"),
        (
            "UPDATE loyalty.lot SET remaining = remaining - 1 WHERE remaining > held",
            "balance is not the sum of lots less the debt",
        ),
        ("UPDATE loyalty.lot_use SET points = points + 1", "lot is not its points less its uses"),
        ("UPDATE loyalty.lot SET points = points + 1, remaining = remaining + 1", "lot's opening entry differs"),
        ("UPDATE loyalty.lot SET held = 0", "lot holds more or less than its open holds"),
    ],
)
async def test_a_break_made_by_hand_is_named(statement: str, what: str) -> None:
    await database.execute("SET session_replication_role = replica")  # past the triggers, as a vandal would
    await database.execute(statement)
    await database.execute("SET session_replication_role = origin")
    found = await verify_ledger()
    assert not found.ok
    assert what in {broken.what for broken in found.breaks}


@pytest.mark.usefixtures("_ledger")
@pytest.mark.parametrize("table", ["loyalty.entry", "loyalty.lot_use"])
async def test_the_ledger_cannot_be_rewritten(table: str) -> None:
    for statement in (
        f"DELETE FROM {table}",
        f"UPDATE {table} SET entry_id = entry_id" if "use" in table else f"UPDATE {table} SET amount = 1",
    ):
        with pytest.raises(Exception, match="cannot be changed or deleted"):
            async with database.transaction():
                await database.execute(statement)


@pytest.mark.usefixtures("_ledger")
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "INSERT INTO loyalty.entry (account_id, version, amount, balance_after, kind, event_at, seal) "
            "VALUES (404, 1, 1, 1, 'adjust', now(), '')",
            "unknown account",
        ),
        (
            "INSERT INTO loyalty.entry (account_id, version, amount, balance_after, kind, event_at, seal, store_id) "
            "SELECT id, 99, 1, 1, 'adjust', now(), '', 404 FROM loyalty.account",
            "unknown account, store or receipt",
        ),
        (
            "INSERT INTO loyalty.lot (account_id, entry_id, points, remaining, activates_at) "
            "SELECT id, 404, 1, 1, now() FROM loyalty.account",
            "unknown entry",
        ),
        ("DELETE FROM loyalty.account", "cannot be changed or deleted"),
        ("UPDATE loyalty.account SET balance = -1", "balance_check"),
        ("UPDATE loyalty.lot SET held = remaining + 1", "check constraint"),
    ],
)
async def test_the_database_itself_refuses_what_cannot_be(statement: str, says: str) -> None:
    with pytest.raises(Exception, match=says):
        async with database.transaction():
            await database.execute(statement)
