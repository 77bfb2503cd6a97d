"""What a till did while it was offline: replayed exactly once, in order, and never lost.

A till numbers its events without gaps. Each is kept as the till told it before anything is made of it; what cannot be booked yet is
parked and tried again with every later batch. The goods are gone and the money is in the drawer, so a sale is booked as it was:
at the price that was charged, under the rules of its day, and what does not fit is told as a conflict.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal

import msgspec

import database
from errors import DomainError, InvalidInput
from loyalty.checkout import Offline, checkout
from loyalty.errors import AccountFrozen, InsufficientFunds
from loyalty.funds import funds
from loyalty.households import pool_of
from loyalty.locks import lock_accounts
from loyalty.programme import the_programme
from loyalty.returns import take_back
from loyalty.sales import Basket, ReturnedLine, Sale
from membership.cards import member_of_card
from membership.errors import CardReplaced, InvalidCard, MemberErased, UnknownMember
from stores.errors import UnknownReceipt
from stores.receipts import find_receipt

Status = Literal["done", "conflict", "parked", "waiting", "lost"]
BATCH_MAX = 500


class OfflineSale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="sale"):
    """A sale. `basket` is as a checkout takes it, `charged` what the customer was charged before points and stored value."""

    number: str
    basket: Basket
    charged: int


class OfflineReturn(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="return"
):
    """Goods that came back, by the number of their receipt at this till, or at another of the store."""

    number: str
    business_time: datetime
    sale_number: str
    lines: list[ReturnedLine]
    sale_till: str | None = None


class TillEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it was told: `body` is the text that was signed."""

    sequence: int
    body: str


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event. One that waits does so for the ones missing before it; `again` was told before."""

    sequence: int
    status: Status
    receipt_id: int | None = None
    earned: int = 0
    conflicts: list[dict[str, Any]] = []
    why: str = ""
    again: bool = False


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch. `next` is the sequence that is expected; `missing` are those that others of the batch wait for."""

    items: list[Settled]
    next: int
    missing: list[int]


async def sync(
    events: Sequence[TillEvent],
    *,
    store: str,
    till: str,
    lost: Sequence[int] = (),
    staff_id: int | None = None,
    segments: Mapping[str, frozenset[str]] | None = None,
) -> Synced:
    """Replay a batch. `lost` are sequences that the till knows it will never tell: the gap is closed without them. `segments` are
    those of members, by card, if any rule asks."""
    if len(events) > BATCH_MAX:
        raise InvalidInput(field="events", why=f"at most {BATCH_MAX} at a time")
    for sequence in (*(event.sequence for event in events), *lost):
        if not 0 < sequence < 2**62:
            raise InvalidInput(field="events.sequence", why=f"{sequence} must be above zero")
    store_id = await database.value("SELECT id FROM stores.store WHERE code = $1", store)
    replay = _Replay(store_id, store, till, staff_id, segments or {})
    await replay.retry_parked()
    told: dict[int, TillEvent | None] = dict.fromkeys(lost)
    told |= {event.sequence: event for event in events}
    items = [await replay.settle(sequence, told[sequence]) for sequence in sorted(told)]
    expected = await replay.expected()
    waiting = [item.sequence for item in items if item.status == "waiting"]
    missing = [number for number in range(expected, max(waiting, default=expected)) if number not in told][:BATCH_MAX]
    return Synced(items=items, next=expected, missing=missing)


class _Replay:
    """The events of one till, each in a transaction of its own and one till's at a time."""

    def __init__(
        self, store_id: int, store: str, till: str, staff_id: int | None, segments: Mapping[str, frozenset[str]]
    ) -> None:
        self._store_id, self._store, self._till = store_id, store, till
        self._staff_id, self._segments = staff_id, segments

    async def expected(self) -> int:
        """The next sequence."""
        return int(
            await database.value(
                "SELECT coalesce(max(sequence), 0) + 1 FROM loyalty.till_event WHERE (store_id, till) = ($1, $2)",
                self._store_id,
                self._till,
            )
        )

    async def settle(self, sequence: int, event: TillEvent | None) -> Settled:
        """Replay one event, unless it was before, or others are missing before it."""
        return await database.retried(partial(self._settle, sequence, event))

    async def _settle(self, sequence: int, event: TillEvent | None) -> Settled:
        async with database.transaction():
            await self._lock()
            known = await database.row(
                "SELECT status, digest, result FROM loyalty.till_event WHERE (store_id, till, sequence) = ($1, $2, $3)",
                self._store_id,
                self._till,
                sequence,
            )
            if known is not None and known["status"] != "lost":
                return _known(sequence, known, event)
            if known is None and sequence != await self.expected():
                return Settled(sequence=sequence, status="waiting", why="events before it are missing")
            settled = await self._apply(event) if event is not None else Settled(sequence=sequence, status="lost")
            await self._keep(settled, event)
            return settled

    async def retry_parked(self) -> None:
        """Try again what could not be booked before."""
        rows = await database.rows(
            "SELECT sequence, body FROM loyalty.till_event WHERE (store_id, till) = ($1, $2) AND status = 'parked' ORDER BY sequence",
            self._store_id,
            self._till,
        )
        for row in rows:
            await database.retried(partial(self._retry, TillEvent(sequence=row["sequence"], body=row["body"])))

    async def _retry(self, event: TillEvent) -> None:
        async with database.transaction():
            await self._lock()
            if await self._is_parked(event.sequence):  # as it is under the lock
                await self._keep(await self._apply(event), event)

    async def _is_parked(self, sequence: int) -> bool:
        return bool(
            await database.value(
                "SELECT status = 'parked' FROM loyalty.till_event WHERE (store_id, till, sequence) = ($1, $2, $3)",
                self._store_id,
                self._till,
                sequence,
            )
        )

    async def _lock(self) -> None:
        await database.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"till:{self._store_id}:{self._till}"
        )

    async def _keep(self, settled: Settled, event: TillEvent | None) -> None:
        body = event.body if event is not None else ""
        await database.execute(
            "INSERT INTO loyalty.till_event (store_id, till, sequence, status, kind, digest, body, result, settled_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $4 <> 'parked' THEN now() END) "
            "ON CONFLICT (store_id, till, sequence) DO UPDATE SET status = excluded.status, kind = excluded.kind, "
            "digest = excluded.digest, body = excluded.body, result = excluded.result, settled_at = excluded.settled_at",
            self._store_id,
            self._till,
            settled.sequence,
            settled.status,
            _kind(body),
            hashlib.sha256(body.encode()).digest(),
            body,
            msgspec.json.encode(settled).decode(),
        )

    async def _apply(self, event: TillEvent) -> Settled:
        """Book an event, or park it with the reason."""
        try:
            told = msgspec.json.decode(event.body, type=OfflineSale | OfflineReturn)
            async with database.savepoint():  # what fails half-way leaves nothing
                if isinstance(told, OfflineSale):
                    return await self._sell(event.sequence, told)
                return await self._take_back(event.sequence, told)
        except (DomainError, msgspec.MsgspecError) as error:
            return Settled(sequence=event.sequence, status="parked", why=str(error))

    async def _sell(self, sequence: int, told: OfflineSale) -> Settled:
        basket, conflicts = told.basket, []
        if basket.store != self._store:
            raise InvalidInput(field="basket.store", why=f"the till stands in {self._store}")
        if basket.member is not None:
            try:
                await member_of_card(basket.member)
            except (CardReplaced, InvalidCard, MemberErased, UnknownMember) as error:
                conflicts.append({"what": "member", "why": str(error), "member": basket.member})
                points_value = basket.points_to_spend * (await the_programme()).point_value
                uncovered = points_value + basket.stored_value_to_spend
                basket = msgspec.structs.replace(basket, member=None, points_to_spend=0, stored_value_to_spend=0)
                return await self._book(
                    sequence, told, basket, Offline(charged=told.charged, uncovered=uncovered), conflicts
                )
        offline = Offline(charged=told.charged)
        if basket.member is not None and basket.points_to_spend:
            basket, offline = await self._within_allowance(basket, told, conflicts)
        return await self._book(sequence, told, basket, offline, conflicts)

    async def _within_allowance(
        self, basket: Basket, told: OfflineSale, conflicts: list[dict[str, Any]]
    ) -> tuple[Basket, Offline]:
        """Of points that are not there any more as many are owed as the programme allows an offline till; the rest nobody pays."""
        assert basket.member is not None
        programme = await the_programme()
        member_id = await member_of_card(basket.member)
        accounts = await lock_accounts(await pool_of(member_id))
        there = (await funds([account.id for account in accounts.values()], basket.business_time)).usable
        short = max(0, basket.points_to_spend - max(0, there))
        owed = min(short, max(0, programme.offline_points_max - accounts[member_id].debt))
        uncovered = (short - owed) * programme.point_value
        if short:
            why = f"{short} of the points were not there: {owed} are owed, {short - owed} are not covered"
            conflicts.append({"what": "points", "why": why, "short": short, "owed": owed, "uncovered": uncovered})
        basket = msgspec.structs.replace(basket, points_to_spend=basket.points_to_spend - short + owed)
        return basket, Offline(charged=told.charged, overdrawn=owed, uncovered=uncovered)

    async def _book(
        self, sequence: int, told: OfflineSale, basket: Basket, offline: Offline, conflicts: list[dict[str, Any]]
    ) -> Settled:
        sale = await self._check_out(told, basket, offline, conflicts)
        conflicts += [
            {"what": "voucher", "why": one.reason.text(), "code": one.code}
            for one in sale.vouchers
            if one.reason is not None
        ]
        if sale.priced != sale.total:
            why = f"{sale.total} was charged, {sale.priced} is its price"
            conflicts.append({"what": "price", "why": why, "charged": sale.total, "priced": sale.priced})
        status: Status = "conflict" if conflicts else "done"
        return Settled(
            sequence=sequence, status=status, receipt_id=sale.receipt_id, earned=sale.earned, conflicts=conflicts
        )

    async def _check_out(
        self, told: OfflineSale, basket: Basket, offline: Offline, conflicts: list[dict[str, Any]]
    ) -> Sale:
        common: dict[str, Any] = {"till": self._till, "number": told.number, "staff_id": self._staff_id}
        common["segments"] = self._segments.get(basket.member or "", frozenset())
        try:
            async with database.savepoint():
                return await checkout(basket, offline=offline, **common)
        except (InsufficientFunds, AccountFrozen) as error:
            conflicts.append({"what": "stored_value", "why": str(error), "uncovered": basket.stored_value_to_spend})
            uncovered = offline.uncovered + basket.stored_value_to_spend
            basket = msgspec.structs.replace(basket, stored_value_to_spend=0)
            return await checkout(basket, offline=msgspec.structs.replace(offline, uncovered=uncovered), **common)

    async def _take_back(self, sequence: int, told: OfflineReturn) -> Settled:
        till = told.sale_till or self._till
        try:
            sale = await find_receipt(store_id=self._store_id, till=till, number=told.sale_number)
        except UnknownReceipt:
            raise InvalidInput(
                field="sale_number", why=f"no receipt {told.sale_number} of till {till} has arrived yet"
            ) from None
        back = await take_back(
            sale.id,
            told.lines,
            till=self._till,
            number=told.number,
            business_time=told.business_time,
            staff_id=self._staff_id,
        )
        return Settled(sequence=sequence, status="done", receipt_id=back.receipt_id)


def _known(sequence: int, known: database.Row, event: TillEvent | None) -> Settled:
    settled = msgspec.json.decode(known["result"], type=Settled)
    if event is not None and hashlib.sha256(event.body.encode()).digest() != known["digest"]:
        why = "this sequence was told before with other content, which stands"
        return msgspec.structs.replace(
            settled, status="conflict", again=True, conflicts=[{"what": "sequence", "why": why}]
        )
    return msgspec.structs.replace(settled, again=True)


def _kind(body: str) -> str:
    try:
        return str(msgspec.json.decode(body).get("kind", ""))
    except (msgspec.MsgspecError, AttributeError):
        return ""
