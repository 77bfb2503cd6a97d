"""What an attacker sends. Nothing here may end in a 5xx, change what it should not, or come back as anything but text."""

import copy
import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import database
from api.exports import safe_cell, write_csv
from api.imports.members import import_members
from api.imports.rejects import reject_path
from api.openapi.document import document, operations
from errors import DomainError
from membership.cards import member_of_card
from tests import shop
from tests.api.conftest import Client, SignIn, client, key, problem
from tests.api.test_till import SALE

PAYLOADS = (
    "'; DROP TABLE stores.receipt CASCADE; --",
    "1' OR '1'='1",
    "{{ 7777 * 7777 }}{% for x in ().__class__.__bases__ %}{% endfor %}",
    "${7777*7777} #{7777*7777} %(name)s {0.__class__} %s%n",
    "<script>alert(1)</script>",
    "../../../../etc/passwd",
    '=HYPERLINK("http://evil.example")',
    "nul\0byte",
    "\u202egnp.exe\u2066",
    "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    "x" * 20_000,
    "",
)


def _texts(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the strings of an example are."""
    if isinstance(value, str):
        yield place
    elif isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(inner, (*place, name))


def _with(example: Any, place: tuple[Any, ...], text: str) -> Any:
    changed = copy.deepcopy(example)
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = text
    return changed


@pytest.mark.usefixtures("own_database")
async def test_every_text_of_every_body_takes_injections_as_text_or_refuses_them(
    app: Any, till: Client, sign_in: SignIn
) -> None:
    administrator, manager = await sign_in("administrator"), await sign_in("store_manager", ["KL01"])
    member = await shop.join()
    schema, tried = document(app), 0
    places = {"number": member, "code": "KL01", "sku": "TEA", "till": "T2"}
    for method, path, _ in operations(app):
        operation = schema["paths"][path][method.lower()]
        if "requestBody" not in operation or path.startswith("/v1/session"):
            continue
        example = next(iter(operation["requestBody"]["content"].values()))["example"]
        url = path
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                url = url.replace("{" + parameter["name"] + "}", places.get(parameter["name"], "1"))
        for place in _texts(example):
            for text in PAYLOADS:
                for http in (administrator, till, manager):
                    answer = await http.request(method, url, json=_with(example, place, text), headers=key())
                    tried += 1
                    assert answer.status_code < 500, (path, place, text, answer.text)
                    assert "60481729" not in answer.text, (path, place, text)
                    if answer.status_code >= 400:
                        problem(answer)
    assert tried > 1500
    assert await database.value("SELECT to_regclass('stores.receipt') IS NOT NULL")


@pytest.mark.usefixtures("own_database")
async def test_every_query_parameter_takes_injections_as_text(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    for text, (path, name) in itertools.product(PAYLOADS, [
        ("/v1/members", "q"), ("/v1/members", "tag"), ("/v1/members", "home_store"), ("/v1/products", "category"),
        ("/v1/products", "brand"), ("/v1/products", "cursor"), ("/v1/audit", "actor"), ("/v1/audit", "object"),
        ("/v1/audit.csv", "action"), ("/v1/staff", "store"), ("/v1/stores", "region"), ("/v1/campaigns", "status"),
    ]):  # fmt: skip
        answer = await http.get(path, params={name: text})
        assert answer.status_code < 500, (path, name, answer.text)
    paths = ("/v1/members/{}", "/v1/products/{}", "/v1/stores/{}", "/v1/session/all/{}")
    for text, path in itertools.product(PAYLOADS, paths):
        quoted = "".join(f"%{byte:02x}" for byte in text[:200].encode())
        assert (await http.get(path.format(quoted or "%20"))).status_code < 500, path


async def test_what_is_stored_comes_back_as_text_in_pages(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    script = "<script>alert(1)</script>{{ 7 * 7 }}"
    await http.patch("/v1/stores/KL01", json={"name": script}, headers=key())
    await shop.sell(None, ("TEA", 1, 255))
    page = (await http.get("/")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}" in page
    assert "<script>alert" not in page


async def test_fields_that_are_not_the_callers_to_set_are_refused(till: Client, sign_in: SignIn) -> None:
    administrator = await sign_in("administrator")
    member = await shop.join()
    for http, method, path, body, extra in [
        (till, "POST", "/v1/members", {"name": "B", "phone": "012-999 8877"}, {"id": 1}),
        (till, "POST", "/v1/members", {"name": "B", "phone": "012-999 8877"}, {"status": "erased"}),
        (till, "POST", "/v1/members", {"name": "B", "phone": "012-999 8877"}, {"source": {"staff_id": 1}}),
        (till, "PATCH", f"/v1/members/{member}", {"name": "B"}, {"points": 1_000_000}),
        (till, "PATCH", f"/v1/members/{member}", {"name": "B"}, {"number": "2000000099990"}),
        (till, "POST", "/v1/checkouts", SALE, {"staff_id": 1}),
        (till, "POST", "/v1/checkouts", SALE, {"total": 1}),
        (administrator, "PATCH", "/v1/staff/1", {"name": "B"}, {"password_hash": "x"}),
        (administrator, "PATCH", "/v1/staff/1", {"name": "B"}, {"email": "evil@shop.example"}),
        (administrator, "POST", "/v1/webhooks", {"url": "https://example.com/"}, {"secret": "whsec_x"}),
    ]:
        answer = await http.request(method, path, json={**body, **extra}, headers=key())
        assert problem(answer) == (422, "unprocessable-entity"), (path, extra)
        assert next(iter(extra)) in answer.text


@pytest.mark.parametrize(
    ("body", "headers", "statuses"),
    [
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, {}, {400, 413, 422}),
        (b"[" * 500_000, {}, {400}),
        (b'{"store": "\xff\xfe"}', {}, {400}),
        (b'{"store": "\\ud800"}', {}, {400, 422}),
        (b'{"number": "' + b"9" * (1 << 20) + b'"}', {}, {413}),
        (b'{"business_time": 1e400}', {}, {400, 422}),
        (gzip.compress(b'{"store": "' + b"a" * 50_000_000 + b'"}'), {"content-encoding": "gzip"}, {413, 415}),
        (b"store=KL01", {"content-type": "application/x-www-form-urlencoded"}, {415}),
        (b"<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>", {"content-type": "application/xml"}, {415}),
        (b"\x81\xa5store\xa4KL01", {"content-type": "application/msgpack"}, {415}),
    ],
)  # fmt: skip
async def test_bodies_that_are_none_are_refused(
    till: Client, body: bytes, headers: dict[str, str], statuses: set[int]
) -> None:
    sent = {**key(), "content-type": "application/json", **headers}
    answer = await till.post("/v1/checkouts", content=body, headers=sent)
    assert problem(answer)[0] in statuses
    assert await database.value("SELECT count(*) FROM stores.receipt") == 0


async def test_a_body_that_never_ends_is_cut_off(till: Client) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 1 << 28:
            sent += 1 << 16
            yield b" " * (1 << 16)

    answer = await till.post("/v1/checkouts", content=endless(), headers={**key(), "content-type": "application/json"})
    assert problem(answer)[0] == 413
    assert sent < 1 << 28


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_methods_that_are_not_there_are_refused_in_form(till: Client, method: str) -> None:
    answer = await till.request(method, "/v1/checkouts")
    if method == "OPTIONS":
        assert answer.status_code == 204
        return
    assert problem(answer) == (405, "method-not-allowed")
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/..%2f..%2fapp.py", "/static/%2e%2e/%2e%2e/app.py", "/static/....//app.py",
        "/static//etc/passwd", "/static/..%5c..%5capp.py", "/docs/..%2f..%2fapp.py", "/v1/audit.csv/../../app.py",
    ],
)  # fmt: skip
async def test_no_path_leads_out_of_what_is_served(nobody: Client, path: str) -> None:
    answer = await nobody.get(path)
    assert answer.status_code in (401, 404), answer.text
    assert "create_app" not in answer.text


def test_a_reject_file_lies_in_the_folder_of_the_command_whatever_the_source_is_called(in_folder: Path) -> None:
    for name in ("../../etc/passwd", "/etc/cron.d/x.csv", "..", "a/../../b.csv.gz"):
        assert reject_path(Path(name)).parent == in_folder


async def test_a_bomb_of_a_file_is_refused_before_it_fills_anything(in_folder: Path) -> None:
    """A hundred thousand to one: a megabyte of zeros packed is a gibibyte unpacked, and a single row."""
    await shop.open_shop()
    bomb = in_folder / "members.csv.gz"
    with gzip.open(bomb, "wb") as file:
        file.write(b"external_ref,name\n")
        for _ in range(1024):
            file.write(bytes(1 << 20))
    with pytest.raises(DomainError, match=r"members\.csv\.gz"):
        await import_members(bomb)
    assert await database.value("SELECT count(*) FROM membership.member") == 0


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"])
def test_no_cell_of_an_export_is_a_formula(text: str, tmp_path: Path) -> None:
    assert safe_cell(text) == f"'{text}"
    with (tmp_path / "x.csv").open("w+", newline="") as file:
        write_csv(file, ["a"], [[text], [{"inner": text}], [-5], [None], ["plain"]])
        file.seek(0)
        assert file.read().splitlines()[0] == "a"


async def test_an_audit_export_holds_no_formula(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    await http.patch("/v1/stores/KL01", json={"name": "=1+1", "region": "@x"}, headers=key())
    file = (await http.get("/v1/audit.csv")).text
    for line in file.splitlines()[1:]:
        assert not any(cell.strip('"').startswith(("=", "+", "@")) for cell in line.split(","))


async def test_an_object_of_another_store_looks_as_if_it_were_not_there(app: Any, sign_in: SignIn) -> None:
    """The same answer to the byte, but for the name that was asked for."""
    http = await sign_in("store_manager", ["KL01"])
    for there, nowhere in [("/v1/stores/JB02", "/v1/stores/XX99"), ("/v1/stores/JB02/tills", "/v1/stores/XX99/tills")]:
        first, second = await http.get(there), await http.get(nowhere)
        assert problem(first)[0] == 404
        assert first.text.replace("JB02", "XX99") == second.text


async def test_a_members_number_of_no_member_says_nothing_more(till: Client) -> None:
    member = await shop.join()
    assert await member_of_card(member)
    answer = await till.get("/v1/members/2000000099998")
    assert json.loads(answer.text).get("candidates") is None


async def test_headers_cannot_be_smuggled_into_an_answer(app: Any) -> None:
    async with client(app) as http:
        answer = await http.get("/health/live", headers={"X-Request-Id": "abcdefgh%0d%0aSet-Cookie: x=1"})
        assert "set-cookie" not in answer.headers
        assert "%0d" not in answer.headers["x-request-id"]


async def test_a_number_that_no_column_holds_is_the_callers_mistake(till: Client) -> None:
    for path in ("/v1/redemptions/1525050753045950365696/void", "/v1/checkouts/99999999999999999999999/returns"):
        body = {
            "till": "T2",
            "number": "R",
            "business_time": "2026-03-03T10:00:00+08:00",
            "lines": [{"line_no": 1, "quantity": 1}],
        }
        assert problem(await till.post(path, json=body, headers=key())) == (422, "invalid-input")
