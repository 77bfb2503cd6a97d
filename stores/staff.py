"""Staff accounts: who may sign in, as what, and for which stores."""

from typing import Final, Literal, get_args

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

import database
from errors import InvalidInput
from stores.errors import EmailTaken, UnknownStore
from stores.tables import Staff

Role = Literal["cashier", "store_manager", "marketer", "analyst", "administrator"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PASSWORD_LENGTH_MIN: Final = 10

_hasher = PasswordHasher()
# Verified when the e-mail is unknown, so that the answer takes as long as for a known one.
_DECOY: Final = _hasher.hash("no such staff member")


class StaffMember(msgspec.Struct, frozen=True, kw_only=True):
    """A signed-in member of staff. `stores` is None where the role sees the whole chain."""

    id: int
    email: str
    name: str
    role: Role
    stores: frozenset[str] | None


async def hire(*, email: str, name: str, role: Role, password: str, stores: list[str] | None = None) -> int:
    """Create a staff account; its id. Cashiers and store managers need their stores."""
    email = email.strip().lower()
    if "@" not in email.strip("@"):
        raise InvalidInput(field="email", why=f"{email!r} is no e-mail address")
    if role not in ROLES:
        raise InvalidInput(field="role", why=f"{role!r} is none of {', '.join(ROLES)}")
    if len(password) < PASSWORD_LENGTH_MIN:
        raise InvalidInput(field="password", why=f"needs at least {PASSWORD_LENGTH_MIN} characters")
    async with database.transaction():
        staff_id = await database.value(
            "INSERT INTO stores.staff (email, name, role, password_hash) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (email) DO NOTHING RETURNING id",
            email,
            name,
            role,
            _hasher.hash(password),
        )
        if staff_id is None:
            raise EmailTaken(email=email)
        for code in stores or []:
            placed = await database.execute(
                "INSERT INTO stores.staff_store SELECT $1, id FROM stores.store WHERE code = $2", staff_id, code
            )
            if not placed:
                raise UnknownStore(code=code)
    return int(staff_id)


async def recognise(email: str, password: str) -> StaffMember | None:
    """The staff member whose password this is, or None; both take equally long."""
    row = (
        await Staff.select(Staff.id, Staff.password_hash, Staff.active)
        .where(Staff.email == email.strip().lower())
        .first()
    )
    try:
        _hasher.verify(row["password_hash"] if row else _DECOY, password)
    except VerifyMismatchError:
        return None
    return await staff_member(row["id"]) if row and row["active"] else None


async def staff_member(staff_id: int) -> StaffMember | None:
    """An active staff member by id, with the stores their role is bound to."""
    row = await database.row(
        "SELECT id, email, staff.name, role, ARRAY(SELECT code FROM stores.staff_store JOIN stores.store "
        "ON store.id = store_id WHERE staff_id = staff.id) AS stores FROM stores.staff WHERE id = $1 AND active",
        staff_id,
    )
    if row is None:
        return None
    bound = row["role"] in ("cashier", "store_manager")
    return StaffMember(**{**dict(row), "stores": frozenset(row["stores"]) if bound else None})
