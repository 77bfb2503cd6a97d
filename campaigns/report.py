"""A campaign's result: expected beside actual, and the effect against the control."""

from datetime import datetime, timedelta

import msgspec

import database
from campaigns.errors import WrongState
from campaigns.launch import delivery_counts
from campaigns.measurement import Arm, Effect, measure
from campaigns.planning import Campaign, campaign
from stores.chain import the_chain


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """A figure as expected at launch and as it came."""

    expected: float
    actual: float


class ArmShown(msgspec.Struct, frozen=True, kw_only=True):
    """One arm as reported. `spend` is minor units a member, net of returns."""

    members: int
    buyers: int
    response: float
    spend: float


class CampaignReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result as of a moment. Money in minor units, rates as shares."""

    campaign: int
    name: str
    status: str
    as_of: datetime
    audience: int
    deliveries: dict[str, int]
    skipped: dict[str, int]
    treated: ArmShown
    control: ArmShown
    response: Against
    uplift: Against
    effect: Effect
    incremental_buyers: float
    incremental_revenue: float
    vouchers_used: int
    points_reserved: int
    points_spent: int


async def report(campaign_id: int, *, at: datetime) -> CampaignReport:
    """Measure a launched campaign as of a moment. Returns within the window are netted."""
    planned = await campaign(campaign_id)
    if planned.launched_at is None:
        raise WrongState(campaign_id=campaign_id, state=planned.status, wanted="launched")
    ends = planned.launched_at + timedelta(days=planned.window_days)
    arms = await _arms(planned, min(at, ends))
    treated, control = arms["treated"], arms["control"]
    zone = (await the_chain()).zone
    effect = measure(
        treated,
        control,
        holdout_percent=planned.holdout_percent,
        expected_response=planned.expected.response,
        expected_uplift=planned.expected.uplift,
        open_until=ends.astimezone(zone).date().isoformat() if at < ends else "",
    )
    counts = await delivery_counts(campaign_id)
    used = await database.value(
        "SELECT count(*) FROM loyalty.voucher JOIN loyalty.voucher_terms t ON t.id = terms_id WHERE t.batch = $1 AND uses > 0",
        f"campaign:{campaign_id}",
    )
    by_status: dict[str, int] = {}
    for (status, _), number in sorted(counts.items()):
        by_status[status] = by_status.get(status, 0) + number
    return CampaignReport(
        campaign=campaign_id,
        name=planned.name,
        status=planned.status,
        as_of=at,
        audience=sum(counts.values()),
        deliveries=by_status,
        skipped={reason: number for (status, reason), number in sorted(counts.items()) if status == "skipped"},
        treated=_shown(treated),
        control=_shown(control),
        response=Against(expected=planned.expected.response, actual=treated.rate),
        uplift=Against(expected=planned.expected.uplift, actual=effect.response.estimate),
        effect=effect,
        incremental_buyers=effect.response.estimate * treated.members,
        incremental_revenue=effect.spend.estimate * treated.members,
        vouchers_used=used,
        points_reserved=planned.reserved_points,
        points_spent=used * planned.voucher_points,
    )


async def _arms(planned: Campaign, until: datetime) -> dict[str, Arm]:
    """Everyone as assigned, whatever became of their message; those skipped before assignment are in neither arm."""
    rows = await database.rows(
        """
        SELECT arm, count(*) AS members, count(*) FILTER (WHERE bought) AS buyers, sum(spend)::bigint AS spend,
            sum(spend::numeric * spend)::numeric AS spend_squared
        FROM (
            SELECT CASE WHEN d.status = 'control' THEN 'control' ELSE 'treated' END AS arm,
                coalesce(bool_or(r.kind = 'sale'), false) AS bought, coalesce(sum(r.total), 0) AS spend
            FROM campaigns.delivery d
            LEFT JOIN stores.receipt r ON r.member_id = d.member_id AND r.kind <> 'adjustment'
                AND r.business_time >= $2 AND r.business_time < $3
            WHERE d.campaign_id = $1 AND (d.status <> 'skipped' OR d.voucher_id IS NOT NULL)
            GROUP BY d.member_id, d.status
        ) members GROUP BY arm
        """,
        planned.id,
        planned.launched_at,
        until,
    )
    found = {
        row["arm"]: Arm(
            members=row["members"], buyers=row["buyers"], spend=row["spend"], spend_squared=int(row["spend_squared"])
        )
        for row in rows
    }
    empty = Arm(members=0, buyers=0, spend=0, spend_squared=0)
    return {"treated": found.get("treated", empty), "control": found.get("control", empty)}


def _shown(arm: Arm) -> ArmShown:
    return ArmShown(members=arm.members, buyers=arm.buyers, response=arm.rate, spend=arm.mean)
