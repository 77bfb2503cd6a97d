"""regulars campaign …"""

from datetime import UTC, datetime

import click
import msgspec

from api.command_line.running import as_json, console, fail, progress, run, show
from campaigns.dispatch import Dispatched, dispatch
from campaigns.launch import delivery_counts, launch
from campaigns.planning import campaign as find_campaign
from campaigns.report import CampaignReport, report
from settings import settings
from stores.chain import the_chain
from stores.money import shown


class LaunchResult(msgspec.Struct, frozen=True, kw_only=True):
    """A launch and what was sent of it."""

    campaign: int
    audience: int
    control: int
    skipped: dict[str, int]
    dispatched: Dispatched


@click.group()
def campaign() -> None:
    """Launch campaigns and read their results."""


@campaign.command("launch")
@click.argument("campaign_id", type=int)
@as_json
def launch_command(campaign_id: int, as_json: bool) -> None:
    """Fix audience and control, then send. Again, it goes on where it was interrupted."""
    if not settings().smtp_url:
        fail("SMTP_URL: is needed to send, such as smtp://user:password@mail.example:587")

    async def work() -> LaunchResult:
        now = datetime.now(UTC)
        if (await find_campaign(campaign_id)).status == "draft":
            await launch(campaign_id, at=now)
        with progress("Sending", quiet=as_json) as bar:
            sent = 0

            def counted(more: int) -> None:
                nonlocal sent
                sent += more
                bar(sent)

            dispatched = await dispatch(
                campaign_id, smtp_url=settings().smtp_url, sender=settings().mail_from, at=now, progress=counted
            )
        counts = await delivery_counts(campaign_id)
        return LaunchResult(
            campaign=campaign_id,
            audience=sum(counts.values()),
            control=counts.get(("control", ""), 0),
            skipped={reason: number for (status, reason), number in counts.items() if status == "skipped"},
            dispatched=dispatched,
        )

    result = run(work)
    show(
        result,
        as_json=as_json,
        otherwise=lambda: console.print(
            f"Audience {result.audience:,}: {result.dispatched.sent:,} sent, {result.control:,} held out, "
            f"skipped {result.skipped or 'none'}, {result.dispatched.failed} failed, {result.dispatched.ambiguous} ambiguous."
        ),
    )


@campaign.command()
@click.argument("campaign_id", type=int)
@as_json
def status(campaign_id: int, as_json: bool) -> None:
    """Where a campaign stands."""

    async def work() -> dict[str, object]:
        found = await find_campaign(campaign_id)
        counts = await delivery_counts(campaign_id)
        return {
            "campaign": campaign_id,
            "name": found.name,
            "status": found.status,
            "deliveries": {
                f"{state} ({reason})" if reason else state: number for (state, reason), number in counts.items()
            },
        }

    result = run(work)
    show(
        result,
        as_json=as_json,
        otherwise=lambda: console.print(
            f"{result['name']}: {result['status']}, {result['deliveries'] or 'nothing queued'}"
        ),
    )


@campaign.command("report")
@click.argument("campaign_id", type=int)
@as_json
def report_command(campaign_id: int, as_json: bool) -> None:
    """Expected beside actual, and the effect against the control."""

    async def work() -> tuple[CampaignReport, str]:
        return await report(campaign_id, at=datetime.now(UTC)), (await the_chain()).currency

    result, currency = run(work)
    show(result, as_json=as_json, otherwise=lambda: print_report(result, currency))


def print_report(result: CampaignReport, currency: str) -> None:
    """A report for people."""
    effect = result.effect
    console.print(f"{result.name}: {result.status}; {result.deliveries}")
    console.print(
        f"  response  treated {result.treated.response:.1%} of {result.treated.members:,} (expected {result.response.expected:.1%}), "
        f"control {result.control.response:.1%} of {result.control.members:,}"
    )
    console.print(
        f"  effect    {effect.response.estimate:+.1%} [{effect.response.low:+.1%}, {effect.response.high:+.1%}] "
        f"(expected {result.uplift.expected:+.1%}); {shown(round(result.incremental_revenue), currency)} incremental revenue"
    )
    console.print(f"  verdict   {effect.verdict}: {effect.because}")
    console.print(
        f"  vouchers  {result.vouchers_used:,} used, {result.points_spent:,} of {result.points_reserved:,} reserved points"
    )
