"""A million members: import, search, look-up at the till, the search for duplicates."""

import asyncio
import csv
import io
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx

import database
from settings import settings
from tests import shop
from tests.benchmarks.result import Result
from tests.benchmarks.server import administer, serving, url_of

CONNECTIONS = 8
MALAY = (
    "Aisyah",
    "Siti",
    "Nurul",
    "Ahmad",
    "Muhammad",
    "Faridah",
    "Hafiz",
    "Zulkifli",
    "Rahman",
    "Abdullah",
    "Ismail",
    "Aminah",
)
TAMIL = ("Muthusamy", "Ganesan", "Kavitha", "Lakshmi", "Ramasamy", "முத்துசாமி", "கவிதா", "இலட்சுமி")
SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾"
    "丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤"
    "尹黎易常武乔贺赖龚文"
)
GIVEN = (
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂华玲红建国春梅海燕雪荣爱文志新小"
    "玉龙飞宇浩轩梓涵欣怡佳琪思远子豪嘉俊晓琳慧颖"
)


def bench_members(home: Path, *, members: int) -> list[Result]:
    """Everything on one database of its own."""
    file = home / "members.csv"
    _write(file, members)
    credential = asyncio.run(_prepare())
    done, peak_mib = _import(file, home)
    reference = asyncio.run(_copied(members))
    scan = asyncio.run(_scan())
    with serving(home) as port:
        asyncio.run(_ask(port, credential, ["/health/live"] * 200))
        cards = asyncio.run(_cards())
        lookups = [f"/v1/members?q={card}" for card in cards]
        rates = [asyncio.run(_rate(port, credential, paths)) for paths in (["/v1/session"], lookups) * 3]
        seconds = asyncio.run(_ask(port, credential, asyncio.run(_searches())))
    empty, found = statistics.median(rates[::2]), statistics.median(rates[1::2])
    p95 = statistics.quantiles(seconds, n=20)[-1] * 1000
    return [
        Result(
            f"Import of {members:,} members, rows a second beside COPY of the same rows",
            members / done,
            members / reference,
            "/s",
            0.25,
            at_most=False,
        ),
        Result("Peak memory of that import", peak_mib, None, "MiB", 400, at_most=True),
        Result(f"Search for duplicates among {members:,}", scan, None, "s", 60, at_most=True),
        Result(
            "Look-up by card over HTTP beside an empty handler behind the same guards",
            found,
            empty,
            "/s",
            0.6,
            at_most=False,
        ),
        Result(f"Search over HTTP among {members:,}, 95th percentile", p95, None, "ms", 50, at_most=True),
    ]


def _write(file: Path, members: int) -> None:
    """Names as they are in the shops of one country: Malay, Chinese, Tamil; phones of the whole range; half with a birthday."""
    chance = random.Random(7)
    phones = chance.sample(range(100_000_000), members)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["external_ref", "name", "phone", "birth_date", "home_store"])
        for number, phone in enumerate(phones):
            kind = chance.random()
            if kind < 0.5:
                name = " ".join(chance.choices(MALAY, k=3)) + f" {chance.choice('ABCDEFG')}{number % 997}"
            elif kind < 0.85:
                name = chance.choice(SURNAMES) + "".join(chance.choices(GIVEN, k=2))
            else:
                name = f"{chance.choice(TAMIL)} a/l {chance.choice(TAMIL)}"
            birth = (
                f"{chance.randint(1940, 2008)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
                if number % 2
                else ""
            )
            writer.writerow([f"CRM-{number}", name, f"01{phone:08}", birth, chance.choice(("KL01", "JB02"))])


async def _prepare() -> str:
    from api.migrations import migrate
    from stores.tills import enrol_till

    await administer("CREATE DATABASE members")
    os.environ["DATABASE_URL"] = url_of("members")
    settings.cache_clear()
    database.engine().config["dsn"] = url_of("members")
    async with database.connected():
        await migrate()
        await shop.open_shop()
        return await enrol_till("KL01", "T1")


def _import(file: Path, home: Path) -> tuple[float, float]:
    measured = (
        "import re, sys; from api.command_line import main\n"
        "try: main()\n"
        "finally: print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)"
    )
    command = [sys.executable, "-c", measured, "import", "members", str(file), "--json"]
    environment = {**os.environ, "REGULARS_HOME": str(home)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=home)
    return json.loads(done.stdout)["seconds"], float(done.stderr.split()[-1]) / 1024


async def _copied(members: int) -> float:
    """Seconds that COPY takes for the rows that the import left, into tables with the same columns, checks and indexes."""
    tables = ("member", "card", "event")
    seconds = 0.0
    async with database.connected():
        await database.execute("CREATE SCHEMA bare")
        for table in tables:
            await database.execute(f"CREATE TABLE bare.{table} (LIKE membership.{table} INCLUDING ALL)")
            text = io.BytesIO()
            async with database._connection() as connection:
                await connection.copy_from_query(f"SELECT * FROM membership.{table}", output=text, format="csv")
                text.seek(0)
                await database.execute("CHECKPOINT")
                started = time.perf_counter()
                await connection.copy_to_table(table, schema_name="bare", source=text, format="csv")
                seconds += time.perf_counter() - started
        await database.execute("DROP SCHEMA bare CASCADE")
        await database.execute("VACUUM ANALYZE membership.member")
    return seconds


async def _scan() -> float:
    from membership.duplicate_scan import scan_duplicates

    async with database.connected():
        started = time.perf_counter()
        result = await scan_duplicates(shop.NOON)
        print(f"duplicates: {result.pairs:,} pairs among {result.members:,}", file=sys.stderr)
        return time.perf_counter() - started


async def _cards() -> list[str]:
    async with database.connected():
        rows = await database.rows("SELECT number FROM membership.card WHERE random() < 0.01 LIMIT 3000")
        return [row["number"] for row in rows]


async def _searches() -> list[str]:
    """What cashiers type: last digits, whole phones, beginnings, parts, Chinese, pinyin, initials, typos, nobody."""
    async with database.connected():
        rows = await database.rows(
            "SELECT name, phone, name_search FROM membership.member WHERE random() < 0.001 LIMIT 400"
        )
    chance = random.Random(8)
    asked = []
    for row in rows:
        words = row["name_search"].split()
        word = chance.choice(words)
        asked += [
            row["phone"][-4:],
            row["phone"],
            row["name"][: chance.randint(2, 8)],
            word,
            word[1:] if len(word) > 4 else word,
            (word[:2] + word[3:]) if len(word) > 5 else word,
            row["name"],
        ]
    asked += ["Xyzzyq", "zzqx", "binti", "mu", "陈", "9999"]
    chance.shuffle(asked)
    return [f"/v1/members?{httpx.QueryParams({'q': text})}" for text in asked[:1500]]


async def _ask(port: int, credential: str, paths: list[str]) -> list[float]:
    """Seconds of each request, one after the other."""
    seconds = []
    headers = {"Authorization": f"Bearer {credential}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http:
        for path in paths:
            started = time.perf_counter()
            answer = await http.get(path)
            seconds.append(time.perf_counter() - started)
            assert answer.status_code == 200, (path, answer.text)
            if os.environ.get("SLOW") and seconds[-1] > 0.03:
                print(path, round(seconds[-1] * 1000), file=sys.stderr)
    return seconds


async def _rate(port: int, credential: str, paths: list[str], seconds: float = 4) -> float:
    """Requests a second over several connections. Written to sockets as they are: a client library would be what is measured."""
    deadline, done = time.perf_counter() + seconds, 0

    async def ask(place: int) -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turn = place
        while time.perf_counter() < deadline:
            path = paths[turn % len(paths)]
            turn += CONNECTIONS
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {credential}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            done += 1
        writer.close()

    await asyncio.gather(*(ask(place) for place in range(CONNECTIONS)))
    return done / seconds
