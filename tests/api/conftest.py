"""The application on the test's own transaction, with clients signed in as each kind of principal."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.sessions import connect_sessions
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
    application.state.sessions = connect_sessions()
    yield application
    await application.state.sessions.disconnect()


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


@pytest.fixture
async def sign_in(app: Any) -> AsyncIterator[SignIn]:
    """Signs a new member of staff in."""
    clients: list[Client] = []

    async def signed_in(role: Role, stores: list[str] | None = None) -> Client:
        address = f"{role}{next(_keys)}@shop.example"
        await hire(email=address, name=role, role=role, password="correct horse", stores=stores)
        http = client(app)
        clients.append(http)
        answer = await http.post("/v1/session", json={"email": address, "password": "correct horse"})
        assert answer.status_code == 201
        http.cookies.update(answer.cookies)
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
