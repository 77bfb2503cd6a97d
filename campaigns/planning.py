"""Drafting a campaign: whom, what, at what budget, and what is expected of it."""

import secrets
from datetime import datetime
from typing import Annotated, Any

import msgspec

import database
from campaigns.content import DEFAULT_CONTENT, Content, check
from campaigns.errors import UnknownCampaign
from errors import InvalidInput
from loyalty.vouchers import VoucherKind
from segmentation.rfm_map import NAMES


class Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The voucher each recipient gets: `value` is minor units, percent or points by `kind`."""

    kind: VoucherKind
    value: Annotated[int, msgspec.Meta(gt=0)]
    spend_min: Annotated[int, msgspec.Meta(ge=0)] = 0


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the marketer expects: the share of the treated that buys within the window, and how much of it is the campaign's
    doing (treated less control). Locked at launch."""

    response: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    uplift: Annotated[float, msgspec.Meta(gt=0, lt=1)]


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign to one RFM segment."""

    name: str
    segment: str
    offer: Offer
    expected: Expected
    budget_points: Annotated[int, msgspec.Meta(ge=0)]
    holdout_percent: Annotated[int, msgspec.Meta(ge=0, le=50)] = 20
    window_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30
    content: dict[str, Content] = {}


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign as it stands. Budget figures are points; `voucher_points` is what one voucher takes of them."""

    id: int
    name: str
    segment: str
    status: str
    offer: Offer
    expected: Expected
    budget_points: int
    reserved_points: int
    voucher_points: int
    holdout_percent: int
    window_days: int
    salt: str
    created_at: datetime
    launched_at: datetime | None
    run_id: int | None


async def draft(plan: Draft, *, point_value: int, salt: str | None = None) -> int:
    """Write a campaign down; its id. `point_value` (minor units a point pays) turns money offers into budget points; `salt`
    fixes who will be held out, and is random unless given."""
    if plan.segment not in NAMES:
        raise InvalidInput(field="segment", why=f"{plan.segment!r} is none of {', '.join(NAMES)}")
    if not plan.name.strip():
        raise InvalidInput(field="name", why="is needed")
    if plan.expected.uplift >= plan.expected.response:
        raise InvalidInput(
            field="expected.uplift", why="must be below the expected response: the control buys something too"
        )
    unknown = set(plan.content) - set(DEFAULT_CONTENT)
    if unknown:
        raise InvalidInput(field="content", why=f"{', '.join(sorted(unknown))} is none of {', '.join(DEFAULT_CONTENT)}")
    contents = DEFAULT_CONTENT | plan.content
    check(contents)
    async with database.transaction():
        campaign_id = await database.value(
            "INSERT INTO campaigns.campaign (name, segment, holdout_percent, salt, budget_points, voucher_kind, voucher_value, "
            "voucher_points, spend_min, window_days, expected_response, expected_uplift) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
            plan.name.strip(),
            plan.segment,
            plan.holdout_percent,
            salt or secrets.token_hex(8),
            plan.budget_points,
            plan.offer.kind,
            plan.offer.value,
            _budget_points(plan.offer, point_value),
            plan.offer.spend_min,
            plan.window_days,
            plan.expected.response,
            plan.expected.uplift,
        )
        for language, content in contents.items():
            await database.execute(
                "INSERT INTO campaigns.content VALUES ($1, $2, $3, $4)",
                campaign_id,
                language,
                content.subject,
                content.body,
            )
    return int(campaign_id)


def _budget_points(offer: Offer, point_value: int) -> int:
    """What one voucher takes of the budget: its points, or its money in points rounded up. A percentage is counted on its
    minimum spend, the least that is known of the basket."""
    if offer.kind == "bonus_points":
        return offer.value
    money = offer.value if offer.kind == "amount_off" else offer.spend_min * offer.value // 100
    return -(-money // point_value)


async def campaign(campaign_id: int, *, lock: bool = False) -> Campaign:
    """One campaign. Raises `UnknownCampaign`. `lock` holds it until the transaction ends."""
    row = await database.row(
        f"SELECT * FROM campaigns.campaign WHERE id = $1{' FOR NO KEY UPDATE' if lock else ''}", campaign_id
    )
    if row is None:
        raise UnknownCampaign(campaign_id=campaign_id)
    return _campaign(dict(row))


async def campaigns(*, before: int | None = None, limit: int = 50, status: str | None = None) -> list[Campaign]:
    """Campaigns, newest first, from before the campaign `before`; only those in a state when it is given."""
    rows = await database.rows(
        "SELECT * FROM campaigns.campaign WHERE ($1::bigint IS NULL OR id < $1) AND ($3::text IS NULL OR status = $3) "
        "ORDER BY id DESC LIMIT $2",
        before,
        limit,
        status,
    )
    return [_campaign(dict(row)) for row in rows]


def _campaign(row: dict[str, Any]) -> Campaign:
    offer = Offer(kind=row["voucher_kind"], value=row["voucher_value"], spend_min=row["spend_min"])
    expected = Expected(response=row["expected_response"], uplift=row["expected_uplift"])
    same = {name: row[name] for name in Campaign.__struct_fields__ if name in row}
    return Campaign(**same, offer=offer, expected=expected)
