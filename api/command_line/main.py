"""The commands. Each module holds those of one noun."""

import sys

import click

from api.command_line.campaign import campaign
from api.command_line.demo import demo
from api.command_line.imports import imports
from api.command_line.ledger import ledger
from api.command_line.operation import doctor, migrate_command, serve
from api.command_line.running import fail
from api.command_line.segment import segment
from api.command_line.staff import staff, till
from settings import SettingRefused, settings


@click.group()
@click.version_option(package_name="regulars")
def commands() -> None:
    """Membership and loyalty for retail chains."""
    try:
        settings()
    except SettingRefused as error:
        fail(str(error))


for command in (serve, migrate_command, doctor, demo, imports, segment, ledger, campaign, staff, till):
    commands.add_command(command)


def main() -> None:
    """Entry point; `--help` and usage errors are click's."""
    sys.exit(commands(prog_name="regulars"))
