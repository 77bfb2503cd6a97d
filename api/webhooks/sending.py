"""Sending what is due: signed, in order for each member, again after a failure, at longer and longer intervals."""

import asyncio
import json
import random
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import msgspec
from standardwebhooks.webhooks import Webhook as Signer

import database
from api.operation.audit import audit
from api.operation.mail import post
from api.webhooks.addresses import AddressRefused
from api.webhooks.subscriptions import signing_secrets
from membership.cards import card_of_member

BATCH: Final = 100
CONCURRENT: Final = 20
LEASE_SECONDS: Final = 60
FIRST_WAIT_SECONDS: Final = 5
WAIT_SECONDS_MAX: Final = 6 * 3600
ATTEMPTS_MAX: Final = 20

# The first that is pending of each member and webhook: the next one waits for it, so that a member's story arrives in order.
_CLAIM: Final = """
UPDATE api.delivery SET attempts = attempts + 1, next_at = $1::timestamptz + make_interval(secs => $3)
WHERE id IN (
    SELECT d.id FROM api.delivery d JOIN api.webhook w ON w.id = d.webhook_id AND w.status = 'active' AND w.removed_at IS NULL
    WHERE d.status = 'pending' AND d.next_at <= $1 AND NOT EXISTS (
        SELECT FROM api.delivery earlier WHERE earlier.webhook_id = d.webhook_id AND earlier.member_id = d.member_id
            AND earlier.status = 'pending' AND earlier.id < d.id)
    ORDER BY d.next_at, d.id LIMIT $2 FOR UPDATE OF d SKIP LOCKED)
RETURNING id, webhook_id, event_id, member_id, attempts
"""


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt. `retry_after` is what the receiver asked for, in seconds."""

    answer: int | None = None
    error: str = ""
    retry_after: int = 0

    @property
    def delivered(self) -> bool:
        return self.answer is not None and 200 <= self.answer < 300


async def send_due(client: httpx.AsyncClient, *, at: datetime, disable_days: int) -> int:
    """Send one batch of what is due; how many were tried. A worker that dies in between leaves its deliveries to be sent
    again after a minute, under the same id: at least once."""
    claimed = await database.rows(_CLAIM, at, BATCH, LEASE_SECONDS)
    if not claimed:
        return 0
    webhooks = {
        row["id"]: row
        for row in await database.rows(
            "SELECT * FROM api.webhook WHERE id = ANY($1)", sorted({row["webhook_id"] for row in claimed})
        )
    }
    turn = asyncio.Semaphore(CONCURRENT)

    async def deliver(row: database.Row) -> None:
        async with turn:
            outcome = await _attempt(client, webhooks[row["webhook_id"]], row, at)
            await _settle(row, outcome, at=at, disable_days=disable_days)

    await asyncio.gather(*(deliver(row) for row in claimed))
    return len(claimed)


async def _attempt(client: httpx.AsyncClient, webhook: database.Row, row: database.Row, at: datetime) -> _Outcome:
    body = await _body(row["event_id"])
    headers = _signed(row["event_id"], body, signing_secrets(webhook, at=at), at)
    try:
        async with client.stream("POST", webhook["url"], content=body, headers=headers) as answer:
            return _Outcome(
                answer=answer.status_code,
                error="" if answer.is_success else f"answered {answer.status_code}",
                retry_after=_seconds(answer.headers.get("retry-after", "")),
            )
    except httpx.HTTPError as error:
        why = "private address" if isinstance(error.__cause__, AddressRefused) else type(error).__name__
        return _Outcome(error=why)


async def _body(event_id: int) -> bytes:
    row = await database.row(
        "SELECT kind, at, data, member_id, store.code AS store FROM membership.event "
        "LEFT JOIN stores.store ON store.id = store_id WHERE event.id = $1",
        event_id,
    )
    assert row is not None
    data: dict[str, Any] = {
        "member": await card_of_member(row["member_id"]),
        "store": row["store"],
        **json.loads(row["data"]),
    }
    return msgspec.json.encode({"type": row["kind"], "timestamp": row["at"], "data": data})


def _signed(event_id: int, body: bytes, secrets: list[str], at: datetime) -> dict[str, str]:
    """The headers of the specification; the id stays the same however often an event is sent."""
    message_id = f"evt_{event_id}"
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Signer(secret).sign(message_id, at, body.decode()) for secret in secrets),
    }


async def _settle(row: database.Row, outcome: _Outcome, *, at: datetime, disable_days: int) -> None:
    async with database.transaction():
        await database.lock_rows("api.webhook", [row["webhook_id"]])
        if outcome.delivered:
            await _finish(row["id"], "delivered", outcome, at)
            await database.execute(
                "UPDATE api.webhook SET delivered = delivered + 1, failing_since = NULL, last_error = '' WHERE id = $1",
                row["webhook_id"],
            )
            return
        if row["attempts"] >= ATTEMPTS_MAX:
            await _finish(row["id"], "dead", outcome, at)
        else:
            await database.execute(
                "UPDATE api.delivery SET next_at = $2, answer = $3, error = $4 WHERE id = $1",
                row["id"],
                at + timedelta(seconds=max(wait_seconds(row["attempts"], random.random()), outcome.retry_after)),  # noqa: S311  (jitter)
                outcome.answer,
                outcome.error,
            )
        failing = await database.row(
            "UPDATE api.webhook SET failing_since = coalesce(failing_since, $2), last_error = $3 WHERE id = $1 "
            "RETURNING url, status, failing_since",
            row["webhook_id"],
            at,
            outcome.error,
        )
        assert failing is not None
        # 410 is a receiver's own word that nobody is there any more.
        if failing["status"] == "active" and (
            outcome.answer == 410 or failing["failing_since"] <= at - timedelta(days=disable_days)
        ):
            await _disable(row["webhook_id"], failing["url"], outcome.error, at)


def wait_seconds(attempts: int, chance: float) -> float:
    """How long to wait after so many attempts: doubling, between half and all of it by `chance`, which lies in [0, 1)."""
    return float(min(FIRST_WAIT_SECONDS * 2 ** (attempts - 1), WAIT_SECONDS_MAX)) * (0.5 + chance / 2)


async def _finish(delivery_id: int, status: str, outcome: _Outcome, at: datetime) -> None:
    await database.execute(
        "UPDATE api.delivery SET status = $2, answer = $3, error = $4, finished_at = $5 WHERE id = $1",
        delivery_id,
        status,
        outcome.answer,
        outcome.error,
        at,
    )


async def _disable(webhook_id: int, url: str, error: str, at: datetime) -> None:
    """Stop trying, and tell the administrators. Nothing is lost: made active again it goes on where it was."""
    await database.execute("UPDATE api.webhook SET status = 'disabled' WHERE id = $1", webhook_id)
    await audit(None, "webhook.disabled", f"webhook:{webhook_id}", after={"url": url, "error": error})
    host = url.split("/")[2]
    for row in await database.rows(
        "SELECT email FROM stores.staff WHERE role = 'administrator' AND active ORDER BY id"
    ):
        await post(
            "webhook_disabled",
            row["email"],
            f"Webhook {webhook_id} to {host} has been disabled",
            f"The webhook {webhook_id} to {host} is not tried any more: its receiver has failed for days, or says that it is gone. "
            f"The last time: {error}.\n\n"
            "Once its receiver works again, make it active: what was missed is sent then, in order.\n",
            at=at,
        )


def _seconds(retry_after: str) -> int:
    return min(int(retry_after), WAIT_SECONDS_MAX) if retry_after.isdigit() else 0
