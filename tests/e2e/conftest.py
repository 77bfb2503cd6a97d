"""The application served for real, and a real Chromium to drive it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Without these Chromium looks for its maker's hosts, which no page here may need.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    assert CHROMIUM, "Chromium is needed: make e2e installs Debian's"
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page that fails the test when it asks another host, logs an error or breaks the content policy."""
    opened = await browser.new_page(viewport={"width": 1280, "height": 860})
    faults: list[str] = []
    opened.on(
        "console",
        lambda message: (
            faults.append(message.text) if message.type == "error" and "status of 4" not in message.text else None
        ),
    )
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on(
        "request",
        lambda request: faults.append(request.url) if not request.url.startswith("http://127.0.0.1:") else None,
    )
    yield opened
    assert not faults, faults


@pytest.fixture
async def served(own_database: str) -> AsyncIterator[str]:
    """`regulars serve` on the test's database; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": own_database}
    command = [sys.executable, "-c", "from api.command_line import main; main()", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        _await(address, server)
        yield address
    finally:
        server.terminate()
        assert server.wait(20) == 0, "the server ends cleanly"


def _await(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(150):
        try:
            urllib.request.urlopen(f"{address}/health/live", timeout=1)
        except OSError:
            assert server.poll() is None, "the server ended"
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server does not answer")
