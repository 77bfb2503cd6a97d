"""Races with real commits, on the lock each is meant to try."""

import asyncio
from collections import Counter

import pytest

import database
from api.app import create_app
from loyalty.errors import InsufficientPoints, VoucherRefused
from loyalty.merging import merge_members
from loyalty.redemption import capture, hold
from loyalty.verification import verify_ledger
from membership.cards import member_of_card
from membership.custom_fields import CustomFieldChange, change_field, custom_field, define_field
from membership.custom_values import CustomField
from membership.errors import MemberExists
from membership.search import search
from stores.tills import enrol_till
from tests import shop
from tests.api.conftest import client, problem
from tests.api.test_till import SALE

pytestmark = pytest.mark.usefixtures("own_database")


async def outcomes(*work) -> Counter[str]:  # type: ignore[no-untyped-def]  # coroutines
    """How often each outcome came, by the exception's name or `ok`."""
    results = await asyncio.gather(*work, return_exceptions=True)
    unexpected = [
        result
        for result in results
        if isinstance(result, BaseException)
        and not isinstance(result, InsufficientPoints | MemberExists | VoucherRefused)
    ]
    assert not unexpected, unexpected[:3]
    return Counter(type(result).__name__ if isinstance(result, BaseException) else "ok" for result in results)


async def test_fifty_redemptions_of_one_balance_spend_it_once() -> None:
    await shop.open_shop()
    member = await shop.join()
    await shop.give(member, 70)

    async def redeem() -> None:
        await capture((await hold(member, points=10, at=shop.NOON)).id, at=shop.NOON)

    assert await outcomes(*(redeem() for _ in range(50))) == {"ok": 7, "InsufficientPoints": 43}
    assert await shop.balance_of(member) == 0
    assert (await verify_ledger()).ok


async def test_one_receipt_from_twenty_tills_is_posted_once() -> None:
    await shop.open_shop()
    member = await shop.join()
    sales = await asyncio.gather(*(shop.sell(member, ("TEA", 6, 255), number="000871") for _ in range(20)))
    assert len({sale.receipt_id for sale in sales}) == 1
    assert [sale.again for sale in sales].count(False) == 1
    assert await shop.balance_of(member) == 15
    assert await database.value("SELECT count(*) FROM membership.event WHERE kind = 'bought'") == 1


async def test_one_anonymous_receipt_from_twenty_tills_is_recorded_once() -> None:
    await shop.open_shop()
    sales = await asyncio.gather(*(shop.sell(None, ("TEA", 6, 255), number="000871") for _ in range(20)))
    assert len({sale.receipt_id for sale in sales}) == 1
    assert await database.value("SELECT count(*) FROM stores.receipt_line") == 1


async def test_two_tills_registering_the_same_phone_at_the_same_moment_make_one_member_and_refusals_with_the_candidate() -> (
    None
):
    await shop.open_shop()
    found = await outcomes(*(shop.join("Aisyah", phone="+60123456789") for _ in range(10)))
    assert found == {"ok": 1, "MemberExists": 9}
    assert len(await search("0123456789")) == 1


async def test_selling_spending_and_returning_at_once_loses_nothing() -> None:
    await shop.open_shop()
    member = await shop.join()
    await shop.give(member, 100)
    first = await shop.sell(member, ("CUP", 40, 1000))

    async def spend() -> None:
        await capture((await hold(member, points=5, at=shop.NOON)).id, at=shop.NOON)

    await outcomes(
        *(shop.sell(member, ("CUP", 1, 1000)) for _ in range(15)),
        *(shop.bring_back(first, (1, 1)) for _ in range(15)),
        *(spend() for _ in range(10)),
    )
    assert await shop.balance_of(member) == 100 + 400 + 150 - 150 - 50
    assert await database.value("SELECT spend FROM membership.consumption") == 40_000
    assert (await verify_ledger()).ok


async def test_one_voucher_at_ten_tills_is_used_once() -> None:
    await shop.open_shop()
    member = await shop.join()
    code = await shop.voucher(member)
    found = await outcomes(*(shop.sell(member, ("CUP", 1, 1000), vouchers=[code]) for _ in range(10)))
    assert found == {"ok": 1, "VoucherRefused": 9}


async def test_one_idempotency_key_sent_ten_times_at_once_sells_once() -> None:
    await shop.open_shop()
    credential = await enrol_till("KL01", "T2")
    async with client(create_app(connect=False), Authorization=f"Bearer {credential}") as http:
        answers = await asyncio.gather(
            *(http.post("/v1/checkouts", json=SALE, headers={"Idempotency-Key": "one"}) for _ in range(10))
        )
        kinds = Counter(answer.status_code for answer in answers)
        assert kinds[201] >= 1
        assert kinds[201] + kinds[409] == 10
        late = await http.post("/v1/checkouts", json=SALE, headers={"Idempotency-Key": "one"})
    assert len({answer.content for answer in [*answers, late] if answer.status_code == 201}) == 1
    assert all(problem(answer)[1] == "idempotency-key-in-flight" for answer in answers if answer.status_code == 409)
    assert await database.value("SELECT count(*) FROM stores.receipt") == 1


async def test_a_value_cannot_slip_in_while_its_field_changes() -> None:
    await shop.open_shop()
    for turn in range(5):
        code = f"field{turn}"
        await define_field(CustomField(code=code, kind="number"))
        await asyncio.gather(
            *(shop.join(custom={code: 38}) for _ in range(4)),
            change_field(code, CustomFieldChange(kind="text")),
            return_exceptions=True,
        )
        kinds = await database.rows(
            "SELECT DISTINCT jsonb_typeof(custom->$1) AS kind FROM membership.member WHERE custom ? $1", code
        )
        assert [row["kind"] for row in kinds] == (["number"] if (await custom_field(code)).kind == "number" else [])


async def test_two_merges_crossing_the_same_pair_do_not_deadlock() -> None:
    await shop.open_shop()
    for _ in range(5):
        one, other = await shop.join(), await shop.join()
        for number in (one, other):
            await shop.give(number, 10)
        merges = (
            merge_members(one, other, reason="One way", at=shop.NOON),
            merge_members(other, one, reason="The other", at=shop.NOON),
        )
        outcomes = await asyncio.gather(*merges, return_exceptions=True)
        assert Counter(type(each).__name__ for each in outcomes) == {"Merged": 1, "SameMember": 1}
        assert await shop.balance_of(one) == 20
    assert (await verify_ledger()).ok


async def test_a_till_that_sells_to_a_member_who_is_being_merged_sells_to_the_survivor() -> None:
    await shop.open_shop()
    for _ in range(5):
        one, other = await shop.join(), await shop.join()
        await asyncio.gather(
            merge_members(one, other, reason="One person", at=shop.NOON),
            *(shop.sell(other, ("TEA", 4, 255)) for _ in range(6)),
            *(shop.sell(one, ("TEA", 4, 255)) for _ in range(6)),
        )
        assert await shop.balance_of(one) == 120
        assert (
            await database.value(
                "SELECT receipts FROM membership.consumption WHERE member_id = $1", await member_of_card(one)
            )
            == 12
        )
    assert (await verify_ledger()).ok
    strays = (
        "SELECT count(*) FROM stores.receipt JOIN membership.member ON member.id = member_id WHERE status = 'merged'"
    )
    assert await database.value(strays) == 0
