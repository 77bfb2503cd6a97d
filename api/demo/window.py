"""The thirty days after the launch, with a true effect planted, and the contacts that a file of receipts lacks."""

from datetime import timedelta
from typing import Final

import msgspec
import numpy as np

import database
from api.demo.chain import STORES
from api.demo.generator import SEED, GeneratedChain
from loyalty.checkout import checkout
from loyalty.pricing import BasketLine
from loyalty.sales import Basket

SHARE: Final = 0.14


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """The truth: `share` of the treated who would not have bought do; `uplift` is what that makes of the response."""

    share: float
    extra: int
    treated: int
    uplift: float


async def shop_in_window(campaign_id: int, generated: GeneratedChain, *, bought: set[int]) -> Planted:
    """Some of the treated who stayed away (`bought` holds who did not) come after all, with their voucher."""
    random = np.random.default_rng([SEED, 11])
    treated = await database.rows(
        "SELECT external_ref, card.number, voucher.code, finished_at FROM campaigns.delivery d "
        "JOIN membership.member ON member.id = d.member_id JOIN membership.card ON card.member_id = member.id "
        "JOIN loyalty.voucher ON voucher.id = voucher_id WHERE d.campaign_id = $1 AND d.status = 'sent' ORDER BY external_ref",
        campaign_id,
    )
    away = [row for row in treated if int(row["external_ref"][1:]) - 1 not in bought]
    coming = [row for row in away if random.random() < SHARE]
    catalogue = generated.catalogue
    for place, row in enumerate(coming):
        member = int(row["external_ref"][1:]) - 1
        picked = random.choice(len(catalogue.sku), 2, replace=False, p=catalogue.weight)
        when = row["finished_at"] + timedelta(days=int(random.integers(1, 28)), minutes=int(random.integers(600)))
        basket = Basket(
            store=STORES[generated.home[member]][0],
            business_time=when,
            member=row["number"],
            vouchers=[row["code"]],
            lines=[BasketLine(sku=catalogue.sku[i], quantity=1, unit_price=int(catalogue.price[i])) for i in picked],
        )
        await checkout(basket, till="T1", number=f"C{campaign_id}-{place:06}")
    uplift = SHARE * len(away) / len(treated) if treated else 0.0
    return Planted(share=SHARE, extra=len(coming), treated=len(treated), uplift=round(uplift, 4))


async def synthetic_contacts() -> int:
    """Give members without an e-mail a made-up one (a reserved domain) and consent, plainly marked; how many."""
    return await database.execute(
        "WITH made AS (UPDATE membership.member SET email = lower(external_ref) || '@mail.example' "
        "WHERE email IS NULL AND external_ref IS NOT NULL RETURNING id) "
        "INSERT INTO membership.consent (member_id, channel, purpose, given, wording, source, method, at) "
        "SELECT id, 'email', 'marketing', true, 'demo', 'demo', 'made up', now() FROM made"
    )
