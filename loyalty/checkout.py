"""The till's one call: a sale becomes a receipt, a rollup, ledger entries and timeline events in one transaction."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

import database
from loyalty.caps import count_given, lock_budgets, what_is_left
from loyalty.earning import explained
from loyalty.errors import AccountFrozen, VoucherRefused
from loyalty.funds import lots_to_spend
from loyalty.ledger import EARNING, Posting, debit, earning, repay
from loyalty.locks import Account
from loyalty.lots import LotUse, activation, expiry, split_spend
from loyalty.pricing import Buyer, Settlement, check_lines, earn_base, settle
from loyalty.repeats import sale_again
from loyalty.rules import EarnRule
from loyalty.sales import Basket, Quote, Sale
from loyalty.scene import Accounts, Scene, find_buyer, lock_buyer, read_scene
from loyalty.tiers import COUNTING, Standing, counting, progress, promote, risen
from loyalty.vouchers import Voucher, find_vouchers, use_vouchers
from membership.consumption import ROLLING_UP, rolling_up
from stores.receipts import RECORDING, Receipt, ReceiptLine, record, recording, refuse_difference


class Offline(msgspec.Struct, frozen=True, kw_only=True):
    """What a till that was offline has done already: what it `charged`, in minor units, and what of the points it took was not there
    and is owed, or covered by nobody (minor units)."""

    charged: int
    overdrawn: int = 0
    uncovered: int = 0


class _Tender(msgspec.Struct, frozen=True):
    """What one account gives towards a basket, and what of it is owed because no lot has it."""

    account: Account
    uses: Sequence[LotUse]
    owed: int


async def quote(basket: Basket, *, segments: frozenset[str] = frozenset(), proposed: EarnRule | None = None) -> Quote:
    """Price a basket without writing anything. `segments` are those the member is in, if any rule asks; `proposed` is a rule to try
    in the place of the one of its code."""
    check_lines(basket.lines)
    member_id, accounts = await find_buyer(basket.member) if basket.member is not None else (None, [])
    scene = await read_scene(basket, member_id=member_id, account_ids=accounts, segments=segments)
    if proposed is not None:
        scene = msgspec.structs.replace(scene, programme=scene.programme.trying(proposed))
    vouchers = await find_vouchers(basket.vouchers, member_id=member_id) if basket.vouchers else {}
    settlement = _price(basket, scene, vouchers)
    usable, pending = _balance_after(scene, settlement)
    after = _standing_after(scene, settlement, basket.business_time)
    return Quote(
        settlement=settlement,
        usable=usable,
        pending=pending,
        tier=progress(scene.programme, after) if after else None,
    )


async def checkout(
    basket: Basket,
    *,
    till: str,
    number: str,
    staff_id: int | None = None,
    segments: frozenset[str] = frozenset(),
    offline: Offline | None = None,
) -> Sale:
    """Record a sale. The same receipt again changes nothing and answers what it did the first time.

    `offline` is for a till that has sold already. Raises `ReceiptDiffers` when the number is taken by other
    content, `VoucherRefused`, `InsufficientPoints` and `InsufficientFunds` rather than sell at another price than was quoted.
    """
    check_lines(basket.lines)
    async with database.transaction():
        accounts = await lock_buyer(basket) if basket.member is not None else None
        scene = await read_scene(
            basket,
            till=till,
            number=number,
            member_id=accounts.member_id if accounts else None,
            account_ids=accounts.shown if accounts else (),
            segments=segments,
        )
        if scene.recorded_id is None:
            sale = await _sell(basket, scene, accounts, till=till, number=number, staff_id=staff_id, offline=offline)
            if sale is not None:
                return sale
        return await sale_again(
            basket,
            store_id=scene.store_id,
            programme=scene.programme,
            till=till,
            number=number,
            member_id=accounts.member_id if accounts else None,
        )


async def _sell(
    basket: Basket,
    scene: Scene,
    accounts: Accounts | None,
    *,
    till: str,
    number: str,
    staff_id: int | None,
    offline: Offline | None,
) -> Sale | None:
    """Price the basket and write everything; None when another till has written this very receipt meanwhile."""
    at, buyer = basket.business_time, scene.buyer
    scene = await _with_budgets(basket, scene, offline)
    vouchers: dict[str, Voucher] = {}
    if basket.vouchers:
        vouchers = await find_vouchers(basket.vouchers, member_id=buyer.member_id if buyer else None, lock=True)
    settlement = _price(basket, scene, vouchers, offline=offline)
    for outcome in settlement.vouchers:
        if outcome.reason is not None and offline is None:
            raise VoucherRefused(code=outcome.code, why=outcome.reason)
    receipt = _receipt(basket, scene, settlement, till=till, number=number, staff_id=staff_id)
    tenders = []
    if accounts is not None:
        tenders = await _tenders(accounts, basket, settlement, overdrawn=offline.overdrawn if offline else 0)
    if accounts is None or buyer is None:
        receipt_id = await record(receipt)
    else:
        receipt_id = await _record_for(accounts.own, buyer, scene, settlement, receipt)
    if receipt_id is None:
        return None
    used = [(vouchers[one.code].id, one.discount) for one in settlement.vouchers if one.applied]
    if used:
        await use_vouchers(used, receipt_id=receipt_id, member_id=receipt.member_id, at=at)
    after = _standing_after(scene, settlement, at)
    if accounts is not None and buyer is not None and after is not None:
        for tender in tenders:
            await _pay(tender, accounts.member_id, receipt, receipt_id)
        await _count_caps(buyer, scene, settlement, at)
        await promote(buyer.member_id, buyer.standing, after, at=at, store_id=scene.store_id)
    return _sale(scene, settlement, receipt_id, after)


async def _with_budgets(basket: Basket, scene: Scene, offline: Offline | None) -> Scene:
    """The scene with what is left of budgets that this basket draws on, which nobody else does until it is done."""
    buyer, programme, at = scene.buyer, scene.programme, basket.business_time
    rules = programme.rules_at(at)
    if buyer is None or not any(rule.caps.budget is not None for rule in rules):
        return scene
    goods = _price(msgspec.structs.replace(basket, vouchers=[]), scene, {}, offline=offline)
    drawn = {code for code, _ in goods.award.applied}
    budgeted = [rule.code for rule in rules if rule.caps.budget is not None and rule.code in drawn]
    if not budgeted:
        return scene
    await lock_budgets(budgeted)
    left, day_left = await what_is_left(
        rules, member_id=buyer.member_id, day=_day(scene, at), member_day_max=programme.member_day_max
    )
    return msgspec.structs.replace(scene, buyer=msgspec.structs.replace(buyer, left=left, day_left=day_left))


def _day(scene: Scene, at: datetime) -> date:
    """The chain's day, by which tiers and caps count."""
    return at.astimezone(scene.programme.chain.zone).date()


def _price(basket: Basket, scene: Scene, vouchers: dict[str, Voucher], *, offline: Offline | None = None) -> Settlement:
    payment = basket.payment
    if offline is not None:
        payment = msgspec.structs.replace(payment, overdrawn=offline.overdrawn, uncovered=offline.uncovered)
    return settle(
        basket.lines,
        products=scene.products,
        vouchers=vouchers,
        voucher_codes=basket.vouchers,
        payment=payment,
        buyer=scene.buyer,
        programme=scene.programme,
        place=scene.place,
        at=basket.business_time,
        charged=offline.charged if offline is not None else None,
    )


def _receipt(
    basket: Basket, scene: Scene, settlement: Settlement, *, till: str, number: str, staff_id: int | None
) -> Receipt:
    payments = {
        "points": settlement.points_value,
        "stored_value": settlement.stored_value,
        "uncovered": settlement.uncovered,
    }
    payments = {method: amount for method, amount in payments.items() if amount}
    if settlement.due or not payments:
        payments["money"] = settlement.due
    return Receipt(
        store_id=scene.store_id,
        till=till,
        number=number,
        business_time=basket.business_time,
        kind="sale",
        member_id=scene.buyer.member_id if scene.buyer else None,
        staff_id=staff_id,
        payments=payments,
        lines=[
            ReceiptLine(
                product=line.product,
                quantity=line.quantity,
                unit_price=line.unit_price,
                discount=line.discount,
                amount=line.amount,
                tax=line.tax,
            )
            for line in settlement.lines
        ],
    )


async def _record_for(
    account: Account, buyer: Buyer, scene: Scene, settlement: Settlement, receipt: Receipt
) -> int | None:
    """Receipt, rollup, timeline, what counts towards tiers, and the award with its lot: one statement, one round trip."""
    at, award = receipt.business_time, settlement.award
    parts = [RECORDING, ROLLING_UP, COUNTING]
    values = recording(receipt) | rolling_up(buyer.member_id, receipt)
    counted = _counted(settlement)
    values |= counting(
        buyer.member_id, _day(scene, at), spend=counted["spend"], points=counted["points"], visits=counted["visits"]
    )
    if award.points:
        starts, awaits = activation(at, scene.programme.terms)
        posting = Posting(
            amount=award.points,
            kind="earn",
            event_at=at,
            store_id=receipt.store_id,
            staff_id=receipt.staff_id,
            explanation=explained(award, settlement.context) | earn_base(scene.programme),
        )
        ends = expiry(starts, scene.programme.terms)
        values |= earning(account, posting, activates_at=starts, expires_at=ends, awaits=awaits)
        parts.append(EARNING)
    sql, arguments = database.named(f"WITH {', '.join(parts)} SELECT id FROM receipt", values)
    receipt_id: int | None = await database.value(sql, *arguments)
    if receipt_id is None:
        await refuse_difference(receipt)
    elif account.debt and award.points:
        await repay(account, at=at)
    return receipt_id


def _counted(settlement: Settlement) -> dict[str, int]:
    """What a sale counts towards tiers, by metric."""
    return {
        "spend": settlement.total,
        "points": settlement.award.points,
        "visits": 1 if settlement.total > 0 else 0,
    }


def _standing_after(scene: Scene, settlement: Settlement, at: datetime) -> Standing | None:
    """Where the buyer stands with this sale."""
    if scene.buyer is None:
        return None
    before = scene.buyer.standing
    reached = before.qualifying + _counted(settlement)[scene.programme.tier_metric]
    counted = msgspec.structs.replace(before, qualifying=reached)
    return risen(scene.programme, counted, at=at, joined=scene.buyer.joined)


async def _tenders(accounts: Accounts, basket: Basket, settlement: Settlement, *, overdrawn: int) -> list[_Tender]:
    """What the customer pays with besides money, lot by lot; in a household from whose lots end first, each from its own account.

    Before anything is written: points that this very sale earns do not pay for it.
    """
    at, points = basket.business_time, settlement.points_spent - overdrawn
    tenders = []
    if settlement.points_spent:
        lots = await lots_to_spend([account.id for account in accounts.pool], at, points)
        uses = split_spend(lots, points)
        owner = {lot.id: lot.account_id for lot in lots}
        for account in accounts.pool:
            taken = [use for use in uses if owner[use.lot_id] == account.id]
            owed = overdrawn if account.id == accounts.own.id else 0
            if taken or owed:
                tenders.append(_Tender(account, taken, owed))
    if settlement.stored_value:
        assert accounts.money is not None
        if accounts.money.frozen:
            raise AccountFrozen(number=str(basket.member))
        lots = await lots_to_spend([accounts.money.id], at, settlement.stored_value)
        tenders.append(_Tender(accounts.money, split_spend(lots, settlement.stored_value), 0))
    return tenders


async def _pay(tender: _Tender, spender: int, receipt: Receipt, receipt_id: int) -> None:
    account = tender.account
    posting = Posting(
        amount=-sum(use.points for use in tender.uses) - tender.owed,
        kind="spend",
        reason="paid part of a basket",
        event_at=receipt.business_time,
        store_id=receipt.store_id,
        staff_id=receipt.staff_id,
        receipt_id=receipt_id,
        explanation={"household": True, "spent_by": spender} if spender != account.member_id else {},
    )
    await debit(account, posting, tender.uses, owed=tender.owed)
    if tender.owed:
        await repay(account, at=receipt.business_time)


async def _count_caps(buyer: Buyer, scene: Scene, settlement: Settlement, at: datetime) -> None:
    await count_given(
        {part.rule: part.points for part in settlement.award.explanation},
        total=settlement.award.points,
        rules=scene.programme.rules_at(at),
        member_id=buyer.member_id,
        day=_day(scene, at),
        day_counts=scene.programme.member_day_max is not None,
    )


def _balance_after(scene: Scene, settlement: Settlement) -> tuple[int, int]:
    """What the buyer's pool can spend after the sale, and what is pending."""
    if scene.buyer is None:
        return 0, 0
    starts, _ = activation(settlement.context.at_local, scene.programme.terms)
    funds = scene.buyer.funds
    earned = max(0, settlement.award.points - funds.debt)  # what is owed is repaid first
    now = earned if starts <= settlement.context.at_local else 0
    return funds.usable - settlement.points_spent + now, funds.pending + earned - now


def _sale(scene: Scene, settlement: Settlement, receipt_id: int, after: Standing | None) -> Sale:
    usable, pending = _balance_after(scene, settlement)
    return Sale(
        receipt_id=receipt_id,
        total=settlement.total,
        due=settlement.due,
        discount=settlement.discount,
        earned=settlement.award.points,
        spent=settlement.points_spent,
        stored_value=settlement.stored_value,
        usable=usable,
        pending=pending,
        tier=progress(scene.programme, after) if after else None,
        explanation=settlement.award.explanation,
        priced=settlement.priced,
        vouchers=settlement.vouchers,
        again=False,
    )
