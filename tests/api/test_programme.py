"""The programme over HTTP: rules as versions, in the caller's language; vouchers, rewards, offline tills."""

import hashlib
import hmac
import json
from typing import Any

from stores.tills import enrol_till
from tests import shop
from tests.api.conftest import Client, SignIn, client, key, problem

BASKET = {
    "store": "KL01",
    "business_time": "2026-03-01T10:15:00+08:00",
    "lines": [{"sku": "TEA", "quantity": 6, "unit_price": 255}],
}


async def test_a_rule_is_published_read_in_words_tried_and_ended(sign_in: SignIn) -> None:
    member = await shop.join()
    http = await sign_in("administrator")
    rule = {"code": "tea", "kind": "bonus", "multiplier_milli": 3000, "conditions": {"skus": ["TEA"]}}
    trial = await http.post("/v1/earn-rules/try", json={"rule": rule, "basket": {**BASKET, "member": member}})
    assert (trial.json()["now"]["points"], trial.json()["then"]["points"]) == (15, 45)
    malay = {"Accept-Language": "ms-MY,en;q=0.5"}
    made = await http.post("/v1/earn-rules", json=rule, headers={**key(), **malay})
    assert (made.status_code, made.json()["version"]) == (201, 1)
    assert made.json()["text"] == "3 kali mata asas, untuk produk TEA"
    assert (await http.post("/v1/earn-rules", json={**rule, "active": False}, headers=key())).json()["version"] == 2
    found = (await http.get("/v1/earn-rules/tea", headers={"Accept-Language": "zh-TW"})).json()["items"]
    assert [(each["version"], each["current"]) for each in found] == [(2, False), (1, False)]
    assert found[0]["text"] == "基礎點數的 3 倍，限商品 TEA (已結束)"
    wrong = await http.post("/v1/earn-rules", json={"code": "tea", "kind": "bonus"}, headers=key())
    assert (problem(wrong)[0], wrong.json()["field"]) == (422, "multiplier_milli")


async def test_the_till_hears_in_its_own_language_why(till: Client) -> None:
    member = await shop.join()
    sale = {**BASKET, "member": member, "vouchers": ["NOPE-1"]}
    for language, said in (
        ("zh-CN", "没有此优惠券"),
        ("ms", "tiada baucar sedemikian"),
        ("fr", "there is no such voucher"),
    ):
        quoted = await till.post("/v1/checkouts/quote", json=sale, headers={"Accept-Language": language})
        assert quoted.json()["vouchers"][0]["reason"] == said
        refused = await till.post(
            "/v1/checkouts", json={**sale, "till": "T2", "number": "1"}, headers={**key(), "Accept-Language": language}
        )
        assert (problem(refused)[1], refused.json()["reason"]) == ("voucher-refused", said)


async def test_a_batch_is_opened_filled_checked_and_cancelled(sign_in: SignIn, till: Client) -> None:
    http = await sign_in("administrator")
    terms = {"batch": "spring", "kind": "amount_off", "value": 500, "valid_days": 30}
    assert (await http.post("/v1/voucher-batches", json=terms, headers=key())).status_code == 201
    issued = await http.post("/v1/voucher-batches/spring/codes", json={"count": 250}, headers=key())
    assert issued.json() == {"issued": 250}
    theirs = {"codes": ["PARTNER-2026-A", "partner-2026-a", "PARTNER-2026-B"]}
    assert (await http.post("/v1/voucher-batches/spring/codes", json=theirs, headers=key())).json() == {"issued": 2}
    first = (await http.get("/v1/voucher-batches/spring/codes", params={"limit": 1})).json()["items"][0]["code"]
    asked = {"store": "KL01", "lines": BASKET["lines"]}
    good = (await till.post(f"/v1/vouchers/{first.lower()}/validate", json=asked)).json()
    assert (good["valid"], good["outcome"]["discount"]) == (True, 500)
    assert (await till.post("/v1/vouchers/Partner-2026-B/validate", json=asked)).json()["valid"]
    await http.post("/v1/voucher-batches/spring/cancel", headers=key())
    gone = (await till.post(f"/v1/vouchers/{first}/validate", json=asked)).json()
    assert (gone["valid"], gone["reason"]) == (False, "it has been cancelled")


async def test_policies_tiers_and_rewards_keep_every_state(sign_in: SignIn) -> None:
    http = await sign_in("administrator")
    both = {"pending_days": 3, "pending_event": "delivered"}
    refused = await http.patch("/v1/programme", json=both, headers=key())
    assert (problem(refused)[0], refused.json()["field"]) == (422, "pending_days")
    changed = await http.patch("/v1/programme", json={"clawback": "allow_debt"}, headers=key())
    assert changed.json()["clawback"] == "allow_debt"
    assert len((await http.get("/v1/programme/versions")).json()["items"]) == 2
    tier = {"code": "silver", "name": "Silver", "rank": 1, "threshold": 1000}
    for threshold in (1000, 2000):
        await http.post("/v1/tiers", json={**tier, "threshold": threshold}, headers=key())
    states = (await http.get("/v1/tiers/silver/versions")).json()["items"]
    assert [state["body"]["threshold"] for state in states] == [2000, 1000]
    reward = {
        "code": "off",
        "name": "5 off",
        "points": 500,
        "kind": "amount_off",
        "value": 500,
        "tier_min": "bronze",
    }
    missing = await http.post("/v1/rewards", json=reward, headers=key())
    assert (problem(missing)[0], missing.json()["field"]) == (422, "tier_min")


async def test_an_offline_batch_is_taken_once_and_only_with_its_signature(app: Any) -> None:
    credential = await enrol_till("KL01", "T2")
    secret = hashlib.sha256(credential.encode()).digest()
    body = json.dumps({"kind": "sale", "number": "7", "charged": 1530, "basket": BASKET})
    signature = hmac.digest(secret, f"1.{body}".encode(), "sha256").hex()
    async with client(app, Authorization=f"Bearer {credential}") as http:
        forged = {"events": [{"sequence": 2, "body": body, "signature": signature}]}
        refused = await http.post("/v1/tills/sync", json=forged, headers=key())
        assert (problem(refused)[0], refused.json()["field"]) == (422, "events[0].signature")
        batch = {"events": [{"sequence": 1, "body": body, "signature": signature}]}
        first = (await http.post("/v1/tills/sync", json=batch, headers=key())).json()
        again = (await http.post("/v1/tills/sync", json=batch, headers=key())).json()
        assert [(one["items"][0]["status"], one["items"][0]["again"]) for one in (first, again)] == [
            ("done", False),
            ("done", True),
        ]
        assert first["items"][0]["receipt_id"] == again["items"][0]["receipt_id"]
        assert again["next"] == 2
