"""Limits, metrics, logs, health."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from api import edge
from api.connections import use_redis
from api.operation import limits, logs
from api.operation.context import client_address, request_id
from api.operation.limits import Limiter
from settings import settings
from tests import shop
from tests.api.conftest import Client, SignIn, client, key, problem
from tests.api.test_access import with_key
from tests.api.test_till import SALE


@pytest.fixture
async def few(app: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Five requests a minute for a principal, twenty for an address, two sign-ins."""
    import msgspec

    configured = msgspec.structs.replace(
        settings(), rate_limit_principal=5, rate_limit_address=20, rate_limit_sign_in=2
    )
    monkeypatch.setattr(edge, "settings", lambda: configured)
    await app.state.redis.flushdb()
    yield
    await app.state.redis.flushdb()


@pytest.mark.usefixtures("few")
async def test_a_principal_has_so_many_requests_a_minute(till: Client, nobody: Client) -> None:
    for left in (4, 3, 2, 1, 0):
        answer = await till.get("/v1/products")
        assert answer.headers["ratelimit-policy"] == '"principal";q=5;w=60'
        assert answer.headers["ratelimit"].startswith(f'"principal";r={left};t=')
    refused = await till.get("/v1/products")
    assert problem(refused) == (429, "too-many-requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert refused.json()["retry_after"] == int(refused.headers["retry-after"])
    assert problem(await nobody.get("/v1/products")) == (401, "sign-in-needed"), "others go on"
    assert (await till.get("/health/live")).status_code == 200, "probes are not counted"


@pytest.mark.usefixtures("few")
async def test_an_address_has_so_many_and_sign_ins_fewer(nobody: Client) -> None:
    body = {"email": "x@shop.example", "password": "wrong password"}
    for _ in range(2):
        assert problem(await nobody.post("/v1/session", json=body))[0] == 401
    assert problem(await nobody.post("/v1/session", json=body)) == (429, "too-many-requests")
    for _ in range(18):
        assert problem(await nobody.get("/v1/products"))[0] == 401
    assert problem(await nobody.get("/v1/products")) == (429, "too-many-requests")


async def test_the_window_slides(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten a minute: a minute's worth at its end still weighs in the next one, less and less."""
    limiter, clock = Limiter(app.state.redis), [6_000_000_059.0]
    monkeypatch.setattr(limits.time, "time", lambda: clock[0])

    async def hits() -> int:
        done = 0
        while (standing := await limiter.hit({("test", "slide"): 10})) and standing.wait_seconds == 0:
            done += 1
        assert standing is not None
        waits.append(standing.wait_seconds)
        return done

    waits: list[int] = []
    assert await hits() == 10
    clock[0] += 1.5
    assert await hits() == 0
    clock[0] += 30
    assert await hits() == 5
    clock[0] += waits[-1]
    assert await hits() >= 1, "who waits as long as told gets through"
    clock[0] += 120
    assert await hits() == 10


async def test_several_processes_together_let_no_more_through_than_the_limit(app: Any) -> None:
    """Each asks for ten at once; what they hand out together is the limit, and what one has left over goes unused."""
    processes = [Limiter(app.state.redis) for _ in range(3)]
    limit, through = {("test", "shared"): 1000}, 0
    for turn in range(1200):
        standing = await processes[turn % 3].hit(limit)
        assert standing is not None
        through += standing.wait_seconds == 0
    assert 970 <= through <= 1000


async def test_without_redis_everything_goes_through_and_the_metrics_say_so(app: Any, till: Client) -> None:
    before = await _metric(till, "regulars_rate_limiter_failed_open_total")
    await app.state.redis.aclose()
    use_redis(app.state, Redis.from_url("redis://127.0.0.1:1"))
    assert (await till.post("/v1/checkouts", json=SALE, headers=key())).status_code == 201
    answer = await till.get("/v1/products")
    assert answer.status_code == 200
    assert "ratelimit" not in answer.headers
    assert await _metric(till, "regulars_rate_limiter_failed_open_total") >= before + 2
    assert await _metric(till, "regulars_redis_up") == 0


async def _metric(http: Client, name: str) -> float:
    text = (await http.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name)


async def test_metrics_tell_latency_by_route_and_the_state_of_things(till: Client) -> None:
    member = await shop.join()
    await till.post("/v1/checkouts", json={**SALE, "member": member}, headers=key())
    await till.get(f"/v1/members/{member}")
    text = (await till.get("/metrics")).text
    assert 'route="/v1/members/{number}"' in text
    assert member not in text
    for name in ("regulars_ledger_entries", "regulars_deliveries_pending", "regulars_jobs", "regulars_workers"):
        assert f"\n{name}" in text
    assert await _metric(till, "regulars_ledger_entries") >= 1


async def test_metrics_are_for_this_machine_and_whoever_has_the_scope(
    app: Any, nobody: Client, sign_in: SignIn
) -> None:
    assert (await nobody.get("/metrics")).status_code == 200
    proxied = {"X-Forwarded-For": "203.0.113.7"}
    assert problem(await nobody.get("/metrics", headers=proxied)) == (403, "not-permitted")
    administrator = await sign_in("administrator")
    assert (await administrator.get("/metrics", headers=proxied)).status_code == 200
    scoped = await with_key(app, administrator, ["metrics:read"])
    assert (await scoped.get("/metrics", headers=proxied)).status_code == 200
    other = await with_key(app, administrator, ["stores:read"])
    assert problem(await other.get("/metrics", headers=proxied)) == (403, "not-permitted")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("10.0.0.2", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.2", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.2", "198.51.100.1, 10.0.0.3", "198.51.100.1"),
        ("10.0.0.2", "nonsense", "nonsense"),
        ("10.0.0.2", "", "10.0.0.2"),
    ],
)
def test_only_a_trusted_proxy_says_where_a_request_came_from(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, forwarded, [ip_network("10.0.0.0/8")]) == address


def test_a_request_id_is_taken_over_when_it_is_harmless() -> None:
    assert request_id("till-0815-abc") == "till-0815-abc"
    for harmful in ("", "short", "a" * 65, "line\nbreak-12345", "ü" * 10):
        assert request_id(harmful) != harmful


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[str]]]:
    """The lines that were logged as JSON since the test began."""
    logs.configure_logs(form="json")
    capsys.readouterr()
    yield lambda: capsys.readouterr().err.splitlines()  # noqa: PLW0108  (read when it is called)
    logs.configure_logs(form="text")


async def test_every_request_is_a_line_with_its_id_and_nobodys_data(
    till: Client, written: Callable[[], list[str]]
) -> None:
    body = {"name": "Nur Aisyah", "phone": "012-345 6789", "email": "nur@example.com"}
    number = (await till.post("/v1/members", json=body, headers={**key(), "X-Request-Id": "request-0815"})).json()[
        "number"
    ]
    await till.get(f"/v1/members/{number}/profile")
    await till.get("/v1/members", params={"q": "Nur Aisyah"})
    await till.get("/v1/nothing/of/the/kind")
    lines = written()
    events = [json.loads(line) for line in lines]
    assert [(event["route"], event["status"]) for event in events if event["event"] == "request"] == [
        ("/v1/members", 201),
        ("/v1/members/{number}/profile", 200),
        ("/v1/members", 200),
        ("unmatched", 404),
    ]
    assert events[0]["request_id"] == "request-0815"
    assert events[0]["principal"] == "till:KL01/T2"
    for personal in ("Aisyah", "3456789", "nur@", number):
        assert personal not in "".join(lines)


async def test_a_fault_is_logged_by_reference_without_its_text(
    till: Client, written: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from api.routes import stores

    async def fails(sku: str, **options: Any) -> None:
        raise RuntimeError("Key (phone)=(+60123456789) already exists")

    monkeypatch.setattr(stores, "product", fails)
    answer = await till.get("/v1/products/TEA")
    assert problem(answer) == (500, "unexpected")
    assert "+6012" not in answer.text
    lines = written()
    fault = next(json.loads(line) for line in lines if "unexpected" in line)
    assert fault["reference"] == answer.json()["reference"]
    assert fault["error"] == "RuntimeError"
    assert any("fails" in line for line in fault["trace"])
    assert "+6012" not in "".join(lines)


async def test_another_librarys_warning_is_a_line_like_ours(written: Callable[[], list[str]]) -> None:
    logging.getLogger("asyncpg").warning("the pool is %s", "full")
    [line] = written()
    event = json.loads(line)
    assert (event["event"], event["level"]) == ("the pool is full", "warning")


async def test_every_answer_carries_its_id_and_the_headers_that_protect(app: Any, nobody: Client) -> None:
    for path in ("/v1/products", "/nothing", "/sign-in", "/static/regulars.css", "/docs"):
        headers = (await nobody.get(path)).headers
        assert len(headers["x-request-id"]) == 16
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "strict-transport-security" not in headers
    assert (await nobody.get("/v1/products")).headers["cache-control"] == "no-store"


async def test_readiness_names_each_thing_that_is_needed(app: Any) -> None:
    async with client(app) as http:
        ready = (await http.get("/health/ready")).json()
        assert ready == {
            "ready": True,
            "database": True,
            "migrations": True,
            "redis": True,
            "worker": False,
            "replica_lag_seconds": None,
        }
        assert (await http.get("/health/live")).json() == {"alive": True}
