"""Importing members: formats, mappings, policies, dry runs, interruptions, and taking it all back."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

import database
from api.imports.exporting import export
from api.imports.members import import_members, undo_import
from errors import NotFound
from membership.cards import member_of_card
from membership.custom_fields import define_field
from membership.custom_values import CustomField
from membership.policy import MemberPolicyChange, change_member_policy
from membership.profiles import MemberProfile, profile
from membership.registration import identify
from membership.search import search
from stores.errors import FileRefused, ImportNotUndoable
from stores.import_runs import advance, begin_or_resume
from tests import shop

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("in_folder")
HEAD = "external_ref,name,phone,email,birth_date,home_store,tags,custom.shoe_size\n"
ROWS = (
    "M1,王小明,012-345 6789,A@Example.com,1990-05-31,KL01,tea; cake,38\n"
    "M2,Aisyah,0198765432,,--02-29,JB02,,\n"
    "M3,Nobody,12,,,,,\n"
    "M4,,0111111111,,,,,\n"
    "M5,Big Foot,0112222222,,,,,huge\n"
    "M6,Far Away,0113333333,,,XX,,\n"
)


@pytest.fixture(autouse=True)
async def _shop(request: pytest.FixtureRequest) -> None:
    if "own_database" not in request.fixturenames:
        await shop.open_shop()
        await define_field(CustomField(code="shoe_size", kind="number"))


def written(text: str, name: str = "members.csv") -> Path:
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


async def of(reference: str) -> MemberProfile:
    member_id = (await identify([reference]))[reference]
    number = await database.value("SELECT number FROM membership.card WHERE member_id = $1", member_id)
    return await profile(number)


async def rows_of_everything() -> dict[str, list[str]]:
    """Every row of the tables that an import writes to."""
    tables = ("member", "card", "consent", "consumption", "event", "duplicate_pair", "import_change")
    return {
        table: [row["r"] for row in await database.rows(f"SELECT t::text AS r FROM membership.{table} t ORDER BY 1")]
        for table in tables
    }


def rejected() -> list[tuple[str, str]]:
    with Path("members.rejects.csv").open(encoding="utf-8") as file:
        return [(row["row"], row["column"]) for row in csv.DictReader(file)]


async def test_rows_are_registered_by_the_same_rules_and_the_others_named_by_row_column_and_reason() -> None:
    done = await import_members(written(HEAD + ROWS))
    assert (done.rows, done.added, done.rejected) == (6, 2, 4)
    first = await of("M1")
    assert (first.phone, first.email, first.tags) == ("+60123456789", "a@example.com", ["tea", "cake"])
    assert (first.custom, first.home_store) == ({"shoe_size": 38}, "KL01")
    assert [found.number for found in await search("wxm")] == [first.number]
    second = await of("M2")
    assert (second.birth_month, second.birth_day, second.birth_year) == (2, 29, None)
    assert rejected() == [("4", "phone"), ("5", "name"), ("6", "custom.shoe_size"), ("7", "home_store")]
    again = await import_members(written(HEAD + ROWS))
    assert (again.added, again.unchanged, again.rejected) == (0, 2, 4)


async def test_excel_and_parquet_hold_the_same_as_text() -> None:
    await import_members(written(HEAD + ROWS.partition("M3")[0]))
    at_the_till = await shop.join("Without a reference")
    references = ("M1", "M2", at_the_till)
    before = [await of(reference) for reference in references]
    for name in ("out.xlsx", "out.parquet", "out.csv"):
        assert (await export("members", Path(name))).rows == 3
        done = await import_members(Path(name), existing="update")
        assert (done.unchanged, done.changed, done.added, done.rejected) == (3, 0, 0, 0), name
    assert [await of(reference) for reference in references] == before


async def test_excels_own_numbers_and_dates_are_read_as_typed() -> None:
    from datetime import datetime

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["external_ref", "name", "phone", "birth_date"])
    sheet.append([1001.0, "Ah Meng", 60123456789, datetime(1990, 5, 31)])  # noqa: DTZ001  (Excel knows no zones)
    sheet.append([None, None, None, None])
    sheet.append([1002, "Siti", "012", None])
    book.save("members.xlsx")
    done = await import_members(Path("members.xlsx"))
    assert (done.added, done.rejected) == (1, 1)
    found = await of("1001")
    assert (found.phone, found.birth_year) == ("+60123456789", 1990)
    assert rejected() == [("4", "phone")]


async def test_a_mapping_profile_names_the_columns_of_somebody_elses_file() -> None:
    file = written("Kad,Nama Penuh,Telefon,Catatan Dalaman\nM1,Aisyah,0123456789,x\n")
    with pytest.raises(FileRefused, match="lacks external_ref"):
        await import_members(file)
    names = {"Kad": "external_ref", "Nama Penuh": "name", "Telefon": "phone", "Catatan Dalaman": ""}
    assert (await import_members(file, names=names, save_as="old-crm", dry_run=True)).added == 1
    assert (await import_members(file, profile="old-crm")).added == 1
    with pytest.raises(NotFound):
        await import_members(file, profile="unknown")
    with pytest.raises(FileRefused, match=r"lacks .*Kad"):
        await import_members(written("external_ref,name\nM2,B\n"), profile="old-crm")


async def test_a_dry_run_says_what_each_row_would_do_and_does_nothing() -> None:
    await import_members(written("external_ref,name,phone\nM1,Aisyah,0123456789\n"))
    before = await rows_of_everything()
    file = written("external_ref,name,phone\nM1,Aisyah binti Ali,0123456789\nM2,=Siti,0198765432\n")
    done = await import_members(file, existing="update", dry_run=True)
    assert (done.added, done.changed, done.dry_run, done.id) == (1, 1, True, None)
    with Path("members.diff.csv").open(encoding="utf-8") as diff:
        rows = [tuple(row.values()) for row in csv.DictReader(diff)]
    assert rows == [("2", "M1", "name", "Aisyah", "Aisyah binti Ali"), ("3", "M2", "new", "", "'=Siti")]
    assert await rows_of_everything() == before


@pytest.mark.parametrize(
    ("existing", "counts", "name"),
    [("skip", (0, 0, 1, 0), "Aisyah"), ("update", (0, 1, 0, 0), "Aisyah Ali"), ("reject", (0, 0, 0, 1), "Aisyah")],
)
async def test_the_duplicate_policy_decides_about_members_there_are(existing: Any, counts: Any, name: str) -> None:
    await import_members(written("external_ref,name,phone,tags,language\nM1,Aisyah,0123456789,tea,ms\n"))
    done = await import_members(written("external_ref,name,phone\nM1,Aisyah Ali,\n"), existing=existing)
    assert (done.added, done.changed, done.unchanged, done.rejected) == counts
    found = await of("M1")
    assert (found.name, found.phone, found.tags, found.language) == (name, "+60123456789", ["tea"], "ms")


async def test_a_phone_that_is_anothers_is_refused_or_shared_as_the_chain_says() -> None:
    await shop.join(phone="+60123456789")
    file = written("external_ref,name,phone\nM1,Aisyah,0123456789\nM2,Siti,0198765432\nM3,Ali,0198765432\n")
    assert (await import_members(file, dry_run=True)).rejected == 2
    await change_member_policy(MemberPolicyChange(same_phone="warn"))
    assert (await import_members(file)).added == 3


async def test_undo_removes_exactly_what_the_import_added_and_restores_what_it_changed() -> None:
    await shop.join("Somebody", email="else@example.com")
    await import_members(
        written("external_ref,name,phone,marketing_email,email\nM0,Old,0190000000,yes,o@x.my\n", "old.csv")
    )
    before = await rows_of_everything()
    rows = "M0,Old Name,0190000000\n" + "".join(f"N{n},Name {n},01{n:08}\n" for n in range(10_000_000, 10_000_050))
    done = await import_members(written("external_ref,name,phone\n" + rows), existing="update")
    assert (done.added, done.changed) == (50, 1)
    assert done.id is not None
    undone = await undo_import(done.id, at=shop.NOON)
    assert (undone.removed, undone.restored, undone.kept) == (50, 1, 0)
    after = await rows_of_everything()
    after["event"] = [row for row in after["event"] if "profile_changed" not in row]
    assert after == before
    with pytest.raises(ImportNotUndoable):
        await undo_import(done.id, at=shop.NOON)


async def test_a_run_that_is_undone_while_it_goes_on_adds_nothing_more() -> None:
    run = await begin_or_resume("members", "members.csv", "digest")
    await undo_import(run.id, at=shop.NOON)
    with pytest.raises(FileRefused, match="undone while it ran"):
        await advance(run.id, rows_done=1, counts={"added": 1}, rejects=[])


async def test_a_member_who_has_bought_since_stays() -> None:
    done = await import_members(written("external_ref,name,phone\nM1,A,0123456789\nM2,B,0198765432\n"))
    await shop.sell((await of("M1")).number, ("TEA", 4, 255))
    assert done.id is not None
    undone = await undo_import(done.id, at=shop.NOON)
    assert (undone.removed, undone.kept) == (1, 1)
    assert await shop.balance_of((await of("M1")).number) == 10


async def test_nobody_else_can_be_deleted_even_while_an_import_is_undone() -> None:
    member_id = await member_of_card(await shop.join())
    for table, column in (("member", "id"), ("event", "member_id")):
        with pytest.raises(Exception, match=r"did not add|violates foreign key"):
            async with database.transaction():
                await database.execute("SET LOCAL regulars.undoing_import = '1'")
                await database.execute(f"DELETE FROM membership.{table} WHERE {column} = $1", member_id)


async def test_receipts_and_products_go_out_as_they_come_in() -> None:
    number = await shop.join()
    await shop.sell(number, ("TEA", 4, 255), ("CUP", 1, 1000))
    done = await export("receipts", Path("receipts.xlsx"))
    assert done.rows == 2
    sheet = load_workbook("receipts.xlsx").worksheets[0]
    rows = [
        dict(zip([c.value for c in sheet[1]], [c.value for c in row], strict=True))
        for row in sheet.iter_rows(min_row=2)
    ]
    assert {(row["sku"], row["quantity"], row["member"]) for row in rows} == {
        ("TEA", "4", number),
        ("CUP", "1", number),
    }
    assert (await export("products", Path("products.parquet"))).rows == 4
    assert (await export("stores", Path("stores.csv"))).rows == 2
    with pytest.raises(FileRefused, match="ends in none"):
        await export("stores", Path("stores.doc"))


async def test_a_killed_import_goes_on_and_ends_like_an_undisturbed_one(own_database: str) -> None:
    await shop.open_shop()
    await define_field(CustomField(code="shoe_size", kind="number"))
    bad = {7, 20_000, 39_999}
    rows = [f"K{n},Name {n},{'12' if n in bad else f'01{n + 10_000_000:08}'}\n" for n in range(40_000)]
    file = written("external_ref,name,phone\n" + "".join(rows))
    program = "from api.command_line import main; main()"
    command = [sys.executable, "-c", program, "import", "members", str(file), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": own_database}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not await database.value("SELECT count(*) FROM stores.import_run WHERE rows_done BETWEEN 1 AND 39999"):
        assert time.monotonic() < deadline
        assert process.poll() is None, "it was done before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = await database.value("SELECT count(*) FROM membership.member")
    assert 0 < there < 39_997
    again = await import_members(file)
    assert again.resumed_after > 0
    assert (again.rows, again.added, again.unchanged, again.rejected) == (40_000, 39_997, 0, 3)
    assert rejected() == [("9", "phone"), ("20002", "phone"), ("40001", "phone")]
    counts = await database.row(
        "SELECT count(*) AS members, count(DISTINCT external_ref) AS refs, (SELECT count(*) FROM membership.card) AS cards, "
        "(SELECT count(*) FROM membership.event) AS events FROM membership.member"
    )
    assert counts is not None
    assert set(dict(counts).values()) == {39_997}
    assert await database.value("SELECT count(*) FROM stores.import_run") == 1
    assert await database.value("SELECT count(*) FROM stores.import_reject") == 0
