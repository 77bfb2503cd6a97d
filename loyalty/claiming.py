"""Receipts that were anonymous at the till and are claimed by a member later, once."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

import database
from loyalty.caps import count_given, lock_budgets, what_is_left
from loyalty.earning import EarnContext, EarnLine, earn, explained
from loyalty.errors import ClaimRefused
from loyalty.funds import funds
from loyalty.ledger import Posting, credit
from loyalty.locks import lock_account
from loyalty.lots import activation, expiry
from loyalty.pricing import earn_base, earn_line
from loyalty.programme import Programme, the_programme
from loyalty.rules import EarnRule, birthdays_around
from loyalty.tiers import promote, recount, risen, standing
from membership.cards import member_of_card
from membership.consumption import recompute
from stores.catalogue import CatalogueProduct
from stores.receipts import RecordedReceipt, find_receipt


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt that has become the member's, and what it earned."""

    receipt_id: int
    earned: int
    balance: int


async def claim(
    number: str,
    *,
    store: str,
    receipt_number: str,
    total: int,
    till: str | None = None,
    at: datetime,
    staff_id: int | None = None,
) -> Claim:
    """Make an anonymous receipt the member's, with what came back of it since, and give the points it would have earned.

    The rules are those of its day and so are the caps on a day; the tier is today's, and its total has to be known: a number
    alone can be guessed. Raises `ClaimRefused` for one that is not found, too old, or somebody's already.
    """
    async with database.transaction():
        programme = await the_programme()
        account = await lock_account(await member_of_card(number))
        sale = await _find(store, till, receipt_number, total)
        if sale.member_id is not None:
            raise ClaimRefused(reason="it is a member's already")
        if at > sale.business_time + timedelta(days=programme.claim_days):
            raise ClaimRefused(reason=f"it is older than {programme.claim_days} days", claim_days=programme.claim_days)
        await database.execute(
            "UPDATE stores.receipt SET member_id = $2 WHERE id = $1 OR (original_id = $1 AND member_id IS NULL)",
            sale.id,
            account.member_id,
        )
        earned = await _award(account.member_id, sale, programme, staff_id)
        await recompute([account.member_id])
        await recount([account.member_id])
        before = await standing(account.member_id, programme, at)
        joined = await database.value("SELECT registered_at FROM membership.member WHERE id = $1", account.member_id)
        await promote(
            account.member_id, before, risen(programme, before, at=at, joined=joined), at=at, store_id=sale.store_id
        )
        await database.execute(
            "INSERT INTO membership.event (member_id, kind, ref, at, store_id, data) VALUES ($1, 'claimed', 'receipt:' || $2::bigint, "
            "$3, $4, jsonb_build_object('total', $5::bigint))",
            account.member_id,
            sale.id,
            at,
            sale.store_id,
            sale.total,
        )
        return Claim(receipt_id=sale.id, earned=earned, balance=(await funds([account.id], at)).usable)


async def _find(store: str, till: str | None, number: str, total: int) -> RecordedReceipt:
    rows = await database.rows(
        "SELECT r.id FROM stores.receipt r JOIN stores.store s ON s.id = r.store_id WHERE s.code = $1 AND r.number = $2 "
        "AND r.total = $3 AND kind = 'sale' AND ($4::text IS NULL OR r.till = $4) LIMIT 2",
        store,
        number,
        total,
        till,
    )
    if not rows:
        raise ClaimRefused(reason="no receipt of that store has this number and total")
    if len(rows) > 1:
        raise ClaimRefused(reason="more than one till has such a receipt; say which")
    return await find_receipt(receipt_id=rows[0]["id"], lock=True)


async def _award(member_id: int, sale: RecordedReceipt, programme: Programme, staff_id: int | None) -> int:
    """What the goods that stayed earn. The award is kept whole, so that a later return is computed as from any sale."""
    context = await _context(member_id, sale, programme)
    kept = [line.amount - line.returned_amount for line in sale.lines]
    lines = [
        earn_line(
            CatalogueProduct(
                id=line.product_id,
                sku=line.sku,
                name="",
                category=line.category,
                brand=line.brand,
                kind=line.kind,
                price=None,
            ),
            amount=amount,
            tax=line.tax * amount // line.amount if line.amount else 0,
            quantity=line.quantity - line.returned_quantity,
            on_tax=programme.earn_on_tax,
            excluded=programme.earn_excluded,
        )
        for line, amount in zip(sale.lines, kept, strict=True)
    ]
    rules, day = programme.rules_at(sale.business_time), sale.business_time.astimezone(programme.chain.zone).date()
    context = await _bounded(context, lines, rules, member_id, day, programme)
    award = earn(rules, lines, context)
    await count_given(
        {part.rule: part.points for part in award.explanation},
        total=award.points,
        rules=rules,
        member_id=member_id,
        day=day,
        day_counts=programme.member_day_max is not None,
    )
    if award.points:
        starts, awaits = activation(sale.business_time, programme.terms)
        posting = Posting(
            amount=award.points,
            kind="earn",
            reason="claimed",
            event_at=sale.business_time,
            store_id=sale.store_id,
            staff_id=staff_id,
            receipt_id=sale.id,
            explanation=explained(award, context) | earn_base(programme),
        )
        ends = expiry(starts, programme.terms)
        await credit(await lock_account(member_id), posting, activates_at=starts, expires_at=ends, awaits=awaits)
    return award.points


async def _bounded(
    context: EarnContext,
    lines: Sequence[EarnLine],
    rules: Sequence[EarnRule],
    member_id: int,
    day: date,
    programme: Programme,
) -> EarnContext:
    """With what caps leave, of the day of the sale and of budgets as they are now."""
    drawn = {code for code, _ in earn(rules, lines, context).applied}
    budgeted = [rule.code for rule in rules if rule.caps.budget is not None and rule.code in drawn]
    if budgeted:
        await lock_budgets(budgeted)
    left, day_left = await what_is_left(rules, member_id=member_id, day=day, member_day_max=programme.member_day_max)
    return msgspec.structs.replace(context, left=left, day_left=day_left)


async def _context(member_id: int, sale: RecordedReceipt, programme: Programme) -> EarnContext:
    row = await database.row(
        "SELECT m.birth_month, m.birth_day, s.region, s.time_zone, NOT EXISTS (SELECT FROM stores.receipt r "
        "WHERE r.member_id = m.id AND r.kind = 'sale' AND r.id <> $2 AND r.business_time <= $3) AS first_purchase "
        "FROM membership.member m, stores.store s WHERE m.id = $1 AND s.id = $4",
        member_id,
        sale.id,
        sale.business_time,
        sale.store_id,
    )
    assert row is not None
    at_local = sale.business_time.astimezone(ZoneInfo(row["time_zone"]))
    tier = (await standing(member_id, programme, sale.business_time)).tier
    return EarnContext(
        currency=programme.chain.currency,
        store=sale.store,
        region=row["region"],
        at_local=at_local,
        tier=tier.code if tier else None,
        tier_multiplier_milli=tier.multiplier_milli if tier else 1000,
        birthday=birthdays_around(row["birth_month"], row["birth_day"], at_local.date()),
        first_purchase=row["first_purchase"],
    )
