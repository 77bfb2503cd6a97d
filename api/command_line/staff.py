"""regulars staff … and regulars till …"""

import sys

import click

from api.command_line.running import console, run
from stores.staff import ROLES, hire
from stores.tills import enrol_till


@click.group()
def staff() -> None:
    """Staff accounts."""


@staff.command()
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--name", default="")
@click.option("--store", "stores", multiple=True, help="Store code; repeat it. Cashiers and store managers need one.")
@click.option("--password-stdin", is_flag=True, required=True, help="Read the password from standard input.")
def create(email: str, role: str, name: str, stores: tuple[str, ...], password_stdin: bool) -> None:
    """Create a staff account."""
    password = sys.stdin.readline().rstrip("\n")

    async def work() -> None:
        await hire(email=email, name=name, role=role, password=password, stores=list(stores))  # type: ignore[arg-type]  # click.Choice

    run(work)
    console.print(f"{email} may sign in as {role}.")


@click.group()
def till() -> None:
    """Till devices."""


@till.command()
@click.argument("store")
@click.argument("code")
def enrol(store: str, code: str) -> None:
    """Make a till, or give it a new credential, and print the credential once."""

    async def work() -> str:
        return await enrol_till(store, code)

    click.echo(run(work))
