"""Lots: points with a birthday and a last day. Pure arithmetic; `ledger.py` loads and stores."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """Points that can be spent together. `free` is what is neither used nor held."""

    id: int
    free: int
    activates_at: datetime
    expires_at: datetime | None
    receipt_id: int | None = None


class LotUse(msgspec.Struct, frozen=True):
    """Points taken from one lot."""

    lot_id: int
    points: int


def usable(lots: Sequence[Lot], at: datetime) -> list[Lot]:
    """Lots that can be spent at a moment: active, not expired, something left."""
    return [
        lot
        for lot in lots
        if lot.free > 0 and lot.activates_at <= at and (lot.expires_at is None or lot.expires_at > at)
    ]


def available(lots: Sequence[Lot], at: datetime) -> int:
    """Points that can be spent at a moment."""
    return sum(lot.free for lot in usable(lots, at))


def pending(lots: Sequence[Lot], at: datetime) -> int:
    """Points that become usable later."""
    return sum(lot.free for lot in lots if lot.activates_at > at)


def split_spend(lots: Sequence[Lot], points: int) -> list[LotUse]:
    """Earliest expiry first, never-expiring last, oldest first among equals. The lots must hold enough."""
    uses = []
    for lot in sorted(lots, key=_spending_order):
        if points <= 0:
            break
        taken = min(points, lot.free)
        if taken > 0:
            uses.append(LotUse(lot.id, taken))
            points -= taken
    assert points <= 0, "the caller checks that the lots hold enough"
    return uses


def split_clawback(lots: Sequence[Lot], points: int, *, receipt_id: int, at: datetime) -> list[LotUse]:
    """What can be taken back of an award: first from the purchase's own lots, then as spending would; never more than
    there is."""
    own = [lot for lot in lots if lot.receipt_id == receipt_id and lot.free > 0]
    from_own = min(points, sum(lot.free for lot in own))
    others = [lot for lot in usable(lots, at) if lot.receipt_id != receipt_id]
    from_others = min(points - from_own, sum(lot.free for lot in others))
    return split_spend(own, from_own) + split_spend(others, from_others)


def _spending_order(lot: Lot) -> tuple[bool, datetime, datetime, int]:
    never = lot.expires_at is None
    return (never, lot.activates_at if lot.expires_at is None else lot.expires_at, lot.activates_at, lot.id)


def activation(at: datetime, *, pending_days: int) -> datetime:
    """When points earned at a moment become usable."""
    return at + timedelta(days=pending_days)


def expiry(activates_at: datetime, *, months: int | None, zone: ZoneInfo) -> datetime | None:
    """The end of the month that lies `months` after activation, in the programme's zone: its last moment is still good.

    Rounding up to the end of the month is why 31 January + 1 month needs no rule of its own. The SQL function
    `loyalty.expiry` says the same; a test compares them.
    """
    if months is None:
        return None
    local = activates_at.astimezone(zone)
    month = local.year * 12 + local.month - 1 + months + 1
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=zone)
