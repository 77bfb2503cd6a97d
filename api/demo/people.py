"""The demo's sign-ins: one member of staff for each role that the pages are for, and a till."""

from typing import Final

import msgspec

import database
from stores.errors import EmailTaken
from stores.staff import Role, hire
from stores.tills import enrol_till

PASSWORD: Final = "regulars-demo"  # noqa: S105  (the demo prints it)
_STAFF: Final[tuple[tuple[str, Role], ...]] = (
    ("admin@demo.example", "administrator"),
    ("marketer@demo.example", "marketer"),
    ("manager@demo.example", "store_manager"),
    ("cashier@demo.example", "cashier"),
)


LAST_HIRED: Final = _STAFF[-1][0]


class SignIns(msgspec.Struct, frozen=True, kw_only=True):
    """Who can sign in to the demo, and as what."""

    staff: dict[str, str]
    password: str
    store: str
    till: str
    till_credential: str


async def hire_demo_staff() -> SignIns:
    """Create the demo's staff (again changes nothing) and key the busiest store's till T1."""
    store = await database.value("SELECT store_id FROM stores.receipt GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
    code = await database.value("SELECT code FROM stores.store WHERE id = $1", store)
    for email, role in _STAFF:
        try:
            bound = [code] if role in ("cashier", "store_manager") else []
            await hire(email=email, name=email.partition("@")[0].title(), role=role, password=PASSWORD, stores=bound)
        except EmailTaken:
            continue
    credential = await enrol_till(code, "T1")
    return SignIns(staff=dict(_STAFF), password=PASSWORD, store=code, till="T1", till_credential=credential)
