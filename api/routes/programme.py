"""The programme: its policies, earn rules and tiers, edited as versions."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get, patch, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.etags import IfMatch, check_match, etag_of, tagged
from api.idempotency import IdempotencyKey, once
from api.languages import spoken
from api.operation.audit import audit
from api.paging import Cursor, Limit, number_at, page
from api.routes.till import RuleShown, explained
from errors import InvalidInput, NotFound
from loyalty.checkout import quote
from loyalty.programme import DatedRule, define_tier, publish_rule, the_programme
from loyalty.programme_settings import ProgrammeChange, ProgrammeSettings, change_programme, programme_settings
from loyalty.rule_wording import describe
from loyalty.rules import Caps, Code, Conditions, RuleSent, checked
from loyalty.sales import Basket
from loyalty.simulations import SimulationRun, SimulationSent, ask, simulation_run, simulation_runs
from loyalty.versions import Version, versions
from loyalty.wording import Language
from stores.errors import UnknownStore


class RulePublished(RuleSent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule to publish: it holds from `valid_from` (now, if none) until `valid_to`."""

    valid_from: datetime | None = None
    valid_to: datetime | None = None


class RuleVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a rule. `text` says it in the language that was asked for; `current` whether it is the one that holds now."""

    code: str
    version: int
    kind: str
    name: str
    points: int
    per: int
    per_item: int
    multiplier_milli: int
    fixed: int
    conditions: Conditions
    caps: Caps
    active: bool
    valid_from: datetime | None
    valid_to: datetime | None
    current: bool
    text: str


class RuleList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[RuleVersion]
    next: str | None = None


class RuleTrial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule that is not published, and a basket to try it on."""

    rule: RuleSent
    basket: Basket


class TrialSide(msgspec.Struct, frozen=True, kw_only=True):
    points: int
    explanation: list[RuleShown]


class TrialAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the basket earns as things are, and what it would with the rule. `text` says the rule in words."""

    text: str
    now: TrialSide
    then: TrialSide


class TierSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier. `threshold` is of the programme's metric within its period; `rank` orders tiers like their thresholds."""

    code: Code
    name: str
    rank: int
    threshold: int
    multiplier_milli: int = 1000
    benefits: list[str] = []


class TierShown(msgspec.Struct, frozen=True, kw_only=True):
    """A tier as it is."""

    code: str
    name: str
    threshold: int
    multiplier_milli: int
    benefits: list[str]


class TierList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[TierShown]
    next: str | None = None


class VersionList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Version]
    next: str | None = None


class SimulationPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[SimulationRun]
    next: str | None = None


class ProgrammeController(Controller):
    path = "/v1/programme"
    tags = ("loyalty",)
    opt = {"permission": "loyalty:read"}

    @get(summary="The programme's policies")
    async def show(self, request: Request[Principal, Any, Any]) -> Response[ProgrammeSettings]:
        return tagged(request, await programme_settings())

    @patch(
        summary="Change policies",
        description="From now on: lots that there are keep their dates, entries what they were computed with.",
        opt={"permission": "programme:write"},
    )
    async def change(
        self,
        request: Request[Principal, Any, Any],
        data: JSONBody[ProgrammeChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[ProgrammeSettings]:
        async def write() -> ProgrammeSettings:
            now = await programme_settings(lock=True)
            check_match(if_match, now)
            became = await change_programme(data, staff_id=request.user.staff_id)
            await audit(request.user, "programme.changed", "programme", before=now, after=became)
            return became

        return await once(request, idempotency_key, write, status=200, tag=etag_of)

    @get("/versions", summary="Every state the policies had, the newest first")
    async def history(self) -> VersionList:
        return VersionList(items=await versions("programme", "programme"))


class EarnRuleController(Controller):
    path = "/v1/earn-rules"
    tags = ("loyalty",)
    opt = {"permission": "loyalty:read"}

    @get(summary="The newest version of each rule, in words")
    async def index(self, request: Request[Principal, Any, Any]) -> RuleList:
        newest = {dated.rule.code: dated for dated in (await the_programme()).rules}
        return RuleList(items=await _shown(list(newest.values()), spoken(request)))

    @post(
        summary="Publish a rule, or the next version of one",
        description="Old versions stay: what was earned under them is computed under them, also when goods come back. A version "
        "that is not active ends the rule.",
        opt={"permission": "loyalty:write"},
        status_code=201,
    )
    async def publish(
        self, request: Request[Principal, Any, Any], data: JSONBody[RulePublished], idempotency_key: IdempotencyKey = ""
    ) -> Response[RuleVersion]:
        rule = checked(data)
        if data.valid_to is not None and data.valid_to <= (data.valid_from or datetime.now(UTC)):
            raise InvalidInput(field="valid_to", why="must be after valid_from")

        async def write() -> RuleVersion:
            version = await publish_rule(
                rule,
                valid_from=data.valid_from or datetime.now(UTC),
                valid_to=data.valid_to,
                staff_id=request.user.staff_id,
            )
            await audit(request.user, "earn_rule.published", f"earn_rule:{data.code}", after={"version": version})
            published = [dated for dated in (await the_programme()).rules if dated.rule.code == data.code]
            return (await _shown(published[-1:], spoken(request)))[0]

        return await once(request, idempotency_key, write)

    @get("/{code:str}", summary="Every version of a rule, the newest first")
    async def history(self, request: Request[Principal, Any, Any], code: FromPath[str]) -> RuleList:
        found = [dated for dated in (await the_programme()).rules if dated.rule.code == code]
        if not found:
            raise NotFound(kind="earn rule", name=code)
        return RuleList(items=await _shown(found[::-1], spoken(request)))

    @post(
        "/try",
        summary="Try a rule on one basket; writes nothing",
        opt={"permission": "loyalty:write"},
        status_code=200,
    )
    async def attempt(self, request: Request[Principal, Any, Any], data: JSONBody[RuleTrial]) -> TrialAnswer:
        if not request.user.sees(data.basket.store):
            raise UnknownStore(code=data.basket.store)
        language, rule = spoken(request), checked(data.rule)
        now, then = await quote(data.basket), await quote(data.basket, proposed=rule)
        return TrialAnswer(
            text=describe(rule, (await the_programme()).chain.currency, language),
            now=TrialSide(
                points=now.settlement.award.points, explanation=explained(now.settlement.award.explanation, language)
            ),
            then=TrialSide(
                points=then.settlement.award.points, explanation=explained(then.settlement.award.explanation, language)
            ),
        )


class SimulationController(Controller):
    path = "/v1/simulations"
    tags = ("loyalty",)
    opt = {"permission": "loyalty:write"}

    @post(
        summary="Replay past receipts under proposed rules",
        description="The worker does it within minutes: read it by its id. Points, value, and who wins and loses by tier, beside what the "
        "rules as they are give for the same receipts.",
        status_code=202,
    )
    async def ask(
        self,
        request: Request[Principal, Any, Any],
        data: JSONBody[SimulationSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[SimulationRun]:
        async def write() -> SimulationRun:
            asked = await ask(data, staff_id=request.user.staff_id)
            await audit(request.user, "simulation.asked", f"simulation:{asked.id}")
            return asked

        return await once(request, idempotency_key, write, status=202)

    @get(summary="Simulations, the newest first")
    async def index(self, cursor: Cursor = None, limit: Limit = 50) -> SimulationPage:
        items, after = page(
            await simulation_runs(before=number_at(cursor), limit=limit + 1), limit, lambda run: [run.id]
        )
        return SimulationPage(items=items, next=after)

    @get("/{run_id:int}", summary="One simulation")
    async def show(self, run_id: FromPath[int]) -> SimulationRun:
        return await simulation_run(run_id)


class TierController(Controller):
    path = "/v1/tiers"
    tags = ("loyalty",)
    opt = {"permission": "rewards:read"}

    @get(summary="The tiers, the lowest first")
    async def index(self) -> TierList:
        return TierList(
            items=[_tier(code) for code in sorted((await the_programme()).tiers, key=lambda t: t.threshold)]
        )

    @post(summary="Add a tier, or change one", opt={"permission": "programme:write"}, status_code=201)
    async def publish(
        self, request: Request[Principal, Any, Any], data: JSONBody[TierSent], idempotency_key: IdempotencyKey = ""
    ) -> Response[TierShown]:
        await _check_tier(data)

        async def write() -> TierShown:
            before = next((_tier(one) for one in (await the_programme()).tiers if one.code == data.code), None)
            await define_tier(
                code=data.code,
                name=data.name,
                rank=data.rank,
                threshold=data.threshold,
                multiplier_milli=data.multiplier_milli,
                benefits=data.benefits,
                staff_id=request.user.staff_id,
            )
            after = next(_tier(one) for one in (await the_programme()).tiers if one.code == data.code)
            await audit(request.user, "tier.changed", f"tier:{data.code}", before=before, after=after)
            return after

        return await once(request, idempotency_key, write)

    @get("/{code:str}/versions", summary="Every state a tier had, the newest first", opt={"permission": "loyalty:read"})
    async def history(self, code: FromPath[str]) -> VersionList:
        found = await versions("tier", code)
        if not found:
            raise NotFound(kind="tier", name=code)
        return VersionList(items=found)


async def _check_tier(sent: TierSent) -> None:
    for field, low, high in (("threshold", 0, 10**12), ("multiplier_milli", 1000, 10_000), ("rank", 0, 1000)):
        if not low <= getattr(sent, field) <= high:
            raise InvalidInput(field=field, why=f"must lie between {low:,} and {high:,}")
    if not 1 <= len(sent.name) <= 200:
        raise InvalidInput(field="name", why="1 to 200 characters are needed")
    rows = {one.code: one for one in (await the_programme()).tiers if one.code != sent.code}
    clash = next((code for code, one in rows.items() if one.threshold == sent.threshold), None)
    if clash is not None:
        raise InvalidInput(field="threshold", why=f"{clash} has the same")


def _tier(level: Any) -> TierShown:
    return TierShown(
        code=level.code,
        name=level.name,
        threshold=level.threshold,
        multiplier_milli=level.multiplier_milli,
        benefits=list(level.benefits),
    )


async def _shown(found: list[DatedRule], language: Language) -> list[RuleVersion]:
    programme = await the_programme()
    holding = {(rule.code, rule.version) for rule in programme.rules_at(datetime.now(UTC))}
    return [
        RuleVersion(
            **{name: getattr(dated.rule, name) for name in dated.rule.__struct_fields__},
            valid_from=dated.valid_from,
            valid_to=dated.valid_to,
            current=(dated.rule.code, dated.rule.version) in holding,
            text=describe(dated.rule, programme.chain.currency, language),
        )
        for dated in found
    ]
