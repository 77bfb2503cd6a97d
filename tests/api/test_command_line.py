"""The command line, in processes of its own: what it prints, and how it fails."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import database
from stores.tills import take_up_enrolment
from tests import shop

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("in_folder")


def regulars(*arguments: str, url: str = "", stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from api.command_line import main; main()", *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url, **environment},
        check=False,
    )


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """The one JSON document on standard output."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_segments_ledger_and_nightly_print_the_shapes_that_scripts_rely_on(own_database: str) -> None:
    await shop.open_shop()
    for place in range(6):
        await shop.sell(await shop.join(), ("CUP", 1 + place, 1000))
    rfm = document(regulars("segment", "rfm", "--as-of", "2026-04-01", "--gross", "--json", url=own_database))
    assert {"as_of", "members", "value", "edges", "segments"} <= set(rfm)
    assert set(rfm["edges"]) == {"recency", "frequency", "monetary"}
    assert {"name", "members", "share_of_value"} <= set(rfm["segments"][0])
    proof = document(regulars("ledger", "verify", "--json", url=own_database))
    assert proof == {"ok": True, "accounts": 6, "entries": 6, "lots": 6, "breaks": []}
    night = document(regulars("ledger", "nightly", "--date", "2030-01-01", "--json", url=own_database))
    assert night["lots_expired"] == 6


async def test_a_broken_ledger_ends_with_status_one(own_database: str) -> None:
    import database

    await shop.open_shop()
    await shop.give(await shop.join(), 10)
    await database.execute("UPDATE loyalty.account SET balance = 11")
    done = regulars("ledger", "verify", "--json", url=own_database)
    assert done.returncode == 1
    assert json.loads(done.stdout)["breaks"][0]["what"] == "balance is not the sum of entries"


async def test_imports_print_their_counts_and_reject_files(own_database: str) -> None:
    await shop.open_shop()
    Path("products.csv").write_text("sku,name,price\nP1,Pen,2.50\nP2,Pin,x\n,Nameless,1.00\n")
    done = document(regulars("import", "products", "products.csv", "--json", url=own_database))
    assert (done["rows"], done["added"], done["rejected"]) == (3, 1, 2)
    rejected = Path("products.rejects.csv").read_text()
    assert "3,price,price: 'x' is not an amount" in rejected
    assert "4,sku," in rejected
    Path("members.csv").write_text(
        "external_ref,name,phone,birth_date\nM1,Ah Meng,012-345 6789,1990-05-31\nM2,B,0123456789,\nM3,C,12,\nM4,D,,2001-02-30\n"
    )
    done = document(regulars("import", "members", "members.csv", "--json", url=own_database))
    assert (done["added"], done["rejected"]) == (1, 3)
    said = Path("members.rejects.csv").read_text()
    assert "already belongs to a member" in said
    assert "is no phone number" in said
    assert "is no date" in said
    again = document(regulars("import", "members", "members.csv", "--json", url=own_database))
    assert (again["added"], again["unchanged"]) == (0, 1)
    Path("stores.csv").write_text("code,name,time_zone\nPG01,Penang,Asia/Kuala_Lumpur\nXX,Nowhere,Moon/Crater\n")
    done = document(regulars("import", "stores", "stores.csv", "--json", url=own_database))
    assert (done["added"], done["rejected"]) == (1, 1)


async def test_staff_and_tills_are_made_from_the_command_line(own_database: str) -> None:
    await shop.open_shop()
    made = regulars(
        "staff",
        "create",
        "a@shop.example",
        "--role",
        "analyst",
        "--password-stdin",
        stdin="correct horse\n",
        url=own_database,
    )
    assert made.returncode == 0, made.stderr
    short = regulars(
        "staff", "create", "b@shop.example", "--role", "analyst", "--password-stdin", stdin="short\n", url=own_database
    )
    assert (short.returncode, "password" in short.stderr) == (1, True)
    code = regulars("till", "enrol", "KL01", "T7", url=own_database).stdout.strip()
    assert re.fullmatch(r"[A-Z2-9]{4}(-[A-Z2-9]{4}){2}", code)
    _, credential = await take_up_enrolment(code, at=datetime.now(UTC))
    assert credential.startswith("till_")
    assert regulars("till", "enrol", "KL01", "T7", "--credential", url=own_database).stdout.startswith("till_")
    assert "no store 'XX'" in regulars("till", "enrol", "XX", "T7", url=own_database).stderr
    audited = await database.rows("SELECT actor, action FROM api.audit ORDER BY id")
    assert [tuple(row) for row in audited if row["actor"] == "command line"] == [
        ("command line", "staff.hired"),
        ("command line", "till.offered"),
        ("command line", "till.enrolled"),
    ]


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (("migrate",), {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}, "PostgreSQL (DATABASE_URL)"),
        (("doctor",), {"REGULARS_ENV": "production"}, "SECRET_KEY"),
        (("doctor",), {"DATABASE_URL": "sqlite:///x"}, "DATABASE_URL"),
        (("campaign", "launch", "1"), {}, "SMTP_URL"),
    ],
)
def test_what_is_missing_or_unreachable_is_named_without_a_trace(
    arguments: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    done = regulars(*arguments, **environment)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


async def test_an_empty_database_says_what_to_do_first(own_database: str) -> None:
    done = regulars("segment", "rfm", url=own_database)
    assert done.returncode == 1
    assert "regulars demo" in done.stderr


async def test_doctor_is_content_with_a_working_installation_and_names_a_fault(own_database: str) -> None:
    healthy = document(regulars("doctor", "--json", url=own_database))
    assert healthy["ok"]
    sick = regulars("doctor", "--json", url=own_database, REDIS_URL="redis://127.0.0.1:1")
    assert sick.returncode == 1
    faults = [check["what"] for check in json.loads(sick.stdout)["checks"] if not check["ok"]]
    assert faults == ["Redis"]
