"""Selling: quote and checkout agree, and nothing half happens."""

from datetime import UTC, datetime, timedelta

import pytest

import database
from errors import InvalidInput
from loyalty.checkout import quote
from loyalty.errors import InsufficientPoints, VoucherRefused
from loyalty.programme import define_tier, publish_rule
from loyalty.rules import Conditions, EarnRule
from loyalty.sales import Quote
from loyalty.verification import verify_ledger
from loyalty.vouchers import ALPHABET, is_ours, new_codes, normal_code
from stores.errors import UnknownStore
from tests import shop


@pytest.fixture(autouse=True)
async def _shop() -> None:
    await shop.open_shop()


def _why(asked: Quote) -> str:
    reason = asked.settlement.vouchers[0].reason
    return reason.text() if reason is not None else ""


async def test_quote_and_checkout_give_the_same_answer() -> None:
    member = await shop.join()
    await shop.give(member, 400)
    code = await shop.voucher(member)
    lines = (("TEA", 6, 255), ("CUP", 1, 1000), ("POST", 1, 500))
    asked = await quote(shop.basket(member, *lines, vouchers=[code], points_to_spend=300))
    sale = await shop.sell(member, *lines, vouchers=[code], points_to_spend=300)
    assert (asked.settlement.total, asked.settlement.due) == (sale.total, sale.due) == (2530, 2230)
    assert asked.settlement.award.points == sale.earned
    assert (asked.usable, asked.pending, asked.tier) == (sale.usable, sale.pending, sale.tier)


async def test_a_quote_writes_nothing() -> None:
    member = await shop.join()
    tables = ("stores.receipt", "loyalty.account", "membership.event")
    before = [await database.value(f"SELECT count(*) FROM {table}") for table in tables]
    await quote(shop.basket(member, ("TEA", 1, 255)))
    assert [await database.value(f"SELECT count(*) FROM {table}") for table in tables] == before


async def test_points_pay_part_of_a_basket_and_that_part_earns_nothing() -> None:
    member = await shop.join()
    await shop.give(member, 500)
    sale = await shop.sell(member, ("CUP", 1, 1000), points_to_spend=500)
    assert (sale.total, sale.due, sale.spent, sale.earned, sale.usable) == (1000, 500, 500, 5, 5)
    assert (await verify_ledger()).ok


async def test_points_that_are_not_there_refuse_the_sale_and_change_nothing() -> None:
    member = await shop.join()
    await shop.give(member, 10)
    with pytest.raises(InsufficientPoints) as refused:
        await shop.sell(member, ("CUP", 1, 1000), points_to_spend=11)
    assert refused.value.facts == {"available": 10, "cost": 11}
    assert await shop.balance_of(member) == 10
    assert await database.value("SELECT count(*) FROM stores.receipt") == 0


async def test_expired_points_cannot_be_spent_even_before_the_night_has_swept_them() -> None:
    member = await shop.join()
    await shop.give(member, 100, at=shop.NOON - timedelta(days=9), expires_at=shop.NOON)
    with pytest.raises(InsufficientPoints):
        await shop.sell(member, ("CUP", 1, 1000), points_to_spend=1)


async def test_more_points_than_the_basket_costs_are_refused() -> None:
    member = await shop.join()
    await shop.give(member, 5000)
    with pytest.raises(InvalidInput, match="more than the basket costs"):
        await shop.sell(member, ("TEA", 1, 255), points_to_spend=300)


async def test_an_anonymous_sale_earns_nothing_and_is_kept() -> None:
    sale = await shop.sell(None, ("TEA", 6, 255))
    assert (sale.earned, sale.tier, sale.total) == (0, None, 1530)
    assert await database.value("SELECT count(*) FROM loyalty.entry") == 0


async def test_the_receipt_rollup_ledger_and_timeline_are_one_transaction() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("TEA", 6, 255))
    rollup = await database.row(
        "SELECT receipts, units, spend, cardinality(store_ids) AS stores FROM membership.consumption"
    )
    assert rollup is not None
    assert tuple(rollup) == (1, 6, 1530, 1)
    kinds = await database.rows("SELECT kind FROM membership.event WHERE ref <> 'member:' || member_id ORDER BY id")
    assert [row["kind"] for row in kinds] == ["bought", "points_earn"]
    entry = await database.row(
        "SELECT amount, balance_after, version, event_at FROM loyalty.entry WHERE receipt_id = $1", sale.receipt_id
    )
    assert entry is not None
    assert tuple(entry) == (15, 15, 1, shop.NOON)


async def test_a_voucher_is_used_once() -> None:
    member = await shop.join()
    code = await shop.voucher(member)
    assert (await shop.sell(member, ("CUP", 1, 1000), vouchers=[code])).total == 500
    with pytest.raises(VoucherRefused, match="has been used"):
        await shop.sell(member, ("CUP", 1, 1000), vouchers=[code])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"spend_min": 1001}, "minimum spend"),
        ({"expires_at": shop.NOON}, "has expired"),
        ({"issued_at": shop.NOON + timedelta(days=1)}, "not valid yet"),
    ],
)
async def test_a_voucher_that_does_not_fit_says_why_in_quote_and_checkout(
    fields: dict[str, object], reason: str
) -> None:
    member = await shop.join()
    code = await shop.voucher(member, **fields)
    asked = await quote(shop.basket(member, ("CUP", 1, 1000), vouchers=[code]))
    assert (asked.settlement.vouchers[0].applied, asked.settlement.total) == (False, 1000)
    assert reason in _why(asked)
    with pytest.raises(VoucherRefused, match=reason):
        await shop.sell(member, ("CUP", 1, 1000), vouchers=[code])


async def test_another_member_s_voucher_and_a_doubled_or_unknown_one_are_refused() -> None:
    member, other = await shop.join(), await shop.join()
    code = await shop.voucher(member)
    asked = await quote(shop.basket(other, ("CUP", 1, 1000), vouchers=[code]))
    assert "another member" in _why(asked)
    twice = await quote(shop.basket(member, ("CUP", 1, 1000), vouchers=[code, code.lower().replace("-", " ")]))
    assert [outcome.applied for outcome in twice.settlement.vouchers] == [True, False]
    unknown = await quote(shop.basket(member, ("CUP", 1, 1000), vouchers=["AAAA-AAAA-AAAA"]))
    assert "no such voucher" in _why(unknown)


async def test_a_voucher_survives_a_sale_that_fails() -> None:
    member = await shop.join()
    code = await shop.voucher(member)
    with pytest.raises(InsufficientPoints):
        await shop.sell(member, ("CUP", 1, 1000), vouchers=[code], points_to_spend=1)
    assert (await shop.sell(member, ("CUP", 1, 1000), vouchers=[code])).discount == 500


async def test_a_repeated_sale_with_a_voucher_answers_as_the_first_did() -> None:
    member = await shop.join()
    code = await shop.voucher(member)
    first = await shop.sell(member, ("CUP", 1, 1000), vouchers=[code], number="A1")
    again = await shop.sell(member, ("CUP", 1, 1000), vouchers=[code], number="A1")
    assert (again.again, again.total, again.discount, again.earned) == (True, first.total, 500, first.earned)


async def test_a_bonus_voucher_adds_its_points_and_says_so() -> None:
    member = await shop.join()
    code = await shop.voucher(member, kind="bonus_points", value=200)
    sale = await shop.sell(member, ("CUP", 1, 1000), vouchers=[code])
    assert sale.earned == 210
    assert [part.because() for part in sale.explanation][-1] == "bonus voucher"


def test_codes_have_no_look_alikes_and_their_check_symbol_notices_a_slip() -> None:
    [code] = new_codes(1)
    assert not set(code) & set("01OIL")
    assert normal_code(code.lower()) == code
    symbols = code.replace("-", "")
    for place in range(11):
        other = ALPHABET[(ALPHABET.index(symbols[place]) + 1) % len(ALPHABET)]
        assert not is_ours(symbols[:place] + other + symbols[place + 1 :])
        if symbols[place] != symbols[place + 1]:
            swapped = symbols[:place] + symbols[place + 1] + symbols[place] + symbols[place + 2 :]
            assert not is_ours(swapped) or place == 10


async def test_the_tier_is_reached_by_the_very_receipt_and_multiplies_from_the_next() -> None:
    await define_tier(code="silver", name="Silver", rank=1, threshold=1000, multiplier_milli=1000)
    await define_tier(code="gold", name="Gold", rank=2, threshold=5000, multiplier_milli=2000)
    member = await shop.join()
    first = await shop.sell(member, ("TEA", 2, 255))
    assert first.tier is not None
    assert (first.tier.code, first.tier.to_next) == (None, 490)
    second = await shop.sell(member, ("CUP", 5, 1000))
    assert second.tier is not None
    assert (second.tier.code, second.tier.to_next, second.earned) == ("gold", None, 50)
    third = await shop.sell(member, ("CUP", 1, 1000))
    assert third.earned == 20


async def test_pending_points_are_shown_and_cannot_be_spent() -> None:
    await database.execute("UPDATE loyalty.programme SET pending_days = 7")
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 1, 1000))
    assert (sale.earned, sale.pending, sale.usable) == (10, 10, 0)
    with pytest.raises(InsufficientPoints):
        await shop.sell(member, ("CUP", 1, 1000), points_to_spend=1)
    later = shop.NOON + timedelta(days=7)
    assert (await shop.sell(member, ("CUP", 1, 1000), points_to_spend=10, at=later)).spent == 10


async def test_a_new_rule_version_counts_from_its_day_and_old_entries_keep_theirs() -> None:
    member = await shop.join()
    await publish_rule(
        EarnRule(code="base", version=2, kind="base", points=3, per=100, conditions=Conditions()),
        valid_from=shop.NOON + timedelta(days=1),
    )
    today = await shop.sell(member, ("CUP", 1, 1000))
    tomorrow = await shop.sell(member, ("CUP", 1, 1000), at=shop.NOON + timedelta(days=1))
    assert (today.earned, today.explanation[0].version) == (10, 1)
    assert (tomorrow.earned, tomorrow.explanation[0].version) == (30, 2)


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ([], "lines"),
        ([("TEA", -1, 255)], r"lines\[0\].quantity"),
        ([("TEA", 0, 255)], r"lines\[0\].quantity"),
        ([("TEA", 1, 255), ("TEA", 1, -1)], r"lines\[1\].unit_price"),
    ],
)
async def test_a_basket_that_is_no_sale_names_the_line(lines: list[tuple[str, int, int]], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        await shop.sell(None, *lines)


async def test_wrong_currency_store_and_clock_are_refused() -> None:
    with pytest.raises(InvalidInput, match="currency"):
        await shop.sell(None, ("TEA", 1, 255), currency="SGD")
    with pytest.raises(UnknownStore, match="XX"):
        await shop.sell(None, ("TEA", 1, 255), store="XX")
    with pytest.raises(InvalidInput, match="offset"):
        await shop.sell(None, ("TEA", 1, 255), at=datetime(2026, 3, 2))  # noqa: DTZ001  (the point)
    with pytest.raises(InvalidInput, match="clock"):
        await shop.sell(None, ("TEA", 1, 255), at=datetime.now(UTC) + timedelta(days=2))
