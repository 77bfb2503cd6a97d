"""Tills and integrations: how they come in, and how they are turned away."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

import database
from api.access import authentication
from api.connections import use_redis
from stores.shifts import set_pin
from stores.staff import hire
from stores.tills import enrol_till
from tests.api.conftest import PASSWORD, Client, SignIn, client, key, problem
from tests.api.test_till import SALE

LATER = (datetime.now(UTC) + timedelta(days=30)).isoformat()


async def test_a_till_is_enrolled_by_a_code_that_works_once(app: Any, nobody: Client, sign_in: SignIn) -> None:
    manager = await sign_in("store_manager", ["KL01"])
    offered = await manager.post("/v1/stores/KL01/tills", json={"code": "T9"}, headers=key())
    code = offered.json()["code"]
    assert (await manager.get("/v1/stores/KL01/tills")).json()["items"] == [
        {"code": "T9", "enrolled": False, "cashier": None}
    ]
    signed_in = await nobody.post("/v1/session", json={"till_code": code.lower().replace("-", " ")})
    assert signed_in.json()["till"] == "T9"
    assert "Max-Age=34560000" in signed_in.headers["set-cookie"]
    assert (await nobody.get("/v1/session")).json()["role"] == "till"
    async with client(app) as other:
        spent = await other.post("/v1/session", json={"till_code": code})
        assert problem(spent) == (401, "enrolment-refused")
    stored = await database.row("SELECT credential_hash, enrolment_hash FROM stores.till WHERE code = 'T9'")
    assert stored is not None
    assert nobody.cookies["regulars_till"].encode() not in stored["credential_hash"]
    assert stored["enrolment_hash"] is None
    assert (await manager.delete("/v1/stores/KL01/tills/T9", headers=key())).status_code == 204
    assert problem(await nobody.get("/v1/session")) == (401, "sign-in-needed")


async def test_staff_sign_in_on_a_tills_browser_and_leave_it_a_till(app: Any, nobody: Client) -> None:
    credential = await enrol_till("KL01", "T2")
    await nobody.post("/v1/session", json={"till_credential": credential})
    email = "manager-at-the-till@shop.example"
    await hire(email=email, name="Mei", role="store_manager", password=PASSWORD, stores=["KL01"])
    await nobody.post("/v1/session", json={"email": email, "password": PASSWORD})
    assert (await nobody.get("/v1/session")).json()["role"] == "store_manager"
    redis = app.state.redis
    use_redis(app.state, Redis.from_url("redis://127.0.0.1:1"))
    assert (await nobody.get("/v1/session")).json()["role"] == "till", "without Redis the till sells on"
    use_redis(app.state, redis)
    assert (await nobody.delete("/v1/session")).status_code == 204
    assert (await nobody.get("/v1/session")).json()["role"] == "till"
    page = await nobody.get("/till")
    assert "sign-out" not in page.text
    assert "Max-Age=34560000" in page.headers["set-cookie"], "a till that is used stays one"


async def test_an_enrolment_code_expires_and_another_stores_till_is_out_of_reach(
    nobody: Client, sign_in: SignIn
) -> None:
    manager = await sign_in("store_manager", ["KL01"])
    offered = await manager.post("/v1/stores/KL01/tills", json={"code": "T9"}, headers=key())
    await database.execute("UPDATE stores.till SET enrolment_expires_at = now()")
    late = await nobody.post("/v1/session", json={"till_code": offered.json()["code"]})
    assert problem(late) == (401, "enrolment-refused")
    elsewhere = await manager.post("/v1/stores/JB02/tills", json={"code": "T9"}, headers=key())
    assert problem(elsewhere) == (404, "unknown-store")
    assert problem(await manager.delete("/v1/stores/JB02/tills/T1", headers=key())) == (404, "unknown-store")


async def cashier(email: str, *, stores: list[str]) -> int:
    staff_id = await hire(email=email, name="Siti", role="cashier", password=PASSWORD, stores=stores)
    await set_pin(staff_id, "480215")
    return staff_id


async def test_a_shift_puts_the_cashier_on_the_receipt(till: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    staff_id = await cashier("siti-shift@shop.example", stores=["KL01"])
    assert problem(await till.get("/v1/shifts/current")) == (404, "no-shift")
    wrong = {"email": "siti-shift@shop.example", "pin": "480216"}
    assert problem(await till.post("/v1/shifts", json=wrong, headers=key())) == (401, "wrong-code")
    opened = await till.post("/v1/shifts", json={**wrong, "pin": "480215"}, headers=key())
    assert opened.json()["cashier"] == "Siti"
    sold = await till.post("/v1/checkouts", json=SALE, headers=key())
    assert await database.value("SELECT staff_id FROM stores.receipt WHERE id = $1", sold.json()["id"]) == staff_id
    assert (await till.delete("/v1/shifts/current", headers=key())).status_code == 204
    assert problem(await till.delete("/v1/shifts/current", headers=key())) == (404, "no-shift")


async def test_a_cashier_of_another_store_opens_no_shift_here(till: Client) -> None:
    await cashier("siti-jb@shop.example", stores=["JB02"])
    body = {"email": "siti-jb@shop.example", "pin": "480215"}
    assert problem(await till.post("/v1/shifts", json=body, headers=key())) == (401, "wrong-code")


async def test_where_shifts_are_required_a_till_alone_sells_nothing(
    till: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import msgspec

    from api.routes import till as routes
    from settings import settings

    required = msgspec.structs.replace(settings(), till_shift="required")
    monkeypatch.setattr(routes, "settings", lambda: required)
    assert problem(await till.post("/v1/checkouts", json=SALE, headers=key())) == (403, "shift-needed")
    await cashier("siti-required@shop.example", stores=["KL01"])
    body = {"email": "siti-required@shop.example", "pin": "480215"}
    assert (await till.post("/v1/shifts", json=body, headers=key())).status_code == 201
    assert (await till.post("/v1/checkouts", json=SALE, headers=key())).status_code == 201


@pytest.mark.parametrize("pin", ["12345", "1111111", "121212", "12345a", "1234567890123", ""])
async def test_a_weak_pin_is_refused(sign_in: SignIn, pin: str) -> None:
    http = await sign_in("cashier", ["KL01"])
    assert problem(await http.put("/v1/session/pin", json={"pin": pin})) == (422, "invalid-input")


async def issued(administrator: Client, **fields: Any) -> dict[str, Any]:
    body = {"name": "Web shop", "scopes": ["products:read"], "expires_at": LATER, **fields}
    answer = await administrator.post("/v1/keys", json=body, headers=key())
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_key_does_what_its_scopes_say_until_it_is_revoked(app: Any, sign_in: SignIn) -> None:
    administrator = await sign_in("administrator")
    made = await issued(administrator)
    async with client(app, Authorization=f"Bearer {made['secret']}") as http:
        assert (await http.get("/v1/products")).status_code == 200
        assert problem(await http.get("/v1/members")) == (403, "not-permitted")
        shown = (await administrator.get("/v1/keys")).json()["items"][0]
        assert shown["last_used_at"] is not None
        assert made["secret"] not in str(shown)
        assert (await administrator.delete(f"/v1/keys/{shown['id']}", headers=key())).status_code == 204
        assert problem(await http.get("/v1/products")) == (401, "sign-in-needed")
    assert problem(await administrator.delete(f"/v1/keys/{shown['id']}", headers=key())) == (404, "not-found")


async def test_a_key_is_turned_over_without_a_gap(app: Any, sign_in: SignIn) -> None:
    administrator = await sign_in("administrator")
    made = await issued(administrator)
    rotated = await administrator.post(f"/v1/keys/{made['key']['id']}/rotate", json={}, headers=key())
    for secret in (made["secret"], rotated.json()["secret"]):
        async with client(app, Authorization=f"Bearer {secret}") as http:
            assert (await http.get("/v1/products")).status_code == 200
    await database.execute("UPDATE api.access_key SET previous_expires_at = now() - interval '1 second'")
    authentication.forget_credentials()
    async with client(app, Authorization=f"Bearer {made['secret']}") as http:
        assert problem(await http.get("/v1/products")) == (401, "sign-in-needed")


async def test_a_key_expires_and_is_bound_to_its_stores(app: Any, sign_in: SignIn) -> None:
    administrator = await sign_in("administrator")
    made = await issued(administrator, scopes=["stores:read"], stores=["KL01"])
    async with client(app, Authorization=f"Bearer {made['secret']}") as http:
        assert [store["code"] for store in (await http.get("/v1/stores")).json()["items"]] == ["KL01"]
        assert problem(await http.get("/v1/stores/JB02")) == (404, "unknown-store")
        await database.execute(
            "UPDATE api.access_key SET expires_at = now() - interval '1 second', created_at = now() - interval '1 day'"
        )
        authentication.forget_credentials()
        assert problem(await http.get("/v1/stores")) == (401, "sign-in-needed")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"scopes": ["staff:write"]}, "scopes"),
        ({"scopes": ["keys:write"]}, "scopes"),
        ({"scopes": ["ledger:read"], "stores": ["KL01"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2027-01-01T00:00:00"}, "expires_at"),
        ({"stores": ["XX"]}, "XX"),
        ({"name": ""}, "name"),
    ],
)
async def test_a_key_that_cannot_be_is_refused(sign_in: SignIn, fields: dict[str, Any], says: str) -> None:
    administrator = await sign_in("administrator")
    body = {"name": "Web shop", "scopes": ["products:read"], "expires_at": LATER, **fields}
    answer = await administrator.post("/v1/keys", json=body, headers=key())
    assert problem(answer)[0] in (404, 422)
    assert says in answer.text


async def test_a_replayed_answer_with_a_secret_is_kept_encrypted(sign_in: SignIn) -> None:
    administrator = await sign_in("administrator")
    headers = key()
    body = {"name": "Web shop", "scopes": ["products:read"], "expires_at": LATER}
    first = await administrator.post("/v1/keys", json=body, headers=headers)
    again = await administrator.post("/v1/keys", json=body, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    kept = await database.value("SELECT response FROM api.idempotency WHERE key = $1", headers["Idempotency-Key"])
    assert first.json()["secret"].encode() not in kept
