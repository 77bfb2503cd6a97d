"""regulars segment …"""

from datetime import UTC, date, datetime

import click

from api.command_line.running import as_json, console, run, show
from segmentation.clusters import ClusterResult, cluster_members
from segmentation.cross_sell import CrossSellResult, relate_products
from segmentation.rfm import RfmResult, score_members
from stores.chain import the_chain
from stores.money import shown

as_of_option = click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The beginning of this day in the chain's time zone; today by default.",
)


@click.group()
def segment() -> None:
    """Compute segments and suggestions; every run is recorded."""


async def _day(as_of: datetime | None) -> date:
    return as_of.date() if as_of else datetime.now(UTC).astimezone((await the_chain()).zone).date()


@segment.command()
@as_of_option
@click.option("--gross", is_flag=True, help="Count sales lines only; returns are ignored.")
@as_json
def rfm(as_of: datetime | None, gross: bool, as_json: bool) -> None:
    """Recency, frequency and monetary value: eleven named segments."""

    async def work() -> RfmResult:
        return await score_members(await _day(as_of), gross=gross)

    result = run(work)

    def words() -> None:
        console.print(
            f"{result.members:,} members as of {result.as_of}, {shown(result.value, result.currency)}; edges {result.edges}"
        )
        for found in result.segments:
            console.print(f"  {found.name:20} {found.members:7,} members  {found.share_of_value:6.1%} of value")

    show(result, as_json=as_json, otherwise=words)


@segment.command()
@as_of_option
@as_json
def clusters(as_of: datetime | None, as_json: bool) -> None:
    """Groups that buy alike, as many as are stable."""

    async def work() -> ClusterResult:
        return await cluster_members(await _day(as_of))

    result = run(work)

    def words() -> None:
        stable = ", ".join(f"{k}: {value:.2f}" for k, value in result.stability.items())
        console.print(f"{result.k} clusters of {result.members:,} members (stability by k: {stable})")
        for found in result.clusters:
            console.print(
                f"  {found.label}  {found.members:6,} members, {found.share_of_value:5.1%} of value: {found.words}"
            )

    show(result, as_json=as_json, otherwise=words)


@segment.command("cross-sell")
@as_of_option
@as_json
def cross_sell(as_of: datetime | None, as_json: bool) -> None:
    """What is bought together more often than chance."""

    async def work() -> CrossSellResult:
        return await relate_products(await _day(as_of))

    result = run(work)
    show(
        result,
        as_json=as_json,
        otherwise=lambda: console.print(
            f"{result.pairs:,} suggestions from {result.baskets:,} baskets of {result.products:,} products"
        ),
    )
