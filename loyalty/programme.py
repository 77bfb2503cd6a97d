"""The programme: how points are earned, expire and are worth, and which tiers there are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

import database
from loyalty.earning import Conditions, EarnRule
from stores.chain import Chain, the_chain


class TierLevel(msgspec.Struct, frozen=True, kw_only=True):
    """A tier; `threshold` in minor units spent within the programme's tier months."""

    id: int
    code: str
    name: str
    threshold: int
    multiplier_milli: int


class DatedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule version and when it holds; None is unbounded."""

    rule: EarnRule
    valid_from: datetime | None
    valid_to: datetime | None


class Programme(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about the programme that pricing a basket reads."""

    chain: Chain
    revision: int
    expiry_months: int | None
    pending_days: int
    grace_days: int
    hold_minutes: int
    point_value: int
    tier_months: int
    tiers: Sequence[TierLevel]
    rules: Sequence[DatedRule]

    def rules_at(self, at: datetime) -> list[EarnRule]:
        """The newest version of each rule that holds at a moment."""
        newest: dict[str, EarnRule] = {}
        for dated in self.rules:
            holds = (dated.valid_from is None or dated.valid_from <= at) and (
                dated.valid_to is None or at < dated.valid_to
            )
            if holds:
                newest[dated.rule.code] = dated.rule
        return list(newest.values())

    def rules_named(self, named: Sequence[tuple[str, int]]) -> list[EarnRule]:
        """Rules of exactly these versions, for computing an old award again."""
        return [dated.rule for dated in self.rules if (dated.rule.code, dated.rule.version) in set(named)]

    def tier_of_spend(self, spend: int) -> TierLevel | None:
        """The highest tier that this much reaches."""
        return max(
            (tier for tier in self.tiers if tier.threshold <= spend), key=lambda tier: tier.threshold, default=None
        )

    def next_tier(self, spend: int) -> TierLevel | None:
        """The lowest tier not reached yet."""
        return min(
            (tier for tier in self.tiers if tier.threshold > spend), key=lambda tier: tier.threshold, default=None
        )


_cached: dict[str, Programme] = {}


async def the_programme(revision: int | None = None) -> Programme:
    """The programme as of `revision`, read anew only when that has moved on.

    A caller that has read `loyalty.programme.revision` in its own statement passes it and usually pays no round trip.
    """
    cached = _cached.get("programme")
    if cached is None or revision is None or cached.revision != revision:
        cached = _cached["programme"] = await _read()
    return cached


async def _read() -> Programme:
    chain = await the_chain()
    row = await database.row("SELECT * FROM loyalty.programme")
    assert row is not None
    fields = {name: value for name, value in row.items() if name != "id"}
    tiers = await database.rows("SELECT id, code, name, threshold, multiplier_milli FROM loyalty.tier ORDER BY rank")
    rules = await database.rows(
        "SELECT code, version, kind, points, per, multiplier_milli, fixed, conditions, nullif(valid_from, '-infinity') AS "
        "valid_from, nullif(valid_to, 'infinity') AS valid_to FROM loyalty.earn_rule ORDER BY code, version"
    )
    return Programme(
        chain=chain,
        tiers=[TierLevel(**dict(tier)) for tier in tiers],
        rules=[_dated(dict(rule)) for rule in rules],
        **fields,
    )


def _dated(row: dict[str, Any]) -> DatedRule:
    valid_from, valid_to = row.pop("valid_from"), row.pop("valid_to")
    conditions = msgspec.json.decode(row.pop("conditions"), type=Conditions)
    return DatedRule(rule=EarnRule(**row, conditions=conditions), valid_from=valid_from, valid_to=valid_to)


def forget_programme() -> None:
    """Drop the cached programme: for a process that turns to another database."""
    _cached.clear()


async def publish_rule(rule: EarnRule, *, valid_from: datetime | None = None) -> int:
    """Add a rule, or a new version of it; its version. Old versions stay, because old awards refer to them."""
    version = await database.value(
        "INSERT INTO loyalty.earn_rule (code, version, kind, points, per, multiplier_milli, fixed, conditions, valid_from) "
        "SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7, coalesce($8::timestamptz, '-infinity') "
        "FROM loyalty.earn_rule WHERE code = $1 RETURNING version",
        rule.code,
        rule.kind,
        rule.points,
        rule.per,
        rule.multiplier_milli,
        rule.fixed,
        msgspec.json.encode(rule.conditions).decode(),
        valid_from,
    )
    return int(version)


async def define_tier(*, code: str, name: str, rank: int, threshold: int, multiplier_milli: int = 1000) -> None:
    """Add a tier, or change the one of that code. `threshold` in minor units."""
    await database.execute(
        "INSERT INTO loyalty.tier (code, name, rank, threshold, multiplier_milli) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT (code) DO UPDATE SET (name, rank, threshold, multiplier_milli) = (excluded.name, excluded.rank, "
        "excluded.threshold, excluded.multiplier_milli)",
        code,
        name,
        rank,
        threshold,
        multiplier_milli,
    )


async def ensure_base_rule() -> None:
    """A programme without any rule gets the plainest: one point per whole unit of the currency."""
    async with database.transaction():
        chain = await the_chain()
        if not await database.value("SELECT EXISTS (SELECT FROM loyalty.earn_rule)"):
            await publish_rule(EarnRule(code="base", version=1, kind="base", points=1, per=10**chain.exponent))
