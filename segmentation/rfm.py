"""Recency, frequency, monetary value: who buys lately, often and much."""

import time
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

import database
from segmentation.errors import TooLittleData
from segmentation.rfm_map import CODES, NAMES
from segmentation.runs import digest, moment, open_run
from stores.chain import the_chain

QUINTILES: Final = (0.2, 0.4, 0.6, 0.8)
MEMBERS_MIN: Final = 5
_SCHEMA = pa.schema(
    [("member_id", pa.int64()), ("seconds", pa.int64()), ("frequency", pa.int64()), ("monetary", pa.int64())]
)


class RfmSegment(msgspec.Struct, frozen=True, kw_only=True):
    """One named segment. `value` in minor units; `share_of_value` is its part of the members' whole value."""

    name: str
    members: int
    value: int
    share_of_value: float


class RfmResult(msgspec.Struct, frozen=True, kw_only=True):
    """A scored base. Edges are the upper values of the lower four quintiles: days, receipts, minor units."""

    run_id: int
    as_of: date
    members: int
    value: int
    currency: str
    edges: dict[str, list[int]]
    segments: list[RfmSegment]
    movement: dict[str, dict[str, int]]


def edges(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The four quintile edges as values that occur: the inverse of the empirical distribution function (Hyndman & Fan 1996,
    definition 1)."""
    return np.quantile(values, QUINTILES, method="inverted_cdf").astype(np.int64)


def score(values: npt.NDArray[np.int64], at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """1 to 5: one more than the number of edges strictly below the value, so equal values always score equal."""
    return np.searchsorted(at, values, side="left") + 1


async def score_members(as_of: date, *, gross: bool = False) -> RfmResult:
    """Score every member who has bought by `as_of` (the beginning of that day) and store the run.

    Net counts spend after returns; `gross` counts sales lines alone, as published comparisons do.
    """
    started_at, started = datetime.now(UTC), time.perf_counter()
    chain = await the_chain()
    at = moment(as_of, chain)
    base = await _purchases(at, gross=gross)
    if base.num_rows < MEMBERS_MIN:
        raise TooLittleData(what="members who have bought", have=base.num_rows, need=MEMBERS_MIN)
    frame = base.to_pandas()
    frame["recency_days"] = (int(at.timestamp()) - frame.pop("seconds")) // 86400
    found = {name: edges(frame[column].to_numpy()) for name, column in _DIMENSIONS.items()}
    frame["r"] = 6 - score(frame["recency_days"].to_numpy(), found["recency"])
    frame["f"] = score(frame["frequency"].to_numpy(), found["frequency"])
    frame["m"] = score(frame["monetary"].to_numpy(), found["monetary"])
    frame["segment"] = (frame["r"] * 100 + frame["f"] * 10 + frame["m"]).map(CODES)
    segments = _summary(frame)
    result: dict[str, Any] = {
        "members": len(frame),
        "value": int(frame["monetary"].sum()),
        "edges": {name: values.tolist() for name, values in found.items()},
        "segments": msgspec.to_builtins(segments),
    }
    previous = await database.value("SELECT max(id) FROM segmentation.run WHERE kind = 'rfm'")
    async with database.transaction():
        run_id = await open_run(
            "rfm",
            as_of=at,
            parameters={"gross": gross, "quantile": "inverted_cdf"},
            window=await _window(at),
            row_count=len(frame),
            input_digest=digest(base),
            result=result,
            quality={"distinct_codes": int((frame["r"] * 100 + frame["f"] * 10 + frame["m"]).nunique())},
            started_at=started_at,
            seconds=round(time.perf_counter() - started, 3),
        )
        await _store(run_id, frame)
    return RfmResult(
        run_id=run_id,
        as_of=as_of,
        currency=chain.currency,
        movement=await movement(previous, run_id) if previous else {},
        members=len(frame),
        value=result["value"],
        edges=result["edges"],
        segments=segments,
    )


_DIMENSIONS = {"recency": "recency_days", "frequency": "frequency", "monetary": "monetary"}


async def _purchases(at: datetime, *, gross: bool) -> pa.Table:
    """(member, second of the last purchase, receipts, value), by member.

    From the rollup when it ends before `at`; else, looking back, from receipts. Lines are never read.
    """
    newest = await database.value("SELECT max(last_purchase) FROM membership.consumption")
    if newest is None or newest < at:
        names = (
            ("gross_last_purchase", "gross_receipts", "gross_spend")
            if gross
            else ("last_purchase", "receipts", "spend")
        )
        last, receipts, spend = names
        sql = (
            f"SELECT member_id, extract(epoch FROM {last})::bigint, {receipts}, {spend} FROM membership.consumption "
            f"WHERE {receipts} > 0 ORDER BY member_id"
        )
        return await database.columns(sql, schema=_SCHEMA)
    bought, value = ("gross > 0", "gross") if gross else ("kind = 'sale'", "total")
    sql = (
        f"SELECT member_id, extract(epoch FROM max(business_time) FILTER (WHERE {bought}))::bigint, count(*) FILTER (WHERE {bought}), "
        f"sum({value}) FROM stores.receipt WHERE member_id IS NOT NULL AND kind <> 'adjustment' AND business_time < $1 "
        f"GROUP BY 1 HAVING count(*) FILTER (WHERE {bought}) > 0 ORDER BY 1"
    )
    return await database.columns(sql, at, schema=_SCHEMA)


async def _window(at: datetime) -> tuple[datetime | None, datetime | None]:
    row = await database.row(
        "SELECT min(business_time), max(business_time) FROM stores.receipt WHERE business_time < $1", at
    )
    assert row is not None
    return row[0], row[1]


def _summary(frame: pd.DataFrame) -> list[RfmSegment]:
    """Segments by members, largest first."""
    whole = int(frame["monetary"].sum())
    grouped = frame.groupby("segment")["monetary"].agg(["size", "sum"]).reindex(NAMES, fill_value=0)
    segments = [
        RfmSegment(
            name=str(name),
            members=int(row["size"]),
            value=int(row["sum"]),
            share_of_value=round(int(row["sum"]) / whole, 4) if whole else 0.0,
        )
        for name, row in grouped.iterrows()
    ]
    return sorted(segments, key=lambda segment: -segment.members)


async def _store(run_id: int, frame: pd.DataFrame) -> None:
    rows = frame[["member_id", "recency_days", "frequency", "monetary", "r", "f", "m", "segment"]].assign(run_id=run_id)
    await database.copy_in("segmentation.rfm_score", pa.Table.from_pandas(rows, preserve_index=False))


async def movement(before: int, after: int) -> dict[str, dict[str, int]]:
    """How many members went from which segment to which between two runs."""
    rows = await database.rows(
        "SELECT a.segment AS before, b.segment AS after, count(*) AS members FROM segmentation.rfm_score a "
        "JOIN segmentation.rfm_score b USING (member_id) WHERE a.run_id = $1 AND b.run_id = $2 GROUP BY 1, 2 ORDER BY 1, 2",
        before,
        after,
    )
    moved: dict[str, dict[str, int]] = {}
    for row in rows:
        moved.setdefault(row["before"], {})[row["after"]] = row["members"]
    return moved


class RfmCell(msgspec.Struct, frozen=True, kw_only=True):
    """Members of one recency and frequency score. `value` in minor units."""

    r: int
    f: int
    members: int
    value: int
    segment: str


async def grid(run_id: int) -> list[RfmCell]:
    """The 5 x 5 grid of recency and frequency; `segment` is the one most of the cell's members are in."""
    rows = await database.rows(
        "SELECT r, f, count(*) AS members, sum(monetary)::bigint AS value, mode() WITHIN GROUP (ORDER BY segment) AS segment "
        "FROM segmentation.rfm_score WHERE run_id = $1 GROUP BY r, f ORDER BY r DESC, f",
        run_id,
    )
    return [RfmCell(**dict(row)) for row in rows]


class MemberScore(msgspec.Struct, frozen=True, kw_only=True):
    """A member's scores and the day they are as of."""

    segment: str
    r: int
    f: int
    m: int
    recency_days: int
    as_of: datetime


async def segments_of(member_ids: list[int] | None = None) -> dict[int, frozenset[str]]:
    """The segments of members by the newest run; of all of them, if none are named."""
    rows = await database.rows(
        "SELECT member_id, segment FROM segmentation.rfm_score WHERE run_id = (SELECT max(run_id) FROM segmentation.rfm_score) "
        "AND ($1::bigint[] IS NULL OR member_id = ANY($1))",
        member_ids,
    )
    return {row["member_id"]: frozenset({row["segment"]}) for row in rows}


async def score_of(member_id: int) -> MemberScore | None:
    """The member's newest scores, or None before the first run with them."""
    row = await database.row(
        "SELECT segment, r, f, m, recency_days, as_of FROM segmentation.rfm_score s JOIN segmentation.run ON run.id = run_id "
        "WHERE member_id = $1 ORDER BY run_id DESC LIMIT 1",
        member_id,
    )
    return MemberScore(**dict(row)) if row else None
