"""regulars ledger …"""

import sys
from datetime import UTC, datetime, timedelta

import click

from api.command_line.running import as_json, console, run, show
from loyalty.nightly import NightlyResult, run_nightly
from loyalty.verification import verify_ledger
from segmentation.runs import moment
from stores.chain import the_chain


@click.group()
def ledger() -> None:
    """Check the points ledger and run its nightly order."""


@ledger.command()
@as_json
def verify(as_json: bool) -> None:
    """Recompute balances, lots and hash chains; exit status 1 at a break."""
    result = run(verify_ledger)

    def words() -> None:
        console.print(
            f"{result.accounts:,} accounts, {result.entries:,} entries, {result.lots:,} lots: {'whole' if result.ok else 'BROKEN'}"
        )
        for broken in result.breaks:
            console.print(f"[red]account {broken.account}: {broken.what}[/] {broken.detail}")

    show(result, as_json=as_json, otherwise=words)
    sys.exit(0 if result.ok else 1)


@ledger.command()
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The night after this day; by default, all that is due now.",
)
@as_json
def nightly(day: datetime | None, as_json: bool) -> None:
    """Tiers up, then holds and lots expire. Safe to repeat, and after days off."""

    async def work() -> NightlyResult:
        chain = await the_chain()
        return await run_nightly(moment(day.date() + timedelta(days=1), chain) if day else datetime.now(UTC))

    result = run(work)
    show(
        result,
        as_json=as_json,
        otherwise=lambda: console.print(
            f"{result.tiers_gained:,} tiers gained, {result.holds_expired:,} holds and {result.lots_expired:,} lots expired "
            f"({result.points_expired:,} points)."
        ),
    )
