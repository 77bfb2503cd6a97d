"""One pass through everything, told step by step: receipts become members, points, segments, a campaign and its result."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

import database
from api.demo.chain import CHAIN
from api.demo.generator import DAYS, GeneratedChain
from api.demo.outbox import outbox
from api.demo.people import LAST_HIRED, SignIns, hire_demo_staff
from api.demo.till import TillVisit, visit_till
from api.demo.window import Planted, shop_in_window, synthetic_contacts
from api.imports.members import import_members
from api.imports.receipts import ReceiptImport, import_receipts
from api.imports.tables import import_products, import_stores
from campaigns.dispatch import dispatch
from campaigns.launch import launch
from campaigns.planning import Draft, Expected, Offer, draft
from campaigns.report import CampaignReport, report
from loyalty.nightly import run_nightly
from loyalty.programme import define_tier, ensure_base_rule, publish_rule, the_programme
from loyalty.rewards import RewardSent, publish_reward
from loyalty.rules import Conditions, EarnRule
from loyalty.verification import verify_ledger
from segmentation.clusters import cluster_members
from segmentation.cross_sell import relate_products
from segmentation.rfm import score_members
from segmentation.runs import moment
from stores.catalogue import Product, stock
from stores.chain import Chain, found, the_chain
from stores.money import shown

WINDOW_DAYS: Final = 30
SEGMENT: Final = "Potential Loyalist"
BONUS_POINTS: Final = 200
TOTE: Final = Product(sku="TOTE", name="Canvas tote bag", category="rewards", kind="service", price=0)

Tell = Callable[[str], None]


class Step(msgspec.Struct, kw_only=True):
    """One step: what was done, in words and figures, and how long it took."""

    name: str
    words: str = ""
    figures: dict[str, Any] = {}
    seconds: float = 0.0


class Story(msgspec.Struct, kw_only=True):
    """The whole pass. `planted` holds the truths of the generated chain beside what the analyses found."""

    chain: str
    steps: list[Step]
    planted: dict[str, Any]
    seconds: float
    sign_ins: SignIns | None = None


class _Telling:
    """Runs steps, times them and tells each as it ends."""

    def __init__(self, tell: Tell) -> None:
        self.tell, self.steps = tell, list[Step]()

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[Step]:
        step, started = Step(name=name, figures={}), time.perf_counter()
        yield step
        step.seconds = round(time.perf_counter() - started, 2)
        self.steps.append(step)
        self.tell(f"[bold]{len(self.steps):2}. {name}[/] [dim]({step.seconds:.1f} s)[/]\n    {step.words}")


async def told_already() -> bool:
    """Whether this database has been through the story: its staff come last."""
    return bool(await database.value("SELECT EXISTS (SELECT FROM stores.staff WHERE email = $1)", LAST_HIRED))


async def tell_generated(folder: Path, *, end: date, tell: Tell, members: int = 20_000) -> Story:
    """The story on the generated chain, whose history ends the day before `end`."""
    started, telling = time.perf_counter(), _Telling(tell)
    folder.mkdir(parents=True, exist_ok=True)
    generated = GeneratedChain(end, members=members)
    launch_day = end - timedelta(days=WINDOW_DAYS)
    async with telling.step("A chain opens") as step:
        await _set_up(CHAIN)
        generated.write_stores(folder / "stores.csv")
        generated.write_products(folder / "products.csv")
        generated.write_members(folder / "members.csv")
        stores = await import_stores(folder / "stores.csv")
        products = await import_products(folder / "products.csv")
        joined = await import_members(folder / "members.csv")
        step.words = (
            f"{CHAIN.name}: {stores.rows} branches in 4 regions and 2 time zones, {products.rows} products, "
            f"{joined.rows:,} members, each with an EAN-13 card."
        )
        step.figures = {"stores": stores.rows, "products": products.rows, "members": joined.rows}
    async with telling.step("Two years of receipts become history and points") as step:
        history = folder / "receipts.csv"
        generated.write_receipts(history, generated.purchases(0, DAYS - WINDOW_DAYS, stream=2), prefix="H", stream=2)
        _imported(step, await import_receipts(history, award_points=True))
    planted: dict[str, Any] = {}
    campaign_id = await _analyse(telling, launch_day, folder, planted, generated)
    async with telling.step("The campaign's thirty days pass") as step:
        truth = await _window(generated, folder, step, campaign_id)
    final = await _measure(telling, campaign_id, end)
    planted["uplift"] = {
        "planted": truth.uplift,
        "measured": final.effect.response.estimate,
        "low": final.effect.response.low,
        "high": final.effect.response.high,
        "recovered": final.effect.response.low <= truth.uplift <= final.effect.response.high,
    }
    return await _finish(telling, CHAIN.name, planted, started, end)


async def tell_file(path: Path, folder: Path, *, profile: str, tell: Tell) -> Story:
    """The story on a file of real receipts, replayed: the campaign runs on its last thirty days, without a true effect."""
    started, telling = time.perf_counter(), _Telling(tell)
    folder.mkdir(parents=True, exist_ok=True)
    async with telling.step("Receipts become stores, products, members, history and points") as step:
        _imported(step, await import_receipts(path, profile=profile, award_points=True))
        chain = await the_chain()
        await _set_up(chain)
        newest = await database.value("SELECT max(business_time) FROM stores.receipt")
        end = newest.astimezone(chain.zone).date() + timedelta(days=1)
        contacts = await synthetic_contacts()
        step.words += (
            f" The file has no e-mail: {contacts:,} members are given made-up addresses and consent, for the campaign to "
            "have someone to write to."
        )
    planted: dict[str, Any] = {}
    campaign_id = await _analyse(telling, end - timedelta(days=WINDOW_DAYS), folder, planted, None)
    await _measure(telling, campaign_id, end)
    return await _finish(telling, chain.name, planted, started, end)


async def _set_up(chain: Chain) -> None:
    """The chain and a small programme: a base rule, a weekend bonus, three tiers, three rewards."""
    await found(chain)
    unit = 10**chain.exponent
    if not (await the_programme()).rules:
        await ensure_base_rule()
        weekend = EarnRule(
            code="weekend",
            version=1,
            kind="bonus",
            multiplier_milli=1500,
            conditions=Conditions(weekdays=frozenset({6, 7})),
        )
        await publish_rule(weekend, valid_from=datetime.now(UTC))
    for rank, (code, name, threshold, multiplier) in enumerate(
        (("silver", "Silver", 500, 1000), ("gold", "Gold", 2000, 1250), ("platinum", "Platinum", 5000, 1500)), start=1
    ):
        await define_tier(code=code, name=name, rank=rank, threshold=threshold * unit, multiplier_milli=multiplier)
    await stock([TOTE])
    for reward in (
        RewardSent(
            code="tote", name="Canvas tote bag", points=300, kind="product", sku=TOTE.sku, stock=500, member_max=1
        ),
        RewardSent(
            code="five-off",
            name=f"{shown(5 * unit, chain.currency)} off",
            points=500,
            kind="amount_off",
            value=5 * unit,
        ),
        RewardSent(
            code="ten-percent", name="10% off one basket", points=1200, kind="percent_off", value=10, tier_min="silver"
        ),
    ):
        await publish_reward(reward)


def _imported(step: Step, result: ReceiptImport) -> None:
    step.words = (
        f"{result.rows:,} lines in {result.receipts:,} receipts{f' of {result.members:,} members' if result.members else ''}; "
        f"{result.matched_returns:,} returned lines matched to their sale, {result.blind_returns:,} blind; "
        f"{result.points.earned:,} points earned, {result.points.clawed_back:,} clawed back, {result.rejected} rows rejected."
    )
    step.figures = msgspec.to_builtins(result)


async def _analyse(
    telling: _Telling, launch_day: date, folder: Path, planted: dict[str, Any], generated: GeneratedChain | None
) -> int:
    """From the ledger's proof to the campaign's launch; the campaign's id."""
    chain = await the_chain()
    async with telling.step("The ledger is proved, and the night's work done") as step:
        night = await run_nightly(moment(launch_day, chain))
        proof = await verify_ledger()
        step.words = (
            f"{proof.entries:,} entries in {proof.accounts:,} accounts: balances, {proof.lots:,} lots and hash chains "
            f"{'hold' if proof.ok else 'DO NOT HOLD'}. {night.tiers_gained:,} tiers gained, {night.points_expired:,} points expired."
        )
        step.figures = {"ok": proof.ok, "entries": proof.entries, "tiers_gained": night.tiers_gained}
    async with telling.step(f"RFM as of {launch_day}") as step:
        rfm = await score_members(launch_day)
        step.words = "; ".join(
            f"{found.name} {found.members:,} ({found.share_of_value:.0%} of value)" for found in rfm.segments[:5]
        )
        step.figures = {found.name: found.members for found in rfm.segments}
    async with telling.step("Clusters, as many as are stable") as step:
        clusters = await cluster_members(launch_day)
        step.words = f"{clusters.k} clusters. The most valuable: {clusters.clusters[0].words}."
        step.figures = {"k": clusters.k, "stability": {str(k): round(v, 3) for k, v in clusters.stability.items()}}
    async with telling.step("Cross-sell") as step:
        related = await relate_products(launch_day)
        step.words = f"{related.pairs:,} suggestions from {related.baskets:,} baskets."
        step.figures = {"baskets": related.baskets, "pairs": related.pairs}
        if generated is not None:
            recovered = await _pairs_recovered(generated, related.run_id)
            planted["pairs"] = {"planted": len(generated.catalogue.pairs), "recovered": recovered}
            step.words += (
                f" Planted pairs found as the first suggestion: {recovered} of {len(generated.catalogue.pairs)}."
            )
    async with telling.step(f"A campaign to {SEGMENT} members") as step:
        return await _campaign(step, moment(launch_day, chain) + timedelta(hours=9), folder / "outbox")


async def _campaign(step: Step, at: datetime, mail: Path) -> int:
    campaign_id = await draft(
        Draft(
            name="Come back and earn",
            segment=SEGMENT,
            offer=Offer(kind="bonus_points", value=BONUS_POINTS),
            expected=Expected(response=0.36, uplift=0.11),
            budget_points=400_000,
            holdout_percent=30,
            window_days=WINDOW_DAYS,
        ),
        point_value=(await the_programme()).point_value,
        salt="demo",  # the same control each time, so that the story is
    )
    launched = await launch(campaign_id, at=at)
    async with outbox(mail) as smtp_url:
        sent = await dispatch(campaign_id, smtp_url=smtp_url, sender="Regulars <regulars@mail.example>", at=at)
    skipped = ", ".join(f"{number:,} {reason}" for reason, number in launched.skipped.items()) or "none"
    step.words = (
        f"{launched.audience:,} in the segment: {sent.sent:,} e-mails sent in four languages through SMTP (kept in {mail}), "
        f"{launched.control:,} held out as control, skipped: {skipped}. {launched.reserved_points:,} points reserved."
    )
    step.figures = {"audience": launched.audience, "control": launched.control, **msgspec.to_builtins(sent)}
    return campaign_id


async def _window(generated: GeneratedChain, folder: Path, step: Step, campaign_id: int) -> Planted:
    purchases = generated.purchases(DAYS - WINDOW_DAYS, DAYS, stream=3)
    generated.write_receipts(folder / "window.csv", purchases, prefix="W", stream=3)
    result = await import_receipts(folder / "window.csv", award_points=True)
    planted = await shop_in_window(campaign_id, generated, bought=set(np.unique(purchases.member).tolist()))
    step.words = (
        f"{result.receipts:,} more receipts. Planted: {planted.share:.0%} of the treated who would not have come do come, "
        f"{planted.extra:,} baskets, each with its voucher, through the till's own checkout."
    )
    step.figures = msgspec.to_builtins(planted)
    return planted


async def _measure(telling: _Telling, campaign_id: int, end: date) -> CampaignReport:
    chain = await the_chain()
    async with telling.step("The result") as step:
        final = await report(campaign_id, at=moment(end, chain) + timedelta(days=1))
        effect = final.effect
        step.words = (
            f"Response {final.treated.response:.1%} of {final.treated.members:,} treated, {final.control.response:.1%} of "
            f"{final.control.members:,} control: {effect.response.estimate:+.1%} [{effect.response.low:+.1%}, "
            f"{effect.response.high:+.1%}], expected {final.uplift.expected:+.1%}. Verdict: {effect.verdict}, {effect.because}."
        )
        step.figures = msgspec.to_builtins(final)
    return final


async def _finish(telling: _Telling, chain: str, planted: dict[str, Any], started: float, end: date) -> Story:
    async with telling.step(f"RFM again, as of {end}") as step:
        settings_chain = await the_chain()
        await run_nightly(moment(end, settings_chain))
        rfm = await score_members(end)
        stayed = sum(to.get(name, 0) for name, to in rfm.movement.items())
        step.words = (
            f"{rfm.members:,} members; {stayed:,} stayed in their segment since the campaign began, the others moved."
        )
    async with telling.step("A customer at the till, over HTTP") as step:
        sign_ins = await hire_demo_staff()
        visit = await visit_till(sign_ins.till_credential, sign_ins.store, sign_ins.till)
        step.words = _visited(visit)
        step.figures = msgspec.to_builtins(visit)
    return Story(
        chain=chain,
        steps=telling.steps,
        planted=planted,
        seconds=round(time.perf_counter() - started, 1),
        sign_ins=sign_ins,
    )


def _visited(visit: TillVisit) -> str:
    return (
        f"{visit.name} is registered with a phone and a name ({visit.number}), quoted and sold {shown(visit.total, visit.currency)} "
        f"for {visit.earned} points, spends {visit.redeemed}, returns one item for {shown(visit.refund, visit.currency)} and "
        f"{visit.clawed_back} points; {visit.balance} are left."
    )


async def _pairs_recovered(generated: GeneratedChain, run_id: int) -> int:
    skus = generated.catalogue.sku
    rows = await database.rows(
        "SELECT a.sku, b.sku AS related FROM segmentation.related_product r JOIN stores.product a ON a.id = product_id "
        "JOIN stores.product b ON b.id = related_id WHERE run_id = $1 AND r.store_id = 0 AND rank = 1",
        run_id,
    )
    first = {row["sku"]: row["related"] for row in rows}
    return sum(first.get(skus[a]) == skus[b] for a, b in generated.catalogue.pairs)
