"""Who may do what: the one table. A route without a declared permission keeps the application from starting."""

from typing import Final

import msgspec

PRINCIPALS: Final = ("till", "cashier", "store_manager", "marketer", "analyst", "administrator")

_SHOP = {"till", "cashier", "store_manager", "administrator"}
_OFFICE = {"store_manager", "marketer", "analyst", "administrator"}
_CHAIN = {"marketer", "analyst", "administrator"}

PERMISSIONS: Final[dict[str, frozenset[str]]] = {
    "public": frozenset(PRINCIPALS),
    "session": frozenset(PRINCIPALS),
    "stores:read": frozenset(PRINCIPALS),
    "products:read": frozenset(PRINCIPALS),
    "members:register": frozenset(_SHOP),
    "members:read": frozenset(_SHOP | {"marketer", "analyst"}),
    "members:consent": frozenset(_SHOP),
    "members:card": frozenset(_SHOP),
    "till:sell": frozenset({"till", "cashier", "store_manager"}),
    "rewards:read": frozenset(PRINCIPALS),
    "segmentation:read": frozenset(_CHAIN),
    "campaigns:read": frozenset(_CHAIN),
    "campaigns:write": frozenset({"marketer", "administrator"}),
    "overview:read": frozenset(_OFFICE),
}


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling. `stores` bounds every row they see; None is the whole chain."""

    name: str
    role: str
    stores: frozenset[str] | None
    staff_id: int | None = None
    till: str | None = None

    def may(self, permission: str) -> bool:
        return self.role in PERMISSIONS[permission]

    def sees(self, store: str | None) -> bool:
        """Whether something of this store is theirs to see; what belongs to no store is everyone's."""
        return store is None or self.stores is None or store in self.stores
