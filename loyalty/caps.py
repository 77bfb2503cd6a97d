"""What capped rules have given, and what that leaves of them.

A member's part is changed under the lock of their account; a budget, which is everybody's, under that of its own row, which is
taken after the account's and before any voucher's.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import database
from loyalty.earning import left_of
from loyalty.rules import EarnRule

ALL_RULES = "*"  # the counter of everything a member earns in a day
EVER = "all"


async def what_is_left(
    rules: Sequence[EarnRule], *, member_id: int, day: date, member_day_max: int | None
) -> tuple[dict[str, int], int | None]:
    """What caps leave of rules, by code, and of all of them to this member today; None has no bound."""
    counted = [rule.code for rule in rules if rule.caps.counted]
    given: dict[tuple[str, str], int] = {}
    budgets: dict[str, int] = {}
    if counted or member_day_max is not None:
        rows = await database.rows(
            "SELECT code, period, points FROM loyalty.rule_given WHERE member_id = $1 AND code = ANY($2) AND period = ANY($3)",
            member_id,
            [*counted, ALL_RULES],
            [day.isoformat(), EVER],
        )
        given = {(row["code"], row["period"]): row["points"] for row in rows}
    budgeted = sorted(rule.code for rule in rules if rule.caps.budget is not None)
    if budgeted:
        budgets = await _budgets(budgeted)
    left = {
        rule.code: bound
        for rule in rules
        if (
            bound := left_of(
                rule.caps,
                in_day=given.get((rule.code, day.isoformat()), 0),
                ever=given.get((rule.code, EVER), 0),
                budget_given=budgets.get(rule.code, 0),
            )
        )
        is not None
    }
    day_left = None if member_day_max is None else max(0, member_day_max - given.get((ALL_RULES, day.isoformat()), 0))
    return left, day_left


async def lock_budgets(codes: Sequence[str]) -> None:
    """Hold the budgets of rules until the transaction ends, in the order of their codes. Only of rules that give something to this
    basket: a budget is everybody's, and whoever holds one keeps every till waiting that asks for it."""
    await database.execute(
        "INSERT INTO loyalty.rule_budget (code) SELECT code FROM unnest($1::text[]) AS code "
        "WHERE NOT EXISTS (SELECT FROM loyalty.rule_budget b WHERE b.code = code.code) ORDER BY code ON CONFLICT (code) DO NOTHING",
        sorted(codes),
    )
    await database.execute(
        "SELECT 1 FROM loyalty.rule_budget WHERE code = ANY($1) ORDER BY code FOR NO KEY UPDATE", sorted(codes)
    )


async def _budgets(codes: Sequence[str]) -> dict[str, int]:
    rows = await database.rows("SELECT code, points FROM loyalty.rule_budget WHERE code = ANY($1)", list(codes))
    return {row["code"]: row["points"] for row in rows}


async def join_counters(survivor_id: int, loser_id: int, *, since: date) -> list[tuple[str, str, int]]:
    """Let what the loser of a merge was given count as given to the survivor: what is bounded for ever, and the days from one on that
    something can still be claimed for. The counters that were added, by code and period."""
    rows = await database.rows(
        "WITH theirs AS (SELECT code, period, points FROM loyalty.rule_given WHERE member_id = $2 AND points > 0 "
        "AND (period = $3 OR period >= $4)), joined AS (INSERT INTO loyalty.rule_given AS g (member_id, code, period, points) "
        "SELECT $1, code, period, points FROM theirs ON CONFLICT (member_id, code, period) "
        "DO UPDATE SET points = g.points + excluded.points) "
        "SELECT * FROM theirs ORDER BY code, period",
        survivor_id,
        loser_id,
        EVER,
        since.isoformat(),
    )
    return [(row["code"], row["period"], row["points"]) for row in rows]


async def part_counters(survivor_id: int, joined: Sequence[tuple[str, str, int]]) -> None:
    """Take what `join_counters` added off the survivor again."""
    await database.execute(
        "UPDATE loyalty.rule_given g SET points = greatest(g.points - theirs.points, 0) "
        "FROM unnest($2::text[], $3::text[], $4::bigint[]) AS theirs (code, period, points) "
        "WHERE g.member_id = $1 AND (g.code, g.period) = (theirs.code, theirs.period)",
        survivor_id,
        [code for code, _, _ in joined],
        [period for _, period, _ in joined],
        [points for _, _, points in joined],
    )


async def count_given(
    given: Mapping[str, int], *, total: int, rules: Sequence[EarnRule], member_id: int, day: date, day_counts: bool
) -> None:
    """Count what rules gave a member on a day; negative is what a return took back. Only rules with caps are counted, and the whole
    with `day_counts`."""
    capped = {rule.code: rule.caps for rule in rules if rule.caps.counted}
    counters = [
        (code, period, points)
        for code, points in given.items()
        if code in capped and points
        for period in (day.isoformat(), EVER)
    ]
    if day_counts and total:
        counters.append((ALL_RULES, day.isoformat(), total))
    if counters:
        await database.execute(
            # What is inserted has to pass the check even where it conflicts; what is added may be negative.
            "INSERT INTO loyalty.rule_given AS g (member_id, code, period, points) SELECT $1, code, period, greatest(points, 0) "
            "FROM unnest($2::text[], $3::text[], $4::bigint[]) AS c (code, period, points) "
            "ON CONFLICT (member_id, code, period) DO UPDATE SET points = greatest(g.points + (SELECT points FROM "
            "unnest($2::text[], $3::text[], $4::bigint[]) AS c (code, period, points) "
            "WHERE (c.code, c.period) = (g.code, g.period)), 0)",
            member_id,
            [code for code, _, _ in counters],
            [period for _, period, _ in counters],
            [points for _, _, points in counters],
        )
    budgeted = {code: points for code, points in given.items() if code in capped and capped[code].budget and points}
    for code in sorted(budgeted):
        await database.execute(
            "UPDATE loyalty.rule_budget SET points = greatest(points + $2, 0) WHERE code = $1", code, budgeted[code]
        )
