"""The whole story on a smaller generated chain: what was planted is found."""

from datetime import date
from pathlib import Path

import pytest

import database
from api.demo.generator import DAYS, GeneratedChain
from api.demo.story import Story, tell_generated, told_already
from loyalty.verification import verify_ledger

END = date(2026, 10, 1)


@pytest.mark.usefixtures("own_database", "in_folder")
async def test_the_demo_goes_through_and_the_planted_truths_are_recovered(tmp_path: Path) -> None:
    told: list[str] = []
    story: Story = await tell_generated(tmp_path / "demo", end=END, tell=told.append, members=8_000)
    assert len(told) == len(story.steps) >= 11
    assert story.planted["pairs"]["recovered"] == story.planted["pairs"]["planted"] == 12
    uplift = story.planted["uplift"]
    assert uplift["low"] <= uplift["planted"] <= uplift["high"]
    assert (await verify_ledger()).ok
    assert await told_already()
    figures = {step.name: step.figures for step in story.steps}
    assert figures["A chain opens"]["stores"] == 12
    assert figures["The ledger is proved, and the night's work done"]["ok"]
    assert figures["A customer at the till, over HTTP"]["earned"] > 0
    sent = await database.value("SELECT count(*) FROM campaigns.delivery WHERE status = 'sent'")
    assert len(list((tmp_path / "demo" / "outbox").glob("*.eml"))) == sent > 0


def test_the_generated_chain_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "other"):
        chain = GeneratedChain(END, members=500)
        chain.write_members(tmp_path / f"{name}.members")
        chain.write_receipts(tmp_path / f"{name}.receipts", chain.purchases(0, DAYS, stream=2), prefix="H", stream=2)
    for part in ("members", "receipts"):
        assert (tmp_path / f"one.{part}").read_bytes() == (tmp_path / f"other.{part}").read_bytes()


def test_the_season_and_the_churn_are_there() -> None:
    chain = GeneratedChain(END, members=5_000)
    bought = chain.purchases(0, DAYS, stream=2)
    months = [(chain.begin.month - 1 + int(day) // 30) % 12 for day in bought.seconds // 86400]
    assert months.count(11) > months.count(8)  # December against September
    last = dict(zip(bought.member.tolist(), bought.seconds.tolist(), strict=True))
    gone = sum(second < (DAYS - 180) * 86400 for member, second in last.items() if member >= 0)
    assert 0.2 < gone / 5_000 < 0.8
