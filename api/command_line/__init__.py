"""The command `regulars`."""

from api.command_line.main import main

__all__ = ["main"]
