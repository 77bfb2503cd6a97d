"""Signing in: second factor, lockout, sessions, links, and what an attacker would try."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyotp
import pytest

import database
from api.access.lockout import FREE_ATTEMPTS
from api.access.sealing import unseal
from api.access.second_factor import check_code, confirm_factor, offer_factor
from stores.staff import hire
from tests.api.conftest import PASSWORD, Client, SignIn, client, give_factor, key, problem

_names = iter(range(10**6))


async def hired(role: str = "cashier", **fields: Any) -> tuple[int, str]:
    email = f"{role}-{time.time_ns()}-{next(_names)}@shop.example"
    stores = ["KL01"] if role in ("cashier", "store_manager") else None
    return await hire(email=email, name="Mei", role=role, password=PASSWORD, stores=stores, **fields), email  # type: ignore[arg-type]  # a Role


async def post(http: Client, **fields: str) -> httpx.Response:
    return await http.post("/v1/session", json=fields)


async def test_headquarters_sets_up_a_second_factor_before_anything_else(app: Any, nobody: Client) -> None:
    _, email = await hired("administrator")
    assert (await post(nobody, email=email, password=PASSWORD)).json()["second_factor_owed"]
    assert problem(await nobody.get("/v1/staff")) == (403, "second-factor-owed")
    assert problem(await nobody.get("/v1/stores")) == (403, "second-factor-owed")
    before = nobody.cookies["regulars_session"]
    offered = (await nobody.post("/v1/session/second-factor", json={})).json()
    assert offered["uri"].startswith("otpauth://totp/")
    assert offered["qr"].startswith("<svg")
    wrong = await nobody.post("/v1/session/second-factor/confirm", json={"totp": "000000"})
    assert problem(wrong) == (401, "wrong-code")
    code = pyotp.TOTP(offered["secret"]).now()
    confirmed = await nobody.post("/v1/session/second-factor/confirm", json={"totp": code})
    codes = confirmed.json()["recovery_codes"]
    assert len(set(codes)) == 10
    assert nobody.cookies["regulars_session"] != before, "a session with more rights is a new session"
    assert (await nobody.get("/v1/staff")).status_code == 200
    async with client(app) as planted:
        planted.cookies.set("regulars_session", before)
        assert problem(await planted.get("/v1/session")) == (401, "sign-in-needed")
    async with client(app) as again:
        assert problem(await post(again, email=email, password=PASSWORD)) == (401, "second-factor-needed")
        replayed = await post(again, email=email, password=PASSWORD, totp=code)
        assert problem(replayed) == (401, "wrong-code"), "the code that confirmed is spent"
        assert (await post(again, email=email, password=PASSWORD, recovery_code=codes[0])).status_code == 201
        assert problem(await post(again, email=email, password=PASSWORD, recovery_code=codes[0])) == (401, "wrong-code")


async def test_a_code_is_good_once_and_for_a_step_on_either_side() -> None:
    staff_id, email = await hired("analyst")
    now = datetime(2026, 3, 2, 12, 0, 15, tzinfo=UTC)
    secret = (await offer_factor(staff_id, email)).secret
    totp = pyotp.TOTP(secret)
    await confirm_factor(staff_id, totp.at(now - timedelta(minutes=5)), at=now - timedelta(minutes=5))
    assert not await check_code(staff_id, totp.at(now - timedelta(seconds=60)), at=now)
    assert not await check_code(staff_id, totp.at(now + timedelta(seconds=60)), at=now)
    assert await check_code(staff_id, totp.at(now), at=now)
    assert not await check_code(staff_id, totp.at(now), at=now)
    assert not await check_code(staff_id, totp.at(now - timedelta(seconds=30)), at=now), "older than one that was used"
    assert await check_code(staff_id, totp.at(now + timedelta(seconds=30)), at=now)


async def test_secrets_are_not_readable_in_the_database() -> None:
    staff_id, email = await hired("analyst")
    secret = (await offer_factor(staff_id, email)).secret
    stored = await database.value("SELECT pending FROM api.second_factor WHERE staff_id = $1", staff_id)
    assert secret.encode() not in stored
    assert unseal(stored).decode() == secret


async def test_guessing_is_slowed_down_whether_or_not_the_account_exists(nobody: Client) -> None:
    _, known = await hired()
    for email in (known, f"nobody-{time.time_ns()}@shop.example"):
        for _ in range(FREE_ATTEMPTS):
            assert problem(await post(nobody, email=email, password="wrong password")) == (401, "wrong-credentials")
        refused = await post(nobody, email=email, password=PASSWORD)
        assert problem(refused) == (429, "too-many-attempts")
        assert 1 <= int(refused.headers["retry-after"]) <= 30


async def test_a_success_forgets_the_attempts_before(nobody: Client) -> None:
    _, email = await hired()
    for _ in range(2):
        for _ in range(FREE_ATTEMPTS - 1):
            await post(nobody, email=email, password="wrong password")
        assert (await post(nobody, email=email, password=PASSWORD)).status_code == 201


async def test_an_unknown_address_takes_as_long_as_a_known_one(nobody: Client) -> None:
    """Both do the slow hash once. The ratio is generous: it shows that the hash is there, which takes twenty times the rest."""
    _, known = await hired()

    async def seconds(email: str) -> float:
        best = 1e9
        for _ in range(4):
            began = time.perf_counter()
            await post(nobody, email=email, password="wrong password")
            best = min(best, time.perf_counter() - began)
        return best

    ratio = await seconds(f"nobody-{time.time_ns()}@shop.example") / await seconds(known)
    assert 0.5 < ratio < 2


async def test_sessions_are_listed_and_ended(app: Any) -> None:
    staff_id, email = await hired()
    async with client(app) as here, client(app, **{"User-Agent": "Tablet"}) as there:
        await post(here, email=email, password=PASSWORD)
        await post(there, email=email, password=PASSWORD)
        listed = (await here.get("/v1/session/all")).json()["items"]
        assert len(listed) == 2
        tablet = next(session for session in listed if session["agent"] == "Tablet")
        assert not tablet["current"]
        assert there.cookies["regulars_session"] not in str(listed)
        assert (await here.delete(f"/v1/session/all/{tablet['id']}")).status_code == 204
        assert problem(await there.get("/v1/session")) == (401, "sign-in-needed")
        assert problem(await here.delete("/v1/session/all/0000")) == (404, "not-found")
        await post(there, email=email, password=PASSWORD)
        changed = await here.put("/v1/session/password", json={"current": PASSWORD, "password": "another horse"})
        assert changed.status_code == 204
        assert problem(await there.get("/v1/session")) == (401, "sign-in-needed")
        assert (await here.get("/v1/session")).status_code == 200
        assert problem(await post(there, email=email, password=PASSWORD)) == (401, "wrong-credentials")
    assert await database.value("SELECT count(*) FROM api.audit WHERE actor = $1", f"staff:{staff_id}") >= 4


async def test_an_invitation_is_taken_up_once(nobody: Client, sign_in: SignIn) -> None:
    administrator = await sign_in("administrator")
    email = f"invited-{time.time_ns()}@shop.example"
    body = {"email": email, "name": "Siti", "role": "cashier", "stores": ["KL01"]}
    invited = (await administrator.post("/v1/staff", json=body, headers=key())).json()
    assert invited["invited"]
    assert problem(await post(nobody, email=email, password=PASSWORD)) == (401, "wrong-credentials")
    token = await mailed_token(email)
    redeemed = {"token": token, "password": PASSWORD}
    short = await nobody.post("/v1/password-resets/redeem", json={"token": token, "password": "short"})
    assert problem(short) == (422, "invalid-input")
    assert (await nobody.post("/v1/password-resets/redeem", json=redeemed)).status_code == 204
    assert problem(await nobody.post("/v1/password-resets/redeem", json=redeemed)) == (401, "link-refused")
    assert (await post(nobody, email=email, password=PASSWORD)).status_code == 201


async def test_a_forgotten_password_is_replaced_by_a_mailed_link(app: Any, nobody: Client) -> None:
    _, email = await hired()
    async with client(app) as signed_in:
        await post(signed_in, email=email, password=PASSWORD)
        known = await nobody.post("/v1/password-resets", json={"email": email})
        unknown = await nobody.post("/v1/password-resets", json={"email": f"nobody-{time.time_ns()}@shop.example"})
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (204, b"")
        first = await mailed_token(email)
        await nobody.post("/v1/password-resets", json={"email": email})
        second = await mailed_token(email)
        stale = await nobody.post("/v1/password-resets/redeem", json={"token": first, "password": "another horse"})
        assert problem(stale) == (401, "link-refused"), "a newer link makes older ones worthless"
        body = {"token": second, "password": "another horse"}
        assert (await nobody.post("/v1/password-resets/redeem", json=body)).status_code == 204
        assert problem(await signed_in.get("/v1/session")) == (401, "sign-in-needed")
    assert (await post(nobody, email=email, password="another horse")).status_code == 201


async def test_a_link_expires(nobody: Client) -> None:
    _, email = await hired()
    await nobody.post("/v1/password-resets", json={"email": email})
    await database.execute("UPDATE api.staff_link SET expires_at = now()")
    body = {"token": await mailed_token(email), "password": "another horse"}
    assert problem(await nobody.post("/v1/password-resets/redeem", json=body)) == (401, "link-refused")


async def mailed_token(email: str) -> str:
    """The token in the newest letter to somebody, as they would click it."""
    sealed, deadline = None, time.monotonic() + 5
    while sealed is None and time.monotonic() < deadline:  # the letter is written after the answer
        sealed = await database.value("SELECT body FROM api.mail WHERE recipient = $1 ORDER BY id DESC LIMIT 1", email)
    assert sealed is not None
    link = next(word for word in unseal(sealed).decode().split() if "/password#" in word)
    assert b"/password#" not in sealed
    return link.partition("#")[2]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://regulars.test"}, 204),
        ({"Origin": "http://regulars.test"}, 204),
        ({}, 204),
    ],
)
async def test_another_sites_page_cannot_write_in_ones_name(
    sign_in: SignIn, headers: dict[str, str], status: int
) -> None:
    http = await sign_in("cashier", ["KL01"])
    answer = await http.put("/v1/session/pin", json={"pin": "480215"}, headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert problem(answer) == (403, "cross-origin")


async def test_the_session_cookie_is_secure_behind_tls(nobody: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from api.access import browser
    from settings import settings

    monkeypatch.setattr(browser, "settings", lambda: _with(settings(), base_url="https://regulars.example"))
    _, email = await hired()
    cookie = (await post(nobody, email=email, password=PASSWORD)).headers["set-cookie"]
    for flag in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert flag in cookie
    assert "Domain" not in cookie


def _with(settings: Any, **values: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(settings, **values)


async def test_a_second_factor_is_given_up_only_by_showing_it(sign_in: SignIn, nobody: Client) -> None:
    staff_id, email = await hired()
    codes = await give_factor(staff_id, email)
    await post(nobody, email=email, password=PASSWORD, recovery_code=codes[0])
    assert problem(await nobody.post("/v1/session/second-factor", json={})) == (401, "wrong-code")
    assert problem(await nobody.post("/v1/session/second-factor/remove", json={"totp": "1"})) == (401, "wrong-code")
    removed = await nobody.post("/v1/session/second-factor/remove", json={"recovery_code": codes[1]})
    assert removed.status_code == 204
    assert (await post(nobody, email=email, password=PASSWORD)).status_code == 201


async def test_a_role_that_needs_a_second_factor_does_not_give_it_up(sign_in: SignIn) -> None:
    analyst = await sign_in("analyst")
    refused = await analyst.post("/v1/session/second-factor/remove", json={"recovery_code": "any"})
    assert problem(refused) == (403, "second-factor-stays")


async def test_an_administrator_takes_a_lost_factor_off_and_signs_somebody_out(
    app: Any, nobody: Client, sign_in: SignIn
) -> None:
    administrator = await sign_in("administrator")
    staff_id, email = await hired("analyst")
    codes = await give_factor(staff_id, email)
    await post(nobody, email=email, password=PASSWORD, recovery_code=codes[0])
    assert (await administrator.delete(f"/v1/staff/{staff_id}/sessions", headers=key())).status_code == 204
    assert problem(await nobody.get("/v1/session")) == (401, "sign-in-needed")
    assert (await administrator.delete(f"/v1/staff/{staff_id}/second-factor", headers=key())).status_code == 204
    assert (await post(nobody, email=email, password=PASSWORD)).json()["second_factor_owed"]


async def test_a_suspended_or_demoted_account_loses_its_sessions(nobody: Client, sign_in: SignIn) -> None:
    administrator = await sign_in("administrator")
    staff_id, email = await hired("store_manager")
    await post(nobody, email=email, password=PASSWORD)
    path = f"/v1/staff/{staff_id}"
    await administrator.patch(path, json={"role": "cashier"}, headers=key())
    assert problem(await nobody.get("/v1/session")) == (401, "sign-in-needed")
    await post(nobody, email=email, password=PASSWORD)
    await administrator.patch(path, json={"active": False}, headers=key())
    assert problem(await nobody.get("/v1/session")) == (401, "sign-in-needed")
    assert problem(await post(nobody, email=email, password=PASSWORD)) == (401, "wrong-credentials")


async def test_the_last_administrator_cannot_be_dismissed(sign_in: SignIn) -> None:
    administrator = await sign_in("administrator")
    await database.execute(
        "UPDATE stores.staff SET active = false WHERE role = 'administrator' AND email NOT LIKE $1", "administrator%"
    )
    me = (await administrator.get("/v1/staff", params={"role": "administrator"})).json()["items"][0]
    answer = await administrator.patch(f"/v1/staff/{me['id']}", json={"active": False}, headers=key())
    assert problem(answer) == (409, "last-administrator")
