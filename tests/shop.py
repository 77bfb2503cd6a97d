"""A small shop to test with, built through the public functions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import database
from loyalty.checkout import checkout
from loyalty.ledger import Posting, credit
from loyalty.locks import lock_account
from loyalty.pricing import BasketLine
from loyalty.programme import ensure_base_rule
from loyalty.returns import take_back
from loyalty.sales import Basket, Return, ReturnedLine, Sale
from loyalty.voucher_batches import TermsSent, codes_of, generate, issue, publish_terms
from membership.cards import card_of_member, member_of_card
from membership.registration import Registration, Source, register
from stores.branches import Branch, open_store
from stores.catalogue import Product, stock
from stores.chain import Chain, found

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
CHAIN = Chain(name="Test", currency="MYR", region="MY", language="en", time_zone="Asia/Kuala_Lumpur")
PRODUCTS = (
    Product(sku="TEA", name="Tea", category="drinks/tea", brand="Boh", price=255),
    Product(sku="CUP", name="Cup", category="home", brand="Claytan", price=1_000),
    Product(sku="POST", name="Postage", kind="service", price=500),
    Product(sku="GIFT", name="Gift card", kind="gift_card", price=5_000),
)

_numbers = iter(range(10**9))


async def open_shop() -> None:
    """A chain with two stores, four products and the base rule of one point per ringgit."""
    await found(CHAIN)
    await open_store(Branch(code="KL01", name="Kuala Lumpur", time_zone="Asia/Kuala_Lumpur"))
    await open_store(Branch(code="JB02", name="Johor Bahru", time_zone="Asia/Kuala_Lumpur"))
    await stock(PRODUCTS)
    await ensure_base_rule()


def new_phone() -> str:
    """A phone that differs from every other in two digits at least (ISO 7064, mod 97-10), so that none looks mistyped."""
    number = next(_numbers)
    return f"+6012{number:05}{98 - number * 100 % 97:02}"


async def join(name: str = "Aisyah", **fields: Any) -> str:
    """A new member's card number."""
    phone = fields.pop("phone", new_phone())
    registration = Registration(name=name, phone=phone, **fields)
    return await card_of_member(await register(registration, source=Source(), at=NOON))


def basket(member: str | None = None, *lines: tuple[str, int, int], at: datetime = NOON, **fields: Any) -> Basket:
    """A basket of (sku, quantity, unit price)."""
    return Basket(
        store=fields.pop("store", "KL01"),
        business_time=at,
        member=member,
        lines=[BasketLine(sku=sku, quantity=quantity, unit_price=price) for sku, quantity, price in lines],
        **fields,
    )


async def sell(member: str | None, *lines: tuple[str, int, int], number: str | None = None, **fields: Any) -> Sale:
    """Check a basket out at till T1."""
    return await checkout(basket(member, *lines, **fields), till="T1", number=number or f"S{next(_numbers)}")


async def bring_back(sale: Sale, *lines: tuple[int, int], at: datetime = NOON, number: str | None = None) -> Return:
    """Return (line number, quantity) of a sale."""
    returned = [ReturnedLine(line_no=line_no, quantity=quantity) for line_no, quantity in lines]
    return await take_back(
        sale.receipt_id, returned, till="T1", number=number or f"R{next(_numbers)}", business_time=at
    )


async def give(member: str, points: int, *, at: datetime = NOON, expires_at: datetime | None = None) -> None:
    """Points out of nowhere."""
    async with database.transaction():
        account = await lock_account(await member_of_card(member))
        posting = Posting(amount=points, kind="adjust", event_at=at, reason="test")
        await credit(account, posting, activates_at=at, expires_at=expires_at)


async def voucher(
    member: str | None,
    *,
    issued_at: datetime = NOON - timedelta(days=1),
    expires_at: datetime | None = None,
    **terms: Any,
) -> str:
    """The code of a new voucher of a batch of its own, 5.00 off unless `terms` say otherwise."""
    fields: dict[str, Any] = {"kind": "amount_off", "value": 500, "valid_days": 10, **terms}
    batch = fields.pop("batch", f"b{next(_numbers)}")
    await publish_terms(TermsSent(batch=batch, **fields))
    if member is None:
        await generate(batch, 1, at=issued_at)
        return (await codes_of(batch))[-1].code
    ids = await issue(batch, [await member_of_card(member)], at=issued_at, expires_at=expires_at)
    return str(await database.value("SELECT code FROM loyalty.voucher WHERE id = $1", *ids.values()))


async def policy(**fields: object) -> None:
    """Change the programme, past its checks."""
    for name, value in fields.items():
        await database.execute(f"UPDATE loyalty.programme SET {name} = $1", value)


async def balance_of(member: str) -> int:
    """The ledger's balance."""
    member_id = await member_of_card(member)
    return int(
        await database.value("SELECT balance FROM loyalty.account WHERE member_id = $1 AND unit = 'points'", member_id)
        or 0
    )
