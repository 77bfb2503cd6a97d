"""The UCI Online Retail file: everything loads, and the published figures come out."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

import database
from api.imports.receipts import import_receipts
from loyalty.verification import verify_ledger
from segmentation.clusters import cluster_members
from segmentation.cross_sell import relate_products
from segmentation.rfm import score_members

pytestmark = [pytest.mark.real_data, pytest.mark.usefixtures("own_database", "in_folder")]

PUBLISHED = {
    "Champions": 798,
    "Hibernating": 668,
    "Lost": 567,
    "New": 408,
    "Loyal": 403,
    "At Risk": 348,
    "Potential Loyalist": 306,
    "Need Attention": 254,
    "Promising": 243,
    "About to Sleep": 220,
    "Can't Lose": 123,
}


async def test_the_real_file_from_import_to_suggestions(real_data: Path) -> None:
    done = await import_receipts(real_data, profile="online-retail", award_points=True)
    assert (done.rows, done.lines, done.rejected) == (541_909, 541_909, 0)
    assert (done.stores, done.members, done.receipts) == (38, 4_372, 25_900)
    assert done.matched_returns > 7_000
    assert done.matched_returns + done.blind_returns == 9_288
    await _again_changes_nothing(real_data)
    found = await verify_ledger()
    assert (found.ok, found.accounts) == (True, 4_372)
    assert found.entries == done.points.entries
    assert await database.value("SELECT count(*) FROM membership.card") == 4_372
    await _published_rfm()
    await _stable_clusters()
    related = await relate_products(date(2011, 12, 10))
    assert related.pairs > 10_000


async def _again_changes_nothing(path: Path) -> None:
    sums = (
        "SELECT (SELECT sum(total) FROM stores.receipt), (SELECT sum(balance) FROM loyalty.account), "
        "(SELECT count(*) FROM membership.event)"
    )
    before = await database.row(sums)
    again = await import_receipts(path, profile="online-retail", award_points=True)
    assert (again.added, again.unchanged, again.rejected, again.members) == (0, 25_900, 0, 0)
    assert await database.row(sums) == before


async def _published_rfm() -> None:
    gross = await score_members(date(2011, 12, 10), gross=True)
    assert gross.members == 4_338
    assert gross.value == 891_140_790  # 8,911,407.904 pounds; four lines are worth a tenth of a penny each
    assert gross.edges == {
        "recency": [12, 32, 71, 179],
        "frequency": [1, 2, 3, 6],
        "monetary": [25_015, 49_022, 94_226, 205_945],
    }
    assert {segment.name: segment.members for segment in gross.segments} == PUBLISHED
    assert gross.segments[0].share_of_value == pytest.approx(0.620, abs=0.0005)
    counted = await database.value(
        "SELECT count(*) FROM stores.receipt_line l JOIN stores.receipt r ON r.id = l.receipt_id "
        "WHERE r.member_id IS NOT NULL AND l.quantity > 0 AND l.unit_price > 0"
    )
    assert counted == 397_884
    assert await database.value("SELECT sum(gross_receipts) FROM membership.consumption") == 18_532
    net = await score_members(date(2011, 12, 10))
    assert net.value < gross.value


async def _stable_clusters() -> None:
    first = await cluster_members(date(2011, 12, 10))
    again = await cluster_members(date(2011, 12, 10))
    assert first.stability[first.k] >= 0.85
    assert again.churn == 0
    assert again.clusters == first.clusters


def test_the_command_line_prints_one_json_document_and_stays_small(real_data: Path, own_database: str) -> None:
    # The kernel's high-water mark of this program; getrusage would count the test runner it was forked from.
    measure = (
        "import re, sys; from api.command_line import main\n"
        "try: main()\n"
        "finally: print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)"
    )
    arguments = [
        "import",
        "receipts",
        str(real_data),
        "--profile",
        "online-retail",
        "--award-points",
        "--json",
    ]
    environment = {**os.environ, "DATABASE_URL": own_database}
    done = subprocess.run(
        [sys.executable, "-c", measure, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    assert json.loads(done.stdout)["lines"] == 541_909
    assert int(done.stderr.split()[-1]) < 600 * 1024
