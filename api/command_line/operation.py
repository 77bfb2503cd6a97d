"""Running and checking an installation: serve, worker, migrate, doctor."""

import asyncio
import os
import sys
import tempfile
import time
from typing import Any, Final

import asyncpg
import click
from redis.asyncio import Redis
from redis.exceptions import RedisError

import database
from api.command_line.running import as_json, console, fail, reachable, run, show
from api.migrations import migrate, pending
from errors import DomainError, Unreachable
from replicas import Replica
from settings import Settings, settings

SHUTDOWN_SECONDS: Final = 30


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", default=1, show_default=True, help="Processes; the API holds no state.")
def serve(host: str, port: int, workers: int) -> None:
    """The API and the pages."""
    _ready()
    start_server(host, port, workers)


@click.command()
def worker() -> None:
    """Jobs: the nightly order, segmentation, dispatch, webhooks, letters to staff."""
    _ready()

    async def until_stopped() -> None:
        from api.connections import redis_address
        from api.worker.queue import JobQueue
        from api.worker.running import work

        redis = Redis.from_url(redis_address())
        try:
            await JobQueue(redis).state()
            await work(redis)
        except RedisError as error:
            raise Unreachable(server="Redis (REDIS_URL)", why=str(error)) from error
        finally:
            await redis.aclose()

    console.print("The worker is up (Ctrl-C stops it).")
    run(until_stopped)


def _ready() -> None:
    """Wait for the database, as long as is configured, and migrate it when it is ours."""

    async def nothing() -> None:
        """Connecting and migrating is all there is to do before."""

    patience = settings().database_wait_seconds
    began = time.monotonic()
    while True:
        try:
            asyncio.run(reachable())
            break
        except (DomainError, OSError, asyncpg.PostgresError) as error:
            left = patience - (time.monotonic() - began)
            if left <= 0:
                fail(f"{error} (waited {patience} s: DATABASE_WAIT_SECONDS)")
            console.print(f"Waiting for PostgreSQL (DATABASE_URL), {left:.0f} s more: {error}")
            time.sleep(min(2.0, max(left, 0.1)))
    run(nothing)


def start_server(host: str, port: int, workers: int) -> None:
    """Serve until stopped; requests in flight are finished first."""
    from granian.constants import Interfaces
    from granian.server import Server

    if workers > 1:
        # Each process counts for itself; together they are summed up from files. prometheus-client looks for the folder when it is
        # imported, so that nothing here may have imported it before.
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="regulars-metrics-"))

    console.print(f"Regulars is at http://{host}:{port} (Ctrl-C stops it)")
    Server(
        "api.app:create_app",
        address=host,
        port=port,
        workers=workers,
        interface=Interfaces.ASGI,
        factory=True,
        log_access=False,
        workers_kill_timeout=SHUTDOWN_SECONDS,
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
        from api.connections import connect_redis
        from api.worker.queue import JobQueue

        redis = connect_redis()
        version = (await redis.info("server"))["redis_version"]
        note("Redis", True, f"{version}, {'REDIS_URL' if configured.redis_url else 'embedded'}")
        state = await JobQueue(redis).state()
        await redis.aclose()
        note(
            "worker",
            True,
            f"{state.workers} at work, {state.queued} jobs wait" if state.workers else "none: 'regulars worker'",
        )
    except Exception as error:  # the driver has many ways to say no; all mean this
        note("Redis", False, str(error))
    if configured.database_replica_url:
        replica = Replica(configured.database_replica_url, pool_max=1, on_failure=lambda error: None)
        lag = await replica.lag_seconds()
        await replica.close()
        note("replica", lag is not None, "does not answer" if lag is None else f"{lag} s behind")
    note("secret key", True, "SECRET_KEY is set" if configured.secret_key else "development stand-in")
    note("mail", True, "SMTP_URL is set" if configured.smtp_url else "SMTP_URL is not set: nothing can be sent")
    return checks
