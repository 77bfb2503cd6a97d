"""What every command shares: one event loop with a connected, migrated database; errors in a sentence; JSON on request."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import asyncpg
import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

import database
from api.migrations import NotMigrated, migrate, pending
from errors import DomainError
from settings import settings

Result = TypeVar("Result")
console = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on standard output and nothing else there."
)


def run(work: Callable[[], Coroutine[Any, Any, Result]], *, migrated: bool = True) -> Result:
    """Run a command's work. A refusal ends with its message and exit status 1, without a trace."""

    async def connected() -> Result:
        async with database.connected():
            if migrated:
                await _ensure_migrated()
            return await work()

    try:
        return asyncio.run(connected())
    except DomainError as error:
        fail(str(error))
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        fail(f"PostgreSQL (DATABASE_URL) does not answer: {error}")
    except asyncpg.DiskFullError:
        fail("PostgreSQL's disk is full; nothing was changed. Make room and run the command again.")


async def reachable() -> None:
    """Raises `Unreachable` unless the database answers now."""
    async with database.connected(pool_max=1):
        pass


async def _ensure_migrated() -> None:
    """The embedded database is ours alone and follows the program; another is its operator's to migrate."""
    if not settings().database_url:
        await migrate()
    elif waiting := await pending():
        raise NotMigrated(pending=waiting)


def fail(message: str) -> NoReturn:
    """End with a message."""
    _errors.print("[red]error:[/]", Text(message))
    sys.exit(1)


def show(result: msgspec.Struct | dict[str, Any], *, as_json: bool, otherwise: Callable[[], None]) -> None:
    """Print a result as JSON, or for people."""
    if as_json:
        click.echo(msgspec.json.encode(result, enc_hook=str).decode())
    else:
        otherwise()


@contextmanager
def progress(what: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar that is told how far things are; silent with `--json` or without a terminal."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=_errors,
        transient=True,
        disable=quiet or not _errors.is_terminal,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done: bar.update(task, completed=done)
