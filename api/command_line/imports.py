"""regulars import …"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from api.command_line.running import as_json, console, progress, run, show
from api.imports.receipts import ReceiptImport, import_receipts
from api.imports.tables import TableImport, import_members, import_products, import_stores
from stores.profiles import RECEIPT_PROFILES

file = click.argument("file", type=click.Path(path_type=Path))
dry_run = click.option("--dry-run", is_flag=True, help="Do everything, then undo it and say what would have changed.")
delimiter = click.option("--delimiter", default=",", show_default=True, help="What separates the columns.")


@click.group("import")
def imports() -> None:
    """Bring stores, products, members and receipts in from files."""


@imports.command()
@file
@click.option("--profile", type=click.Choice(sorted(RECEIPT_PROFILES)), default="regulars", show_default=True)
@click.option("--award-points", is_flag=True, help="Post the points that the receipts earn by the base rule.")
@dry_run
@delimiter
@as_json
def receipts(file: Path, profile: str, award_points: bool, dry_run: bool, delimiter: str, as_json: bool) -> None:
    """Receipt lines; a second run changes nothing."""

    async def work() -> ReceiptImport:
        with progress("Importing lines", quiet=as_json) as bar:
            return await import_receipts(
                file, profile=profile, award_points=award_points, dry_run=dry_run, delimiter=delimiter, progress=bar
            )

    result = run(work)

    def words() -> None:
        console.print(
            f"{'[yellow]Dry run:[/] ' if result.dry_run else ''}{result.rows:,} rows in {result.seconds} s: {result.receipts:,} "
            f"receipts with {result.lines:,} lines added, {result.unchanged:,} unchanged; {result.members:,} members, "
            f"{result.products:,} products, {result.stores} stores made."
        )
        console.print(
            f"Returns: {result.matched_returns:,} lines matched to their sale, {result.blind_returns:,} blind. Points: "
            f"{result.points.earned:,} earned, {result.points.clawed_back:,} clawed back in {result.points.entries:,} entries."
        )
        _rejected(result.rejected, result.rejects)

    show(result, as_json=as_json, otherwise=words)


def _table_command(name: str, work: Callable[..., Awaitable[TableImport]], help_text: str) -> None:
    def command(file: Path, dry_run: bool, delimiter: str, as_json: bool) -> None:
        async def import_it() -> TableImport:
            with progress(f"Importing {name}", quiet=as_json) as bar:
                return await work(file, dry_run=dry_run, delimiter=delimiter, progress=bar)

        result = run(import_it)

        def words() -> None:
            console.print(
                f"{'[yellow]Dry run:[/] ' if result.dry_run else ''}{result.rows:,} rows in {result.seconds} s: "
                f"{result.added:,} added, {result.unchanged:,} there already."
            )
            _rejected(result.rejected, result.rejects)

        show(result, as_json=as_json, otherwise=words)

    decorated: Any = command
    for option in (as_json, delimiter, dry_run, file):
        decorated = option(decorated)
    imports.command(name, help=help_text)(decorated)


for _name, _work, _help in (
    ("stores", import_stores, "Stores by code."),
    ("products", import_products, "Products by SKU."),
    ("members", import_members, "Members by external reference."),
):
    _table_command(_name, _work, _help)


def _rejected(count: int, where: str | None) -> None:
    if count:
        console.print(f"[yellow]{count:,} rows rejected[/]; {where} says why.")
