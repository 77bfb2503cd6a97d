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
