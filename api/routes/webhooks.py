"""Webhooks and their deliveries."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.access.permissions import Principal
from api.etags import IfMatch, check_match, etag, tagged
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from api.paging import Cursor, Limit, number_at, page
from api.webhooks.subscriptions import (
    Delivery,
    Webhook,
    WebhookChange,
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
    webhooks,
)
from stores.changes import given


class WebhookPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Webhook]
    next: str | None


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Delivery]
    next: str | None


class ReplayWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From when on everything is to be told again."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]


class WebhookController(Controller):
    path = "/v1/webhooks"
    tags = ("webhooks",)
    opt = {"permission": "webhooks:write"}

    @get(summary="Webhooks, newest first")
    async def index(self, cursor: Cursor = None, limit: Limit = 50) -> WebhookPage:
        items, after = page(await webhooks(before=number_at(cursor), limit=limit + 1), limit, lambda hook: [hook.id])
        return WebhookPage(items=items, next=after)

    @post(
        summary="Make a webhook; its signing secret is shown this once",
        description="Events of the members' timeline are sent by the Standard Webhooks specification, at least once, in order "
        "for each member.",
        status_code=201,
    )
    async def subscribe(
        self, request: Request[Principal, Any, Any], data: JSONBody[WebhookWanted], idempotency_key: IdempotencyKey = ""
    ) -> Response[WebhookMade]:
        async def write() -> WebhookMade:
            made = await subscribe(data)
            await audit(request.user, "webhook.made", f"webhook:{made.webhook.id}", after=data)
            return made

        return await once(request, idempotency_key, write, sealed=True)

    @get("/{webhook_id:int}", summary="One webhook")
    async def show(self, request: Request[Principal, Any, Any], webhook_id: FromPath[int]) -> Response[Webhook]:
        found = await webhook(webhook_id)
        return tagged(request, found, of=_editable(found))

    @patch("/{webhook_id:int}", summary="Change, pause or take up a webhook")
    async def change(
        self,
        request: Request[Principal, Any, Any],
        webhook_id: FromPath[int],
        data: JSONBody[WebhookChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Webhook]:
        async def write() -> Webhook:
            now = await webhook(webhook_id, lock=True)
            check_match(if_match, _editable(now))
            became = await change_webhook(webhook_id, given(data))
            await audit(request.user, "webhook.changed", f"webhook:{webhook_id}", before=now, after=became)
            return became

        return await once(request, idempotency_key, write, status=200, tag=_tag)

    @delete("/{webhook_id:int}", summary="Remove a webhook", status_code=204)
    async def remove(
        self, request: Request[Principal, Any, Any], webhook_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[None]:
        async def write() -> None:
            await unsubscribe(webhook_id, at=datetime.now(UTC))
            await audit(request.user, "webhook.removed", f"webhook:{webhook_id}")

        return await once(request, idempotency_key, write, status=204)

    @post("/{webhook_id:int}/rotate", summary="Another signing secret; both sign for a day", status_code=201)
    async def rotate(
        self, request: Request[Principal, Any, Any], webhook_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[WebhookMade]:
        async def write() -> WebhookMade:
            made = await rotate_secret(webhook_id, at=datetime.now(UTC))
            await audit(request.user, "webhook.rotated", f"webhook:{webhook_id}")
            return made

        return await once(request, idempotency_key, write, sealed=True)

    @post("/{webhook_id:int}/replay", summary="Tell everything since a moment again", status_code=202)
    async def replay(
        self,
        request: Request[Principal, Any, Any],
        webhook_id: FromPath[int],
        data: JSONBody[ReplayWanted],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Webhook]:
        async def write() -> Webhook:
            replayed = await replay(webhook_id, since=data.since)
            await audit(request.user, "webhook.replayed", f"webhook:{webhook_id}", after=data)
            return replayed

        return await once(request, idempotency_key, write, status=202)

    @get("/{webhook_id:int}/deliveries", summary="Deliveries, newest first; the dead ones are the dead letters")
    async def deliveries(
        self,
        webhook_id: FromPath[int],
        cursor: Cursor = None,
        limit: Limit = 50,
        status: Annotated[
            Literal["pending", "delivered", "dead"] | None, QueryParameter(description="Only deliveries in this state.")
        ] = None,
    ) -> DeliveryPage:
        await webhook(webhook_id)
        found = await deliveries(webhook_id, before=number_at(cursor), limit=limit + 1, status=status)
        items, after = page(found, limit, lambda delivery: [delivery.id])
        return DeliveryPage(items=items, next=after)

    @post(
        "/{webhook_id:int}/deliveries/{delivery_id:int}/retry", summary="Take a dead letter up again", status_code=202
    )
    async def retry(
        self,
        request: Request[Principal, Any, Any],
        webhook_id: FromPath[int],
        delivery_id: FromPath[int],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Delivery]:
        async def write() -> Delivery:
            revived = await retry_delivery(webhook_id, delivery_id, at=datetime.now(UTC))
            await audit(request.user, "webhook.retried", f"webhook:{webhook_id}", after={"delivery": delivery_id})
            return revived

        return await once(request, idempotency_key, write, status=202)


def _tag(body: bytes) -> str:
    return etag(_editable(msgspec.json.decode(body, type=Webhook)))


def _editable(hook: Webhook) -> list[object]:
    """What an ETag is of: the counters beside it move on by themselves."""
    return [hook.url, hook.events, hook.description, hook.status]
