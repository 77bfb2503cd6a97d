"""Lots: points with a birthday and a last day. Pure arithmetic; `ledger.py` loads and stores."""

from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

FAR: Final = datetime(9999, 1, 1, tzinfo=UTC)  # the activation of lots that wait for an event

Clawback = Literal["only_pending", "within_balance", "allow_debt"]
Rounding = Literal["none", "month", "quarter", "year"]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """When points become usable and for how long. At most one of the three that keep them pending is set."""

    zone: ZoneInfo
    expiry_months: int | None = None
    expiry_rounding: Rounding = "month"
    pending_days: int = 0
    pending_date: date | None = None
    pending_event: str | None = None


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """Points that can be spent together. `free` is what is neither used nor held; `account_id` is whose they are."""

    id: int
    free: int
    activates_at: datetime
    expires_at: datetime | None
    receipt_id: int | None = None
    account_id: int = 0


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


def split_spend(lots: Sequence[Lot], points: int) -> list[LotUse]:
    """Earliest expiry first, never-expiring last, oldest first among equals. The lots must hold enough."""
    uses = []
    for lot in sorted(lots, key=_spending_order):
        if taken := min(points, lot.free):
            uses.append(LotUse(lot.id, taken))
            points -= taken
    assert points == 0, "the caller checks that the lots hold enough"
    return uses


def split_clawback(
    lots: Sequence[Lot], points: int, *, receipt_id: int, at: datetime, policy: Clawback
) -> list[LotUse]:
    """What can be taken back of an award: from the purchase's own lots, the pending before the active, then as spending would;
    with `only_pending` from its own pending lots alone, with `allow_debt` from other pending ones as well before anything is
    owed. Never more than there is."""
    own = [lot for lot in lots if lot.receipt_id == receipt_id and lot.free > 0]
    others = [lot for lot in lots if lot.receipt_id != receipt_id]
    later = [lot for lot in others if lot.free > 0 and lot.activates_at > at]
    sources: tuple[list[Lot], ...] = (
        [lot for lot in own if lot.activates_at > at],
        [] if policy == "only_pending" else [lot for lot in own if lot.activates_at <= at],
        [] if policy == "only_pending" else usable(others, at),
        later if policy == "allow_debt" else [],
    )
    uses: list[LotUse] = []
    for source in sources:
        taken = min(points, sum(lot.free for lot in source))
        uses += split_spend(source, taken)
        points -= taken
    return uses


def _spending_order(lot: Lot) -> tuple[bool, datetime, datetime, int]:
    never = lot.expires_at is None
    return (never, lot.activates_at if lot.expires_at is None else lot.expires_at, lot.activates_at, lot.id)


def activation(at: datetime, terms: Terms) -> tuple[datetime, str | None]:
    """When points earned at a moment become usable, and the event that they wait for, if any."""
    if terms.pending_event is not None:
        return FAR, terms.pending_event
    if terms.pending_date is not None:
        day = terms.pending_date
        return max(at, datetime(day.year, day.month, day.day, tzinfo=terms.zone)), None
    return at + timedelta(days=terms.pending_days), None


def expiry(activates_at: datetime, terms: Terms) -> datetime | None:
    """The moment from which points are gone: so many months after activation in the programme's zone, then up to the end of
    the month, quarter or year.

    A month is a calendar month: 31 January and one month is the end of February. The SQL function `loyalty.expiry` says the
    same; a test compares them.
    """
    if terms.expiry_months is None or activates_at >= FAR:
        return None
    local = activates_at.astimezone(terms.zone)
    month = local.year * 12 + local.month - 1 + terms.expiry_months
    if terms.expiry_rounding == "none":
        day = min(local.day, monthrange(month // 12, month % 12 + 1)[1])
        return local.replace(year=month // 12, month=month % 12 + 1, day=day, fold=0)
    step = {"month": 1, "quarter": 3, "year": 12}[terms.expiry_rounding]
    end = month // step * step + step
    return datetime(end // 12, end % 12 + 1, 1, tzinfo=terms.zone)
