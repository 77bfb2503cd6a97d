"""A store's staff learn nothing of another store: whatever happens there, every answer they get stays the same to the byte."""

import json
import re
from datetime import date, timedelta
from typing import Any

from api.openapi.document import operations
from segmentation.cross_sell import relate_products
from segmentation.rfm import score_members
from stores.catalogue import Product, stock
from tests import shop
from tests.api.conftest import Client, SignIn, key, problem
from tests.api.test_access import with_key

# Of the member's own, and told to them wherever they shop: what can be spent, and how far the next tier is.
OWN = ("points", "tier")
MORE = [Product(sku=sku, name=sku) for sku in ("JAM", "MUG", "POT")]


async def test_what_happens_in_another_store_changes_no_answer(app: Any, sign_in: SignIn, till: Client) -> None:
    await stock(MORE)
    member = await shop.join()
    for day in range(30):
        await shop.sell(member, ("TEA", 1, 255), ("CUP", 1, 1000), at=shop.NOON + timedelta(days=day))
        await shop.sell(None, ("JAM", 1, 900), ("MUG", 1, 1900))
    administrator = await sign_in("administrator")
    bound = {
        "manager": await sign_in("store_manager", ["KL01"]),
        "cashier": await sign_in("cashier", ["KL01"]),
        "till": till,
        "key": await with_key(
            app,
            administrator,
            ["stores:read", "products:read", "members:read", "rewards:read", "overview:read"],
            stores=["KL01"],
        ),
    }
    paths = sorted(
        re.sub(r"\{\w+\}", lambda name: {"number": member, "code": "KL01", "sku": "TEA"}.get(name[0][1:-1], "1"), path)
        for method, path, handler in operations(app)
        if method == "GET" and handler.opt["permission"] not in ("public", "session")
    )
    pages = ["/"]
    await relate_products(date(2026, 5, 1))
    before = {(who, path): await _answer(http, path) for who, http in bound.items() for path in (*paths, *pages)}
    assert '"sku":"CUP"' in before["manager", "/v1/products/TEA/related"]

    for day in range(40):
        await shop.sell(
            member, ("TEA", 3, 255), ("POST", 1, 500), store="JB02", at=shop.NOON + timedelta(days=20 + day)
        )
        await shop.sell(None, ("TEA", 3, 255), ("JAM", 1, 900), store="JB02", at=shop.NOON + timedelta(days=40))
    for _ in range(6):
        await shop.sell(await shop.join(home_store="JB02"), ("TEA", 1, 255), store="JB02")
    await relate_products(date(2026, 6, 1))
    await score_members(date(2026, 6, 1))
    for (who, path), answer in before.items():
        assert await _answer(bound[who], path) == answer, (who, path)
    assert len(before) >= 4 * 20


async def _answer(http: Client, path: str) -> str:
    """An answer without what is the member's own."""
    answer = await http.get(path)
    if answer.status_code != 200 or "json" not in answer.headers["content-type"]:
        return f"{answer.status_code} {answer.text if answer.status_code == 200 else ''}"
    body = answer.json()
    for name in (*OWN, "balance"):
        if isinstance(body, dict):
            body.pop(name, None)
    return json.dumps(body, separators=(",", ":"), sort_keys=True)


async def test_a_quote_suggests_by_the_tills_own_baskets(till: Client) -> None:
    await stock(MORE)
    for store in ("JB02", "KL01"):
        for _ in range(30):
            await shop.sell(None, ("TEA", 1, 255), ("CUP" if store == "JB02" else "MUG", 1, 1000), store=store)
            await shop.sell(None, ("JAM", 1, 900), ("POT", 1, 1900), store=store)
    await relate_products(date(2026, 5, 1))
    basket = {
        "store": "KL01",
        "business_time": "2026-03-01T10:15:00+08:00",
        "lines": [{"sku": "TEA", "quantity": 1, "unit_price": 255}],
    }
    assert (await till.post("/v1/checkouts/quote", json=basket)).json()["suggestions"][0]["sku"] == "MUG"
    assert "CUP" not in (await till.post("/v1/checkouts/quote", json=basket)).text


async def test_nothing_of_another_store_can_be_written(sign_in: SignIn) -> None:
    member = await shop.join()
    elsewhere = await shop.sell(member, ("CUP", 1, 1000), store="JB02")
    for role in ("cashier", "store_manager"):
        http = await sign_in(role, ["KL01"])  # type: ignore[arg-type]  # a Role
        returned = {
            "till": "T1",
            "number": "R",
            "business_time": "2026-03-03T10:00:00+08:00",
            "lines": [{"line_no": 1, "quantity": 1}],
        }
        attempts = [
            http.post(f"/v1/checkouts/{elsewhere.receipt_id}/returns", json=returned, headers=key()),
            http.post("/v1/redemptions", json={"member": member, "points": 1, "store": "JB02"}, headers=key()),
            http.post("/v1/members", json={"name": "B", "phone": "012-999 8877", "home_store": "JB02"}, headers=key()),
        ]
        for attempt in attempts:
            assert problem(await attempt)[0] == 404
