"""regulars staff … and regulars till …"""

import sys
from datetime import UTC, datetime

import click

import database
from api.access.permissions import Principal
from api.command_line.running import console, run
from api.operation.audit import audit
from stores.staff import ROLES, hire
from stores.tills import enrol_till, offer_enrolment

# Whoever may run commands on the machine: the operating system knows who.
_OPERATOR = Principal(name="command line", role="operator", stores=None)


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
        async with database.transaction():
            staff_id = await hire(email=email, name=name, role=role, password=password, stores=list(stores))  # type: ignore[arg-type]  # click.Choice
            await audit(_OPERATOR, "staff.hired", f"staff:{staff_id}", after={"role": role, "stores": stores})

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
        async with database.transaction():
            if credential:
                made = await enrol_till(store, code)
            else:
                made = (await offer_enrolment(store, code, at=datetime.now(UTC))).code
            await audit(_OPERATOR, "till.enrolled" if credential else "till.offered", f"till:{store}/{code}")
        return made

    click.echo(run(work))
