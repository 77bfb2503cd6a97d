"""The embedded servers, as processes see them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).parents[1]
USE = """
import asyncio, sys
import database, embedded
from settings import settings
from redis import Redis

async def main():
    redis = Redis.from_url(embedded.redis_url(settings().home))
    async with database.connected():
        await database.execute("CREATE TABLE IF NOT EXISTS public.seen (who text)")
        await database.execute("INSERT INTO public.seen VALUES ($1)", sys.argv[1])
        redis.rpush("seen", sys.argv[1])
        print(await database.value("SELECT count(*) FROM public.seen"), redis.llen("seen"))
    if sys.argv[2:]:
        print("waiting", flush=True)
        sys.stdin.readline()
    redis.close()

asyncio.run(main())
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: a Unix socket's path may not be long."""
    folder = Path(tempfile.mkdtemp(prefix="rg-"))
    yield folder
    shutil.rmtree(folder)


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    return {**kept, "REGULARS_HOME": str(home), "PYTHONPATH": str(ROOT)}


def _use(home: Path, who: str) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", USE, who], capture_output=True, text=True, env=_environment(home), check=True, cwd=ROOT
    )
    return [int(number) for number in done.stdout.split()]


def test_processes_share_the_servers_and_the_data_stays_when_the_last_one_ends(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", USE, "first", "wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(home),
        cwd=ROOT,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline().split() == ["1", "1"]
        assert first.stdout.readline().strip() == "waiting"
        assert _use(home, "second") == [2, 2]
        assert first.stdin is not None
        first.stdin.write("\n")
        first.stdin.close()
        assert first.wait(30) == 0
    assert not (home / "postgres" / "postmaster.pid").exists(), "PostgreSQL ends with its last user"
    assert _use(home, "third") == [3, 3]


def test_a_served_application_leaves_no_server_behind(home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from api.command_line import main; main()", "serve", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(home), cwd=ROOT) as server:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/health/live")
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                break
        registry = home / "redis.db.settings"
        pid = int(Path(json.loads(registry.read_text())["pidfile"]).read_text())
        server.terminate()
        server.communicate(timeout=30)
    assert not (home / "postgres" / "postmaster.pid").exists()
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("name", ["file/home", "with a space"])
def test_a_home_that_cannot_be_used_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", "from api.command_line import main; main()", "migrate"],
        capture_output=True,
        text=True,
        env=_environment(tmp_path / name),
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "REGULARS_HOME" in done.stderr
    assert "Traceback" not in done.stderr
