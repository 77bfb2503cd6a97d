"""Simulations that were asked for: queued, worked off by the worker one after the other, kept with what they were asked."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

import database
from errors import DomainError, InvalidInput, NotFound
from loyalty.programme import the_programme
from loyalty.rules import RuleSent, checked
from loyalty.simulation import Simulation, simulate


class SimulationSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules to try on the receipts of [since, until). Each takes the place of the one of its code; one that is not active leaves it out."""

    rules: list[RuleSent]
    since: datetime
    until: datetime


class SimulationRun(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation: how far it is, and what came out."""

    id: int
    status: Literal["queued", "running", "done", "failed"]
    receipts_done: int
    requested_at: datetime
    finished_at: datetime | None
    request: dict[str, Any]
    result: Simulation | None = None


Segments = Callable[[], Awaitable[Mapping[int, frozenset[str]]]]


async def ask(sent: SimulationSent, *, staff_id: int | None) -> SimulationRun:
    """Queue a simulation. Raises `InvalidInput` for rules that say nothing, and for a period that is none."""
    if not 1 <= len(sent.rules) <= 50:
        raise InvalidInput(field="rules", why="1 to 50 rules are simulated at a time")
    if sent.since.tzinfo is None or sent.until.tzinfo is None or sent.since >= sent.until:
        raise InvalidInput(field="until", why="must be after since, both with an offset")
    for rule in sent.rules:
        checked(rule)
    run_id = await database.value(
        "INSERT INTO loyalty.simulation (request, requested_by) VALUES ($1, $2) RETURNING id",
        msgspec.json.encode(sent).decode(),
        staff_id,
    )
    return await simulation_run(run_id)


async def simulation_run(run_id: int) -> SimulationRun:
    """One simulation. Raises `NotFound`."""
    found = await _runs("WHERE id = $1", run_id)
    if not found:
        raise NotFound(kind="simulation", name=run_id)
    return found[0]


async def simulation_runs(*, before: int | None = None, limit: int = 50) -> list[SimulationRun]:
    """Simulations, the newest first, from before the one of an id."""
    return await _runs("WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2", before, limit)


async def _runs(where: str, *arguments: object) -> list[SimulationRun]:
    rows = await database.rows(
        "SELECT id, status, receipts_done, requested_at, finished_at, request, result FROM loyalty.simulation " + where,
        *arguments,
    )
    return [
        SimulationRun(
            **{
                **dict(row),
                "request": msgspec.json.decode(row["request"]),
                "result": msgspec.json.decode(row["result"], type=Simulation) if row["result"] is not None else None,
            }
        )
        for row in rows
    ]


async def work_off(segments: Segments, *, at: Callable[[], datetime]) -> int:
    """Do what is queued; how many there were. One worker at a time; what one left half done is done again."""
    done = 0
    async with database.exclusively("simulations") as alone:
        while alone:
            row = await database.row(
                "UPDATE loyalty.simulation SET status = 'running', receipts_done = 0 WHERE id = (SELECT min(id) FROM loyalty.simulation "
                "WHERE status IN ('queued', 'running')) RETURNING id, request"
            )
            if row is None:
                break
            await _work(row["id"], msgspec.json.decode(row["request"], type=SimulationSent), segments, at)
            done += 1
    return done


async def _work(run_id: int, sent: SimulationSent, segments: Segments, at: Callable[[], datetime]) -> None:
    async def progress(receipts: int) -> None:
        await database.execute("UPDATE loyalty.simulation SET receipts_done = $2 WHERE id = $1", run_id, receipts)

    programme = await the_programme()
    proposed = [checked(rule) for rule in sent.rules]
    asked = any(rule.conditions.segments for rule in proposed) or bool(programme.segments_asked)
    try:
        result = await simulate(
            programme,
            proposed,
            since=sent.since,
            until=sent.until,
            segments=await segments() if asked else {},
            progress=progress,
        )
    except Exception as error:
        # Whatever it is, this run has ended: left as running, every worker would begin it anew, for ever.
        await _finish(run_id, None, at())
        if not isinstance(error, DomainError):
            raise
    else:
        await _finish(run_id, result, at())


async def _finish(run_id: int, result: Simulation | None, at: datetime) -> None:
    await database.execute(
        "UPDATE loyalty.simulation SET status = $2, result = $3, receipts_done = coalesce($4, receipts_done), finished_at = $5 "
        "WHERE id = $1",
        run_id,
        "done" if result is not None else "failed",
        msgspec.json.encode(result).decode() if result is not None else None,
        result.receipts if result is not None else None,
        at,
    )
