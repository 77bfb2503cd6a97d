"""The ledger by the million: postings beside a plain double posting, codes, statements, simulation, and history that costs nothing."""

import asyncio
import os
import re
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

import database
from loyalty.liability import liability
from loyalty.programme import forget_programme, the_programme
from loyalty.rules import EarnRule
from loyalty.settlement import settlement
from loyalty.simulation import simulate
from loyalty.voucher_batches import TermsSent, generate, publish_terms
from settings import settings
from stores.tills import enrol_till
from tests import shop
from tests.benchmarks.checkout import PGBENCH
from tests.benchmarks.result import Result
from tests.benchmarks.server import administer, serving, url_of

SINCE, UNTIL = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)


def bench_ledger(home: Path, *, entries: int, seconds: int) -> list[Result]:
    """Everything on one database of its own."""
    credential = asyncio.run(_prepare())
    results = [*_postings(home, seconds), *asyncio.run(_codes()), *_validation(home, credential)]
    results += _history(home, credential)
    results += asyncio.run(_statements(entries))
    results += asyncio.run(_simulated(min(entries // 10, 1_000_000)))
    return results


async def _prepare() -> str:
    from api.migrations import migrate

    await administer("CREATE DATABASE ledger")
    os.environ["DATABASE_URL"] = url_of("ledger")
    settings.cache_clear()
    forget_programme()
    database.engine().config["dsn"] = url_of("ledger")
    async with database.connected():
        await migrate()
        await shop.open_shop()
        credential = await enrol_till("KL01", "T1")
        for _ in range(2000):
            await shop.join()
        await database.execute(
            "INSERT INTO loyalty.account (member_id) SELECT id FROM membership.member ON CONFLICT DO NOTHING"
        )
    return credential


# A double posting as pgledger makes it (https://github.com/pgr0ss/pgledger): a transfer, two entries that know the balance before
# and after, two accounts; in one function. Written anew, in plain SQL, on integers.
_DOUBLE = """
CREATE SCHEMA double;
CREATE TABLE double.account (id bigint PRIMARY KEY, balance bigint NOT NULL DEFAULT 0, version bigint NOT NULL DEFAULT 0);
CREATE TABLE double.transfer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, from_id bigint NOT NULL REFERENCES double.account,
    to_id bigint NOT NULL REFERENCES double.account, amount bigint NOT NULL CHECK (amount > 0), event_at timestamptz NOT NULL,
    metadata jsonb, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE double.entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account_id bigint NOT NULL REFERENCES double.account,
    transfer_id bigint NOT NULL REFERENCES double.transfer, amount bigint NOT NULL, balance_before bigint NOT NULL,
    balance_after bigint NOT NULL, version bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON double.entry (account_id);
CREATE INDEX ON double.entry (transfer_id);
CREATE INDEX ON double.transfer (from_id);
CREATE INDEX ON double.transfer (to_id);
INSERT INTO double.account SELECT generate_series(1, 4000);
CREATE FUNCTION double.post(giver bigint, taker bigint, points bigint, happened timestamptz, about jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE posted bigint; one record;
BEGIN
    PERFORM 1 FROM double.account WHERE id IN (giver, taker) ORDER BY id FOR UPDATE;
    INSERT INTO double.transfer (from_id, to_id, amount, event_at, metadata) VALUES (giver, taker, points, happened, about)
        RETURNING id INTO posted;
    UPDATE double.account SET balance = balance - points, version = version + 1 WHERE id = giver RETURNING * INTO one;
    INSERT INTO double.entry (account_id, transfer_id, amount, balance_before, balance_after, version)
        VALUES (giver, posted, -points, one.balance + points, one.balance, one.version);
    UPDATE double.account SET balance = balance + points, version = version + 1 WHERE id = taker RETURNING * INTO one;
    INSERT INTO double.entry (account_id, transfer_id, amount, balance_before, balance_after, version)
        VALUES (taker, posted, points, one.balance - points, one.balance, one.version);
    RETURN posted;
END $$;
"""


def _postings(home: Path, seconds: int) -> list[Result]:
    """Our posting (lock, entry with its hash, lot, timeline) and theirs, both by pgbench at sixteen connections, in turns."""
    asyncio.run(_run(_DOUBLE))
    members = (
        asyncio.run(_run_value("SELECT min(id) FROM loyalty.account")),
        asyncio.run(_run_value("SELECT max(id) FROM loyalty.account")),
    )
    ours = home / "ours.sql"
    ours.write_text(
        f"\\set account random({members[0]}, {members[1]})\nBEGIN;\n"
        "SELECT id, member_id, balance FROM loyalty.account WHERE id = :account FOR NO KEY UPDATE \\gset\n"
        + asyncio.run(_credit_statement())
        + ";\nCOMMIT;\n"
    )
    theirs = home / "theirs.sql"
    theirs.write_text(
        "\\set giver random(1, 2000)\n\\set taker random(2001, 4000)\nBEGIN;\n"
        "SELECT double.post(:giver, :taker, 15, now(), '{\"receipt\": 991}');\nCOMMIT;\n"
    )
    rates = {path: [_pgbench(path, seconds) for _ in range(2)] for path in (ours, theirs)}
    return [
        Result(
            "Ledger postings with hash, lot and timeline beside a plain double posting, pgbench",
            statistics.mean(rates[ours]),
            statistics.mean(rates[theirs]),
            "/s",
            0.5,
            at_most=False,
        )
    ]


async def _credit_statement() -> str:
    """The statement that `ledger.credit` runs, with its values in place."""
    from loyalty import ledger
    from loyalty.locks import Account

    caught: list[tuple[str, tuple[Any, ...]]] = []

    async def catch(sql: str, *arguments: Any) -> Any:
        caught.append((sql, arguments))
        return {"id": 1, "balance_after": 1, "lot_id": 1, "debt": 0}

    real, ledger.database.row = ledger.database.row, catch  # type: ignore[assignment]  # only to read it
    try:
        at = datetime(2026, 3, 2, 12, tzinfo=UTC)
        posting = ledger.Posting(
            amount=15, kind="earn", event_at=at, explanation={"rules": [{"rule": "base", "points": 15}]}
        )
        account = Account(id=1, member_id=2, balance=0, unit="points", debt=0, frozen=False)
        await ledger.credit(account, posting, activates_at=at, expires_at=at + timedelta(days=700))
    finally:
        ledger.database.row = real
    sql, arguments = caught[0]
    values = {1: ":account::bigint", 8: ":member_id::bigint"}
    casts = {
        2: "bigint",
        5: "bigint",
        6: "bigint",
        7: "timestamptz",
        9: "bigint",
        12: "timestamptz",
        13: "timestamptz",
        15: "bigint",
    }
    for place, value in sorted(enumerate(arguments, start=1), reverse=True):
        text = "NULL" if value is None else f"E'{str(value).replace(':', chr(92) + 'x3a')}'"
        sql = sql.replace(f"${place}", values.get(place, f"{text}::{casts.get(place, 'text')}"))
    return " ".join(sql.split())


def _pgbench(script: Path, seconds: int) -> float:
    folder = re.search(r"host=([^&]+)", url_of("ledger"))
    assert folder is not None
    command = [str(PGBENCH), "-n", "-h", folder[1], "-U", "postgres", "-M", "prepared", "-c", "16", "-j", "2"]
    done = subprocess.run(
        [*command, "-T", str(seconds), "-f", str(script), "ledger"], capture_output=True, text=True, check=False
    )
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None or "aborted" in done.stderr:
        raise RuntimeError(f"pgbench: {done.stderr[-2000:]}")
    return float(found[1])


async def _run(sql: str) -> None:
    async with database.connected():
        await database.execute(sql)


async def _run_value(sql: str) -> Any:
    async with database.connected():
        return await database.value(sql)


async def _codes() -> list[Result]:
    async with database.connected():
        await publish_terms(TermsSent(batch="million", kind="amount_off", value=500, valid_days=365))
        started = time.perf_counter()
        await generate("million", 1_000_000, at=datetime.now(UTC))
        took = time.perf_counter() - started
        await database.execute("ANALYZE loyalty.voucher")
    return [Result("1,000,000 voucher codes made and stored", took, None, "s", 20, at_most=True)]


def _validation(home: Path, credential: str) -> list[Result]:
    codes = asyncio.run(_some_codes())
    with serving(home) as port:
        seconds = asyncio.run(
            _ask(port, credential, [(f"/v1/vouchers/{code}/validate", {"store": "KL01"}) for code in codes])
        )
    p95 = statistics.quantiles(seconds, n=20)[-1] * 1000
    return [
        Result("Validation of one of 1,000,000 vouchers over HTTP, 95th percentile", p95, None, "ms", 30, at_most=True)
    ]


async def _some_codes() -> list[str]:
    async with database.connected():
        return [row["code"] for row in await database.rows("SELECT code FROM loyalty.voucher ORDER BY code LIMIT 800")]


async def _ask(port: int, credential: str, asked: list[tuple[str, dict[str, Any]]]) -> list[float]:
    """Four at a time; the seconds of each."""
    took: list[float] = []
    queue = iter(asked)

    async def one(http: httpx.AsyncClient) -> None:
        for path, body in queue:
            begun = time.perf_counter()
            answer = await http.post(path, json=body, headers={"Idempotency-Key": f"{path}{begun}"[-120:]})
            took.append(time.perf_counter() - begun)
            assert answer.status_code < 300, answer.text

    headers = {"Authorization": f"Bearer {credential}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as http:
        await asyncio.gather(*(one(http) for _ in range(4)))
    return took


def _history(home: Path, credential: str) -> list[Result]:
    """The same sale to a member with ten receipts and to one with ten thousand, in turns."""
    few, many = asyncio.run(_members_with(10)), asyncio.run(_members_with(10_000))
    lines = [{"sku": "TEA", "quantity": 2, "unit_price": 255}, {"sku": "CUP", "quantity": 1, "unit_price": 1000}]
    sale = {"store": "KL01", "till": "T1", "business_time": "2026-03-02T12:00:00+00:00", "lines": lines}
    seconds: dict[str, list[float]] = {few: [], many: []}
    with serving(home) as port:
        for turn in range(8):
            for member in (few, many):
                batch = [
                    ("/v1/checkouts", {**sale, "member": member, "number": f"h{turn}-{n}-{member}"}) for n in range(50)
                ]
                took = asyncio.run(_ask(port, credential, batch))
                seconds[member] += took if turn else []
    return [
        Result(
            "Checkout of a member with 10,000 receipts beside one with 10, median",
            statistics.median(seconds[many]) * 1000,
            statistics.median(seconds[few]) * 1000,
            "ms",
            1.5,
            at_most=True,
        )
    ]


async def _members_with(receipts: int) -> str:
    """A member's card, with so many sales of the last two years, each with its points unspent."""
    forget_programme()
    async with database.connected():
        member = await shop.join()
        first = await shop.sell(member, ("TEA", 4, 255), at=shop.NOON)
        member_id = await database.value("SELECT member_id FROM stores.receipt WHERE id = $1", first.receipt_id)
        account = await database.value("SELECT id FROM loyalty.account WHERE member_id = $1", member_id)
        await database.execute(
            "INSERT INTO stores.receipt (store_id, till, number, business_time, kind, member_id, total, gross, eligible, units, "
            "line_count, fingerprint) SELECT store_id, 'H', $2::text || n, business_time - n * interval '1 hour', kind, member_id, total, "
            "gross, eligible, units, line_count, fingerprint FROM stores.receipt, generate_series(1, $3::int) n WHERE id = $1",
            first.receipt_id,
            f"{member}-",
            receipts - 1,
        )
        await database.execute(
            "INSERT INTO loyalty.lot (account_id, entry_id, receipt_id, points, remaining, activates_at, expires_at) SELECT account_id, "
            "entry_id, receipt_id, points, remaining, activates_at - n * interval '1 hour', expires_at FROM loyalty.lot, "
            "generate_series(1, $2::int) n WHERE account_id = $1",
            account,
            receipts - 1,
        )
        await database.execute(
            "UPDATE loyalty.account SET balance = balance + $2 * 10 WHERE id = $1", account, receipts - 1
        )
        await database.execute(
            "INSERT INTO loyalty.qualifying AS q SELECT member_id, (business_time AT TIME ZONE 'Asia/Kuala_Lumpur')::date, sum(total), 0, "
            "count(*) FROM stores.receipt WHERE member_id = $1 GROUP BY 1, 2 ON CONFLICT (member_id, day) DO UPDATE "
            "SET spend = excluded.spend",
            member_id,
        )
        for table in ("stores.receipt", "loyalty.lot", "loyalty.qualifying"):
            await database.execute(f"ANALYZE {table}")
    return member


async def _statements(entries: int) -> list[Result]:
    """A year of entries, lots and redemptions, written past the triggers: what is measured is reading them."""
    async with database.connected():
        await _fill(entries)
        return [
            await _timed(
                f"Liability of a month among {entries:,} entries",
                lambda: liability(since=UNTIL - timedelta(days=31), until=UNTIL, now=datetime.now(UTC)),
            ),
            await _timed(
                f"Settlement of a year among {entries:,} entries", lambda: settlement(since=SINCE, until=UNTIL)
            ),
        ]


async def _fill(entries: int) -> None:
    first = await database.value("SELECT min(id) FROM loyalty.account")
    await database.execute("SET session_replication_role = replica")
    await database.execute(
        "INSERT INTO loyalty.entry (account_id, version, amount, balance_after, kind, event_at, posted_at, store_id, explanation, seal) "
        "SELECT $1 + n % 2000, 1000000 + n, CASE WHEN n % 5 = 0 THEN -40 ELSE 15 END, 0, CASE WHEN n % 5 = 0 THEN 'spend' ELSE 'earn' END, "
        't, t, 1 + n % 2, \'{"rules": [{"rule": "base", "version": 1, "points": 15}]}\', \'\\x00\' '
        "FROM (SELECT n, $2::timestamptz + n * (interval '365 days' / $3::int) AS t FROM generate_series(1, $3::int) n) g",
        first,
        SINCE,
        entries,
    )
    await database.execute(
        "INSERT INTO loyalty.lot (account_id, entry_id, points, remaining, activates_at, expires_at, store_id) SELECT account_id, id, 15, "
        "CASE WHEN id % 3 = 0 THEN 15 ELSE 0 END, event_at, event_at + interval '730 days', store_id FROM loyalty.entry "
        "WHERE version > 1000000 AND kind = 'earn'"
    )
    await database.execute(
        "INSERT INTO loyalty.lot_use (entry_id, lot_id, points, settles, issued_by, redeemed_by, posted_at) SELECT id, 1, 40, true, "
        "1 + (id / 7) % 2, store_id, posted_at FROM loyalty.entry WHERE version > 1000000 AND kind = 'spend'"
    )
    await database.execute("SET session_replication_role = origin")
    for table in ("loyalty.entry", "loyalty.lot", "loyalty.lot_use"):
        await database.execute(f"VACUUM ANALYZE {table}")


async def _timed(what: str, work: Callable[[], Awaitable[Any]]) -> Result:
    await work()
    started = time.perf_counter()
    await work()
    return Result(what, time.perf_counter() - started, None, "s", 5, at_most=True)


async def _simulated(receipts: int) -> list[Result]:
    async with database.connected():
        await database.execute("SET session_replication_role = replica")
        await database.execute(
            "INSERT INTO stores.receipt (id, store_id, till, number, business_time, kind, member_id, total, gross, eligible, units, "
            "line_count, fingerprint) SELECT 10000000 + n, 1 + n % 2, 'S', 's' || n, "
            "$2::timestamptz + n * (interval '365 days' / $1::int), 'sale', "
            "(SELECT min(id) FROM membership.member) + n % 2000, 3000, 3000, 3000, 3, 3, 0 FROM generate_series(1, $1::int) n",
            receipts,
            SINCE,
        )
        await database.execute(
            "INSERT INTO stores.receipt_line (receipt_id, line_no, product_id, quantity, unit_price, amount) SELECT 10000000 + n, l, l, 1, "
            "1000, 1000 + (n * l) % 977 FROM generate_series(1, $1::int) n, generate_series(1, 3) l",
            receipts,
        )
        await database.execute("SET session_replication_role = origin")
        for table in ("stores.receipt", "stores.receipt_line"):
            await database.execute(f"VACUUM ANALYZE {table}")
        proposed = [
            EarnRule(code="base", version=2, kind="base", points=2, per=100),
            EarnRule(code="tea", version=1, kind="bonus", multiplier_milli=1500),
        ]
        started = time.perf_counter()
        found = await simulate(await the_programme(), proposed, since=SINCE, until=UNTIL, segments={})
        took = time.perf_counter() - started
        assert found.receipts > receipts * 0.99, found.receipts
    return [
        Result(f"Simulation of two rules over {receipts:,} receipts of three lines", took, None, "s", 60, at_most=True)
    ]
