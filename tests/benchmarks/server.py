"""The servers that a benchmark runs on: a database of its own, and one serving process."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POOL = 16


def url_of(name: str) -> str:
    """The embedded server's URL for another database."""
    import embedded

    return embedded.postgres_url(Path(os.environ["REGULARS_HOME"])).replace("/regulars?", f"/{name}?")


async def administer(statement: str) -> None:
    """Run a statement outside every database that is measured."""
    import asyncpg

    connection = await asyncpg.connect(url_of("postgres"))
    await connection.execute(statement)
    await connection.close()


@contextmanager
def serving(home: Path, *, workers: int = 1) -> Iterator[int]:
    """`regulars serve` on DATABASE_URL; its port. All processes together have as many connections as the reference."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from api.command_line import main; main()", "serve", "--port", str(port)]
    command += ["--workers", str(workers)]
    environment = {**os.environ, "REGULARS_HOME": str(home), "DATABASE_POOL_MAX": str(POOL // workers)}
    # Counted like everybody's requests, and never refused: one till sends what three hundred stores do.
    environment |= {"RATE_LIMIT_PRINCIPAL": "100000000", "RATE_LIMIT_ADDRESS": "100000000", "LOG_FORMAT": "json"}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(port)
        yield port
    finally:
        server.terminate()
        server.wait()


def _await(port: int) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=1)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the server does not answer")
