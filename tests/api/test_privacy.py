"""What members may ask for, and that it is true of every table there is."""

import io
import json
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import database
from api.imports.exporting import export
from api.privacy.held import HELD, NOT_OF_MEMBERS
from loyalty.merging import merge_members
from loyalty.statement import balance
from loyalty.verification import verify_ledger
from membership.advising import ContactMade, note_contact
from membership.cards import member_of_card
from membership.custom_fields import define_field
from membership.custom_values import CustomField
from membership.duplicate_scan import scan_duplicates
from membership.errors import MemberErased
from membership.search import search
from membership.tasks import TaskSet, set_task
from membership.tickets import TicketOpened, open_ticket
from stores.staff import hire
from tests import shop
from tests.api.conftest import Client, SignIn, key, problem

SCHEMAS = ("stores", "membership", "loyalty", "segmentation", "campaigns", "api")
SECRETS = ("Zulkarnain", "zulkarnain", "60198765432", "198765432", "Secretnote", "zk@", "WXY9999")


async def dump() -> dict[str, str]:
    """Every table of the product as text, as pg_dump would write its rows."""
    tables = await database.rows(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname = ANY($1)", list(SCHEMAS)
    )
    written = {}
    for table in tables:
        rows = await database.rows(f"SELECT t::text AS row FROM {table['name']} t")
        written[table["name"]] = "\n".join(row["row"] for row in rows)
    # Remembered answers are bytes, which are not to be read as such.
    answers = await database.rows("SELECT response FROM api.idempotency")
    written["api.idempotency"] += "\n".join(row["response"].decode("utf-8", "replace") for row in answers)
    return written


async def totals() -> dict[str, Any]:
    """Sales, points and what they owe, by store and in all."""
    row = await database.row(
        "SELECT (SELECT sum(total) FROM stores.receipt) AS sales, (SELECT sum(amount) FROM stores.receipt_line) AS lines, "
        "(SELECT sum(amount) FROM stores.payment) AS payments, (SELECT sum(balance) FROM loyalty.account) AS points, "
        "(SELECT sum(amount) FROM loyalty.entry) AS entries, (SELECT sum(remaining) FROM loyalty.lot) AS lots, "
        "(SELECT jsonb_object_agg(coalesce(store_id, 0), points) FROM (SELECT store_id, sum(amount) AS points FROM loyalty.entry "
        "GROUP BY 1) s)::text AS by_store, (SELECT sum(spend) FROM membership.consumption) AS spend"
    )
    assert row is not None
    return dict(row)


async def somebody(till: Client) -> str:
    """A member with something personal in every place there is."""
    await define_field(CustomField(code="plate", kind="text", searchable=True))
    body = {
        "name": "Zulkarnain Secretname",
        "phone": "0198765432",
        "email": "zk@example.com",
        "birth": {"year": 1990, "month": 5, "day": 31},
        "notes": "Secretnote of a cashier",
        "tags": ["Secretnote"],
        "external_ref": "Zulkarnain-1",
        "custom": {"plate": "WXY9999"},
        "consents": [{"channel": "email"}],
        "home_store": "KL01",
    }
    number: str = (await till.post("/v1/members", json=body, headers=key())).json()["number"]
    await till.post("/v1/members", json={**body, "name": "Another"}, headers=key())  # 409 with the candidate
    await till.patch(f"/v1/members/{number}", json={"gender": "male"}, headers=key())  # an answer to remember
    await shop.sell(number, ("CUP", 5, 1000))
    await shop.sell(number, ("TEA", 4, 255), points_to_spend=10)
    member_id = await member_of_card(number)
    staff_id = await hire(email="clerk@shop.example", name="Mei", role="cashier", password=None, stores=["KL01"])
    ticket = TicketOpened(store="KL01", subject="Secretnote: Zulkarnain", text="Secretnote", category="complaint")
    await open_ticket(member_id, ticket, staff_id=staff_id, at=shop.NOON)
    await set_task(member_id, TaskSet(title="Call Zulkarnain", due_at=shop.NOON), owner_id=staff_id, at=shop.NOON)
    contact = ContactMade(kind="called", note="Secretnote")
    await note_contact(member_id, contact, staff_id=staff_id, store_id=None, at=shop.NOON)
    return number


async def test_after_erasure_no_table_log_cache_or_export_holds_the_name_phone_email_or_notes_and_every_total_is_the_same(
    app: Any, till: Client, sign_in: SignIn, capsys: pytest.CaptureFixture[str], in_folder: Path
) -> None:
    number = await somebody(till)
    other = await shop.join("Zulkarnain S.", notes="Secretnote", tags=["Secretnote"])
    await shop.sell(other, ("CUP", 3, 1000))
    await merge_members(number, other, reason="Zulkarnain himself", at=shop.NOON)
    await scan_duplicates(shop.NOON)
    before = await totals()
    found_in = {table for table, text in (await dump()).items() for secret in SECRETS if secret in text}
    assert {"membership.member", "membership.ticket", "membership.task", "membership.contact"} <= found_in
    assert {"membership.ticket_note", "membership.merge", "api.idempotency"} <= found_in
    administrator = await sign_in("administrator")
    assert (await administrator.delete(f"/v1/members/{number}", headers=key())).status_code == 204
    left = {(table, secret) for table, text in (await dump()).items() for secret in SECRETS if secret in text}
    assert left == set()
    assert await totals() == before
    assert (await verify_ledger()).ok
    assert (await export("members", Path("members.csv"))).rows == 0
    cached = [await app.state.redis.dump(name) or b"" for name in await app.state.redis.keys()]
    logged = capsys.readouterr().err
    elsewhere = logged + Path("members.csv").read_text() + repr(cached)
    assert logged.count("/v1/members") > 1, "the requests were logged"
    assert [secret for secret in SECRETS if secret in elsewhere] == []


async def test_an_erased_members_card_is_refused_and_re_registering_makes_a_new_member(
    till: Client, sign_in: SignIn
) -> None:
    number = await somebody(till)
    administrator = await sign_in("administrator")
    erasing = key()
    for _ in range(2):
        assert (await administrator.delete(f"/v1/members/{number}", headers=erasing)).status_code == 204
    assert problem(await till.get(f"/v1/members/{number}/profile")) == (410, "member-erased")
    with pytest.raises(MemberErased):
        await shop.sell(number, ("TEA", 1, 255))
    for text in ("0198765432", "Zulkarnain", "zk@example.com", "WXY9999"):
        assert await search(text) == []
    again = await till.post(
        "/v1/members",
        json={"name": "Zulkarnain", "phone": "0198765432", "external_ref": "Zulkarnain-1"},
        headers=key(),
    )
    assert again.status_code == 201
    new = again.json()["number"]
    assert new != number
    assert (await balance(await member_of_card(new), datetime.now(UTC))).usable == 0
    assert [event["kind"] for event in (await till.get(f"/v1/members/{new}/timeline")).json()["items"]] == [
        "registered"
    ]


async def test_only_administrators_erase_and_export(till: Client, sign_in: SignIn) -> None:
    number = await shop.join()
    manager = await sign_in("store_manager", ["KL01"])
    for http in (till, manager):
        assert problem(await http.delete(f"/v1/members/{number}", headers=key())) == (403, "not-permitted")
        assert problem(await http.get(f"/v1/members/{number}/export")) == (403, "not-permitted")


async def test_the_export_holds_everything_in_json_and_csv(till: Client, sign_in: SignIn) -> None:
    number = await somebody(till)
    administrator = await sign_in("administrator")
    answer = await administrator.get(f"/v1/members/{number}/export")
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    tables = json.loads(archive.read("member.json"))["tables"]
    assert tables["membership.member"][0]["name"] == "Zulkarnain Secretname"
    for table in (
        "membership.ticket",
        "membership.ticket_note",
        "stores.receipt_line",
        "loyalty.entry",
        "api.profile_view",
    ):
        assert tables[table], table
        assert archive.read(f"{table}.csv").startswith(b"\xef\xbb\xbf")
    assert "Secretnote" in archive.read("membership.contact.csv").decode()
    # Nobody else's.
    assert {row["member_id"] for row in tables["stores.receipt"]} == {await member_of_card(number)}


async def test_every_view_of_a_profile_is_in_the_access_log(till: Client, sign_in: SignIn) -> None:
    number = await shop.join()
    manager, administrator = await sign_in("store_manager", ["KL01"]), await sign_in("administrator")
    await till.get(f"/v1/members/{number}/profile")
    for part in ("", "/profile", "/timeline", "/receipts", "/points", "/consents", "/tickets", "/tasks"):
        assert (await manager.get(f"/v1/members/{number}{part}")).status_code == 200
    log = (await administrator.get(f"/v1/members/{number}/access-log")).json()["items"]
    assert [view["part"] for view in log] == [
        "tasks",
        "tickets",
        "consents",
        "points",
        "receipts",
        "timeline",
        "profile",
        "data",
        "profile",
    ]
    assert log[-1]["principal"] == "till:KL01/T2"
    assert log[0]["staff"] == "store_manager"
    first = (await administrator.get(f"/v1/members/{number}/access-log", params={"limit": 3})).json()
    assert len(first["items"]) == 3
    assert first["next"]


async def of_members() -> set[str]:
    """Tables that refer to members, directly or through others: by a foreign key, or by the name of a column."""
    columns = await database.rows(
        "SELECT table_schema || '.' || table_name AS name, column_name FROM information_schema.columns WHERE table_schema = ANY($1)",
        list(SCHEMAS),
    )
    keys = await database.rows(
        "SELECT conrelid::regclass::text AS name, confrelid::regclass::text AS refers FROM pg_constraint WHERE contype = 'f'"
    )
    reached = {"membership.member"}
    # What belongs to a chain, to staff or to the catalogue, whoever the members are.
    beyond = {
        "stores.store",
        "stores.staff",
        "stores.till",
        "stores.product",
        "stores.chain",
        "segmentation.run",
        "campaigns.campaign",
    }
    while True:
        names = {table.partition(".")[2] for table in reached}
        more = {
            row["name"]
            for row in columns
            if re.sub(r"_id$", "", row["column_name"]) in names and row["column_name"].endswith("_id")
        }
        more |= {row["name"] for row in keys if row["refers"] in reached}
        if more - beyond <= reached:
            return reached
        reached |= more - beyond


async def test_every_table_with_data_of_members_is_exported_and_erased() -> None:
    listed = {held.table for held in HELD}
    assert await of_members() - listed - NOT_OF_MEMBERS.keys() == set()
    assert all(bool(held.erase) != bool(held.kept) for held in HELD)


async def test_a_new_table_that_nobody_listed_is_noticed() -> None:
    await database.execute("CREATE TABLE membership.diary (id bigint PRIMARY KEY, member_id bigint, secret text)")
    await database.execute("CREATE TABLE membership.page (diary_id bigint, secret text)")
    assert await of_members() - {held.table for held in HELD} == {"membership.diary", "membership.page"}


async def test_a_refusal_that_quotes_the_address_and_a_letter_are_forgotten(till: Client, sign_in: SignIn) -> None:
    from api.operation.mail import post

    number = await somebody(till)
    await post("opt_in", "zk@example.com", "Please confirm, Zulkarnain", "…", at=shop.NOON + timedelta(days=1))
    administrator = await sign_in("administrator")
    await administrator.delete(f"/v1/members/{number}", headers=key())
    assert await database.value("SELECT count(*) FROM api.mail") == 0
