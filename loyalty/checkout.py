"""The till's one call: a sale becomes a receipt, a rollup, ledger entries and timeline events in one transaction."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

import database
from errors import InvalidInput
from loyalty.earning import explained
from loyalty.errors import VoucherRefused
from loyalty.ledger import Account, Posting, credit, debit, lock_account, lots_of_member, open_lots
from loyalty.lots import activation, available, expiry, pending, split_spend, usable
from loyalty.pricing import Buyer, Settlement, check_lines, settle
from loyalty.programme import Programme, the_programme
from loyalty.repeats import sale_again
from loyalty.sales import Basket, Quote, Sale
from loyalty.tiers import Standing, TierProgress, progress, promote, standing
from loyalty.vouchers import Voucher, find_vouchers, use_vouchers
from membership.cards import member_of_card
from membership.consumption import roll_up
from stores.catalogue import find_products
from stores.errors import UnknownStore
from stores.receipts import Receipt, ReceiptLine, record

CLOCK_AHEAD_MAX = timedelta(days=1)


class _Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Where and under which rules a basket is priced."""

    store_id: int
    store: str
    zone: ZoneInfo
    programme: Programme
    recorded_id: int | None


async def quote(basket: Basket) -> Quote:
    """Price a basket without writing anything."""
    check_lines(basket.lines)
    setting = await _setting(basket, till="", number="")
    buyer, reached = None, None
    if basket.member is not None:
        member_id = await member_of_card(basket.member)
        reached = await standing(member_id, setting.programme, basket.business_time)
        buyer = Buyer(member_id=member_id, lots=await lots_of_member(member_id), tier=reached.tier)
    settlement = await _price(basket, setting, buyer, await find_vouchers(basket.vouchers))
    lots = buyer.lots if buyer else []
    return Quote(
        settlement=settlement,
        usable=available(lots, basket.business_time),
        pending=pending(lots, basket.business_time),
        tier=progress(setting.programme, reached) if reached else None,
    )


async def checkout(basket: Basket, *, till: str, number: str, staff_id: int | None = None) -> Sale:
    """Record a sale. The same receipt again changes nothing and answers what it did the first time.

    Raises `ReceiptDiffers` when the number is taken by other content, `VoucherRefused` and `InsufficientPoints` rather than
    sell at another price than was quoted.
    """
    check_lines(basket.lines)
    async with database.transaction():
        member_id = await member_of_card(basket.member) if basket.member is not None else None
        account = await lock_account(member_id) if member_id is not None else None
        # After the lock, so that of two tills with the same receipt the second finds the first's.
        setting = await _setting(basket, till=till, number=number)
        if setting.recorded_id is None:
            sale = await _sell(basket, setting, account, till=till, number=number, staff_id=staff_id)
            if sale is not None:
                return sale
        return await sale_again(
            basket,
            store_id=setting.store_id,
            programme=setting.programme,
            till=till,
            number=number,
            member_id=member_id,
        )


async def _sell(
    basket: Basket, setting: _Setting, account: Account | None, *, till: str, number: str, staff_id: int | None
) -> Sale | None:
    """Price the basket and write everything; None when another till has written this very receipt meanwhile."""
    buyer, reached = None, None
    if account is not None:
        reached = await standing(account.member_id, setting.programme, basket.business_time)
        buyer = Buyer(member_id=account.member_id, lots=await open_lots(account.id), tier=reached.tier)
    vouchers = await find_vouchers(basket.vouchers, lock=True) if basket.vouchers else {}
    settlement = await _price(basket, setting, buyer, vouchers)
    for outcome in settlement.vouchers:
        if not outcome.applied:
            raise VoucherRefused(code=outcome.code, reason=outcome.reason)
    receipt = _receipt(basket, setting, settlement, till=till, number=number, buyer=buyer, staff_id=staff_id)
    receipt_id = await record(receipt)
    if receipt_id is None:
        return None
    if vouchers:
        await use_vouchers(
            [voucher.id for voucher in vouchers.values()], receipt_id=receipt_id, at=basket.business_time
        )
    tier = None
    if account is not None and buyer is not None and reached is not None:
        await roll_up(buyer.member_id, receipt, receipt_id)
        await _post(account, buyer, setting, settlement, receipt, receipt_id)
        tier = await promote(
            buyer.member_id,
            setting.programme,
            Standing(tier=reached.tier, qualifying=reached.qualifying + settlement.total),
            at=basket.business_time,
            store_id=setting.store_id,
        )
    return _sale(basket, setting, buyer, settlement, receipt_id, tier)


async def _setting(basket: Basket, *, till: str, number: str) -> _Setting:
    row = await database.row(
        "SELECT store.id, store.time_zone, programme.revision, receipt.id AS recorded_id FROM loyalty.programme "
        "LEFT JOIN stores.store ON store.code = $1 "
        "LEFT JOIN stores.receipt ON (receipt.store_id, receipt.till, receipt.number) = (store.id, $2, $3)",
        basket.store,
        till,
        number,
    )
    if row is None or row["id"] is None:
        raise UnknownStore(code=basket.store)
    programme = await the_programme(row["revision"])
    if basket.currency is not None and basket.currency != programme.chain.currency:
        raise InvalidInput(field="currency", why=f"the chain's is {programme.chain.currency}, not {basket.currency}")
    if basket.business_time.tzinfo is None:
        raise InvalidInput(field="business_time", why="needs an offset, such as 2026-03-01T10:15:00+08:00")
    if basket.business_time > datetime.now(UTC) + CLOCK_AHEAD_MAX:
        raise InvalidInput(field="business_time", why="lies in the future; check the till's clock")
    return _Setting(
        store_id=row["id"],
        store=basket.store,
        zone=ZoneInfo(row["time_zone"]),
        programme=programme,
        recorded_id=row["recorded_id"],
    )


async def _price(basket: Basket, setting: _Setting, buyer: Buyer | None, vouchers: dict[str, Voucher]) -> Settlement:
    return settle(
        basket.lines,
        products=await find_products(line.sku for line in basket.lines),
        vouchers=vouchers,
        voucher_codes=basket.vouchers,
        points_to_spend=basket.points_to_spend,
        buyer=buyer,
        programme=setting.programme,
        store=setting.store,
        at=basket.business_time,
        at_local=basket.business_time.astimezone(setting.zone),
    )


def _receipt(
    basket: Basket,
    setting: _Setting,
    settlement: Settlement,
    *,
    till: str,
    number: str,
    buyer: Buyer | None,
    staff_id: int | None,
) -> Receipt:
    payments = {"money": settlement.due} if settlement.due or not settlement.points_value else {}
    if settlement.points_value:
        payments["points"] = settlement.points_value
    return Receipt(
        store_id=setting.store_id,
        till=till,
        number=number,
        business_time=basket.business_time,
        kind="sale",
        member_id=buyer.member_id if buyer else None,
        staff_id=staff_id,
        payments=payments,
        lines=[
            ReceiptLine(
                product=line.product,
                quantity=line.quantity,
                unit_price=line.unit_price,
                discount=line.discount,
                amount=line.amount,
            )
            for line in settlement.lines
        ],
    )


async def _post(
    account: Account, buyer: Buyer, setting: _Setting, settlement: Settlement, receipt: Receipt, receipt_id: int
) -> None:
    at = receipt.business_time
    common: dict[str, Any] = {
        "event_at": at,
        "store_id": receipt.store_id,
        "staff_id": receipt.staff_id,
        "receipt_id": receipt_id,
    }
    if settlement.points_spent:
        uses = split_spend(usable(buyer.lots, at), settlement.points_spent)
        await debit(
            account,
            Posting(amount=-settlement.points_spent, kind="spend", reason="paid part of a basket", **common),
            uses,
        )
    if settlement.award.points:
        starts = activation(at, pending_days=setting.programme.pending_days)
        await credit(
            account,
            Posting(
                amount=settlement.award.points,
                kind="earn",
                explanation=explained(settlement.award, settlement.context),
                **common,
            ),
            activates_at=starts,
            expires_at=expiry(starts, months=setting.programme.expiry_months, zone=setting.programme.chain.zone),
        )


def _sale(
    basket: Basket,
    setting: _Setting,
    buyer: Buyer | None,
    settlement: Settlement,
    receipt_id: int,
    tier: TierProgress | None,
) -> Sale:
    at = basket.business_time
    earned_now = settlement.award.points if setting.programme.pending_days == 0 else 0
    lots = buyer.lots if buyer else []
    return Sale(
        receipt_id=receipt_id,
        total=settlement.total,
        due=settlement.due,
        discount=settlement.discount,
        earned=settlement.award.points,
        spent=settlement.points_spent,
        usable=available(lots, at) - settlement.points_spent + earned_now,
        pending=pending(lots, at) + settlement.award.points - earned_now,
        tier=tier,
        explanation=settlement.award.explanation,
        again=False,
    )
