"""What points owe, what stores owe each other, what rules would have given, and what was brought along."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import database
from errors import InvalidInput
from loyalty import simulations
from loyalty.accounts import adjust
from loyalty.liability import liability, movements
from loyalty.nightly import run_nightly
from loyalty.opening import OpeningBalance, open_balances
from loyalty.programme import publish_rule, the_programme
from loyalty.rule_wording import describe
from loyalty.rules import Caps, Conditions, EarnRule, RuleSent
from loyalty.settlement import settlement
from loyalty.simulation import simulate
from loyalty.simulations import SimulationSent, ask, simulation_run, work_off
from loyalty.verification import verify_ledger
from tests import shop

NOON = shop.NOON
EVER = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime.now(UTC) + timedelta(days=1)}


@pytest.fixture(autouse=True)
async def _shop() -> None:
    await shop.open_shop()


async def test_the_movements_of_any_period_make_its_closing_which_is_the_ledger_s() -> None:
    member = await shop.join()
    sale = await shop.sell(member, ("CUP", 20, 1000))
    await shop.sell(member, ("CUP", 1, 1000), points_to_spend=30)
    await shop.bring_back(sale, (1, 3))
    await adjust(member, 7, reason="by hand", at=NOON)
    await shop.give(member, 11, expires_at=NOON + timedelta(days=1))
    await run_nightly(NOON + timedelta(days=2))
    found = await liability(**EVER, now=datetime.now(UTC))
    moved = found.movement
    assert moved.opening + moved.issued - moved.redeemed - moved.expired + moved.adjusted == moved.closing
    assert moved.closing == await shop.balance_of(member) == found.outstanding
    assert (moved.issued, moved.redeemed, moved.expired, moved.adjusted) == (200 + 9 - 30, 30, 11, 18)
    assert sum(bucket.points for bucket in found.by_age) == sum(bucket.points for bucket in found.by_expiry) == 156
    assert (found.expected_breakage_milli, found.estimated) == (268, True)  # 11 of 41


async def test_two_periods_join_where_they_meet() -> None:
    member = await shop.join()
    await shop.sell(member, ("CUP", 5, 1000))
    seam = await database.value("SELECT now() + interval '1 microsecond'")
    first = await movements(since=EVER["since"], until=seam)
    second = await movements(since=seam, until=EVER["until"])
    assert (first.closing, second.opening, second.closing) == (50, 50, 50)
    with pytest.raises(InvalidInput, match="after since"):
        await liability(since=seam, until=seam, now=seam)


async def test_what_was_outstanding_at_a_moment_that_has_passed_is_what_the_movements_say() -> None:
    member = await shop.join()
    await shop.sell(member, ("CUP", 5, 1000))
    # Transactions of a test share one clock, so the past is written into it.
    await database.execute("SET session_replication_role = replica")
    await database.execute("UPDATE loyalty.entry SET posted_at = posted_at - interval '1 day'")
    await database.execute("SET session_replication_role = origin")
    await shop.sell(member, ("CUP", 1, 1000), points_to_spend=20)
    yesterday = datetime.now(UTC) - timedelta(hours=1)
    past = await liability(since=EVER["since"], until=yesterday, now=datetime.now(UTC))
    assert past.outstanding == past.movement.closing == 50
    assert (await liability(**EVER, now=datetime.now(UTC))).outstanding == 39


async def test_a_settlement_says_who_took_whose_points_and_sums_to_zero() -> None:
    await database.execute("UPDATE loyalty.programme SET point_cost_milli = 333")
    member = await shop.join()
    await shop.sell(member, ("CUP", 10, 1000), store="KL01")
    await shop.sell(member, ("CUP", 4, 1000), store="JB02", at=NOON + timedelta(hours=1))
    later = NOON + timedelta(hours=2)
    taken = await shop.sell(member, ("CUP", 2, 1000), store="JB02", at=later, points_to_spend=120)
    found = await settlement(**EVER)
    by_store = {one.store: one for one in found.stores}
    assert (by_store["KL01"].issued_redeemed_elsewhere, by_store["JB02"].redeemed_of_others) == (100, 100)
    assert (by_store["JB02"].redeemed_of_own, by_store["JB02"].net, by_store["KL01"].net) == (20, 33, -33)
    await shop.bring_back(taken, (1, 2), at=later)
    assert [one.net for one in (await settlement(**EVER)).stores] == []


@settings(max_examples=15, deadline=None)
@given(
    spends=st.lists(st.tuples(st.sampled_from(["KL01", "JB02"]), st.integers(1, 40)), max_size=6),
    cost=st.integers(0, 2000),
)
async def test_every_settlement_sums_to_zero(spends: list[tuple[str, int]], cost: int) -> None:
    async with database.transaction():
        await database.execute("UPDATE loyalty.programme SET point_cost_milli = $1", cost)
        member = await shop.join()
        await shop.give(member, 300)
        await shop.sell(member, ("CUP", 9, 1000), store="JB02")
        for store, points in spends:
            await shop.sell(member, ("CUP", 1, 1000), store=store, points_to_spend=points)
        found = await settlement(**EVER)
        assert sum(one.net for one in found.stores) == 0
        assert sum(one.issued_redeemed_elsewhere - one.redeemed_of_others for one in found.stores) == 0


async def test_a_simulation_of_the_rules_as_they_are_gives_what_was_given() -> None:
    weekend = Conditions(weekdays=frozenset({1}), categories=frozenset({"drinks"}))
    await publish_rule(EarnRule(code="tea", version=1, kind="bonus", multiplier_milli=1500, conditions=weekend))
    await publish_rule(EarnRule(code="capped", version=1, kind="bonus", fixed=30, caps=Caps(member_day_max=40)))
    one, two = await shop.join(), await shop.join()
    earned = 0
    for day in range(3):
        at = NOON + timedelta(days=day)
        earned += (await shop.sell(one, ("TEA", 3, 255), ("CUP", 1, 1000), at=at)).earned
        earned += (await shop.sell(two, ("TEA", 1, 299), at=at + timedelta(hours=1))).earned
        earned += (await shop.sell(two, ("CUP", 2, 1000), at=at + timedelta(hours=2))).earned
    same = await simulate(await the_programme(), [], since=NOON, until=NOON + timedelta(days=9), segments={})
    assert (same.before, same.receipts, same.members) == (same.after, 9, 2)
    assert same.before.points == earned


async def test_a_simulation_says_what_changes_for_whom_and_writes_nothing() -> None:
    member = await shop.join()
    await shop.sell(member, ("CUP", 5, 1000))
    asked = SimulationSent(
        rules=[
            RuleSent(code="base", kind="base", points=3, per=100),
            RuleSent(code="gone", kind="bonus", fixed=1, active=False),
        ],
        since=NOON - timedelta(days=1),
        until=NOON + timedelta(days=1),
    )
    run = await ask(asked, staff_id=None)
    assert run.status == "queued"

    async def segments() -> dict[int, frozenset[str]]:
        return {}

    assert await work_off(segments, at=lambda: NOON) == 1
    done = await simulation_run(run.id)
    assert done.result is not None
    assert (done.status, done.result.before.points, done.result.after.points) == ("done", 50, 150)
    assert [(tier.tier, tier.winners, tier.losers) for tier in done.result.tiers] == [("", 1, 0)]
    assert await shop.balance_of(member) == 50


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            "2 times the base points and 10 extra points, on the categories tea, on Saturday, Sunday, between 22:00–02:00",
        ),
        ("ms", "2 kali mata asas dan 10 mata tambahan, untuk kategori tea, pada Sabtu, Ahad, antara 22:00–02:00"),
        ("zh-Hans", "基础积分的 2 倍及额外 10 分，限 tea 类商品，逢周六、周日，22:00–02:00 时段"),
        ("zh-Hant", "基礎點數的 2 倍及額外 10 點，限 tea 類商品，逢週六、週日，22:00–02:00 時段"),
    ],
)
def test_a_rule_is_read_in_four_languages(language: str, said: str) -> None:
    conditions = Conditions(
        categories=frozenset({"tea"}), weekdays=frozenset({6, 7}), hours=frozenset({"22:00-02:00"}), birthday="week"
    )
    rule = EarnRule(
        code="r",
        version=1,
        kind="bonus",
        multiplier_milli=2000,
        fixed=10,
        conditions=conditions,
        caps=Caps(budget=1000),
    )
    text = describe(rule, "MYR", language)  # type: ignore[arg-type]  # a Language
    assert text.startswith(said)
    assert "1,000" in text


def test_one_point_is_not_points() -> None:
    rule = EarnRule(code="r", version=1, kind="base", points=1, per=100)
    assert describe(rule, "MYR", "en") == "1 point for every MYR 1.00 spent"


async def test_a_simulation_that_fails_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [RuleSent(code="base", kind="base", points=3, per=100)]
    run = await ask(SimulationSent(rules=rules, since=NOON, until=NOON + timedelta(days=1)), staff_id=None)

    async def lost(*_: object, **__: object) -> None:
        raise ConnectionError("the server went away")

    monkeypatch.setattr(simulations, "simulate", lost)

    async def segments() -> dict[int, frozenset[str]]:
        return {}

    with pytest.raises(ConnectionError):
        await work_off(segments, at=lambda: NOON)
    ended = await simulation_run(run.id)
    assert (ended.status, ended.result, ended.finished_at) == ("failed", None, NOON)
    assert await work_off(segments, at=lambda: NOON) == 0


async def test_opening_balances_are_taken_whole_once_and_against_their_total() -> None:
    one, two = await shop.join(), await shop.join(external_ref="OLD-7")
    rows = [
        OpeningBalance(row=2, member=one, amount=120, store="KL01"),
        OpeningBalance(row=3, member="OLD-7", amount=30, expires_on=(NOON + timedelta(days=300)).date()),
    ]
    with pytest.raises(InvalidInput, match="sums to 150, not to 151"):
        await open_balances(rows, control_total=151, content=b"file", at=NOON)
    wrong = [*rows, OpeningBalance(row=4, member="nobody", amount=1)]
    with pytest.raises(InvalidInput, match="row 4: there is no member 'nobody'"):
        await open_balances(wrong, control_total=151, content=b"other", at=NOON)
    assert await database.value("SELECT count(*) FROM loyalty.entry") == 0
    rehearsed = await open_balances(rows, control_total=150, content=b"file", at=NOON, dry_run=True)
    assert (rehearsed.rows, await database.value("SELECT count(*) FROM loyalty.entry")) == (2, 0)
    assert not (await open_balances(rows, control_total=150, content=b"file", at=NOON)).unchanged
    assert (await open_balances(rows, control_total=150, content=b"file", at=NOON)).unchanged
    assert (await shop.balance_of(one), await shop.balance_of(two)) == (120, 30)
    assert (await movements(**EVER)).adjusted == 150
    assert (await verify_ledger()).ok


def test_a_struct_of_a_simulation_reads_back() -> None:
    rule = RuleSent(code="r", kind="bonus", fixed=1, conditions=Conditions(tiers=frozenset({"gold"})))
    assert msgspec.json.decode(msgspec.json.encode(rule), type=RuleSent) == rule


async def test_an_opening_balance_pays_what_the_member_owes_and_a_card_is_taken_before_a_reference() -> None:
    await shop.policy(clawback="allow_debt")
    member = await shop.join()
    other = await shop.join(external_ref=member)  # somebody's reference is another's card number
    sale = await shop.sell(member, ("CUP", 2, 1000))
    await shop.sell(member, ("POST", 1, 500), points_to_spend=20)
    await shop.bring_back(sale, (1, 2))
    assert await shop.balance_of(member) == -20
    rows = [OpeningBalance(row=2, member=member, amount=50)]
    await open_balances(rows, control_total=50, content=b"file", at=NOON)
    account = await database.row("SELECT balance, debt FROM loyalty.account WHERE version > 0")
    assert (account["balance"], account["debt"]) == (30, 0)
    assert await shop.balance_of(other) == 0
    assert (await verify_ledger()).ok
