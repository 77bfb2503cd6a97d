"""Import with points beside a bare COPY of the same lines into one table."""

import io
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

import database
from settings import settings
from tests.benchmarks.result import Result


async def bench_import(path: Path) -> list[Result]:
    """The import runs as its user runs it, in a process of its own; the bare COPY gets its text ready-made, and runs before
    and after, so that both meet the same machine."""
    copies = await _bare_copies(path)
    await database.execute("CHECKPOINT")  # neither side pays for writing out what the other left behind
    done, peak_mib = _import(path)
    copies += await _bare_copies(path)
    reference = statistics.median(copies)
    return [
        Result("Import with points, 541,909 lines, beside a bare COPY of them", done, reference, "s", 8, at_most=True),
        Result("Peak memory of that import", peak_mib, None, "MiB", 600, at_most=True),
    ]


async def _bare_copies(path: Path) -> list[float]:
    as_text = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(("InvoiceNo", "StockCode", "CustomerID", "InvoiceDate"), pa.string())
    )
    lines = pa_csv.read_csv(path, convert_options=as_text)
    text = io.BytesIO()
    pa_csv.write_csv(lines, text, pa_csv.WriteOptions(include_header=False))
    took = []
    for _ in range(5):
        await database.execute(
            "DROP TABLE IF EXISTS public.bare; CREATE TABLE public.bare (invoice text, sku text, description text, "
            "quantity int, sold timestamp, price numeric(18,4), customer text, country text)"
        )
        await database.execute("CHECKPOINT")
        text.seek(0)
        started = time.perf_counter()
        async with database._connection() as connection:
            await connection.copy_to_table("bare", source=text, format="csv")
        took.append(time.perf_counter() - started)
    await database.execute("DROP TABLE public.bare")
    return took


def _import(path: Path) -> tuple[float, float]:
    # The kernel's high-water mark of this program; getrusage would count the process it was forked from.
    measured = (
        "import re, sys; from api.command_line import main\n"
        "try: main()\n"
        "finally: print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)"
    )
    arguments = ["import", "receipts", str(path), "--profile", "online-retail", "--award-points", "--json"]
    environment = {**os.environ, "REGULARS_HOME": str(settings().home)}
    done = subprocess.run(
        [sys.executable, "-c", measured, *arguments], capture_output=True, text=True, env=environment, check=True
    )
    return json.loads(done.stdout)["seconds"], float(done.stderr.split()[-1]) / 1024
