"""The programme: how points are earned, expire and are worth, and which tiers there are."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

import database
from loyalty.lots import Terms
from loyalty.programme_settings import ProgrammeSettings
from loyalty.rules import Caps, Conditions, EarnRule
from loyalty.versions import publish
from stores.chain import Chain, the_chain


class TierLevel(msgspec.Struct, frozen=True, kw_only=True):
    """A tier; `threshold` is of the programme's metric within its period: minor units, points or visits."""

    id: int
    code: str
    name: str
    threshold: int
    multiplier_milli: int
    benefits: Sequence[str] = ()


class DatedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule version and when it holds; None is unbounded."""

    rule: EarnRule
    valid_from: datetime | None
    valid_to: datetime | None


class Programme(ProgrammeSettings, frozen=True, kw_only=True):
    """Everything about the programme that pricing a basket reads: its policies, tiers and rules."""

    chain: Chain
    revision: int
    tiers: Sequence[TierLevel]
    rules: Sequence[DatedRule]

    @property
    def terms(self) -> Terms:
        """What lots are opened with."""
        return Terms(
            zone=self.chain.zone,
            expiry_months=self.expiry_months,
            expiry_rounding=self.expiry_rounding,
            pending_days=self.pending_days,
            pending_date=self.pending_date,
            pending_event=self.pending_event,
        )

    @property
    def segments_asked(self) -> frozenset[str]:
        """The segments that any rule asks for; without any nobody need look them up."""
        return frozenset().union(*(dated.rule.conditions.segments for dated in self.rules))

    @property
    def at_once(self) -> Terms:
        """What lots are opened with that are nobody's to take back: usable immediately."""
        return Terms(zone=self.chain.zone, expiry_months=self.expiry_months, expiry_rounding=self.expiry_rounding)

    def rules_at(self, at: datetime) -> list[EarnRule]:
        """Of each rule the newest version that holds at a moment, unless that one ends it."""
        newest: dict[str, EarnRule] = {}
        for dated in self.rules:
            holds = (dated.valid_from is None or dated.valid_from <= at) and (
                dated.valid_to is None or at < dated.valid_to
            )
            if holds:
                newest[dated.rule.code] = dated.rule
        return [rule for rule in newest.values() if rule.active]

    def trying(self, rule: EarnRule) -> "Programme":
        """The programme with this rule in the place of every version of its code."""
        kept = [dated for dated in self.rules if dated.rule.code != rule.code]
        proposal = DatedRule(rule=rule, valid_from=None, valid_to=None)
        return msgspec.structs.replace(self, rules=[*kept, proposal])

    def rules_named(self, named: Sequence[tuple[str, int]]) -> list[EarnRule]:
        """Rules of exactly these versions, for computing an old award again."""
        wanted = set(named)
        return [dated.rule for dated in self.rules if (dated.rule.code, dated.rule.version) in wanted]

    def tier_by_id(self, tier_id: int | None) -> TierLevel | None:
        """The tier of an id."""
        return next((tier for tier in self.tiers if tier.id == tier_id), None)

    def tier_reached(self, qualifying: int) -> TierLevel | None:
        """The highest tier that this much of the metric reaches."""
        return max(
            (tier for tier in self.tiers if tier.threshold <= qualifying), key=lambda tier: tier.threshold, default=None
        )

    def next_tier(self, qualifying: int) -> TierLevel | None:
        """The lowest tier not reached yet."""
        return min(
            (tier for tier in self.tiers if tier.threshold > qualifying), key=lambda tier: tier.threshold, default=None
        )


_cached: dict[str, Programme] = {}


async def the_programme(revision: int | None = None, *, cached: bool = False) -> Programme:
    """The programme as of `revision`, read anew only when that has moved on.

    A caller that has read `loyalty.programme.revision` in its own statement passes it and usually pays no round trip. `cached` is for
    one that is about to: what it gets may be a revision behind.
    """
    known = _cached.get("programme")
    if known is None or not (cached or known.revision == revision):
        known = _cached["programme"] = await _read()
    return known


async def _read() -> Programme:
    chain = await the_chain()
    row = await database.row("SELECT * FROM loyalty.programme")
    assert row is not None
    policies = {name: row[name] for name in ProgrammeSettings.__struct_fields__}
    tiers = await database.rows(
        "SELECT id, code, name, threshold, multiplier_milli, benefits FROM loyalty.tier ORDER BY rank"
    )
    rules = await database.rows(f"{SELECT_RULES} ORDER BY code, version")
    return Programme(
        chain=chain,
        tiers=[TierLevel(**{**dict(tier), "benefits": msgspec.json.decode(tier["benefits"])}) for tier in tiers],
        rules=[dated(rule) for rule in rules],
        revision=row["revision"],
        **policies,
    )


SELECT_RULES = (
    "SELECT code, version, kind, name, points, per, per_item, multiplier_milli, fixed, conditions, caps, active, "
    "nullif(valid_from, '-infinity') AS valid_from, nullif(valid_to, 'infinity') AS valid_to FROM loyalty.earn_rule"
)


def dated(row: Mapping[str, Any]) -> DatedRule:
    """A row of `SELECT_RULES`."""
    fields = dict(row)
    valid_from, valid_to = fields.pop("valid_from"), fields.pop("valid_to")
    conditions = msgspec.json.decode(fields.pop("conditions"), type=Conditions)
    caps = msgspec.json.decode(fields.pop("caps"), type=Caps)
    names = EarnRule.__struct_fields__
    rule = EarnRule(**{name: fields[name] for name in names if name in fields}, conditions=conditions, caps=caps)
    return DatedRule(rule=rule, valid_from=valid_from, valid_to=valid_to)


def forget_programme() -> None:
    """Drop the cached programme: for a process that turns to another database."""
    _cached.clear()


async def publish_rule(
    rule: EarnRule,
    *,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    staff_id: int | None = None,
) -> int:
    """Add a rule, or a new version of it; its version. Old versions stay, because old awards refer to them."""
    version = await database.value(
        "INSERT INTO loyalty.earn_rule (code, version, kind, name, points, per, per_item, multiplier_milli, fixed, conditions, "
        "caps, active, valid_from, valid_to, published_by) "
        "SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
        "coalesce($12::timestamptz, '-infinity'), coalesce($13::timestamptz, 'infinity'), $14 "
        "FROM loyalty.earn_rule WHERE code = $1 RETURNING version",
        rule.code,
        rule.kind,
        rule.name,
        rule.points,
        rule.per,
        rule.per_item,
        rule.multiplier_milli,
        rule.fixed,
        msgspec.json.encode(rule.conditions).decode(),
        msgspec.json.encode(rule.caps).decode(),
        rule.active,
        valid_from,
        valid_to,
        staff_id,
    )
    return int(version)


async def define_tier(
    *,
    code: str,
    name: str,
    rank: int,
    threshold: int,
    multiplier_milli: int = 1000,
    benefits: Sequence[str] = (),
    staff_id: int | None = None,
) -> None:
    """Add a tier, or change the one of that code; every state it had stays to be read. `threshold` is of the metric."""
    async with database.transaction():
        tier = {
            "code": code,
            "name": name,
            "rank": rank,
            "threshold": threshold,
            "multiplier_milli": multiplier_milli,
            "benefits": list(benefits),
        }
        version = await publish("tier", code, tier, staff_id=staff_id)
        await database.execute(
            "INSERT INTO loyalty.tier (code, name, rank, threshold, multiplier_milli, benefits, version) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (code) DO UPDATE SET (name, rank, threshold, multiplier_milli, "
            "benefits, version) = (excluded.name, excluded.rank, excluded.threshold, excluded.multiplier_milli, "
            "excluded.benefits, excluded.version)",
            code,
            name,
            rank,
            threshold,
            multiplier_milli,
            msgspec.json.encode(tier["benefits"]).decode(),
            version,
        )


async def ensure_base_rule() -> None:
    """A programme without any rule gets the plainest: one point per whole unit of the currency."""
    async with database.transaction():
        chain = await the_chain()
        if not await database.value("SELECT EXISTS (SELECT FROM loyalty.earn_rule)"):
            await publish_rule(EarnRule(code="base", version=1, kind="base", points=1, per=10**chain.exponent))
