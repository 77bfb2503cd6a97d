"""The application on the test's own transaction, with clients signed in as each kind of principal."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pyotp
import pytest

from api.access.permissions import SECOND_FACTOR_ROLES
from api.access.second_factor import confirm_factor, offer_factor
from api.app import create_app
from api.connections import connect_redis, use_redis
from stores.staff import Role, hire
from stores.tills import enrol_till
from tests import shop

Client = httpx.AsyncClient
_keys = itertools.count()


def key() -> dict[str, str]:
    """A new Idempotency-Key header."""
    return {"Idempotency-Key": f"key-{next(_keys)}"}


@pytest.fixture
async def app() -> AsyncIterator[Any]:
    await shop.open_shop()
    application = create_app(connect=False)
    use_redis(application.state, connect_redis())
    yield application
    await application.state.redis.aclose()


def client(app: Any, **headers: str) -> Client:
    """A client without credentials, unless in the headers. Errors of the application are answers, not exceptions."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://regulars.test", headers=headers)


@pytest.fixture
async def nobody(app: Any) -> AsyncIterator[Client]:
    async with client(app) as http:
        yield http


@pytest.fixture
async def till(app: Any) -> AsyncIterator[Client]:
    """Till T2 of KL01."""
    credential = await enrol_till("KL01", "T2")
    async with client(app, Authorization=f"Bearer {credential}") as http:
        yield http


SignIn = Callable[..., Awaitable[Client]]
PASSWORD = "correct horse"


async def give_factor(staff_id: int, address: str) -> list[str]:
    """Set a second factor up; its recovery codes."""
    offered = await offer_factor(staff_id, address)
    now = datetime.now(UTC)
    return await confirm_factor(staff_id, pyotp.TOTP(offered.secret).at(now), at=now)


@pytest.fixture
async def sign_in(app: Any) -> AsyncIterator[SignIn]:
    """Signs a new member of staff in, with a second factor where the role needs one."""
    clients: list[Client] = []

    async def signed_in(role: Role, stores: list[str] | None = None) -> Client:
        address = f"{role}{next(_keys)}@shop.example"
        staff_id = await hire(email=address, name=role, role=role, password=PASSWORD, stores=stores)
        body = {"email": address, "password": PASSWORD}
        if role in SECOND_FACTOR_ROLES:
            body["recovery_code"] = (await give_factor(staff_id, address))[0]
        http = client(app)
        clients.append(http)
        answer = await http.post("/v1/session", json=body)
        assert answer.status_code == 201, answer.text
        return http

    yield signed_in
    for http in clients:
        await http.aclose()


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and type of a problem, whose form is checked."""
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    return answer.status_code, body["type"].rpartition("/")[2]
