"""The search for members that exist twice: all of them, a block of likely ones at a time.

Comparing every pair of a million would be half a billion million looks. Compared are those born on one day, and those whose
phones differ in one digit at most.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rapidfuzz import fuzz, process

import database
from membership.duplicates import NEAR_DIGITS, SIMILAR_MIN, SIMILAR_WITH_NEAR_PHONE_MIN
from membership.policy import member_policy

BLOCK_MAX: Final = 1_000
WINDOW: Final = 50
RUN_MAX: Final = 10
TWO_REASONS: Final = 10

Ids = npt.NDArray[np.int64]
Found = dict[tuple[int, int], dict[str, int]]


class DuplicateScan(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan saw and queued."""

    members: int
    pairs: int
    queued: int


async def scan_duplicates(at: datetime) -> DuplicateScan:
    """Queue the pairs of active members that may be one person; those decided before stay decided."""
    policy = await member_policy()
    table = await database.columns(
        "SELECT id, name_search, coalesce(substr(phone, 2), '0'), coalesce(birth_year, 0), coalesce(birth_month, 0), "
        "coalesce(birth_day, 0) FROM membership.member WHERE status = 'active' ORDER BY id",
        schema=pa.schema(
            [("id", pa.int64()), ("name", pa.string()), *((c, pa.int64()) for c in ("phone", "year", "month", "day"))]
        ),
    )
    ids, phones, years, months, days = (table[name].to_numpy() for name in ("id", "phone", "year", "month", "day"))
    names = np.array([" ".join(sorted((name or "").split())) for name in table["name"].to_pylist()], dtype=object)
    found: Found = {}
    if policy.same_birth_similar_name != "ignore":
        _note(found, "same_birth_similar_name", _of_one_birth(names, years, months, days))
    if policy.near_phone_similar_name != "ignore":
        _note(found, "near_phone_similar_name", _of_near_phones(names, phones))
    return DuplicateScan(members=len(ids), pairs=len(found), queued=await _queue(ids, found, at))


def _note(found: Found, rule: str, pairs: Iterable[tuple[int, int, float]]) -> None:
    for one, other, score in pairs:
        by = found.setdefault((min(one, other), max(one, other)), {})
        by[rule] = max(by.get(rule, 0), round(score))


def _of_one_birth(names: Any, years: Ids, months: Ids, days: Ids) -> Iterator[tuple[int, int, float]]:
    """Similar names born on one day. Without the year only the same name counts: a day of the year has thousands."""
    key = (years * 16 + months) * 32 + days
    known = np.flatnonzero(months > 0)
    for block in _blocks(known, key):
        if years[block[0]]:
            yield from _alike(names, block)
        else:
            yield from _equal(names, block)


def _blocks(of: Ids, key: Ids) -> Iterator[Ids]:
    ordered = of[np.argsort(key[of], kind="stable")]
    starts = np.flatnonzero(np.diff(key[ordered])) + 1
    return (block for block in np.split(ordered, starts) if len(block) > 1)


def _alike(names: Any, block: Ids) -> Iterator[tuple[int, int, float]]:
    cutoff = 100 * SIMILAR_MIN
    if len(block) > BLOCK_MAX:
        # So many of one day come from a form's default date: each is compared with its neighbours by name.
        by_name = block[np.argsort(names[block], kind="stable")]
        for gap in range(1, WINDOW):
            yield from _scored(names, by_name[:-gap], by_name[gap:], cutoff)
        return
    scores = process.cdist(names[block], names[block], scorer=fuzz.ratio, score_cutoff=cutoff, dtype=np.uint8)
    for one, other in zip(*np.nonzero(np.triu(scores, 1)), strict=True):
        yield int(block[one]), int(block[other]), float(scores[one, other])


def _equal(names: Any, block: Ids) -> Iterator[tuple[int, int, float]]:
    by_name = block[np.argsort(names[block], kind="stable")]
    same = np.flatnonzero(names[by_name[:-1]] == names[by_name[1:]])
    for place in same:
        yield int(by_name[place]), int(by_name[place + 1]), 90.0


def _of_near_phones(names: Any, phones: Ids) -> Iterator[tuple[int, int, float]]:
    """Similar names whose phones are the same but for one digit: with that digit blotted out they fall together."""
    known = np.flatnonzero(phones > 0)
    for place in range(NEAR_DIGITS):
        power = 10**place
        blotted = phones[known] - (phones[known] // power % 10) * power
        order = np.argsort(blotted, kind="stable")
        ordered, sorted_key = known[order], blotted[order]
        for gap in range(1, RUN_MAX):
            at = np.flatnonzero(sorted_key[:-gap] == sorted_key[gap:])
            if not len(at):
                break
            yield from _scored(names, ordered[at], ordered[at + gap], 100 * SIMILAR_WITH_NEAR_PHONE_MIN)


def _scored(names: Any, one: Ids, other: Ids, cutoff: float) -> Iterator[tuple[int, int, float]]:
    scores = process.cpdist(names[one], names[other], scorer=fuzz.ratio, score_cutoff=cutoff, dtype=np.uint8)
    for place in np.flatnonzero(scores):
        yield int(one[place]), int(other[place]), float(scores[place])


async def _queue(ids: Ids, found: Found, at: datetime) -> int:
    pairs = list(found.items())
    return await database.execute(
        "INSERT INTO membership.duplicate_pair (one_id, other_id, score, reasons, found_at) "
        "SELECT one, other, score, string_to_array(reasons, ','), $5 "
        "FROM unnest($1::bigint[], $2::bigint[], $3::int[], $4::text[]) AS p (one, other, score, reasons) "
        "ON CONFLICT (one_id, other_id) DO NOTHING",
        [int(ids[one]) for (one, _), _ in pairs],
        [int(ids[other]) for (_, other), _ in pairs],
        [min(100, max(by.values()) + TWO_REASONS * (len(by) - 1)) for _, by in pairs],
        [",".join(sorted(by)) for _, by in pairs],
        at,
    )
