"""Who may do what: sign-in, roles, store scope."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import get
from redis.asyncio import Redis

from api import app as application_module
from api.access.permissions import PERMISSIONS, SCOPES, as_table
from api.app import UndeclaredPermission, create_app
from api.connections import use_redis
from api.openapi.document import document, operations
from stores.staff import hire
from tests import shop
from tests.api.conftest import PASSWORD, Client, SignIn, client, key, problem
from tests.api.test_till import SALE

NOW = datetime.now(UTC)
PLACES = {"number": "2000000012346", "code": "KL01", "sku": "TEA"}


async def test_every_operation_answers_every_principal_as_the_table_says(
    app: Any, till: Client, nobody: Client, sign_in: SignIn
) -> None:
    administrator = await sign_in("administrator")
    clients: dict[str, Client] = {
        "till": till,
        "administrator": administrator,
        **{role: await sign_in(role, ["KL01"]) for role in ("cashier", "store_manager")},  # type: ignore[arg-type]  # a Role
        **{role: await sign_in(role) for role in ("marketer", "analyst")},  # type: ignore[arg-type]  # a Role
        "every scope": await with_key(app, administrator, sorted(SCOPES)),
        "one scope": await with_key(app, administrator, ["rewards:read"]),
        "factor owed": await without_factor(app),
    }
    tried = 0
    for method, path, handler in operations(app):
        permission = str(handler.opt["permission"])
        if permission in ("public", "session"):
            continue
        url = re.sub(r"\{\w+\}", lambda name: PLACES.get(name[0][1:-1], "1"), path)
        assert problem(await nobody.request(method, url)) == (401, "sign-in-needed"), (method, path)
        for who, http in clients.items():
            answer = await http.request(method, url)
            assert (answer.status_code == 403) == (not _may(who, permission)), (method, path, who, answer.text)
            assert answer.status_code < 500, (method, path, who, answer.text)
            tried += 1
    assert tried >= 9 * 60


def _may(who: str, permission: str) -> bool:
    if who == "factor owed":
        return False
    if who == "every scope":
        return permission in SCOPES
    if who == "one scope":
        return permission == "rewards:read"
    return who in PERMISSIONS[permission]


async def with_key(app: Any, administrator: Client, scopes: list[str], stores: list[str] | None = None) -> Client:
    body = {"name": "Web shop", "scopes": scopes, "stores": stores, "expires_at": (NOW + timedelta(days=9)).isoformat()}
    made = await administrator.post("/v1/keys", json=body, headers=key())
    assert made.status_code == 201, made.text
    return client(app, Authorization=f"Bearer {made.json()['secret']}")


async def without_factor(app: Any) -> Client:
    """An administrator who has signed in by password alone."""
    await hire(email="new@shop.example", name="New", role="administrator", password=PASSWORD)
    http = client(app)
    answer = await http.post("/v1/session", json={"email": "new@shop.example", "password": PASSWORD})
    assert answer.json()["second_factor_owed"]
    return http


async def test_what_is_open_to_everybody_is_a_short_list(app: Any) -> None:
    """Each of these checks what it is given by itself: a password, a code, a link, where the caller is."""
    public = {(method, path) for method, path, handler in operations(app) if handler.opt["permission"] == "public"}
    assert public == {
        ("POST", "/v1/session"),
        ("POST", "/v1/password-resets"),
        ("POST", "/v1/password-resets/redeem"),
        ("POST", "/v1/opt-ins/confirm"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    }


async def test_every_write_takes_an_idempotency_key_or_says_why_not(app: Any) -> None:
    """Those without one change nothing that a second time would change again, or hand out a secret meant for one asker."""
    schema = document(app)
    without = {
        (method, path)
        for method, path, _ in operations(app)
        if method != "GET"
        and "Idempotency-Key"
        not in {each["name"] for each in schema["paths"][path][method.lower()].get("parameters", [])}
    }
    assert {
        path for _, path in without if not path.startswith(("/v1/session", "/v1/password-resets", "/v1/opt-ins"))
    } == {"/v1/checkouts/quote", "/v1/earn-rules/try", "/v1/tills/sync", "/v1/vouchers/{code}/validate"}


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
    assert (await http.get("/v1/session")).json() == {
        "role": "analyst",
        "stores": None,
        "till": None,
        "second_factor_owed": False,
    }
    token = http.cookies["regulars_session"]
    assert (await http.delete("/v1/session")).status_code == 204
    async with client(app) as stolen:
        stolen.cookies.set("regulars_session", token)
        assert problem(await stolen.get("/v1/session")) == (401, "sign-in-needed")


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(nobody: Client, till: Client) -> None:
    credential = till.headers["authorization"].removeprefix("Bearer ")
    answer = await nobody.post("/v1/session", json={"till_credential": credential})
    assert answer.json() == {"role": "till", "stores": ["KL01"], "till": "T2", "second_factor_owed": False}
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
    await app.state.redis.aclose()
    use_redis(app.state, Redis.from_url("redis://127.0.0.1:1"))
    sold: httpx.Response = await till.post("/v1/checkouts", json=SALE, headers=key())
    assert sold.status_code == 201
    assert problem(await staff.get("/v1/session")) == (503, "unreachable")
    ready = (await till.get("/health/ready")).json()
    assert ready["ready"]
    assert (ready["database"], ready["migrations"], ready["redis"], ready["worker"]) == (True, True, False, False)


def test_the_table_in_the_documentation_is_the_one_that_is_enforced() -> None:
    written = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    assert as_table() in written
