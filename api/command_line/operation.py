"""Running and checking an installation: serve, migrate, doctor."""

import asyncio
import sys
from typing import Any

import click
from redis.asyncio import Redis

import database
import embedded
from api.command_line.running import as_json, console, run, show
from api.migrations import migrate, pending
from errors import DomainError
from settings import Settings, settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", default=1, show_default=True, help="Processes; the API holds no state.")
def serve(host: str, port: int, workers: int) -> None:
    """The API and the pages."""

    async def nothing() -> None:
        """Connecting and migrating is all there is to do before."""

    run(nothing)
    start_server(host, port, workers)


def start_server(host: str, port: int, workers: int) -> None:
    """Serve until stopped; requests in flight are finished first."""
    from granian.constants import Interfaces
    from granian.server import Server

    console.print(f"Regulars is at http://{host}:{port} (Ctrl-C stops it)")
    Server(
        "api.app:create_app",
        address=host,
        port=port,
        workers=workers,
        interface=Interfaces.ASGI,
        factory=True,
        log_access=False,
    ).serve()


@click.command("migrate")
def migrate_command() -> None:
    """Bring the database's schemas up to date."""
    applied = run(migrate, migrated=False)
    console.print(f"Applied {', '.join(applied)}." if applied else "Nothing to apply.")


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """What is configured, reachable and pending; exit status 1 on a fault."""
    configured = settings()
    checks = asyncio.run(_checks(configured))
    healthy = all(check["ok"] for check in checks)

    def table() -> None:
        for check in checks:
            console.print(f"{'[green]ok[/]   ' if check['ok'] else '[red]fault[/]'} {check['what']}: {check['detail']}")

    show({"ok": healthy, "checks": checks}, as_json=as_json, otherwise=table)
    sys.exit(0 if healthy else 1)


async def _checks(configured: Settings) -> list[dict[str, Any]]:
    checks: list[dict[str, Any]] = []

    def note(what: str, ok: bool, detail: str) -> None:
        checks.append({"what": what, "ok": ok, "detail": detail})

    note("environment", True, configured.regulars_env)
    kind = "DATABASE_URL" if configured.database_url else f"embedded under {configured.home}"
    try:
        async with database.connected():
            note("PostgreSQL", True, f"{await database.value('SHOW server_version')}, {kind}")
            waiting = await pending()
            note("migrations", not waiting, f"pending: {', '.join(waiting)}" if waiting else "up to date")
            if not waiting:
                chain = await database.value("SELECT name FROM stores.chain")
                note("chain", True, chain or "none yet")
    except (DomainError, OSError) as error:
        note("PostgreSQL", False, str(error))
    try:
        redis = Redis.from_url(configured.redis_url or embedded.redis_url(configured.home), socket_connect_timeout=2)
        version = (await redis.info("server"))["redis_version"]
        await redis.aclose()
        note("Redis", True, f"{version}, {'REDIS_URL' if configured.redis_url else 'embedded'}")
    except Exception as error:  # the driver has many ways to say no; all mean this
        note("Redis", False, str(error))
    note("mail", True, "SMTP_URL is set" if configured.smtp_url else "SMTP_URL is not set: campaigns cannot be sent")
    return checks
