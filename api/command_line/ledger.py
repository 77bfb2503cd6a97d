"""regulars ledger …"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from api.command_line.running import as_json, console, progress, run, show
from errors import InvalidInput
from loyalty.nightly import NightlyResult, run_nightly
from loyalty.programme import the_programme
from loyalty.rules import RuleSent, checked
from loyalty.simulation import Simulation
from loyalty.simulation import simulate as replay
from loyalty.verification import verify_ledger
from segmentation.rfm import segments_of
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
@click.argument("rules", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The first day whose receipts are replayed."
)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The day after the last.")
@as_json
def simulate(rules: Path, since: datetime, until: datetime, as_json: bool) -> None:
    """Replay past receipts under proposed RULES (a JSON list, as POST /v1/earn-rules takes each); writes nothing."""

    async def work() -> Simulation:
        try:
            sent = msgspec.json.decode(rules.read_bytes(), type=list[RuleSent])
        except msgspec.MsgspecError as error:
            raise InvalidInput(field=str(rules), why=str(error)) from None
        chain = await the_chain()
        with progress("Replaying receipts", quiet=as_json) as bar:

            async def advance(receipts: int) -> None:
                bar(receipts)

            return await replay(
                await the_programme(),
                [checked(rule) for rule in sent],
                since=moment(since.date(), chain),
                until=moment(until.date(), chain),
                segments=await segments_of(),
                progress=advance,
            )

    result = run(work)

    def words() -> None:
        console.print(
            f"{result.receipts:,} receipts of {result.members:,} members: {result.before.points:,} points as the rules are, "
            f"{result.after.points:,} as proposed."
        )
        for tier in result.tiers:
            console.print(
                f"  {tier.tier or 'without a tier'}: {tier.winners:,} win, {tier.losers:,} lose of {tier.members:,}"
            )

    show(result, as_json=as_json, otherwise=words)


@ledger.command()
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The night after this day; by default, all that is due now.",
)
@as_json
def nightly(day: datetime | None, as_json: bool) -> None:
    """Pending points become usable, tiers go up, holds and lots expire, tiers go down. Safe to repeat, and after days off."""

    async def work() -> NightlyResult:
        chain = await the_chain()
        return await run_nightly(moment(day.date() + timedelta(days=1), chain) if day else datetime.now(UTC))

    result = run(work)
    show(
        result,
        as_json=as_json,
        otherwise=lambda: console.print(
            f"{result.tiers_gained:,} tiers gained and {result.tiers_lost:,} lost, {result.holds_expired:,} holds and "
            f"{result.lots_expired:,} lots expired "
            f"({result.points_expired:,} points)."
        ),
    )
