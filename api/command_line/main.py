"""The commands. Each module holds those of one noun, and is imported when one of them is called: scoring brings libraries that
take seconds to load, and a worker or a till's server needs none of them."""

import sys
from importlib import import_module
from typing import Any, Final

import click

from api.command_line.running import fail
from api.operation.logs import configure_logs
from settings import SettingRefused, settings

_COMMANDS: Final = {
    "serve": ("operation", "serve"),
    "worker": ("operation", "worker"),
    "migrate": ("operation", "migrate_command"),
    "doctor": ("operation", "doctor"),
    "demo": ("demo", "demo"),
    "import": ("imports", "imports"),
    "export": ("imports", "exports"),
    "segment": ("segment", "segment"),
    "ledger": ("ledger", "ledger"),
    "campaign": ("campaign", "campaign"),
    "staff": ("staff", "staff"),
    "till": ("staff", "till"),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        found: Any = getattr(import_module(f"api.command_line.{module}"), name)
        assert isinstance(found, click.Command)
        return found


@click.group(cls=_Commands)
@click.version_option(package_name="regulars")
def commands() -> None:
    """Membership and loyalty for retail chains."""
    try:
        configure_logs(form=settings().log_format)
    except SettingRefused as error:
        fail(str(error))


def main() -> None:
    """Entry point; `--help` and usage errors are click's."""
    sys.exit(commands(prog_name="regulars"))
