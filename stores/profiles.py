"""Mapping profiles: how a point-of-sale export names and writes what a receipt line is made of."""

import msgspec

from errors import InvalidInput
from stores.branches import store_code
from stores.chain import Chain


class ReceiptProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How to read receipt lines from a file.

    The first fields are column names; `creates` says that the file itself is the authority on stores, products and
    members, which are then made as they appear. Without it an unknown one rejects the row.
    """

    name: str
    store: str
    number: str
    business_time: str
    sku: str
    quantity: str
    unit_price: str
    till: str | None = None
    member: str | None = None
    discount: str | None = None
    kind: str | None = None
    description: str | None = None
    till_default: str = "POS"
    member_prefix: str = ""
    member_suffix_dropped: str = ""
    return_number_prefix: str | None = None
    adjustment_number_prefix: str | None = None
    service_skus: str = ""
    gift_card_skus: str = ""
    creates: bool = False
    chain: Chain | None = None

    def key(self, cells: dict[str, str | None]) -> tuple[str, str, str]:
        """(store, till, number) of a row as text, for naming the receipt of a row that cannot be read."""
        store = (cells.get(self.store) or "").strip()
        till = (cells.get(self.till) or "").strip() if self.till else ""
        number = (cells.get(self.number) or "").strip()
        return (store_code(store) if self.creates else store, till or self.till_default, number)

    @property
    def required(self) -> list[str]:
        return [self.store, self.number, self.business_time, self.sku, self.quantity, self.unit_price]

    @property
    def optional(self) -> list[str]:
        return [
            column
            for column in (self.till, self.member, self.discount, self.kind, self.description)
            if column is not None
        ]


REGULARS = ReceiptProfile(
    name="regulars",
    store="store",
    till="till",
    number="number",
    business_time="business_time",
    member="member",
    sku="sku",
    quantity="quantity",
    unit_price="unit_price",
    discount="discount",
    kind="kind",
)

# The UCI Machine Learning Repository's Online Retail file (D. Chen, 2015). Each country is run as a branch.
ONLINE_RETAIL = ReceiptProfile(
    name="online-retail",
    store="Country",
    number="InvoiceNo",
    business_time="InvoiceDate",
    member="CustomerID",
    sku="StockCode",
    quantity="Quantity",
    unit_price="UnitPrice",
    description="Description",
    till_default="WEB",
    member_prefix="UCI-",
    member_suffix_dropped=".0",
    return_number_prefix="C",
    adjustment_number_prefix="A",
    service_skus=r"^(POST|DOT|M|m|C2|D|S|B|BANK CHARGES|AMAZONFEE|CRUK)$",
    gift_card_skus=r"^gift_",
    creates=True,
    chain=Chain(name="Online Retail", currency="GBP", region="GB", language="en", time_zone="Europe/London"),
)

RECEIPT_PROFILES = {profile.name: profile for profile in (REGULARS, ONLINE_RETAIL)}


def receipt_profile(name: str) -> ReceiptProfile:
    """Raises `InvalidInput` for a profile that does not exist."""
    try:
        return RECEIPT_PROFILES[name]
    except KeyError:
        raise InvalidInput(field="profile", why=f"{name!r} is none of {', '.join(RECEIPT_PROFILES)}") from None
