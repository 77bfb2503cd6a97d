"""Where a webhook may not lead: to what only the server can reach."""

from datetime import UTC, datetime

import httpcore
import pytest

import database
from api.webhooks import addresses
from api.webhooks.addresses import is_public, webhook_client
from api.webhooks.fanout import read_timeline
from api.webhooks.sending import send_due
from api.webhooks.subscriptions import WebhookWanted, subscribe, webhook
from errors import InvalidInput
from tests import shop
from tests.webhooks.conftest import Receiver
from tests.webhooks.test_webhooks import DAYS, made, pump, settled


@pytest.fixture(autouse=True)
async def _shop(own_database: str) -> None:
    await shop.open_shop()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
        "2002:7f00:1::", "ff02::1", "fe80::1%eth0",
    ],
)  # fmt: skip
def test_private_addresses_are_none_of_a_webhooks(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://2130706433/",
        "https://0x7f.1/", "https://user:secret@example.com/", "https://example.com/#x", "ftp://example.com/", "https://",
        "file:///etc/passwd", "https://example.com:99999/", "https://exa mple.com/", "gopher://127.0.0.1:6379/_FLUSHALL",
    ],
)  # fmt: skip
async def test_urls_that_lead_inside_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await subscribe(WebhookWanted(url=url))
    assert refused.value.facts["field"] == "url"


async def test_a_name_that_turns_private_after_the_check_is_not_followed(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name was public when the webhook was made, and leads to this machine when it is called."""
    hook = await made(receiver, monkeypatch, events=["registered"])
    url = receiver.url.replace("127.0.0.1", "rebound.example")
    await database.execute("UPDATE api.webhook SET url = $1", url)

    async def private(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(addresses, "_resolve", private)
    await shop.join()
    await settled()
    async with webhook_client(private=False) as client:
        while await read_timeline() + await send_due(client, at=datetime.now(UTC), disable_days=DAYS):
            pass
    assert receiver.received == []
    assert (await webhook(hook.webhook.id)).last_error == "private address"


async def test_a_redirect_is_not_followed(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = await made(receiver, monkeypatch, events=["registered"])
    await shop.join()
    receiver.answer = lambda headers, body: (302, {"Location": "http://169.254.169.254/latest/meta-data"})
    await pump()
    assert len(receiver.received) == 1
    assert (await webhook(hook.webhook.id)).last_error == "answered 302"


async def test_the_guard_stands_on_httpcores_own_error() -> None:
    """httpx hands it on as a failure to connect, which a delivery survives."""
    assert issubclass(addresses.AddressRefused, httpcore.ConnectError)
