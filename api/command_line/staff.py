"""regulars staff … and regulars till …"""

import sys
from datetime import UTC, datetime

import click

from api.command_line.running import console, run
from stores.staff import ROLES, hire
from stores.tills import enrol_till, offer_enrolment


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
@click.option(
    "--credential", is_flag=True, help="Print the device's credential itself, for whoever sets it up by hand."
)
def enrol(store: str, code: str, credential: bool) -> None:
    """Make a till, or ready one for another device, and print the one-time code that the device signs in with."""

    async def work() -> str:
        if credential:
            return await enrol_till(store, code)
        return (await offer_enrolment(store, code, at=datetime.now(UTC))).code

    click.echo(run(work))
