"""A customer at the till, over HTTP: the same calls a real till makes."""

from datetime import UTC, datetime
from typing import Any, cast

import httpx
import msgspec

import database
from api.app import create_app


class TillVisit(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. Money in minor units."""

    name: str
    number: str
    currency: str
    total: int
    earned: int
    redeemed: int
    refund: int
    clawed_back: int
    balance: int
    suggestions: list[str]


async def visit_till(credential: str, store: str, till: str) -> TillVisit:
    """Register, look up, quote, check out, redeem and return, on the application itself."""
    transport = httpx.ASGITransport(app=cast(Any, create_app(connect=False)))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://till.demo", headers={"Authorization": f"Bearer {credential}"}
    ) as http:
        return await _visit(_Client(http), store, till)


class _Client:
    """Calls that raise on a refusal: in the demo there is none to expect."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http, self._keys = http, 0
        self._run = datetime.now(UTC).strftime("%Y%m%d%H%M%S%f")

    async def get(self, path: str, **query: str) -> Any:
        return (await self._http.get(path, params=query)).raise_for_status().json()

    async def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        self._keys += 1
        headers = {"Idempotency-Key": f"demo-{self._run}-{self._keys}"}
        return (await self._http.post(path, json=body, headers=headers)).raise_for_status().json()


async def _visit(client: _Client, store: str, till: str) -> TillVisit:
    run = datetime.now(UTC).strftime("%H%M%S%f")
    name, phone = "Lim Mei Ling", await _free_phone()
    number = (await client.post("/v1/members", {"name": name, "phone": phone}))["number"]
    assert (await client.get("/v1/members", q=phone))["items"][0]["number"] == number
    basket = {
        "store": store,
        "business_time": datetime.now(UTC).isoformat(),
        "member": number,
        "lines": await _lines(store),
    }
    quoted = await client.post("/v1/checkouts/quote", basket)
    sale = await client.post("/v1/checkouts", {**basket, "till": till, "number": f"D{run}"})
    assert (sale["total"], sale["points"]["earned"]) == (quoted["total"], quoted["points"]["earned"])
    redeemed = sale["points"]["balance"] // 4
    if redeemed:
        hold = await client.post("/v1/redemptions", {"member": number, "points": redeemed, "store": store})
        await client.post(f"/v1/redemptions/{hold['id']}/capture")
    back = await client.post(
        f"/v1/checkouts/{sale['id']}/returns",
        {
            "till": till,
            "number": f"DR{run}",
            "business_time": datetime.now(UTC).isoformat(),
            "lines": [{"line_no": 1, "quantity": 1}],
        },
    )
    view = await client.get(f"/v1/members/{number}/profile")
    return TillVisit(
        name=name,
        number=number,
        currency=sale["currency"],
        total=sale["total"],
        earned=sale["points"]["earned"],
        redeemed=redeemed,
        refund=back["refund"],
        clawed_back=back["points_clawed_back"],
        balance=view["points"]["usable"],
        suggestions=[suggestion["sku"] for suggestion in sale["suggestions"]],
    )


async def _lines(store: str) -> list[dict[str, Any]]:
    """Two of the products that sell most often in the store, at what they last sold for."""
    rows = await database.rows(
        "SELECT p.sku, ceil(max(l.unit_price))::bigint AS price FROM segmentation.related_product r "
        "JOIN stores.product p ON p.id = r.product_id JOIN LATERAL (SELECT unit_price FROM stores.receipt_line "
        "WHERE product_id = p.id AND quantity > 0 AND unit_price > 0 LIMIT 1) l ON true "
        "JOIN stores.store s ON s.id = r.store_id WHERE rank = 1 AND s.code = $1 GROUP BY p.sku, r.together "
        "ORDER BY r.together DESC LIMIT 2",
        store,
    )
    return [{"sku": row["sku"], "quantity": 2, "unit_price": row["price"]} for row in rows]


async def _free_phone() -> str:
    """A number that nobody has, so that the visit can be made again."""
    taken = await database.value("SELECT count(*) FROM membership.member WHERE phone LIKE '+60189%'")
    return f"+60189{taken:07}"
