"""regulars demo"""

import os
from datetime import UTC, date, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console

from api.command_line.operation import start_server
from api.command_line.running import as_json, run
from api.demo.people import SignIns
from api.demo.story import Story, tell_file, tell_generated, told_already
from settings import settings


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="A file of receipts instead of the generated chain.")
@click.option("--profile", default="online-retail", show_default=True, help="How to read that file.")
@click.option("--no-serve", is_flag=True, help="Stop after the story. So does --json.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@as_json
def demo(data: Path | None, profile: str, no_serve: bool, host: str, port: int, as_json: bool) -> None:
    """A whole chain end to end, then serve it. A second run changes nothing that exists."""
    folder = settings().home / "demo"
    kept = folder / "sign-ins.json"
    out = Console(quiet=as_json, highlight=False)

    def tell(text: str) -> None:
        out.print(text, soft_wrap=not out.is_terminal)

    async def work() -> Story | None:
        if await told_already():
            return None
        out.print("[bold]Regulars[/]: one pass through everything\n")
        if data is not None:
            return await tell_file(data, folder, profile=profile, tell=tell)
        return await tell_generated(folder, end=_end(), tell=tell)

    story = run(work)
    if story is not None and story.sign_ins is not None:
        kept.write_bytes(msgspec.json.encode(story.sign_ins))
        kept.chmod(0o600)
    if as_json:
        click.echo(msgspec.json.encode(story or {"chain": None, "steps": [], "unchanged": True}).decode())
    elif story is None:
        out.print("The demo chain is here already; nothing was changed.")
    else:
        out.print(f"\nDone in [bold]{story.seconds:.0f} s[/].")
    sign_ins = msgspec.json.decode(kept.read_bytes(), type=SignIns) if kept.exists() else None
    if not as_json:
        _addresses(out, sign_ins, host, port)
    if not (no_serve or as_json):
        if settings().regulars_env == "development":
            # To look around nobody should have to set up an authenticator app first.
            os.environ["SECOND_FACTOR"] = "optional"
            settings.cache_clear()  # the server's process is a fork of this one
            out.print("  Here the second factor is optional; 'regulars serve' asks headquarters for one.\n")
        start_server(host, port, 1)


def _end() -> date:
    """The first of this month: the same chain all month long, and never stale."""
    return datetime.now(UTC).date().replace(day=1)


def _addresses(out: Console, sign_ins: SignIns | None, host: str, port: int) -> None:
    base = f"http://{host}:{port}"
    for path, what in (("/", "overview"), ("/rfm", "segments"), ("/till", "the till"), ("/docs", "the API")):
        out.print(f"  {base + path:32} {what}")
    if sign_ins is None:
        out.print(
            "  The till's credential is kept with the REGULARS_HOME of the first run; 'regulars till enrol' makes a new one."
        )
        return
    for email, role in sign_ins.staff.items():
        out.print(f"  {email:24} {role.replace('_', ' '):16} password {sign_ins.password}")
    out.print(f"  till {sign_ins.store}/{sign_ins.till}: credential {sign_ins.till_credential}\n", soft_wrap=True)
