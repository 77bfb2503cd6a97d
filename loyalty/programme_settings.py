"""The programme's policies as the outside reads and changes them; every state is kept."""

from datetime import date
from typing import Annotated, Literal

import msgspec

import database
from errors import InvalidInput
from loyalty.lots import Clawback, Rounding
from loyalty.versions import publish
from stores.changes import given
from stores.single_row import read_row

Days = Annotated[int, msgspec.Meta(ge=0, le=3650)]
Months = Annotated[int, msgspec.Meta(ge=1, le=600)]
Points = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
Share = Annotated[int, msgspec.Meta(ge=0, le=1000)]
EventName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_-]{1,64}$")]


Metric = Literal["spend", "points", "visits"]
Period = Literal["rolling", "calendar", "anniversary"]
Downgrade = Literal["one_level", "re_evaluate"]


class ProgrammeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How points come, stay and go.

    Points become usable after `pending_days`, on `pending_date`, or when `pending_event` is reported for their receipt; they expire
    `expiry_months` later, rounded up to the end of the month, quarter or year. `clawback` says what covers a return whose points are
    spent. `point_value` is minor units that a point pays, `point_cost_milli` thousandths of one that it is reckoned at. Tiers count
    `tier_metric` over a rolling number of months, the calendar year, or the year since a member joined.
    """

    expiry_months: int | None
    expiry_rounding: Rounding
    pending_days: int
    pending_date: date | None
    pending_event: str | None
    grace_days: int
    hold_minutes: int
    point_value: int
    point_cost_milli: int | None
    breakage_milli: int | None
    clawback: Clawback
    earn_on_tax: bool
    earn_excluded: list[str]
    member_day_max: int | None
    offline_points_max: int
    claim_days: int
    transfer_day_max: int
    topup_bonus_milli: int
    tier_metric: Metric
    tier_period: Period
    tier_months: int
    tier_grace_days: int
    tier_downgrade: Downgrade


class ProgrammeChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; what is left out stays, and null takes away."""

    expiry_months: Months | msgspec.UnsetType | None = msgspec.UNSET
    expiry_rounding: Rounding | msgspec.UnsetType = msgspec.UNSET
    pending_days: Days | msgspec.UnsetType = msgspec.UNSET
    pending_date: date | msgspec.UnsetType | None = msgspec.UNSET
    pending_event: EventName | msgspec.UnsetType | None = msgspec.UNSET
    grace_days: Days | msgspec.UnsetType = msgspec.UNSET
    hold_minutes: Annotated[int, msgspec.Meta(ge=1, le=10_080)] | msgspec.UnsetType = msgspec.UNSET
    point_value: Annotated[int, msgspec.Meta(ge=1, le=10**6)] | msgspec.UnsetType = msgspec.UNSET
    point_cost_milli: Annotated[int, msgspec.Meta(ge=0, le=10**9)] | msgspec.UnsetType | None = msgspec.UNSET
    breakage_milli: Share | msgspec.UnsetType | None = msgspec.UNSET
    clawback: Clawback | msgspec.UnsetType = msgspec.UNSET
    earn_on_tax: bool | msgspec.UnsetType = msgspec.UNSET
    earn_excluded: (
        Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=500)]], msgspec.Meta(max_length=200)]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    member_day_max: Points | msgspec.UnsetType | None = msgspec.UNSET
    offline_points_max: Annotated[int, msgspec.Meta(ge=0, le=10**9)] | msgspec.UnsetType = msgspec.UNSET
    claim_days: Days | msgspec.UnsetType = msgspec.UNSET
    transfer_day_max: Annotated[int, msgspec.Meta(ge=0, le=10**9)] | msgspec.UnsetType = msgspec.UNSET
    topup_bonus_milli: Share | msgspec.UnsetType = msgspec.UNSET
    tier_metric: Metric | msgspec.UnsetType = msgspec.UNSET
    tier_period: Period | msgspec.UnsetType = msgspec.UNSET
    tier_months: Annotated[int, msgspec.Meta(ge=1, le=120)] | msgspec.UnsetType = msgspec.UNSET
    tier_grace_days: Days | msgspec.UnsetType = msgspec.UNSET
    tier_downgrade: Downgrade | msgspec.UnsetType = msgspec.UNSET


async def programme_settings(*, lock: bool = False) -> ProgrammeSettings:
    """The policies as they are; `lock` keeps others from changing them."""
    return await read_row("loyalty.programme", ProgrammeSettings, lock=lock)


async def change_programme(change: ProgrammeChange, *, staff_id: int | None = None) -> ProgrammeSettings:
    """Change policies, from now on: lots that there are keep their dates, entries what they were computed with. Raises
    `InvalidInput` for more than one way of staying pending."""
    async with database.transaction():
        became = msgspec.structs.replace(await programme_settings(lock=True), **given(change))
        ways = [became.pending_days > 0, became.pending_date is not None, became.pending_event is not None]
        if sum(ways) > 1:
            raise InvalidInput(
                field="pending_days", why="give one of pending_days, pending_date and pending_event; null the others"
            )
        body = {name: getattr(became, name) for name in became.__struct_fields__}
        await publish("programme", "programme", body, staff_id=staff_id)
        assignments = ", ".join(f"{name} = ${place}" for place, name in enumerate(body, start=1))
        await database.execute(f"UPDATE loyalty.programme SET {assignments}", *body.values())
    return became
