"""Who may do what: sign-in, roles, store scope."""

from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from redis.asyncio import Redis

from api import app as application_module
from api.app import UndeclaredPermission, create_app
from api.permissions import PERMISSIONS, PRINCIPALS
from api.sessions import Sessions
from tests import shop
from tests.api.conftest import Client, SignIn, client, key, problem
from tests.api.test_till import SALE

WITHOUT_A_PRINCIPAL = {"/v1/session", "/health/live", "/health/ready"}


def _operations(app: Litestar) -> list[tuple[str, str, str]]:
    """(method, path, permission) of every operation in the OpenAPI."""
    return sorted(
        (method, route.path_format, str(handler.opt["permission"]))
        for route in app.routes
        for handler in getattr(route, "route_handlers", [])
        for method in handler.http_methods - {"OPTIONS", "HEAD"}
        if handler.resolve_include_in_schema()
    )


async def test_every_operation_answers_every_role_as_the_table_says(
    app: Any, till: Client, nobody: Client, sign_in: SignIn
) -> None:
    clients = {"till": till} | {
        role: await sign_in(role, ["KL01"] if role in ("cashier", "store_manager") else None)  # type: ignore[arg-type]  # a Role
        for role in PRINCIPALS
        if role != "till"
    }
    operations = [operation for operation in _operations(app) if operation[1] not in WITHOUT_A_PRINCIPAL]
    assert len(operations) >= 30
    for method, path, permission in operations:
        url = path.format(number="2000000012346", code="KL01", sku="TEA", receipt_id=1, hold_id=1, campaign_id=1)
        assert problem(await nobody.request(method, url)) == (401, "sign-in-needed"), (method, path)
        for role, http in clients.items():
            answer = await http.request(method, url)
            assert (answer.status_code == 403) == (role not in PERMISSIONS[permission]), (method, path, role)
            assert answer.status_code < 500, (method, path, role, answer.text)


async def test_a_route_without_a_permission_keeps_the_application_from_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @get("/v1/secret")
    async def secret() -> str:
        return "everything"

    monkeypatch.setattr(application_module, "CONTROLLERS", (*application_module.CONTROLLERS, secret))
    with pytest.raises(UndeclaredPermission, match="/v1/secret"):
        create_app(connect=False)


async def test_wrong_passwords_and_unknown_addresses_are_told_the_same_way(nobody: Client, sign_in: SignIn) -> None:
    await sign_in("analyst")
    answers = [
        await nobody.post("/v1/session", json={"email": address, "password": "wrong password"})
        for address in ("nobody@shop.example", "analyst@shop.example")
    ]
    assert {problem(answer) for answer in answers} == {(401, "wrong-credentials")}
    assert answers[0].json() == answers[1].json()


async def test_a_session_ends_on_signing_out(app: Any, sign_in: SignIn) -> None:
    http = await sign_in("analyst")
    assert (await http.get("/v1/session")).json() == {"role": "analyst", "stores": None, "till": None}
    token = http.cookies["regulars_session"]
    assert (await http.delete("/v1/session")).status_code == 204
    async with client(app) as stolen:
        stolen.cookies.set("regulars_session", token)
        assert problem(await stolen.get("/v1/session")) == (401, "sign-in-needed")


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(nobody: Client, till: Client) -> None:
    credential = till.headers["authorization"].removeprefix("Bearer ")
    answer = await nobody.post("/v1/session", json={"till_credential": credential})
    assert answer.json() == {"role": "till", "stores": ["KL01"], "till": "T2"}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


async def test_a_made_up_credential_is_nobody(app: Any) -> None:
    async with client(app, Authorization="Bearer till_guess") as http:
        assert problem(await http.get("/v1/session")) == (401, "sign-in-needed")


async def test_a_store_manager_sees_their_own_store_alone(sign_in: SignIn) -> None:
    member = await shop.join()
    here = await shop.sell(member, ("TEA", 1, 255), store="KL01")
    elsewhere = await shop.sell(member, ("CUP", 1, 1000), store="JB02")
    manager, analyst = await sign_in("store_manager", ["KL01"]), await sign_in("analyst")
    assert [store["code"] for store in (await manager.get("/v1/stores")).json()["items"]] == ["KL01"]
    assert problem(await manager.get("/v1/stores/JB02"))[0] == 404
    assert problem(await manager.get("/v1/stores/JB02/tills"))[0] == 404
    for path in ("receipts", "profile", "timeline"):
        answer = (await manager.get(f"/v1/members/{member}/{path}")).text
        assert "JB02" not in answer, path
    seen = (await analyst.get(f"/v1/members/{member}/receipts")).json()["items"]
    assert {receipt["id"] for receipt in seen} == {here.receipt_id, elsewhere.receipt_id}
    body = {
        "till": "T1",
        "number": "R",
        "business_time": "2026-03-03T10:00:00+08:00",
        "lines": [{"line_no": 1, "quantity": 1}],
    }
    out_of_scope = await manager.post(f"/v1/checkouts/{elsewhere.receipt_id}/returns", json=body, headers=key())
    unknown = await manager.post("/v1/checkouts/999999/returns", json=body, headers=key())
    assert problem(out_of_scope) == problem(unknown) == (404, "unknown-receipt")
    sale = await manager.post("/v1/checkouts", json={**SALE, "store": "JB02"}, headers=key())
    assert problem(sale) == (404, "unknown-store")


async def test_a_redemption_of_another_store_cannot_be_touched(till: Client, sign_in: SignIn) -> None:
    member = await shop.join()
    await shop.give(member, 50)
    held = (await till.post("/v1/redemptions", json={"member": member, "points": 5}, headers=key())).json()
    other = await sign_in("cashier", ["JB02"])
    assert problem(await other.post(f"/v1/redemptions/{held['id']}/capture", headers=key())) == (404, "unknown-hold")


async def test_without_redis_the_till_goes_on_selling_and_staff_are_told(
    app: Any, till: Client, sign_in: SignIn
) -> None:
    staff = await sign_in("cashier", ["KL01"])
    await app.state.sessions.disconnect()
    app.state.sessions = Sessions(Redis.from_url("redis://127.0.0.1:1"), hours=1)
    sold: httpx.Response = await till.post("/v1/checkouts", json=SALE, headers=key())
    assert sold.status_code == 201
    assert problem(await staff.get("/v1/session")) == (503, "unreachable")
    ready = (await till.get("/health/ready")).json()
    assert ready == {"ready": True, "database": True, "redis": False}
