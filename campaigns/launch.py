"""Launching: the audience is fixed, the control group held out, the budget reserved and the vouchers issued, at once."""

from datetime import datetime

import msgspec

import database
from campaigns.errors import EmptyAudience, WrongState
from campaigns.holdout import HELD_OUT
from campaigns.planning import Campaign, campaign
from loyalty.voucher_batches import TermsSent, issue, publish_terms
from membership.consent import CONSENTING
from membership.tickets import COMPLAINING
from segmentation.runs import newest_run


class Launched(msgspec.Struct, frozen=True, kw_only=True):
    """What a launch made of its audience. The parts sum to it."""

    audience: int
    queued: int
    control: int
    skipped: dict[str, int]
    reserved_points: int


async def launch(campaign_id: int, *, at: datetime) -> Launched:
    """Fix everything about a draft and queue its deliveries. Nothing is sent here."""
    run = await newest_run("rfm")
    async with database.transaction():
        planned = await campaign(campaign_id, lock=True)
        if planned.status != "draft":
            raise WrongState(campaign_id=campaign_id, state=planned.status, wanted="draft")
        audience = await _assign(planned, run.id)
        if audience == 0:
            raise EmptyAudience(segment=planned.segment)
        queued = await _reserve(planned)
        batch = f"campaign:{campaign_id}"
        await publish_terms(
            TermsSent(
                batch=batch,
                name=planned.name,
                kind=planned.offer.kind,
                value=planned.offer.value,
                spend_min=planned.offer.spend_min,
                valid_days=planned.window_days,
            )
        )
        vouchers = await issue(batch, queued, at=at)
        await database.execute(
            "UPDATE campaigns.delivery SET voucher_id = v.voucher_id FROM unnest($2::bigint[], $3::bigint[]) v (member_id, "
            "voucher_id) WHERE campaign_id = $1 AND delivery.member_id = v.member_id",
            campaign_id,
            list(vouchers),
            list(vouchers.values()),
        )
        await database.execute(
            "UPDATE campaigns.campaign SET status = 'running', launched_at = $2, run_id = $3 WHERE id = $1",
            campaign_id,
            at,
            run.id,
        )
        return await _launched(campaign_id, audience)


async def _assign(planned: Campaign, run_id: int) -> int:
    """A delivery row for each member of the segment: held out, to be sent, or skipped with the reason.

    The control is drawn from those who could have been sent something: anyone else would compare the reachable with the
    unreachable.
    """
    held_out = HELD_OUT.format(salt="$3::text", member="score.member_id", percent="$4::int")
    complaining = COMPLAINING.format(member="score.member_id")
    return await database.execute(
        f"""
        INSERT INTO campaigns.delivery (campaign_id, member_id, status, reason)
        SELECT $1, score.member_id,
            CASE WHEN email IS NULL OR consenting.member_id IS NULL OR EXISTS ({complaining}) THEN 'skipped'
                WHEN {held_out} THEN 'control' ELSE 'queued' END,
            CASE WHEN email IS NULL THEN 'no address' WHEN consenting.member_id IS NULL THEN 'no consent'
                WHEN EXISTS ({complaining}) THEN 'open complaint' ELSE '' END
        FROM segmentation.rfm_score score
        JOIN membership.member ON member.id = score.member_id AND member.status = 'active'
        LEFT JOIN ({CONSENTING.format(channel="email")}) consenting ON consenting.member_id = score.member_id
        WHERE score.run_id = $2 AND score.segment = $5
        ORDER BY score.member_id
        """,
        planned.id,
        run_id,
        planned.salt,
        planned.holdout_percent,
        planned.segment,
    )


async def _reserve(planned: Campaign) -> list[int]:
    """Reserve the budget for as many as it reaches; the others are skipped. Who, is drawn by hash and not by value, so that
    the rest stay comparable with the control."""
    rows = await database.rows(
        "SELECT member_id FROM campaigns.delivery WHERE campaign_id = $1 AND status = 'queued' "
        "ORDER BY sha256(convert_to('budget:' || $2::text || ':' || member_id, 'UTF8'))",
        planned.id,
        planned.salt,
    )
    members = [row["member_id"] for row in rows]
    each = planned.voucher_points
    affordable = len(members) if each == 0 else min(len(members), planned.budget_points // each)
    await database.execute(
        "UPDATE campaigns.delivery SET status = 'skipped', reason = 'budget' WHERE campaign_id = $1 AND member_id = ANY($2)",
        planned.id,
        members[affordable:],
    )
    await database.execute(
        "UPDATE campaigns.campaign SET reserved_points = $2 WHERE id = $1", planned.id, affordable * each
    )
    return members[:affordable]


async def _launched(campaign_id: int, audience: int) -> Launched:
    counts = await delivery_counts(campaign_id)
    return Launched(
        audience=audience,
        queued=counts.get(("queued", ""), 0),
        control=counts.get(("control", ""), 0),
        skipped={reason: number for (status, reason), number in counts.items() if status == "skipped"},
        reserved_points=(await campaign(campaign_id)).reserved_points,
    )


async def delivery_counts(campaign_id: int) -> dict[tuple[str, str], int]:
    """Deliveries by status and reason."""
    rows = await database.rows(
        "SELECT status, reason, count(*) AS number FROM campaigns.delivery WHERE campaign_id = $1 GROUP BY 1, 2",
        campaign_id,
    )
    return {(row["status"], row["reason"]): row["number"] for row in rows}
