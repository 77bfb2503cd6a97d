"""A till that was offline tells what it did meanwhile."""

import hmac
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, post
from litestar.params import JSONBody

from api.access.permissions import Principal
from api.errors import NotPermitted
from errors import InvalidInput
from loyalty.offline import BATCH_MAX, OfflineReturn, OfflineSale, Synced, TillEvent, sync
from loyalty.programme import the_programme
from membership.cards import members_of_cards
from segmentation.rfm import segments_of
from stores.tills import signing_key


class SignedEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event: `body` is JSON as text, of the kind `sale` or `return`; `signature` is the hexadecimal HMAC-SHA256 of
    `{sequence}.{body}` under the SHA-256 of the device's credential."""

    sequence: Annotated[int, msgspec.Meta(ge=1, lt=2**62)]
    body: Annotated[str, msgspec.Meta(max_length=200_000)]
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class SyncSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events in any order, those told before among them if the till is not sure. `lost` are sequences that it will never tell."""

    events: Annotated[list[SignedEvent], msgspec.Meta(max_length=BATCH_MAX)]
    lost: Annotated[list[Annotated[int, msgspec.Meta(ge=1, lt=2**62)]], msgspec.Meta(max_length=BATCH_MAX)] = []


class TillSyncController(Controller):
    path = "/v1/tills/sync"
    tags = ("till",)
    opt = {"permission": "till:sync"}

    @post(
        summary="Replay what a till did while it was offline",
        description="Each event exactly once and in the order of its sequence; after a gap the rest waits. A sale is booked as it was, "
        "what does not fit is told as a conflict; what cannot be booked yet is parked and tried again with the next batch.",
        status_code=200,
    )
    async def sync(self, request: Request[Principal, Any, Any], data: JSONBody[SyncSent]) -> Synced:
        """Without an Idempotency-Key: every event is known by its sequence, and is a transaction of its own, so that a long batch
        neither holds other tills up nor fails as a whole."""
        principal = request.user
        if principal.till is None or principal.till_id is None or principal.here is None:
            raise NotPermitted(permission="till:sync", role=principal.role)
        await _check_signatures(principal.till_id, data.events)
        events = [TillEvent(sequence=event.sequence, body=event.body) for event in data.events]
        return await sync(
            events,
            store=principal.here,
            till=principal.till,
            lost=data.lost,
            staff_id=principal.staff_id,
            segments=await _segments(events),
        )


async def _check_signatures(till_id: int, events: list[SignedEvent]) -> None:
    key = await signing_key(till_id)
    for place, event in enumerate(events):
        expected = hmac.digest(key, f"{event.sequence}.{event.body}".encode(), "sha256").hex()
        if not hmac.compare_digest(expected, event.signature):
            raise InvalidInput(
                field=f"events[{place}].signature", why="does not fit; it is made with the credential this till has now"
            )


async def _segments(events: list[TillEvent]) -> dict[str, frozenset[str]]:
    """The segments of the members in the batch, by card, if any rule asks."""
    if not (await the_programme(cached=True)).segments_asked:
        return {}
    cards = set()
    for event in events:
        try:
            told = msgspec.json.decode(event.body, type=OfflineSale | OfflineReturn)
        except msgspec.MsgspecError:
            continue
        if isinstance(told, OfflineSale) and told.basket.member is not None:
            cards.add(told.basket.member)
    members = await members_of_cards(sorted(cards))
    found = await segments_of(list(members.values()))
    return {card: found.get(member, frozenset()) for card, member in members.items()}
