"""`make bench`: every figure beside a reference that runs in the same breath on the same machine.

The servers are embedded ones of their own under a temporary folder, with PostgreSQL's durability as shipped.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SHARED = Path(__file__).parents[3] / "shared" / "data" / "online_retail.csv.gz"
_home = tempfile.mkdtemp(prefix="regulars-bench-")
os.environ["REGULARS_HOME"] = _home
for name in ("DATABASE_URL", "REDIS_URL"):
    os.environ.pop(name, None)

from tests.benchmarks.checkout import bench_checkout  # noqa: E402  (the environment first)
from tests.benchmarks.importing import bench_import  # noqa: E402
from tests.benchmarks.ledger import bench_ledger  # noqa: E402
from tests.benchmarks.members import bench_members  # noqa: E402
from tests.benchmarks.result import Result, as_table  # noqa: E402
from tests.benchmarks.scoring import bench_rfm  # noqa: E402


async def _real_data() -> list[Result]:
    import database
    from api.migrations import migrate

    async with database.connected(pool_max=4):
        await migrate()
        if SHARED.exists():
            return [*await bench_import(SHARED), *await bench_rfm()]
    print(f"{SHARED} is not here: import and RFM are left out", file=sys.stderr)
    return []


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--seconds", type=int, default=10, help="how long each load runs")
    parser.add_argument("--members", type=int, default=1_000_000, help="how many members to import and search")
    parser.add_argument("--entries", type=int, default=10_000_000, help="how many ledger entries to report on")
    parser.add_argument("--only", choices=["members", "ledger", "rest"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results: list[Result] = []
    if arguments.only in (None, "rest"):
        results += asyncio.run(_real_data()) + bench_checkout(Path(_home), seconds=arguments.seconds)
    if arguments.only in (None, "ledger"):
        results += bench_ledger(Path(_home), entries=arguments.entries, seconds=arguments.seconds)
    if arguments.only in (None, "members"):
        results += bench_members(Path(_home), members=arguments.members)
    if arguments.json:
        print(json.dumps([result.__dict__ for result in results]))
    else:
        print(as_table(results))
    subprocess.run(["rm", "-rf", _home], check=False)
    sys.exit(0 if all(result.holds for result in results) else 1)


main()
