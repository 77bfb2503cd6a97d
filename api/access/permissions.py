"""Who may do what: the one table. A route without a declared permission keeps the application from starting."""

from typing import Final

import msgspec

from api.errors import NotPermitted
from stores.staff import BOUND_ROLES, ROLES

PRINCIPALS: Final = ("till", *ROLES)

# Headquarters: whoever sees the whole chain proves it with a second factor.
SECOND_FACTOR_ROLES: Final = frozenset(ROLES) - BOUND_ROLES

_EVERYONE = frozenset(PRINCIPALS)
_SHOP = frozenset({"till", "cashier", "store_manager", "administrator"})
_OFFICE = frozenset({"store_manager", "marketer", "analyst", "administrator"})
_CHAIN = SECOND_FACTOR_ROLES
_ADMINISTRATOR = frozenset({"administrator"})

PERMISSIONS: Final[dict[str, frozenset[str]]] = {
    "public": _EVERYONE,
    "session": _EVERYONE,
    "stores:read": _EVERYONE,
    "stores:write": _ADMINISTRATOR,
    "tills:write": frozenset({"store_manager", "administrator"}),
    "shifts:write": frozenset({"till"}),
    "staff:read": _ADMINISTRATOR,
    "staff:write": _ADMINISTRATOR,
    "products:read": _EVERYONE,
    "products:write": _ADMINISTRATOR,
    "members:register": _SHOP,
    "members:read": _SHOP | {"marketer", "analyst"},
    "members:write": _SHOP,
    "members:consent": _SHOP,
    "members:card": _SHOP,
    "members:override": frozenset({"store_manager", "administrator"}),
    "members:merge": frozenset({"store_manager", "administrator"}),
    "members:policy": _ADMINISTRATOR,
    "imports:write": _ADMINISTRATOR,
    "members:privacy": _ADMINISTRATOR,
    "service:read": _SHOP,
    "service:write": _SHOP,
    "advisors:claim": frozenset({"cashier", "store_manager"}),
    "advisors:write": frozenset({"store_manager", "administrator"}),
    "till:sell": frozenset({"till", "cashier", "store_manager"}),
    "till:sync": frozenset({"till"}),
    "rewards:read": _EVERYONE,
    "loyalty:read": _OFFICE,
    "loyalty:write": frozenset({"marketer", "administrator"}),
    "programme:write": _ADMINISTRATOR,
    "ledger:adjust": frozenset({"store_manager", "administrator"}),
    "ledger:read": _CHAIN,
    "segmentation:read": _CHAIN,
    "campaigns:read": _CHAIN,
    "campaigns:write": frozenset({"marketer", "administrator"}),
    "overview:read": _OFFICE,
    "keys:write": _ADMINISTRATOR,
    "webhooks:write": _ADMINISTRATOR,
    "audit:read": _ADMINISTRATOR,
    "operation:read": _ADMINISTRATOR,
    "metrics:read": _ADMINISTRATOR,
}

# What a key can be given. Nothing that makes or changes who may come in: a leaked key must not beget others.
SCOPES: Final = frozenset(
    {
        "stores:read",
        "products:read",
        "products:write",
        "members:register",
        "members:read",
        "members:write",
        "members:consent",
        "service:read",
        "service:write",
        "till:sell",
        "rewards:read",
        "loyalty:read",
        "loyalty:write",
        "ledger:adjust",
        "ledger:read",
        "segmentation:read",
        "campaigns:read",
        "overview:read",
        "metrics:read",
    }
)

# What has no part that is one store's: a key that is bound to stores cannot have it.
OF_THE_CHAIN: Final = frozenset({"loyalty:write", "ledger:read", "segmentation:read", "campaigns:read", "metrics:read"})


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling. `stores` bounds every row they see; None is the whole chain."""

    name: str
    role: str
    stores: frozenset[str] | None
    staff_id: int | None = None
    till: str | None = None
    till_id: int | None = None
    scopes: frozenset[str] | None = None
    factor_missing: bool = False

    def may(self, permission: str) -> bool:
        """Whether the table, a key's scopes and a second factor that is still owed allow it."""
        if permission in ("public", "session"):
            return True
        if self.factor_missing:
            return False
        if self.scopes is not None:
            return permission in self.scopes and (self.stores is None or permission not in OF_THE_CHAIN)
        return self.role in PERMISSIONS[permission]

    @property
    def here(self) -> str | None:
        """The store that they stand in: a till's, and that of staff who have one. Nobody else can be taken to stand in any."""
        return next(iter(self.stores)) if self.stores and len(self.stores) == 1 else None

    def own_account(self) -> int:
        """The member of staff who is signed in themselves: no till in their shift, and no key. Raises `NotPermitted`."""
        if self.staff_id is None or not self.name.startswith("staff:"):
            raise NotPermitted(permission="session", role=self.role)
        return self.staff_id

    def sees(self, store: str | None) -> bool:
        """Whether something of this store is theirs to see; what belongs to no store is everyone's."""
        return store is None or self.stores is None or store in self.stores


def as_table() -> str:
    """The table as Markdown, for the documentation: a test compares the two."""
    head = ["permission", *PRINCIPALS, "key"]
    rows = [
        [f"`{name}`", *("●" if role in roles else "" for role in PRINCIPALS), "scope" if name in SCOPES else ""]
        for name, roles in PERMISSIONS.items()
        if name not in ("public", "session")
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def who_may(permission: str) -> str:
    """A permission's row of the table in a sentence."""
    if permission == "public":
        return "Open to everybody."
    if permission == "session":
        return "Whoever is signed in."
    roles = ", ".join(role.replace("_", " ") for role in PRINCIPALS if role in PERMISSIONS[permission])
    scope = " and keys with this scope" if permission in SCOPES else ""
    return f"Permission `{permission}`: {roles}{scope}."
