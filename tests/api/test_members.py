"""Members over HTTP: registering, looking again, changing the rules."""

import asyncio
from typing import Any

import database
from api.app import create_app
from api.connections import connect_redis, use_redis
from stores.tills import enrol_till
from tests import shop
from tests.api.conftest import Client, SignIn, client, key, problem

SITI = {"name": "Siti", "phone": "012-345 6789"}


async def test_two_tills_registering_the_same_phone_make_one_member_and_one_409_with_the_candidate(
    own_database: str,
) -> None:
    await shop.open_shop()
    app: Any = create_app(connect=False)
    use_redis(app.state, connect_redis())
    credentials = [await enrol_till("KL01", code) for code in ("T1", "T2")]
    tills = [client(app, Authorization=f"Bearer {credential}") for credential in credentials]
    answers = await asyncio.gather(*(http.post("/v1/members", json=SITI, headers=key()) for http in tills))
    made, refused = sorted(answers, key=lambda answer: answer.status_code)
    assert (made.status_code, problem(refused)) == (201, (409, "member-exists"))
    assert refused.json()["candidates"] == [{"number": made.json()["number"], "name": "Siti"}]
    assert await database.value("SELECT count(*) FROM membership.member") == 1
    await asyncio.gather(app.state.redis.aclose(), *(http.aclose() for http in tills))


async def test_a_manager_overrides_what_blocks_and_a_till_does_not(till: Client, sign_in: SignIn) -> None:
    await till.post("/v1/members", json=SITI, headers=key())
    daughter = {**SITI, "name": "Aisyah", "override": {"reason": "Mother and daughter share it"}}
    assert problem(await till.post("/v1/members", json=daughter, headers=key())) == (409, "member-exists")
    manager = await sign_in("store_manager", ["KL01"])
    assert (await manager.post("/v1/members", json=daughter, headers=key())).status_code == 201
    found = (await till.get("/v1/members", params={"q": "0123456789"})).json()["items"]
    assert {each["name"] for each in found} == {"Siti", "Aisyah"}
    assert await database.value("SELECT count(*) FROM api.audit WHERE action = 'member.duplicate_overridden'") == 1


async def test_an_administrator_sets_the_rules(till: Client, sign_in: SignIn) -> None:
    administrator = await sign_in("administrator")
    tag = (await administrator.get("/v1/member-policy")).headers["etag"]
    headers = {**key(), "If-Match": tag}
    changed = await administrator.patch("/v1/member-policy", json={"same_phone": "warn"}, headers=headers)
    assert changed.json()["same_phone"] == "warn"
    stale = await administrator.patch("/v1/member-policy", json={"same_phone": "ignore"}, headers={**headers, **key()})
    assert problem(stale) == (412, "stale")
    await till.post("/v1/members", json=SITI, headers=key())
    asked = await till.post("/v1/members", json={**SITI, "name": "Aisyah"}, headers=key())
    assert problem(asked) == (409, "possible-duplicate")


async def test_pairs_are_told_apart_page_by_page(sign_in: SignIn) -> None:
    from membership.duplicate_scan import scan_duplicates

    for name in ("Tan Mei Ling", "Tan Mei Lin", "Tan Mei Lim"):
        number = await shop.join(name)
        await database.execute("UPDATE membership.member SET birth_month = 5, birth_day = 31, birth_year = 1990")
        assert number
    await scan_duplicates(shop.NOON)
    manager = await sign_in("store_manager", ["KL01"])
    first = (await manager.get("/v1/duplicates", params={"limit": 2})).json()
    rest = (await manager.get("/v1/duplicates", params={"limit": 2, "cursor": first["next"]})).json()
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)
    pair = first["items"][0]["id"]
    body = {"reason": "Sisters"}
    assert (await manager.post(f"/v1/duplicates/{pair}/different", json=body, headers=key())).status_code == 204
    again = await manager.post(f"/v1/duplicates/{pair}/different", json=body, headers=key())
    assert problem(again) == (404, "unknown-pair")


async def test_the_360_view_is_everything_in_one_call(till: Client, sign_in: SignIn) -> None:
    manager = await sign_in("store_manager", ["KL01"])
    body = {**SITI, "birth": {"month": 5, "day": 31}, "home_store": "KL01"}
    number = (await till.post("/v1/members", json=body, headers=key())).json()["number"]
    path = f"/v1/members/{number}"
    ticket = {"store": "KL01", "subject": "Broken cup", "category": "complaint", "text": "On its way"}
    assert (await manager.post(f"{path}/tickets", json=ticket, headers=key())).status_code == 201
    task = {"title": "Call", "due_at": "2027-01-01T00:00:00Z", "store": "KL01"}
    assert (await manager.post(f"{path}/tasks", json=task, headers=key())).status_code == 201
    assert (await manager.post(f"{path}/advisor", json={}, headers=key())).status_code == 201
    assert (await manager.post(f"{path}/contacts", json={"kind": "called"}, headers=key())).status_code == 204
    view = (await till.get(f"{path}/profile")).json()
    assert view["advisor"]["name"] == "store_manager"
    assert [card["status"] for card in view["cards"]] == ["active"]
    assert view["tickets"][0]["subject"] == "Broken cup"
    assert [each["title"] for each in view["tasks"]] == ["Call"]
    assert 0 <= view["birthday_in_days"] <= 366
    assert {"called", "complained", "advisor_gained", "registered"} <= {event["kind"] for event in view["timeline"]}


async def test_the_desk_moves_a_ticket_and_another_store_does_not_see_it(till: Client, sign_in: SignIn) -> None:
    manager, elsewhere = await sign_in("store_manager", ["KL01"]), await sign_in("store_manager", ["JB02"])
    path = f"/v1/members/{await shop.join()}/tickets"
    made = (await till.post(path, json={"store": "KL01", "subject": "Where is my cup"}, headers=key())).json()
    ticket = f"/v1/tickets/{made['id']}"
    assert problem(await elsewhere.get(ticket)) == (404, "not-found")
    assert problem(await elsewhere.patch(ticket, json={"status": "resolved"}, headers=key())) == (404, "not-found")
    assert (await elsewhere.get("/v1/tickets")).json()["items"] == []
    assert problem(await till.post(path, json={"store": "JB02", "subject": "x"}, headers=key())) == (
        404,
        "unknown-store",
    )
    noted = await manager.post(f"{ticket}/notes", json={"text": "Found it"}, headers=key())
    assert [note["text"] for note in noted.json()["notes"]] == ["Found it"]
    assert (await manager.patch(ticket, json={"status": "resolved"}, headers=key())).json()["due_at"] is None
    refused = await manager.patch(ticket, json={"status": "waiting"}, headers=key())
    assert problem(refused) == (409, "ticket-move-refused")
    closed = await manager.patch(ticket, json={"status": "closed", "score": 5}, headers=key())
    assert (closed.json()["score"], closed.json()["status"]) == (5, "closed")


async def test_members_of_staff_who_leave_go_back_to_the_pool(sign_in: SignIn) -> None:
    manager, administrator = await sign_in("store_manager", ["KL01"]), await sign_in("administrator")
    number = await shop.join(home_store="KL01")
    claimed = (await manager.post(f"/v1/members/{number}/advisor", json={}, headers=key())).json()
    assert (await manager.get("/v1/advisor-pool")).json()["items"] == []
    assert (await manager.get(f"/v1/staff/{claimed['staff_id']}/members")).json()["items"][0]["number"] == number
    await administrator.patch(f"/v1/staff/{claimed['staff_id']}", json={"active": False}, headers=key())
    other = await sign_in("store_manager", ["KL01"])
    assert [each["number"] for each in (await other.get("/v1/advisor-pool")).json()["items"]] == [number]


async def test_a_cashier_claims_for_themselves_alone(sign_in: SignIn) -> None:
    manager, cashier = await sign_in("store_manager", ["KL01"]), await sign_in("cashier", ["KL01"])
    number = await shop.join(home_store="KL01")
    mine = (await manager.post(f"/v1/members/{number}/advisor", json={}, headers=key())).json()["staff_id"]
    path = f"/v1/members/{await shop.join(home_store='KL01')}/advisor"
    assert problem(await cashier.post(path, json={"staff_id": mine}, headers=key())) == (403, "not-permitted")
    assert problem(await cashier.delete(f"/v1/members/{number}/advisor", headers=key())) == (403, "not-permitted")
    assert (await cashier.post(path, json={}, headers=key())).status_code == 201


async def test_a_manager_reaches_no_advisor_of_another_store(sign_in: SignIn) -> None:
    here, there = await sign_in("store_manager", ["KL01"]), await sign_in("store_manager", ["JB02"])
    number = await shop.join(home_store="JB02")
    advisor = (await there.post(f"/v1/members/{number}/advisor", json={}, headers=key())).json()["staff_id"]
    task = {"title": "Call", "due_at": "2027-01-01T00:00:00Z", "owner_id": advisor}
    for answer in (
        await here.get(f"/v1/staff/{advisor}/members"),
        await here.post(f"/v1/staff/{advisor}/members/hand-over", json={}, headers=key()),
        await here.delete(f"/v1/members/{number}/advisor", headers=key()),
        await here.post(f"/v1/members/{await shop.join()}/advisor", json={"staff_id": advisor}, headers=key()),
        await here.post(f"/v1/members/{number}/tasks", json=task, headers=key()),
    ):
        assert problem(answer) == (404, "unknown-staff")
    handed = await there.post(f"/v1/staff/{advisor}/members/hand-over", json={}, headers=key())
    assert handed.json() == {"members": 1}


async def test_a_merge_over_http_is_replayed_and_audited(sign_in: SignIn, till: Client) -> None:
    manager = await sign_in("store_manager", ["KL01"])
    one, other = await shop.join(), await shop.join()
    await shop.give(other, 30)
    body, headers = {"other": other, "reason": "One person, two phones"}, key()
    first = await manager.post(f"/v1/members/{one}/merge", json=body, headers=headers)
    again = await manager.post(f"/v1/members/{one}/merge", json=body, headers=headers)
    assert (first.status_code, first.json()["points_moved"], again.content) == (201, 30, first.content)
    assert problem(await till.post(f"/v1/members/{one}/merge", json=body, headers=key())) == (403, "not-permitted")
    assert [card["status"] for card in (await till.get(f"/v1/members/{other}/profile")).json()["cards"]] == [
        "active",
        "merged",
    ]
    parted = await manager.post(f"/v1/members/{one}/unmerge", json={"other": other}, headers=key())
    assert parted.json()["points_moved_back"] == 30
    assert await database.value("SELECT count(*) FROM api.audit WHERE action LIKE 'member.%merged'") == 2


async def test_the_chains_settings_and_imports_are_an_administrators(sign_in: SignIn, till: Client) -> None:
    administrator = await sign_in("administrator")
    tag = (await administrator.get("/v1/chain")).headers["etag"]
    changed = await administrator.patch("/v1/chain", json={"name": "Kedai Kita"}, headers={**key(), "If-Match": tag})
    assert (changed.json()["name"], changed.json()["currency"]) == ("Kedai Kita", "MYR")
    for wrong in ({"time_zone": "Moon/Crater"}, {"region": "XX"}, {"currency": "SGD"}):
        answer = await administrator.patch("/v1/chain", json=wrong, headers=key())
        assert answer.status_code in (400, 422), wrong
    assert problem(await till.patch("/v1/chain", json={"name": "Mine"}, headers=key())) == (403, "not-permitted")
    assert (await administrator.get("/v1/imports")).json() == {"items": [], "next": None}
    assert problem(await administrator.post("/v1/imports/1/undo", headers=key())) == (404, "not-found")


async def test_fields_are_defined_filled_in_asked_for_and_removed(sign_in: SignIn, till: Client) -> None:
    administrator = await sign_in("administrator")
    field = {"code": "shoe_size", "kind": "number", "labels": {"en": "Shoe size"}}
    assert (await administrator.post("/v1/member-fields", json=field, headers=key())).status_code == 201
    again = await administrator.post("/v1/member-fields", json=field, headers=key())
    assert problem(again) == (409, "field-exists")
    refused = await till.post("/v1/members", json={**SITI, "custom": {"shoe_size": "big"}}, headers=key())
    assert (problem(refused), refused.json()["field"]) == ((422, "invalid-input"), "custom.shoe_size")
    made = await till.post("/v1/members", json={**SITI, "custom": {"shoe_size": 38}}, headers=key())
    assert made.status_code == 201
    found = await administrator.get("/v1/members", params={"custom": "shoe_size<40"})
    assert [each["name"] for each in found.json()["items"]] == ["Siti"]
    wrong = await administrator.get("/v1/members", params={"custom": "shoe_size<big"})
    assert problem(wrong) == (422, "invalid-input")
    used = await administrator.patch("/v1/member-fields/shoe_size", json={"kind": "text"}, headers=key())
    assert (problem(used), used.json()["members"]) == ((409, "field-in-use"), 1)
    assert problem(await administrator.delete("/v1/member-fields/shoe_size", headers=key())) == (409, "field-in-use")
    gone = await administrator.delete("/v1/member-fields/shoe_size", params={"discard": True}, headers=key())
    assert gone.status_code == 204
    assert (await administrator.get("/v1/member-fields")).json()["items"] == []
