"""Webhooks from the timeline to a real receiver: signed, in order, again after failures, and never into the private network."""

import asyncio
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

import database
from api.access.sealing import unseal
from api.webhooks import sending, subscriptions
from api.webhooks.addresses import check_url, webhook_client
from api.webhooks.fanout import read_timeline
from api.webhooks.sending import ATTEMPTS_MAX, send_due, wait_seconds
from api.webhooks.subscriptions import (
    WebhookMade,
    WebhookWanted,
    change_webhook,
    deliveries,
    replay,
    retry_delivery,
    rotate_secret,
    subscribe,
    unsubscribe,
    webhook,
)
from errors import NotFound
from stores.staff import hire
from tests import shop
from tests.webhooks.conftest import Receiver

pytestmark = pytest.mark.usefixtures("own_database")
DAYS = 5


@pytest.fixture(autouse=True)
async def _shop(own_database: str) -> None:
    await shop.open_shop()


async def made(receiver: Receiver, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> WebhookMade:
    """A webhook to the receiver, whose address is allowed for the test."""
    monkeypatch.setattr(subscriptions, "check_url", _allowed)
    await settled()
    return await subscribe(WebhookWanted(url=receiver.url, **fields))


async def _allowed(url: str, *, private: bool) -> None:
    await check_url(url, private=True)


def soon() -> datetime:
    """A moment at which everything that is queued in this test is due."""
    return datetime.now(UTC) + timedelta(seconds=30)


async def settled() -> None:
    """Wait for the transactions that are open now, other tests' among them: the server hands out ids to all databases alike."""
    newest = await database.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    async with asyncio.timeout(60):
        while await database.value("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint") < newest:
            await asyncio.sleep(0.05)


async def pump(at: datetime | None = None, *, wait: bool = True) -> int:
    """Read and send until nothing is due."""
    sent = 0
    if wait:
        await settled()
    async with webhook_client(private=True) as client:
        while True:
            turn = await read_timeline() + await send_due(client, at=at or datetime.now(UTC), disable_days=DAYS)
            if not turn:
                return sent
            sent += turn


async def test_events_arrive_signed_by_the_specification(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await shop.join()
    hook = await made(receiver, monkeypatch)
    member = await shop.join()
    await shop.sell(member, ("TEA", 2, 255))
    await pump()
    kinds = [json.loads(body)["type"] for _, body in receiver.received]
    assert sorted(kinds) == ["bought", "points_earn", "registered"]
    for headers, body in receiver.received:
        event = Verifier(hook.secret).verify(body, headers)
        assert event["data"]["member"] == member != before
        with pytest.raises(WebhookVerificationError):
            Verifier(hook.secret).verify(body + b" ", headers)
    bought = next(json.loads(body) for _, body in receiver.received if b'"bought"' in body)
    assert (bought["data"]["total"], bought["data"]["store"]) == (510, "KL01")
    shown = await webhook(hook.webhook.id)
    assert (shown.delivered, shown.pending, shown.dead) == (3, 0, 0)


async def test_only_the_kinds_asked_for_are_sent(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(receiver, monkeypatch, events=["bought"])
    await shop.sell(await shop.join(), ("TEA", 2, 255))
    await pump()
    assert [json.loads(body)["type"] for _, body in receiver.received] == ["bought"]


async def test_an_event_of_a_slow_transaction_is_not_passed_over(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slow one takes its id first and commits last: a reader that went by id alone would never send it."""
    await made(receiver, monkeypatch, events=["registered"])
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        async with database.transaction():
            number = await shop.join("Slow")
            begun.set()
            await go_on.wait()
            return number

    task = asyncio.create_task(slow())
    await begun.wait()
    quick = await shop.join("Quick")
    await pump(wait=False)
    assert receiver.received == [], "what is not settled is not read yet"
    go_on.set()
    late = await task
    await pump()
    assert {json.loads(body)["data"]["member"] for _, body in receiver.received} == {quick, late}


async def test_each_members_events_arrive_in_order_whatever_fails(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(receiver, monkeypatch)
    members = [await shop.join() for _ in range(5)]
    for turn in range(6):
        await asyncio.gather(*(shop.sell(member, ("TEA", turn + 1, 255)) for member in members))
    failures = defaultdict(int)

    def flaky(headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        failures[headers["webhook-id"]] += 1
        return (500 if failures[headers["webhook-id"]] < 3 and hash(headers["webhook-id"]) % 3 == 0 else 200), {}

    receiver.answer = flaky
    at = soon()
    for _ in range(60):
        await pump(at)
        at += timedelta(seconds=61)
    arrived: dict[str, list[int]] = defaultdict(list)
    for headers, body in receiver.received:
        event = json.loads(body)
        number = int(headers["webhook-id"].removeprefix("evt_"))
        if not arrived[event["data"]["member"]] or arrived[event["data"]["member"]][-1] != number:
            arrived[event["data"]["member"]].append(number)
    truth = await database.rows(
        "SELECT card.number, array_agg(e.id ORDER BY recorded_in, e.id) AS ids FROM membership.event e "
        "JOIN membership.card ON card.member_id = e.member_id GROUP BY 1"
    )
    assert {row["number"]: row["ids"] for row in truth} == dict(arrived)


async def test_what_fails_is_tried_again_later_and_later_then_is_a_dead_letter(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = await made(receiver, monkeypatch, events=["registered"])
    await shop.join()
    receiver.answer = lambda headers, body: (500, {})
    at = soon()
    for _ in range(ATTEMPTS_MAX):
        await pump(at)
        due = await database.value("SELECT next_at FROM api.delivery WHERE status = 'pending'")
        at = (due or at) + timedelta(seconds=1)
    assert len(receiver.received) == ATTEMPTS_MAX
    assert len(set(receiver.ids())) == 1, "the same id each time, so that a receiver can tell"
    dead = (await deliveries(hook.webhook.id, status="dead"))[0]
    assert (dead.attempts, dead.answer, dead.error) == (ATTEMPTS_MAX, 500, "answered 500")
    receiver.answer = lambda headers, body: (200, {})
    await retry_delivery(hook.webhook.id, dead.id, at=at)
    await pump(at)
    assert (await webhook(hook.webhook.id)).delivered == 1
    with pytest.raises(NotFound):
        await retry_delivery(hook.webhook.id, dead.id, at=at)


def test_waiting_doubles_with_chance_and_ends_at_six_hours() -> None:
    assert [wait_seconds(attempts, 0.0) for attempts in (1, 2, 3)] == [2.5, 5, 10]
    assert wait_seconds(1, 0.999) < 5
    assert wait_seconds(20, 0.0) == 3 * 3600


async def test_a_receiver_that_asks_for_patience_gets_it(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(receiver, monkeypatch, events=["registered"])
    await shop.join()
    receiver.answer = lambda headers, body: (429, {"Retry-After": "900"})
    at = soon()
    await pump(at)
    assert await database.value("SELECT next_at FROM api.delivery") == at + timedelta(seconds=900)


async def test_days_of_failure_disable_it_with_a_notice_and_nothing_is_lost(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hire(email="admin@shop.example", name="", role="administrator", password="correct horse")
    hook = await made(receiver, monkeypatch, events=["registered"])
    first = await shop.join()
    receiver.answer = lambda headers, body: (503, {})
    at = soon()
    await pump(at)
    await pump(at + timedelta(days=DAYS, hours=1))
    disabled = await webhook(hook.webhook.id)
    assert (disabled.status, disabled.last_error) == ("disabled", "answered 503")
    letter = await database.row("SELECT recipient, subject, body FROM api.mail")
    assert letter is not None
    assert letter["recipient"] == "admin@shop.example"
    assert "make it active" in unseal(letter["body"]).decode()
    second = await shop.join()
    receiver.received.clear()
    receiver.answer = lambda headers, body: (200, {})
    assert await pump(at + timedelta(days=6)) == 0
    await change_webhook(hook.webhook.id, {"status": "active"})
    await pump(datetime.now(UTC) + timedelta(minutes=2))
    assert {json.loads(body)["data"]["member"] for _, body in receiver.received} == {first, second}


async def test_gone_is_taken_at_its_word(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = await made(receiver, monkeypatch)
    await shop.join()
    receiver.answer = lambda headers, body: (410, {})
    await pump()
    assert (await webhook(hook.webhook.id)).status == "disabled"


async def test_everything_since_a_moment_can_be_told_again(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = await made(receiver, monkeypatch, events=["registered"])
    await shop.join()
    moment = datetime.now(UTC)
    later = [await shop.join() for _ in range(3)]
    await pump()
    told = receiver.ids()
    receiver.received.clear()
    await replay(hook.webhook.id, since=moment)
    await pump()
    assert {json.loads(body)["data"]["member"] for _, body in receiver.received} == set(later)
    assert set(receiver.ids()) <= set(told)
    await replay(hook.webhook.id, since=datetime.now(UTC))
    assert await pump() == 0


async def test_while_secrets_change_over_both_verify(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = await made(receiver, monkeypatch, events=["registered"])
    rotated = await rotate_secret(hook.webhook.id, at=datetime.now(UTC))
    await shop.join()
    await pump()
    headers, body = receiver.received[-1]
    for secret in (hook.secret, rotated.secret):
        assert Verifier(secret).verify(body, headers)
    await database.execute("UPDATE api.webhook SET previous_until = now()")
    await shop.join()
    await pump()
    headers, body = receiver.received[-1]
    assert Verifier(rotated.secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(hook.secret).verify(body, headers)


async def test_a_worker_that_dies_in_between_leaves_it_to_be_sent_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(receiver, monkeypatch, events=["registered"])
    await shop.join()
    at = soon()

    async def dies(*arguments: Any, **options: Any) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as patched:
        patched.setattr(sending, "_settle", dies)
        with pytest.raises(ConnectionResetError):
            await pump(at)
    assert len(receiver.received) == 1
    assert await pump(at + timedelta(seconds=30)) == 0, "somebody may still be at it"
    await pump(at + timedelta(seconds=61))
    assert receiver.ids() == receiver.ids()[:1] * 2


async def test_removed_means_nothing_more(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = await made(receiver, monkeypatch)
    await shop.join()
    await unsubscribe(hook.webhook.id, at=datetime.now(UTC))
    assert await pump() == 0
    assert receiver.received == []
    with pytest.raises(NotFound):
        await webhook(hook.webhook.id)
