"""RFM over the real members."""

import time
from datetime import date

from segmentation.rfm import score_members
from tests.benchmarks.result import Result


async def bench_rfm() -> list[Result]:
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        await score_members(date(2011, 12, 10), gross=True)
        best = min(best, time.perf_counter() - started)
    return [Result("RFM over 4,338 members, scored and stored", best, None, "s", 1, at_most=True)]
