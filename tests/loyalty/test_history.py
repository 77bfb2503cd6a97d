"""Set-based posting gives what the same receipts one by one give."""

from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import database
from api.imports.receipts import import_receipts
from loyalty.programme import forget_programme
from loyalty.verification import verify_ledger
from tests import shop

HEADER = "store,till,number,business_time,member,sku,quantity,unit_price,discount,kind\n"


class _Undo(Exception):
    pass


Bought: TypeAlias = tuple[int, int, int, int]
# (quantity sold, quantity returned first, quantity returned later) of each of up to five sales
sales = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9), st.integers(1, 99_999)).filter(
        lambda sale: sale[1] + sale[2] <= sale[0]
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda sale: sale[3],
)


@pytest.mark.usefixtures("in_folder")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sales, st.sampled_from([[], ["drinks"], ["home"], ["drin", "gifts"]]))
async def test_an_import_posts_what_the_till_would_have(given_sales: list[Bought], excluded: list[str]) -> None:
    """Each sale has a cup, too, so that a category that earns nothing leaves something."""
    imported = await _undone(_imported, given_sales, excluded)
    rung_up = await _undone(_rung_up, given_sales, excluded)
    assert imported == rung_up


async def _undone(work, given_sales: list[Bought], excluded: list[str]):  # type: ignore[no-untyped-def]  # two halves of one shape
    forget_programme()
    result = None
    try:
        async with database.transaction():
            await shop.open_shop()
            await shop.policy(earn_excluded=excluded)
            result = await work(given_sales)
            raise _Undo
    except _Undo:
        return result


async def _outcome(member: str) -> tuple[int, list[tuple[str, int]]]:
    assert (await verify_ledger()).ok
    entries = await database.rows("SELECT kind, amount FROM loyalty.entry ORDER BY event_at, kind DESC, amount")
    return await shop.balance_of(member), [(row["kind"], row["amount"]) for row in entries]


async def _imported(given_sales: list[Bought]) -> tuple[int, list[tuple[str, int]]]:
    member = await shop.join(external_ref="M1")
    rows = []
    for place, (sold, first, later, price) in enumerate(given_sales):
        amount = f"{price // 100}.{price % 100:02}"
        rows.append(f"KL01,T1,S{place},2026-03-{place + 1:02} 10:00:00,M1,TEA,{sold},{amount},,sale")
        rows.append(f"KL01,T1,S{place},2026-03-{place + 1:02} 10:00:00,M1,CUP,1,10.00,,sale")
        for day, quantity in ((10, first), (20, later)):
            if quantity:
                rows.append(
                    f"KL01,T1,R{day}{place},2026-03-{place + day:02} 10:00:00,M1,TEA,-{quantity},{amount},,return"
                )
    Path("receipts.csv").write_text(HEADER + "\n".join(rows) + "\n")
    await import_receipts(Path("receipts.csv"), award_points=True)
    return await _outcome(member)


async def _rung_up(given_sales: list[Bought]) -> tuple[int, list[tuple[str, int]]]:
    from datetime import datetime

    member = await shop.join()
    for place, (sold, first, later, price) in enumerate(given_sales):
        at = datetime.fromisoformat(f"2026-03-{place + 1:02}T10:00:00+08:00")
        sale = await shop.sell(member, ("TEA", sold, price), ("CUP", 1, 1000), at=at)
        for day, quantity in ((10, first), (20, later)):
            if quantity:
                await shop.bring_back(sale, (1, quantity), at=at.replace(day=place + day))
    return await _outcome(member)
