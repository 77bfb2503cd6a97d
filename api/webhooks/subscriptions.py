"""Webhooks: who is told of what, with which signing key, and from which place of the timeline on."""

import base64
import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec

import database
from api.access.sealing import seal, unseal
from api.webhooks.addresses import check_url
from errors import InvalidInput, NotFound
from settings import settings

OVERLAP_HOURS: Final = 24
EventKinds = Annotated[
    list[Annotated[str, msgspec.Meta(pattern="^[a-z_]{1,64}$")]],
    msgspec.Meta(max_length=64, description="Kinds of the timeline, such as bought; none means all."),
]
# The place before everything that may still become visible: nothing that commits from now on lies before it.
_NOW: Final = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as it stands. `disabled` is what days of failure make of it; `pending` deliveries are still to come."""

    id: int
    url: str
    events: list[str]
    description: str
    status: Literal["active", "paused", "disabled"]
    failing_since: datetime | None
    last_error: str
    delivered: int
    pending: int
    dead: int
    created_at: datetime


class WebhookWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send which events."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    events: EventKinds = []
    description: Annotated[str, msgspec.Meta(max_length=500)] = ""


class WebhookChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a webhook; what is left out stays."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)] | msgspec.UnsetType = msgspec.UNSET
    events: EventKinds | msgspec.UnsetType = msgspec.UNSET
    description: Annotated[str, msgspec.Meta(max_length=500)] | msgspec.UnsetType = msgspec.UNSET
    status: Literal["active", "paused"] | msgspec.UnsetType = msgspec.UNSET


class WebhookMade(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook and its signing secret, which is shown this once."""

    webhook: Webhook
    secret: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one webhook. `answer` is the receiver's last status."""

    id: int
    event_id: int
    kind: str
    status: Literal["pending", "delivered", "dead"]
    attempts: int
    next_at: datetime | None
    answer: int | None
    error: str
    finished_at: datetime | None


async def subscribe(wanted: WebhookWanted) -> WebhookMade:
    """Make a webhook that is told of everything from now on. Raises `InvalidInput`."""
    await _check(wanted.url)
    secret = _new_secret()
    webhook_id = await database.value(
        "INSERT INTO api.webhook (url, events, description, secret, read_in, read_id) "
        f"VALUES ($1, $2, $3, $4, {_NOW} - 1, 9223372036854775807) RETURNING id",
        wanted.url,
        wanted.events,
        wanted.description,
        seal(secret.encode()),
    )
    return WebhookMade(webhook=await webhook(webhook_id), secret=secret)


async def change_webhook(webhook_id: int, change: dict[str, Any]) -> Webhook:
    """Change a webhook. To make a disabled one active forgets its failures. Raises `NotFound`, `InvalidInput`."""
    if "url" in change:
        await _check(change["url"])
    async with database.transaction():
        await webhook(webhook_id, lock=True)
        for name, value in change.items():
            assert name in ("url", "events", "description", "status")
            await database.execute(f"UPDATE api.webhook SET {name} = $2 WHERE id = $1", webhook_id, value)
        if change.get("status") == "active":
            await database.execute(
                "UPDATE api.webhook SET failing_since = NULL, last_error = '' WHERE id = $1", webhook_id
            )
            await database.execute(
                "UPDATE api.delivery SET next_at = now() WHERE webhook_id = $1 AND status = 'pending'", webhook_id
            )
    return await webhook(webhook_id)


async def rotate_secret(webhook_id: int, *, at: datetime) -> WebhookMade:
    """A new signing secret; for a day events carry a signature of each, so that the receiver can change over."""
    secret = _new_secret()
    rotated = await database.execute(
        "UPDATE api.webhook SET previous_secret = secret, previous_until = $3, secret = $2 "
        "WHERE id = $1 AND removed_at IS NULL",
        webhook_id,
        seal(secret.encode()),
        at + timedelta(hours=OVERLAP_HOURS),
    )
    if not rotated:
        raise NotFound(kind="webhook", name=webhook_id)
    return WebhookMade(webhook=await webhook(webhook_id), secret=secret)


async def unsubscribe(webhook_id: int, *, at: datetime) -> None:
    """The webhook is told nothing more. Raises `NotFound`."""
    async with database.transaction():
        await webhook(webhook_id, lock=True)
        await database.execute(
            "UPDATE api.webhook SET removed_at = $2, status = 'paused' WHERE id = $1", webhook_id, at
        )
        await database.execute("DELETE FROM api.delivery WHERE webhook_id = $1", webhook_id)


async def replay(webhook_id: int, *, since: datetime) -> Webhook:
    """Tell everything again that was recorded since a moment, in a new round, before what comes next."""
    async with database.transaction():
        await webhook(webhook_id, lock=True)
        # What waits from the round before lies within the new one, or before the moment, and is still to come.
        await database.execute(
            "WITH first AS (SELECT recorded_in, id FROM membership.event WHERE recorded_at >= $2 ORDER BY recorded_in, id LIMIT 1), "
            "gone AS (DELETE FROM api.delivery d USING membership.event e, first WHERE d.webhook_id = $1 AND d.status = 'pending' "
            "AND e.id = d.event_id AND (e.recorded_in, e.id) >= (first.recorded_in, first.id)) "
            "UPDATE api.webhook SET round = round + 1, read_in = first.recorded_in, read_id = first.id - 1 FROM first "
            "WHERE webhook.id = $1 AND (read_in, read_id) > (first.recorded_in, first.id - 1)",
            webhook_id,
            since,
        )
    return await webhook(webhook_id)


async def retry_delivery(webhook_id: int, delivery_id: int, *, at: datetime) -> Delivery:
    """Take a dead delivery up again. Raises `NotFound`."""
    async with database.transaction():
        await webhook(webhook_id, lock=True)
        revived = await database.execute(
            "UPDATE api.delivery SET status = 'pending', attempts = 0, next_at = $3, finished_at = NULL "
            "WHERE id = $2 AND webhook_id = $1 AND status = 'dead'",
            webhook_id,
            delivery_id,
            at,
        )
        if not revived:
            raise NotFound(kind="dead delivery", name=delivery_id)
    return (await deliveries(webhook_id, delivery_id=delivery_id))[0]


async def webhook(webhook_id: int, *, lock: bool = False) -> Webhook:
    """One webhook. Raises `NotFound`."""
    found = await webhooks(webhook_id=webhook_id, lock=lock)
    if not found:
        raise NotFound(kind="webhook", name=webhook_id)
    return found[0]


async def webhooks(
    *, before: int | None = None, limit: int = 50, webhook_id: int | None = None, lock: bool = False
) -> list[Webhook]:
    """Webhooks, newest first, from before the webhook `before`."""
    rows = await database.rows(
        "SELECT id, url, events, description, status, failing_since, last_error, delivered, created_at, "
        "(SELECT count(*) FROM api.delivery d WHERE d.webhook_id = w.id AND d.status = 'pending') AS pending, "
        "(SELECT count(*) FROM api.delivery d WHERE d.webhook_id = w.id AND d.status = 'dead') AS dead "
        "FROM api.webhook w WHERE removed_at IS NULL AND ($1::bigint IS NULL OR id < $1) AND ($3::bigint IS NULL OR id = $3) "
        f"ORDER BY id DESC LIMIT $2{' FOR NO KEY UPDATE OF w' if lock else ''}",
        before,
        limit,
        webhook_id,
    )
    return [Webhook(**dict(row)) for row in rows]


async def deliveries(
    webhook_id: int,
    *,
    before: int | None = None,
    limit: int = 50,
    status: str | None = None,
    delivery_id: int | None = None,
) -> list[Delivery]:
    """A webhook's deliveries, newest first, from before the delivery `before`."""
    rows = await database.rows(
        "SELECT d.id, d.event_id, e.kind, d.status, d.attempts, CASE WHEN d.status = 'pending' THEN d.next_at END AS next_at, "
        "d.answer, d.error, d.finished_at FROM api.delivery d JOIN membership.event e ON e.id = d.event_id "
        "WHERE d.webhook_id = $1 AND ($2::bigint IS NULL OR d.id < $2) AND ($4::text IS NULL OR d.status = $4) "
        "AND ($5::bigint IS NULL OR d.id = $5) ORDER BY d.id DESC LIMIT $3",
        webhook_id,
        before,
        limit,
        status,
        delivery_id,
    )
    return [Delivery(**dict(row)) for row in rows]


def signing_secrets(row: database.Row, *, at: datetime) -> list[str]:
    """The secrets that sign now: the present one, and for a while the one before."""
    sealed = [row["secret"]]
    if row["previous_secret"] is not None and row["previous_until"] > at:
        sealed.append(row["previous_secret"])
    return [unseal(each).decode() for each in sealed]


async def _check(url: str) -> None:
    if len(url) > 2000:
        raise InvalidInput(field="url", why="is too long")
    await check_url(url, private=settings().webhook_private_addresses == "allow")


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
