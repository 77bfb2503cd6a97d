"""Importing receipts: what is loaded, what is rejected, and that nothing is ever half there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import database
from api.imports.receipts import import_receipts
from loyalty.verification import verify_ledger
from stores.errors import FileRefused, OtherChain
from tests import shop

HEADER = "store,till,number,business_time,member,sku,quantity,unit_price,discount,kind\n"
UCI = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"

pytestmark = pytest.mark.usefixtures("in_folder")


async def _counts() -> tuple[int, ...]:
    tables = ("stores.receipt", "stores.receipt_line", "loyalty.entry", "membership.event", "stores.import_run")
    return tuple([await database.value(f"SELECT count(*) FROM {table}") for table in tables])


def _file(text: str, name: str = "receipts.csv") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


async def test_lines_become_receipts_rollup_points_and_timeline() -> None:
    await shop.open_shop()
    member = await shop.join(external_ref="M1")
    rows = (
        "KL01,T1,1,2025-05-01 10:00:00,M1,TEA,6,2.55,0,sale\n"
        "KL01,T1,1,2025-05-01 10:00:00,M1,POST,1,5.00,,sale\n"
        "JB02,T1,1,2025-05-02T23:30:00+07:00,,CUP,1,10.00,1.00,\n"
        "KL01,T1,2,2025-05-03 10:00:00,M1,TEA,-2,2.55,,return\n"
    )
    done = await import_receipts(_file(HEADER + rows), award_points=True)
    assert (done.rows, done.receipts, done.lines, done.rejected) == (4, 3, 4, 0)
    assert (done.matched_returns, done.blind_returns) == (1, 0)
    # 15.30 of goods earn 15, postage nothing; the 10.20 that stay earn 10.
    assert (done.points.earned, done.points.clawed_back) == (15, 5)
    assert await shop.balance_of(member) == 10
    rollup = await database.row("SELECT * FROM membership.consumption")
    assert rollup is not None
    assert (rollup["receipts"], rollup["spend"], rollup["returns"], rollup["returned"]) == (1, 1520, 1, 510)
    times = await database.rows("SELECT business_time FROM stores.receipt ORDER BY business_time")
    # Kuala Lumpur is eight hours ahead; an offset of its own wins.
    assert [row["business_time"] for row in times][:2] == [
        datetime(2025, 5, 1, 2, tzinfo=UTC),
        datetime(2025, 5, 2, 16, 30, tzinfo=UTC),
    ]
    assert (await verify_ledger()).ok


async def test_importing_again_changes_nothing() -> None:
    path = _file(UCI + "536365,A1,MUG,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n")
    first = await import_receipts(path, profile="online-retail", award_points=True)
    before = await _counts()
    again = await import_receipts(path, profile="online-retail", award_points=True)
    assert (first.added, first.members, first.stores, first.products) == (1, 1, 1, 1)
    assert (again.added, again.unchanged, again.members, again.points.entries) == (0, 1, 0, 0)
    assert (await _counts())[:4] == before[:4]


async def test_a_receipt_may_be_scattered_over_the_file() -> None:
    await shop.open_shop()
    row = "KL01,T1,{},2025-05-01 10:00:00,,TEA,1,2.55,,\n"
    done = await import_receipts(_file(HEADER + "".join(row.format(n) for n in (1, 2, 1, 3, 2, 1))))
    assert done.receipts == 3
    lines = await database.rows("SELECT line_count, total FROM stores.receipt ORDER BY number")
    assert [tuple(row) for row in lines] == [(3, 765), (2, 510), (1, 255)]


async def test_a_number_that_is_taken_by_other_content_is_rejected() -> None:
    await shop.open_shop()
    await import_receipts(_file(HEADER + "KL01,T1,1,2025-05-01 10:00:00,,TEA,1,2.55,,\n"))
    done = await import_receipts(_file(HEADER + "KL01,T1,1,2025-05-01 10:00:00,,TEA,2,2.55,,\n"))
    assert (done.added, done.unchanged, done.rejected) == (0, 0, 1)
    assert "different content" in Path("receipts.rejects.csv").read_text()
    assert await database.value("SELECT total FROM stores.receipt") == 255


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("KL01,T1,9,2025-13-01 10:00:00,,TEA,1,2.55,,", "business_time", "is no time"),
        ("KL01,T1,9,yesterday,,TEA,1,2.55,,", "business_time", "is no time"),
        ("KL01,T1,9,2025-05-01 10:00:00,,TEA,-1,2.55,,", "quantity", "is negative, but the receipt is no return"),
        ("KL01,T1,9,2025-05-01 10:00:00,,TEA,1,2.55,,return", "quantity", "is positive, but the receipt is a return"),
        ("KL01,T1,9,2025-05-01 10:00:00,,TEA,one,2.55,,", "quantity", "is not a whole number"),
        ("KL01,T1,9,2025-05-01 10:00:00,,TEA,0,2.55,,", "quantity", "is zero"),
        ('KL01,T1,9,2025-05-01 10:00:00,,TEA,1,"2,55",,', "unit_price", "is not an amount"),
        ("KL01,T1,9,2025-05-01 10:00:00,,TEA,1,-2.55,,", "unit_price", "is negative"),
        ("KL01,T1,9,2025-05-01 10:00:00,,TEA,1,2.55,0.001,", "discount", "more decimals than the currency"),
        ("KL01,T1,9,2025-05-01 10:00:00,,NOPE,1,2.55,,", "sku", "is unknown"),
        ("XX99,T1,9,2025-05-01 10:00:00,,TEA,1,2.55,,", "store", "is unknown"),
        ("KL01,T1,9,2025-05-01 10:00:00,M404,TEA,1,2.55,,", "member", "is no member"),
        ("KL01,T1,9,2025-05-01 10:00:00,,,1,2.55,,", "sku", "is empty"),
        ("KL01,T1,9,2025-05-01 10:00:00,,TEA,1,2.55,,gift", "kind", "is none of"),
        ("KL01,T1,9,2025-05-01", "", "has 4 values"),
    ],
)
async def test_a_broken_row_says_where_and_why_and_the_rest_is_loaded(row: str, column: str, reason: str) -> None:
    await shop.open_shop()
    good = "KL01,T1,8,2025-05-01 10:00:00,,TEA,1,2.55,,\n"
    other_line_of_the_broken_receipt = "KL01,T1,9,2025-05-01 10:00:00,,CUP,1,10.00,,\n"
    done = await import_receipts(_file(HEADER + good + other_line_of_the_broken_receipt + row + "\n"))
    assert (done.rows, done.rejected) == (3, 1)
    assert done.rejects is not None
    rejected = Path(done.rejects).read_text().splitlines()
    assert rejected[0] == "row,column,reason"
    assert rejected[1].startswith(f"4,{column},")
    assert reason in rejected[1]
    # Part of a receipt would be a wrong receipt: number 9 is left out with its good line, unless that is another store's.
    numbers = [found["number"] for found in await database.rows("SELECT number FROM stores.receipt ORDER BY 1")]
    assert numbers == (["8", "9"] if row.startswith("XX99") else ["8"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("store,till\nKL01,T1\n", "the header lacks number, business_time, sku, quantity, unit_price"),
        (HEADER.replace("kind", "colour") + "\n", "unknown column 'colour'"),
        (HEADER.replace(",", ";"), "separated by ';'"),
        (HEADER.replace(",", "\t"), "separated by tabs"),
        (HEADER.replace("discount", "sku"), "stands twice"),
    ],
)
async def test_a_file_that_is_wrong_as_a_whole_is_refused(text: str, reason: str) -> None:
    await shop.open_shop()
    before = await _counts()
    with pytest.raises(FileRefused, match=reason):
        await import_receipts(_file(text))
    assert await _counts() == before


async def test_a_missing_or_binary_file_is_refused() -> None:
    await shop.open_shop()
    with pytest.raises(FileRefused, match="does not exist"):
        await import_receipts(Path("nowhere.csv"))
    Path("picture.csv").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    with pytest.raises(FileRefused, match="not UTF-8"):
        await import_receipts(Path("picture.csv"))


async def test_a_dry_run_says_what_would_change_and_changes_nothing() -> None:
    await shop.open_shop()
    before = await _counts()
    done = await import_receipts(_file(HEADER + "KL01,T1,1,2025-05-01 10:00:00,,TEA,1,2.55,,\n"), dry_run=True)
    assert done.receipts == 1
    assert await _counts() == before


async def test_a_dry_run_of_a_file_that_makes_its_own_chain_makes_none() -> None:
    path = _file(UCI + "536365,A1,MUG,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n")
    done = await import_receipts(path, profile="online-retail", award_points=True, dry_run=True)
    assert (done.receipts, done.members, done.points.earned) == (1, 1, 15)
    for table in ("stores.chain", "stores.store", "membership.member", "loyalty.earn_rule"):
        assert await database.value(f"SELECT count(*) FROM {table}") == 0, table


async def test_another_chain_s_file_does_not_mix_with_this_one() -> None:
    await shop.open_shop()
    with pytest.raises(OtherChain, match="REGULARS_HOME"):
        await import_receipts(
            _file(UCI + "536365,A1,MUG,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n"), profile="online-retail"
        )


async def test_write_offs_and_adjustments_are_kept_and_count_for_nobody() -> None:
    rows = "536589,21777,DUST,-10,2010-12-01 16:50:00,0,,United Kingdom\nA563186,B,Adjust,1,2011-08-12 14:51:00,-11062.06,,United Kingdom\n"
    done = await import_receipts(_file(UCI + rows), profile="online-retail", award_points=True)
    assert (done.receipts, done.rejected, done.points.earned) == (2, 0, 0)
    assert await database.value("SELECT count(*) FROM stores.receipt WHERE kind = 'adjustment'") == 2


async def test_a_price_finer_than_the_minor_unit_keeps_its_value() -> None:
    await import_receipts(_file(UCI + "1,PADS,PADS,5,2010-12-01 08:26:00,0.001,1.0,France\n"), profile="online-retail")
    line = await database.row("SELECT unit_price, amount FROM stores.receipt_line")
    assert line is not None
    assert (str(line["unit_price"]), line["amount"]) == ("0.1000", 1)  # half a penny, away from zero
