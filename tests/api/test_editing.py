"""Editable resources: ETags, lost updates, pages that stay right, and what the audit log keeps."""

import asyncio
from typing import Any

import asyncpg
import pytest

import database
from api.app import create_app
from api.connections import connect_redis, use_redis
from membership.cards import member_of_card
from stores.staff import hire
from tests import shop
from tests.api.conftest import Client, SignIn, client, give_factor, key, problem

STORE = {"code": "PG03", "name": "Penang", "time_zone": "Asia/Kuala_Lumpur"}


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        ("/v1/stores/KL01", {"name": "KL"}, {"region": "Central"}),
        ("/v1/products/TEA", {"price": 275}, {"brand": "BOH"}),
        ("/v1/members/{member}", {"language": "ms"}, {"tags": ["tea"]}),
        ("/v1/staff/{staff}", {"name": "Mei"}, {"name": "Mei Ling"}),
        ("/v1/webhooks/{webhook}", {"description": "Warehouse"}, {"status": "paused"}),
    ],
)
async def test_a_lost_update_is_refused(
    sign_in: SignIn, path: str, first: dict[str, Any], second: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    http = await sign_in("administrator")
    monkeypatch.setattr("api.webhooks.subscriptions.check_url", _any_url)
    made = await http.post("/v1/webhooks", json={"url": "https://warehouse.example/"}, headers=key())
    staff = (await http.get("/v1/staff")).json()["items"][0]["id"]
    url = path.format(member=await shop.join(), staff=staff, webhook=made.json()["webhook"]["id"])
    read = await http.get(url)
    tag = read.headers["etag"]
    unchanged = await http.get(url, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    once = {**key(), "If-Match": tag}
    changed = await http.patch(url, json=first, headers=once)
    assert changed.status_code == 200, changed.text
    replayed = await http.patch(url, json=first, headers=once)
    assert (replayed.content, replayed.headers["etag"]) == (changed.content, changed.headers["etag"])
    assert changed.headers["etag"] == (await http.get(url)).headers["etag"] != tag
    lost = await http.patch(url, json=second, headers={**key(), "If-Match": tag})
    assert problem(lost) == (412, "stale")
    assert lost.json()["etag"] == changed.headers["etag"]
    again = await http.patch(url, json=second, headers={**key(), "If-Match": lost.json()["etag"]})
    assert again.status_code == 200, again.text
    assert (await http.patch(url, json=first, headers={**key(), "If-Match": "*"})).status_code == 200


async def _any_url(url: str, *, private: bool) -> None:
    """The test receives nothing there."""


async def test_a_change_is_in_the_audit_log_with_before_and_after(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    await http.post("/v1/stores", json=STORE, headers=key())
    await http.patch("/v1/stores/PG03", json={"status": "closed"}, headers={**key(), "X-Request-Id": "request-0815"})
    entry = (await http.get("/v1/audit", params={"object": "store:PG03"})).json()["items"][0]
    assert (entry["action"], entry["before"], entry["after"]) == (
        "store.changed",
        {"status": "open"},
        {"status": "closed"},
    )
    assert (entry["role"], entry["address"], entry["request_id"]) == ("administrator", "127.0.0.1", "request-0815")
    file = (await http.get("/v1/audit.csv", params={"object": "store:PG03"})).text
    assert "store.opened" in file
    for statement in ("UPDATE api.audit SET actor = 'x'", "DELETE FROM api.audit", "TRUNCATE api.audit"):
        with pytest.raises(asyncpg.RestrictViolationError):
            async with database.transaction():
                await database.execute(statement)


async def test_the_audit_log_keeps_no_personal_data_of_members(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    member = await shop.join()
    changed = await http.patch(
        f"/v1/members/{member}", json={"name": "Nur Aisyah", "phone": "012-777 8899"}, headers=key()
    )
    assert changed.json()["phone"] == "+60127778899"
    member_id = await member_of_card(member)
    entry = (await http.get("/v1/audit", params={"object": f"member:{member_id}"})).text
    assert '"phone"' in entry
    for personal in ("Aisyah", "7778899", member):
        assert personal not in entry


async def test_a_member_cannot_take_anothers_phone(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    taken = await shop.join("Bala", phone="+60128887766")
    member = await shop.join()
    answer = await http.patch(f"/v1/members/{member}", json={"phone": "012-888 7766"}, headers=key())
    assert problem(answer) == (409, "member-exists")
    assert answer.json()["candidates"] == [{"number": taken, "name": "Bala"}]
    gone = await http.patch(f"/v1/members/{member}", json={"phone": None}, headers=key())
    assert problem(gone) == (422, "invalid-input")


async def test_pages_stay_right_while_rows_are_added(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    member = await shop.join()
    for _ in range(9):
        await shop.sell(member, ("TEA", 1, 255))
    seen: list[int] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await http.get(f"/v1/members/{member}/receipts", params=query)).json()
        seen += [receipt["id"] for receipt in page["items"]]
        if page["next"] is None:
            break
        await shop.sell(member, ("TEA", 1, 255))
        query["cursor"] = page["next"]
    assert len(seen) == len(set(seen)) == 9
    assert seen == sorted(seen, reverse=True)


async def test_a_list_that_ends_with_its_page_has_no_next(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    page = (await http.get("/v1/products", params={"limit": 4})).json()
    assert (len(page["items"]), page["next"]) == (4, None)


@pytest.mark.parametrize("cursor", ["nonsense", "W10", "WyJhIiwxXQ", "e30", "%00", "WzE4NDQ2NzQ0MDczNzA5NTUxNjE2XQ"])
async def test_a_made_up_cursor_is_refused(sign_in: SignIn, cursor: str) -> None:
    http = await sign_in("administrator")
    for path in ("/v1/keys", "/v1/audit", "/v1/segmentation/runs"):
        assert problem(await http.get(path, params={"cursor": cursor})) == (422, "invalid-cursor"), path


async def test_a_mistyped_filter_is_refused(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    answer = await http.get("/v1/campaigns", params={"statsu": "running"})
    assert problem(answer) == (422, "invalid-input")
    assert answer.json()["field"] == "statsu"
    assert "status" in answer.json()["detail"]


async def test_lists_filter(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    await shop.join("Tagged", tags=["tea"], home_store="KL01")
    for path, query, count in [
        ("/v1/products", {"kind": "service"}, 1),
        ("/v1/products", {"category": "drinks"}, 1),
        ("/v1/products", {"category": "drink"}, 0),
        ("/v1/products", {"brand": "Claytan"}, 1),
        ("/v1/members", {"tag": "tea"}, 1),
        ("/v1/members", {"home_store": "JB02"}, 0),
        ("/v1/stores", {"status": "closed"}, 0),
        ("/v1/staff", {"role": "administrator"}, 1),
    ]:
        assert len((await http.get(path, params=query)).json()["items"]) == count, (path, query)


async def test_what_exists_is_not_made_again(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    again = await http.post("/v1/stores", json={**STORE, "code": "KL01"}, headers=key())
    assert problem(again) == (409, "store-exists")
    assert problem(await http.post("/v1/products", json={"sku": "TEA"}, headers=key())) == (409, "product-exists")
    bad = await http.post("/v1/stores", json={**STORE, "time_zone": "Mars/Olympus"}, headers=key())
    assert (problem(bad), bad.json()["field"]) == ((422, "invalid-input"), "time_zone")


async def test_what_a_product_costs_is_headquarters_to_know(sign_in: SignIn, till: Client) -> None:
    http = await sign_in("administrator")
    await http.patch("/v1/products/TEA", json={"cost": 120}, headers=key())
    assert (await http.get("/v1/products/TEA")).json()["cost"] == 120
    assert (await till.get("/v1/products/TEA")).json()["cost"] is None


@pytest.mark.usefixtures("own_database")
async def test_of_two_changes_from_the_same_state_one_is_refused() -> None:
    await shop.open_shop()
    application = create_app(connect=False)
    use_redis(application.state, connect_redis())
    staff_id = await hire(email="race@shop.example", name="", role="administrator", password="correct horse")
    code = (await give_factor(staff_id, "race@shop.example"))[0]
    async with client(application) as http:
        signed = {"email": "race@shop.example", "password": "correct horse", "recovery_code": code}
        assert (await http.post("/v1/session", json=signed)).status_code == 201
        tag = (await http.get("/v1/stores/KL01")).headers["etag"]
        answers = await asyncio.gather(
            *(
                http.patch("/v1/stores/KL01", json={"name": name}, headers={**key(), "If-Match": tag})
                for name in ("A", "B", "C", "D")
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    await application.state.redis.aclose()
