"""Fuzzing the whole API: a shop is served, and Schemathesis calls every operation of its OpenAPI as an administrator, a till, an
integration and nobody. No 5xx, no status and no body that the document does not announce.

    python -m tests.fuzz [--seconds N] [--seed N]

With --seconds each principal has so long; without, as many examples as it takes.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import tests.conftest as servers  # first: it points the environment at the tests' servers

# isort: split
import httpx
import pyotp

import database
from api.migrations import migrate
from segmentation.clusters import cluster_members
from segmentation.cross_sell import relate_products
from segmentation.rfm import score_members
from stores.staff import hire
from stores.tills import enrol_till
from tests import shop

PASSWORD: Final = "correct horse"
CHECKS: Final = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# The administrator's own account and key, which the first of both are.
STAFF_ID: Final = 700_000_001
SPARED: Final = {"staff_id": STAFF_ID, "key_id": 1}
OWN: Final = {"administrator": f"staff:{STAFF_ID}", "till": "till:KL01/T2", "key": "key:1"}
LOG: Final = Path("/tmp/regulars-fuzz.log")
# They end the session that everything else is called with: these are left to the others, who have none.
SIGN_OUT: Final = ("/v1/session", "/v1/session/all")


class Fuzzed:
    """Inputs that were tried and failures that were found."""

    def __init__(self) -> None:
        self.inputs = self.operations = 0
        self.failed: list[str] = []


async def fill(url: str) -> tuple[str, str, dict[str, object]]:
    """A shop in which there is something to find: its administrator's e-mail, a till's credential, and what exists by the name of
    the path parameter."""
    database.engine().config["dsn"] = url
    async with database.connected():
        await migrate()
        await shop.open_shop()
        for _ in range(120):
            member = await shop.join()
            for day in range(2):
                await shop.sell(member, ("TEA", 2, 255), ("CUP", 1, 1000), at=shop.NOON + timedelta(days=day))
        for work in (score_members, cluster_members, relate_products):
            await work(datetime(2026, 4, 1, tzinfo=UTC).date())
        # Far from the small numbers that a fuzzer likes: it may suspend whom it finds, but not itself.
        await database.execute(f"ALTER TABLE stores.staff ALTER COLUMN id RESTART WITH {STAFF_ID}")
        await hire(email="fuzz@shop.example", name="", role="administrator", password=PASSWORD)
        await hire(email="other@shop.example", name="", role="administrator", password=PASSWORD)
        there: dict[str, object] = {
            "number": member,
            "code": "KL01",
            "till": "T2",
            "sku": "TEA",
            "receipt_id": await database.value("SELECT max(id) FROM stores.receipt"),
            "staff_id": await hire(
                email="cashier@shop.example", name="", role="cashier", password=PASSWORD, stores=["KL01"]
            ),
        }
        credential = await enrol_till("KL01", "T2")
    return (
        "fuzz@shop.example",
        credential,
        there | dict.fromkeys(("hold_id", "campaign_id", "webhook_id"), 1) | {"key_id": 2},
    )


def serve(url: str) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from api.command_line import main; main()", "serve", "--port", str(port)]
    server = subprocess.Popen(
        command,
        env={**os.environ, "DATABASE_URL": url, "LOG_FORMAT": "json", "WEBHOOK_PRIVATE_ADDRESSES": "allow"},
        stderr=LOG.open("w"),
    )
    base = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            httpx.get(f"{base}/health/live")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return server, base
    raise AssertionError("the server does not answer")


def administrator(base: str, email: str) -> tuple[str, str]:
    """The session cookie of an administrator with a second factor, and a key for everything that a key may do."""
    with httpx.Client(base_url=base) as http:
        http.post("/v1/session", json={"email": email, "password": PASSWORD}).raise_for_status()
        secret = http.post("/v1/session/second-factor", json={}).raise_for_status().json()["secret"]
        http.post("/v1/session/second-factor/confirm", json={"totp": pyotp.TOTP(secret).now()}).raise_for_status()
        scopes = re.findall(r"`([a-z]+:[a-z]+)`[^.]* and keys with this scope", http.get("/docs/openapi.json").text)
        body = {
            "name": "Fuzz",
            "scopes": sorted(set(scopes)),
            "expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        }
        key = http.post("/v1/keys", json=body, headers={"Idempotency-Key": "fuzz"}).raise_for_status().json()["secret"]
        return f"regulars_session={http.cookies['regulars_session']}", key


def fuzz(
    base: str, who: str, header: str, *, seconds: int | None, seed: int, there: dict[str, object], into: Fuzzed
) -> None:
    report = Path(f"/tmp/regulars-fuzz-{who}.json")
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{base}/docs/openapi.json"]
    command += ["--checks", CHECKS, "--mode", "all", "--seed", str(seed), "--workers", "1", "--no-color"]
    command += ["--report-json-path", str(report), "--generation-database", "none", "--suppress-health-check", "all"]
    command += [
        "--warnings",
        "off",
        "--continue-on-failure",
        "--request-timeout",
        "30",
        "--phases",
        "examples,coverage,fuzzing",
    ]
    command += (
        ["--max-examples", "200"]
        if seconds is None
        else ["--max-time", str(seconds), "--max-examples", "20", "--no-shrink"]
    )
    for path in SIGN_OUT if who == "administrator" else ():
        command += ["--exclude-path", path]
    if header:
        command += ["--header", header]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
        "FUZZ_THERE": json.dumps(there),
        "FUZZ_SPARED": json.dumps(SPARED),
        "PYTHONPATH": ".",
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    told = re.search(r"(\d+) generated", done.stdout.replace(",", ""))
    into.inputs += int(told.group(1)) if told else 0
    print(f"--- {who}: {done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-500:]}")
    if done.returncode != 0:
        into.failed.append(who)
        print(done.stdout[-6000:], done.stderr[-2000:])


def allowed() -> Counter[str]:
    """How many requests of each principal did what they asked for, by the server's log."""
    events = [json.loads(line) for line in LOG.read_text(errors="replace").splitlines() if line.startswith("{")]
    return Counter(
        event["principal"] for event in events if event.get("principal") and 200 <= event.get("status", 0) < 300
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--seed", type=int, default=20261122)
    given = parser.parse_args()
    name = f"fuzz_{os.getpid()}"
    asyncio.run(servers._administer(f"CREATE DATABASE {name}"))
    url = servers.url_of(name)
    email, credential, there = asyncio.run(fill(url))
    server, base = serve(url)
    found = Fuzzed()
    try:
        cookie, key = administrator(base, email)
        for who, header in (
            ("key", f"Authorization: Bearer {key}"),
            ("till", f"Authorization: Bearer {credential}"),
            ("administrator", f"Cookie: {cookie}"),
            ("nobody", ""),
        ):
            fuzz(base, who, header, seconds=given.seconds, seed=given.seed, there=there, into=found)
        assert server.poll() is None, "the server died"
        answered = allowed()
        print(json.dumps(answered))
        for who, principal in OWN.items():
            assert answered[principal] >= 50, f"{who} was hardly ever let in"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(40)
        asyncio.run(servers._administer(f"DROP DATABASE {name} WITH (FORCE)"))
    print(json.dumps({"inputs": found.inputs, "failed": found.failed}))
    sys.exit(1 if found.failed else 0)


if __name__ == "__main__":
    main()
