"""Every error has one form, and none says more than it should."""

from typing import Any

import asyncpg
import httpx
import pytest
from litestar import get

import database
from api import app as application_module
from api.app import create_app
from api.connections import connect_redis, use_redis
from tests.api.conftest import Client, SignIn, client, key, problem


async def test_unknown_routes_and_methods_are_problems(till: Client) -> None:
    assert problem(await till.get("/v1/nothing")) == (404, "not-found")
    assert problem(await till.delete("/v1/members"))[0] == 405


async def test_a_body_of_another_type_is_refused(till: Client) -> None:
    answer = await till.post("/v1/members", content=b"name=A", headers={**key(), "content-type": "text/plain"})
    assert problem(answer)[0] in (400, 415, 422)


async def test_a_defect_gives_a_reference_and_nothing_of_its_inside(monkeypatch: pytest.MonkeyPatch, app: Any) -> None:
    @get("/v1/broken", opt={"permission": "public"})
    async def broken() -> str:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(application_module, "CONTROLLERS", (broken,))
    async with client(create_app(connect=False)) as http:
        answer = await http.get("/v1/broken")
    assert problem(answer) == (500, "unexpected")
    assert "swordfish" not in answer.text
    assert answer.json()["reference"] in answer.json()["detail"]


@pytest.mark.parametrize("fault", [asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError])
async def test_what_two_did_at_the_same_moment_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, app: Any, fault: type[asyncpg.PostgresError]
) -> None:
    @get("/v1/crossed", opt={"permission": "public"})
    async def crossed() -> str:
        raise fault("process 7 waits for the row of +60123456789")

    monkeypatch.setattr(application_module, "CONTROLLERS", (crossed,))
    async with client(create_app(connect=False)) as http:
        answer = await http.get("/v1/crossed")
    assert problem(answer) == (409, "collision")
    assert "60123456789" not in answer.text


async def test_limits_of_lists_are_checked(sign_in: SignIn) -> None:
    analyst = await sign_in("analyst")
    for limit in ("0", "201", "many"):
        assert problem(await analyst.get("/v1/segmentation/runs", params={"limit": limit}))[0] in (400, 422)


async def test_what_has_not_been_computed_says_how_to(sign_in: SignIn) -> None:
    analyst = await sign_in("analyst")
    answer = await analyst.get("/v1/rfm")
    assert problem(answer) == (404, "no-run")
    assert "regulars segment rfm" in answer.json()["detail"]


async def test_catalogue_pages_have_no_gaps(till: Client) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while len(seen) < 100:
        page = (await till.get("/v1/products", params={"limit": 3, **cursor})).json()
        seen += [product["sku"] for product in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == ["CUP", "GIFT", "POST", "TEA"]


async def test_the_openapi_describes_every_operation_and_the_reference_shows_it(nobody: Client) -> None:
    document = (await nobody.get("/docs/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    checkout = document["paths"]["/v1/checkouts"]["post"]
    assert any(parameter["name"] == "Idempotency-Key" for parameter in checkout["parameters"])
    page: httpx.Response = await nobody.get("/docs")
    assert page.status_code == 200
    assert "/v1/checkouts/quote" in page.text
    assert all(operation.get("summary") for path in document["paths"].values() for operation in path.values())


async def test_every_answer_forbids_other_hosts_and_frames(nobody: Client) -> None:
    policy = (await nobody.get("/sign-in")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.usefixtures("own_database")
async def test_without_postgresql_every_answer_says_so_and_it_recovers() -> None:
    engine = database.engine()
    there = engine.pool
    application = create_app(connect=False)
    use_redis(application.state, connect_redis())
    async with (
        asyncpg.create_pool("postgresql://nobody@127.0.0.1:1/nowhere", min_size=0) as gone,
        client(application, Authorization="Bearer till_any") as http,
    ):
        engine.pool = gone
        try:
            assert problem(await http.get("/v1/stores")) == (503, "unreachable")
            assert (await http.get("/health/ready")).status_code == 503
        finally:
            engine.pool = there
        assert problem(await http.get("/v1/stores")) == (401, "sign-in-needed")
        assert (await http.get("/health/ready")).json()["database"]
    await application.state.redis.aclose()


async def test_an_unknown_product_is_not_found(till: Client) -> None:
    assert problem(await till.get("/v1/products/NOPE")) == (404, "not-found")
    assert problem(await till.get("/v1/products/NOPE/related")) == (404, "not-found")
    assert (await till.get("/v1/products/TEA")).json()["price"] == 255
