"""Staff accounts: who may sign in, as what, and for which stores."""

import asyncio
from typing import Final, Literal, get_args

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

import database
from errors import InvalidInput
from stores.changes import given
from stores.errors import EmailTaken, LastAdministrator, UnknownStaff, UnknownStore
from stores.scope import Scope

Role = Literal["cashier", "store_manager", "marketer", "analyst", "administrator"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
BOUND_ROLES: Final = frozenset({"cashier", "store_manager"})
PASSWORD_LENGTH_MIN: Final = 10
PASSWORD_LENGTH_MAX: Final = 1024

_hasher = PasswordHasher()
# Verified when the e-mail is unknown, so that the answer takes as long as for a known one.
_DECOY: Final = _hasher.hash("no such staff member")


class StaffMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member of staff. `stores` is None where the role sees the whole chain."""

    id: int
    email: str
    name: str
    role: Role
    stores: frozenset[str] | None
    active: bool = True
    invited: bool = False


class StaffChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a staff account; what is left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    role: Role | msgspec.UnsetType = msgspec.UNSET
    stores: list[str] | msgspec.UnsetType = msgspec.UNSET
    active: bool | msgspec.UnsetType = msgspec.UNSET


async def hire(*, email: str, name: str, role: Role, password: str | None, stores: list[str] | None = None) -> int:
    """Create a staff account; its id. Cashiers and store managers need their stores. Without a password the account waits
    for its invitation to be taken up."""
    email = email.strip().lower()
    if "@" not in email.strip("@") or len(email) > 254 or not email.isprintable():
        raise InvalidInput(field="email", why=f"{email!r} is no e-mail address")
    if role not in ROLES:
        raise InvalidInput(field="role", why=f"{role!r} is none of {', '.join(ROLES)}")
    _check_name(name)
    hashed = None if password is None else await hash_password(password)
    async with database.transaction():
        staff_id = await database.value(
            "INSERT INTO stores.staff (email, name, role, password_hash) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (email) DO NOTHING RETURNING id",
            email,
            name,
            role,
            hashed,
        )
        if staff_id is None:
            raise EmailTaken(email=email)
        await _place(staff_id, stores or [])
    return int(staff_id)


async def hash_password(password: str) -> str:
    """argon2id, on a thread: it takes as long as it takes, and tills are being served meanwhile."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise InvalidInput(field="password", why=f"needs {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters")
    return await hash_secret(password)


async def hash_secret(secret: str) -> str:
    """The slow hash of a password or PIN."""
    return await asyncio.to_thread(_hasher.hash, secret)


async def matches(hashed: str | None, secret: str) -> bool:
    """Whether a hash is this secret's; without a hash it is not, after as long a look."""
    try:
        await asyncio.to_thread(_hasher.verify, hashed or _DECOY, secret[:PASSWORD_LENGTH_MAX])
    except VerifyMismatchError:
        return False
    return hashed is not None


async def recognise(email: str, password: str) -> StaffMember | None:
    """The staff member whose password this is, or None; both take equally long."""
    row = await database.row(
        "SELECT id, password_hash, active FROM stores.staff WHERE email = $1", email.strip().lower()
    )
    known = await matches(row["password_hash"] if row else None, password)
    return await staff_member(row["id"]) if known and row and row["active"] else None


async def set_password(staff_id: int, password: str) -> None:
    """Give an account a new password."""
    hashed = await hash_password(password)
    await database.execute("UPDATE stores.staff SET password_hash = $2 WHERE id = $1", staff_id, hashed)


async def staff_member(staff_id: int) -> StaffMember | None:
    """An active staff member by id, with the stores their role is bound to."""
    row = await database.row(f"{_SELECT} WHERE id = $1 AND active", staff_id)
    return _member(row) if row else None


async def staff_by_id(staff_id: int, *, lock: bool = False) -> StaffMember:
    """A staff account, active or not; `lock` keeps others from changing it. Raises `UnknownStaff`."""
    if lock:
        await database.lock_rows("stores.staff", [staff_id])
    row = await database.row(f"{_SELECT} WHERE id = $1", staff_id)
    if row is None:
        raise UnknownStaff(staff_id=staff_id)
    return _member(row)


async def colleague(staff_id: int, *, stores: Scope) -> StaffMember:
    """A staff account that whoever is bound to `stores` may name: one of those stores'. Raises `UnknownStaff`."""
    staff = await staff_by_id(staff_id)
    if stores is not None and not (staff.stores or frozenset()) & stores:
        raise UnknownStaff(staff_id=staff_id)
    return staff


async def staff_by_email(email: str) -> StaffMember | None:
    """The active account of an e-mail address, or None."""
    row = await database.row(f"{_SELECT} WHERE email = $1 AND active", email.strip().lower())
    return _member(row) if row else None


async def staff_list(
    *, after: int = 0, limit: int = 50, role: str | None = None, store: str | None = None
) -> list[StaffMember]:
    """Accounts by id, from the one after `after`."""
    rows = await database.rows(
        f"{_SELECT} WHERE id > $1 AND ($3::text IS NULL OR role = $3) AND ($4::text IS NULL OR EXISTS (SELECT FROM "
        "stores.staff_store JOIN stores.store ON store.id = store_id WHERE staff_id = staff.id AND code = $4)) "
        "ORDER BY id LIMIT $2",
        after,
        limit,
        role,
        store,
    )
    return [_member(row) for row in rows]


async def change_staff(staff_id: int, change: StaffChange) -> StaffMember:
    """Change an account. Raises `UnknownStaff`, `UnknownStore`, `LastAdministrator`."""
    async with database.transaction():
        # All of them, because two administrators who dismiss each other at once would otherwise both succeed.
        await database.rows(
            "SELECT id FROM stores.staff WHERE role = 'administrator' OR id = $1 ORDER BY id FOR UPDATE", staff_id
        )
        now = await staff_by_id(staff_id)
        to = msgspec.structs.replace(now, **{name: value for name, value in given(change).items() if name != "stores"})
        _check_name(to.name)
        if now.role == "administrator" and now.active and (to.role != "administrator" or not to.active):
            others = await database.value(
                "SELECT count(*) FROM stores.staff WHERE role = 'administrator' AND active AND id <> $1", staff_id
            )
            if not others:
                raise LastAdministrator
        await database.execute(
            "UPDATE stores.staff SET name = $2, role = $3, active = $4 WHERE id = $1",
            staff_id,
            to.name,
            to.role,
            to.active,
        )
        if change.stores is not msgspec.UNSET:
            await database.execute("DELETE FROM stores.staff_store WHERE staff_id = $1", staff_id)
            await _place(staff_id, change.stores)
        return await staff_by_id(staff_id)


def _check_name(name: str) -> None:
    if len(name) > 200 or not name.isprintable():
        raise InvalidInput(field="name", why="at most 200 printable characters")


async def _place(staff_id: int, codes: list[str]) -> None:
    for code in dict.fromkeys(codes):
        placed = await database.execute(
            "INSERT INTO stores.staff_store SELECT $1, id FROM stores.store WHERE code = $2", staff_id, code
        )
        if not placed:
            raise UnknownStore(code=code)


_SELECT: Final = (
    "SELECT id, email, staff.name, role, active, password_hash IS NULL AS invited, ARRAY(SELECT code FROM "
    "stores.staff_store JOIN stores.store ON store.id = store_id WHERE staff_id = staff.id ORDER BY code) AS stores "
    "FROM stores.staff"
)


def _member(row: database.Row) -> StaffMember:
    bound = row["role"] in BOUND_ROLES
    return StaffMember(**{**dict(row), "stores": frozenset(row["stores"]) if bound else None})
