"""regulars import … and regulars export"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from api.command_line.running import as_json, console, progress, run, show
from api.imports.balances import import_balances
from api.imports.exporting import Exported, Kind, export
from api.imports.members import MemberImport, import_members, undo_import
from api.imports.receipts import ReceiptImport, import_receipts
from api.imports.tables import TableImport, import_products, import_staff, import_stores, import_tills
from loyalty.opening import Opened
from membership.import_undoing import MembersUndone
from stores.import_runs import import_runs
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
    ("staff", import_staff, "Staff by e-mail; they are invited to choose a password."),
    ("tills", import_tills, "Tills by store and code."),
):
    _table_command(_name, _work, _help)


@imports.command()
@file
@click.option("--control-total", required=True, help="What the file must sum to, as its keepers know it.")
@click.option("--unit", type=click.Choice(["points", "money"]), default="points", show_default=True)
@dry_run
@delimiter
@as_json
def balances(file: Path, control_total: str, unit: Any, dry_run: bool, delimiter: str, as_json: bool) -> None:
    """Opening balances of a programme kept elsewhere: columns member, amount, expires_on, store. Whole or not at all, and once."""

    async def work() -> Opened:
        return await import_balances(file, control_total=control_total, unit=unit, delimiter=delimiter, dry_run=dry_run)

    result = run(work)
    said = "taken before, nothing to do" if result.unchanged else "would be posted" if dry_run else "posted"
    show(
        result,
        as_json=as_json,
        otherwise=lambda: console.print(f"{result.rows:,} rows, {result.total:,} in all: {said}."),
    )


@imports.command()
@file
@click.option("--profile", help="A saved set of column names.")
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="What a column is called here; COLUMN= passes over it.",
)
@click.option("--save-as", help="Keep the mapping under this name.")
@click.option(
    "--existing",
    type=click.Choice(["skip", "update", "reject"]),
    default="skip",
    show_default=True,
    help="What becomes of a row whose reference is a member's already.",
)
@dry_run
@delimiter
@as_json
def members(
    file: Path,
    profile: str | None,
    mapped: tuple[str, ...],
    save_as: str | None,
    existing: Any,
    dry_run: bool,
    delimiter: str,
    as_json: bool,
) -> None:
    """Members by external reference, from CSV, Parquet or Excel. The same command again goes on where a run was stopped."""
    names = {column: field for column, _, field in (pair.partition("=") for pair in mapped)}

    async def work() -> MemberImport:
        with progress("Importing members", quiet=as_json) as bar:
            return await import_members(
                file,
                existing=existing,
                profile=profile,
                names=names,
                save_as=save_as,
                dry_run=dry_run,
                delimiter=delimiter,
                progress=bar,
            )

    result = run(work)

    def words() -> None:
        again = f" (gone on after {result.resumed_after:,})" if result.resumed_after else ""
        console.print(
            f"{'[yellow]Dry run:[/] ' if result.dry_run else ''}{result.rows:,} rows in {result.seconds} s{again}: {result.added:,} added, "
            f"{result.changed:,} changed, {result.unchanged:,} unchanged."
        )
        if result.diff:
            console.print(f"{result.diff} says what each row would do.")
        if result.id is not None:
            console.print(f"To take it back: regulars import undo {result.id}")
        _rejected(result.rejected, result.rejects)

    show(result, as_json=as_json, otherwise=words)


@imports.command()
@click.argument("import_id", type=int)
@as_json
def undo(import_id: int, as_json: bool) -> None:
    """Take an import of members back: what it added goes, what it changed is as it was."""

    async def work() -> MembersUndone:
        return await undo_import(import_id, at=datetime.now(UTC))

    result = run(work)

    def words() -> None:
        console.print(
            f"{result.removed:,} members removed, {result.restored:,} as they were before. {result.kept:,} stay, because they have "
            "bought or been served since."
        )

    show(result, as_json=as_json, otherwise=words)


@imports.command()
@as_json
def runs(as_json: bool) -> None:
    """The imports there were, the newest first."""
    result = run(import_runs)

    def words() -> None:
        for each in result:
            console.print(
                f"{each.id:>6}  {each.started_at:%Y-%m-%d %H:%M}  {each.kind:<9} {each.status:<9} {each.counts}  {each.file}"
            )

    show({"items": msgspec.to_builtins(result)}, as_json=as_json, otherwise=words)


@click.command("export")
@click.argument("kind", type=click.Choice(["stores", "products", "members", "receipts"]))
@click.argument("file", type=click.Path(path_type=Path))
@as_json
def exports(kind: Kind, file: Path, as_json: bool) -> None:
    """Write stores, products, members or receipt lines to FILE (.csv, .parquet, .xlsx), as the imports read them."""

    async def work() -> Exported:
        with progress(f"Exporting {kind}", quiet=as_json) as bar:
            return await export(kind, file, progress=bar)

    result = run(work)
    show(result, as_json=as_json, otherwise=lambda: console.print(f"{result.rows:,} rows in {result.file}"))


def _rejected(count: int, where: str | None) -> None:
    if count:
        console.print(f"[yellow]{count:,} rows rejected[/]; {where} says why.")
