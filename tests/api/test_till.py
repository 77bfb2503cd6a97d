"""The till over HTTP, in the words of the interface."""

from typing import Any

import httpx
import pytest

import database
from tests import shop
from tests.api.conftest import Client, key, problem

SALE: dict[str, Any] = {
    "store": "KL01",
    "till": "T2",
    "number": "000871",
    "business_time": "2026-03-01T10:15:00+08:00",
    "currency": "MYR",
    "lines": [{"sku": "TEA", "quantity": 6, "unit_price": 255, "discount": 0}],
    "vouchers": [],
    "points_to_spend": 0,
}


async def register(till: Client, **fields: Any) -> str:
    answer = await till.post("/v1/members", json={"name": "Aisyah", "phone": "012-345 6789", **fields}, headers=key())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["number"])


async def test_the_whole_visit_register_look_up_quote_sell_redeem_return_profile(till: Client) -> None:
    number = await register(till)
    found = (await till.get("/v1/members", params={"q": "6789"})).json()["items"]
    assert [member["number"] for member in found] == [number]
    quoted = await till.post(
        "/v1/checkouts/quote",
        json={name: SALE[name] for name in SALE if name not in ("till", "number")} | {"member": number},
    )
    assert quoted.status_code == 200, quoted.text
    sold = await till.post("/v1/checkouts", json={**SALE, "member": number}, headers=key())
    assert sold.status_code == 201, sold.text
    sale = sold.json()
    assert sale["receipt"] == {"store": "KL01", "till": "T2", "number": "000871"}
    assert (sale["total"], sale["currency"]) == (1530, "MYR")
    assert sale["points"] == {"earned": 15, "pending": 0, "spent": 0, "balance": 15}
    assert sale["explanation"] == [
        {"rule": "base", "version": 1, "points": 15, "because": "1 per MYR 1.00 on MYR 15.30"}
    ]
    assert quoted.json()["points"]["earned"] == 15
    held = (await till.post("/v1/redemptions", json={"member": number, "points": 5}, headers=key())).json()
    assert (held["status"], held["available"]) == ("held", 10)
    captured = await till.post(f"/v1/redemptions/{held['id']}/capture", headers=key())
    assert captured.json()["status"] == "captured"
    back = await till.post(
        f"/v1/checkouts/{sale['id']}/returns",
        json={
            "till": "T2",
            "number": "000872",
            "business_time": "2026-03-02T10:15:00+08:00",
            "lines": [{"line_no": 1, "quantity": 2}],
        },
        headers=key(),
    )
    assert back.status_code == 201, back.text
    assert (back.json()["refund"], back.json()["points_clawed_back"]) == (510, 5)
    view = (await till.get(f"/v1/members/{number}/profile")).json()
    assert view["points"]["usable"] == 5
    assert (view["consumption"]["spend"], view["consumption"]["returns"]) == (1020, 1)
    assert [receipt["kind"] for receipt in view["receipts"]] == ["return", "sale"]
    points = (await till.get(f"/v1/members/{number}/points")).json()
    assert [entry["kind"] for entry in points["items"]] == ["clawback", "spend", "earn"]


async def test_the_same_key_answers_the_same_and_says_so(till: Client) -> None:
    number = await register(till)
    headers = key()
    first = await till.post("/v1/checkouts", json={**SALE, "member": number}, headers=headers)
    again = await till.post("/v1/checkouts", json={**SALE, "member": number}, headers=headers)
    assert again.content == first.content
    assert again.status_code == 201
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert await shop.balance_of(number) == 15


async def test_a_key_is_needed_and_belongs_to_one_request(till: Client) -> None:
    assert problem(await till.post("/v1/checkouts", json=SALE)) == (400, "idempotency-key-missing")
    long = {"Idempotency-Key": "x" * 129}
    assert problem(await till.post("/v1/checkouts", json=SALE, headers=long)) == (400, "idempotency-key-missing")
    headers = key()
    await till.post("/v1/checkouts", json=SALE, headers=headers)
    other = await till.post("/v1/checkouts", json={**SALE, "number": "000999"}, headers=headers)
    assert problem(other) == (422, "idempotency-key-reused")
    assert await database.value("SELECT count(*) FROM stores.receipt") == 1


async def test_a_refused_sale_may_succeed_later_under_the_same_key(till: Client) -> None:
    number = await register(till)
    headers = key()
    wanted = {**SALE, "member": number, "points_to_spend": 10}
    refused = await till.post("/v1/checkouts", json=wanted, headers=headers)
    assert problem(refused) == (409, "insufficient-points")
    assert refused.json()["available"] == 0
    await shop.give(number, 10, at=shop.NOON.replace(month=2))
    assert (await till.post("/v1/checkouts", json=wanted, headers=headers)).status_code == 201


async def test_the_receipt_itself_is_a_key_too(till: Client) -> None:
    first = await till.post("/v1/checkouts", json=SALE, headers=key())
    again = await till.post("/v1/checkouts", json=SALE, headers=key())
    assert again.json()["id"] == first.json()["id"]
    changed = {**SALE, "lines": [{"sku": "TEA", "quantity": 7, "unit_price": 255}]}
    differs = await till.post("/v1/checkouts", json=changed, headers=key())
    assert problem(differs) == (409, "receipt-differs")
    assert differs.json()["differences"] == [
        {"field": "lines", "recorded": [["TEA", 6, 255, 0]], "sent": [["TEA", 7, 255, 0]]}
    ]


@pytest.mark.parametrize(
    ("change", "status", "kind", "says"),
    [
        ({"lines": [{"sku": "TEA", "quantity": -1, "unit_price": 255}]}, 422, "invalid-input", "lines[0].quantity"),
        ({"lines": [{"sku": "NOPE", "quantity": 1, "unit_price": 255}]}, 422, "unknown-product", "NOPE"),
        ({"lines": [{"sku": "TEA", "quantity": 1.5, "unit_price": 255}]}, 422, "unprocessable-entity", "quantity"),
        ({"lines": "tea"}, 422, "unprocessable-entity", "lines"),
        ({"colour": "red"}, 422, "unprocessable-entity", "colour"),
        ({"business_time": "yesterday"}, 422, "unprocessable-entity", "business_time"),
        ({"business_time": "2026-03-01T10:15:00"}, 422, "invalid-input", "offset"),
        ({"currency": "SGD"}, 422, "invalid-input", "currency"),
        ({"member": "2000000012347"}, 422, "invalid-card", "check digit"),
        ({"member": "2000000012346"}, 404, "unknown-member", "2000000012346"),
        ({"member": "12"}, 422, "invalid-card", "13 digits"),
        ({"store": "JB02"}, 404, "unknown-store", "JB02"),
        ({"till": "T9"}, 404, "unknown-till", "T9"),
        ({"vouchers": ["AAAA"]}, 409, "voucher-refused", "AAAA"),
        ({"lines": [{"sku": "TEA", "quantity": 10**30, "unit_price": 255}]}, 422, "invalid-input", "quantity"),
        ({"points_to_spend": 5}, 422, "invalid-input", "points_to_spend"),
    ],
)
async def test_bad_input_says_what_and_changes_nothing(
    till: Client, change: dict[str, Any], status: int, kind: str, says: str
) -> None:
    answer = await till.post("/v1/checkouts", json={**SALE, **change}, headers=key())
    assert problem(answer) == (status, kind)
    assert says in answer.text
    assert await database.value("SELECT count(*) FROM stores.receipt") == 0
    assert await database.value("SELECT count(*) FROM api.idempotency") == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"store": ', 400),
        (b"", 422),
        (b"[]", 422),
        (b'{"store": "KL01"}', 422),
        (b'"\xff\xfe"', 400),
        (b"x" * (2 << 20), 413),
    ],
)
async def test_malformed_bodies_are_refused(till: Client, body: bytes, status: int) -> None:
    answer = await till.post("/v1/checkouts", content=body, headers={**key(), "content-type": "application/json"})
    assert problem(answer)[0] == status


async def test_a_phone_that_is_taken_answers_with_the_candidate(till: Client) -> None:
    number = await register(till)
    answer = await till.post("/v1/members", json={"name": "B", "phone": "+60123456789"}, headers=key())
    assert problem(answer) == (409, "member-exists")
    assert answer.json()["candidates"] == [{"number": number, "name": "Aisyah"}]


async def test_a_member_registers_with_a_birthday_that_exists(till: Client) -> None:
    bad = await till.post(
        "/v1/members", json={"name": "B", "phone": "012-345 6789", "birth": {"month": 2, "day": 30}}, headers=key()
    )
    assert problem(bad)[0] == 422
    assert (await register(till, birth={"month": 2, "day": 29})).startswith("2")


async def test_a_lost_card_is_replaced_and_the_old_one_refused(till: Client) -> None:
    old = await register(till)
    new = (await till.post(f"/v1/members/{old}/card", headers=key())).json()["number"]
    assert problem(await till.get(f"/v1/members/{old}")) == (410, "card-replaced")
    barcode = await till.get(f"/v1/members/{new}/card")
    assert barcode.headers["content-type"].startswith("image/svg+xml")
    assert b"<svg" in barcode.content


async def test_consent_is_given_and_withdrawn(till: Client) -> None:
    number = await register(till, consents=[{"channel": "email"}])
    answer: httpx.Response = await till.post(
        f"/v1/members/{number}/consents", json={"channel": "email", "given": False}, headers=key()
    )
    assert [consent["given"] for consent in answer.json()["items"]] == [False]
