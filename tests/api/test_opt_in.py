"""Double opt-in, from the till to the link in the letter."""

from datetime import UTC, datetime, timedelta

import database
from api.access.sealing import unseal
from api.operation.opt_in_letters import write_opt_in_letters
from membership.policy import MemberPolicyChange, change_member_policy
from tests import shop
from tests.api.conftest import Client, key, problem


async def mailed(email: str) -> tuple[str, str]:
    """Subject and token of the newest letter to an address."""
    await write_opt_in_letters(datetime.now(UTC))
    row = await database.row("SELECT subject, body FROM api.mail WHERE recipient = $1 ORDER BY id DESC LIMIT 1", email)
    assert row is not None
    link = next(word for word in unseal(row["body"]).decode().split() if "/opt-in#" in word)
    return row["subject"], link.partition("#")[2]


async def test_consent_to_email_counts_once_the_address_has_confirmed_it(till: Client, nobody: Client) -> None:
    await change_member_policy(MemberPolicyChange(double_opt_in=True))
    body = {
        "name": "Aisyah",
        "phone": "0123456789",
        "email": "aisyah@example.com",
        "language": "ms",
        "consents": [{"channel": "email"}, {"channel": "sms"}],
    }
    number = (await till.post("/v1/members", json=body, headers=key())).json()["number"]
    consents = f"/v1/members/{number}/consents"
    before = (await till.get(consents)).json()
    assert [each["channel"] for each in before["items"]] == ["sms"]
    assert [each["channel"] for each in before["waiting"]] == ["email"]
    subject, token = await mailed("aisyah@example.com")
    assert subject.startswith("Sila sahkan")
    assert (await nobody.get("/opt-in")).status_code == 200
    assert problem(await nobody.post("/v1/opt-ins/confirm", json={"token": "guess"})) == (410, "opt-in-refused")
    for _ in range(2):
        assert (await nobody.post("/v1/opt-ins/confirm", json={"token": token})).status_code == 204
    after = (await till.get(consents)).json()
    assert [(each["channel"], each["given"]) for each in after["items"]] == [("email", True), ("sms", True)]
    assert after["waiting"] == []
    assert await database.value("SELECT method FROM membership.consent WHERE channel = 'email'") == "double opt-in"
    assert await database.value("SELECT count(*) FROM membership.consent WHERE channel = 'email'") == 1


async def test_an_old_link_and_one_to_a_former_address_confirm_nothing(till: Client, nobody: Client) -> None:
    await change_member_policy(MemberPolicyChange(double_opt_in=True))
    number = await shop.join(email="old@example.com")
    path = f"/v1/members/{number}/consents"
    await till.post(path, json={"channel": "email"}, headers=key())
    _, token = await mailed("old@example.com")
    await till.patch(f"/v1/members/{number}", json={"email": "new@example.com"}, headers=key())
    assert problem(await nobody.post("/v1/opt-ins/confirm", json={"token": token})) == (410, "opt-in-refused")
    await till.post(path, json={"channel": "email"}, headers=key())
    _, token = await mailed("new@example.com")
    await database.execute("UPDATE membership.opt_in SET mailed_at = $1", datetime.now(UTC) - timedelta(days=8))
    assert problem(await nobody.post("/v1/opt-ins/confirm", json={"token": token})) == (410, "opt-in-refused")
    assert (await till.get(path)).json()["items"] == []


async def test_consent_to_email_without_an_address_is_refused(till: Client) -> None:
    await change_member_policy(MemberPolicyChange(double_opt_in=True))
    number = await shop.join()
    refused = await till.post(f"/v1/members/{number}/consents", json={"channel": "email"}, headers=key())
    assert problem(refused) == (422, "invalid-input")
