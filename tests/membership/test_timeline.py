"""One timeline for every fact, however many there are."""

import pytest

import database
from membership.cards import member_of_card
from membership.profiles import timeline
from tests import shop

EVENTS = 10_000


@pytest.fixture
async def busy() -> int:
    """A member with ten thousand events, many at the same moment, written out of order."""
    await shop.open_shop()
    member_id = await member_of_card(await shop.join())
    await database.execute(
        "INSERT INTO membership.event (member_id, kind, ref, at) SELECT $1, 'called', 'call:' || i, "
        "timestamptz '2026-03-03' + (i * 7919 % 997) * interval '1 hour' FROM generate_series(1, $2) i",
        member_id,
        EVENTS,
    )
    return member_id


async def test_ten_thousand_events_page_in_order_without_gaps_or_repeats(busy: int) -> None:
    seen, before = [], None
    while page := await timeline(busy, before=before, limit=200, kind="called"):
        seen += page
        before = page[-1].id
    assert len({event.id for event in seen}) == len(seen) == EVENTS
    assert seen == sorted(seen, key=lambda event: (event.at, event.id), reverse=True)


async def test_a_page_reads_as_many_rows_as_it_shows(busy: int) -> None:
    """By the index, in order: the thousandth page costs what the first does."""
    other = await member_of_card(await shop.join())
    assert other != busy
    await database.execute("ANALYZE membership.event")
    middle = await database.value(
        "SELECT id FROM membership.event WHERE member_id = $1 ORDER BY at DESC, id DESC OFFSET 5000 LIMIT 1", busy
    )
    await timeline(busy, before=middle, limit=50)
    plan = "\n".join(
        row["QUERY PLAN"]
        for row in await database.rows(
            "EXPLAIN (ANALYZE, COSTS OFF) SELECT * FROM membership.event WHERE member_id = $1 "
            f"AND (at, id) < (SELECT at, id FROM membership.event WHERE id = {int(middle)}) ORDER BY at DESC, id DESC LIMIT 50",
            busy,
        )
    )
    assert "event_of_member" in plan
    assert "Sort" not in plan


async def test_the_same_fact_is_never_written_twice(busy: int) -> None:
    with pytest.raises(Exception, match="event_kind_ref_key"):
        async with database.transaction():
            await database.execute(
                "INSERT INTO membership.event (member_id, kind, ref, at) VALUES ($1, 'called', 'call:7', now())", busy
            )
    sale = await shop.sell(await shop.join(), ("TEA", 4, 255), number="000871")
    assert sale.receipt_id
    kinds = await database.rows("SELECT kind, ref, count(*) FROM membership.event GROUP BY 1, 2 HAVING count(*) > 1")
    assert kinds == []
