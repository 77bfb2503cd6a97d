"""Shifts: which cashier stands at a till, by their PIN."""

import re
from datetime import datetime

import msgspec

import database
from errors import InvalidInput
from stores.errors import NoShift
from stores.staff import StaffMember, hash_secret, matches, staff_by_email

_PIN = re.compile(r"\d{6,12}")


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """A cashier at a till."""

    store: str
    till: str
    cashier: str
    opened_at: datetime


async def pin_fits(email: str, pin: str, *, store: str) -> StaffMember | None:
    """The member of staff at work in this store whose PIN this is, or None; both take equally long."""
    staff = await staff_by_email(email)
    hashed = await database.value("SELECT pin_hash FROM stores.staff WHERE id = $1", staff.id) if staff else None
    fits = await matches(hashed, pin)
    return staff if fits and staff and staff.stores is not None and store in staff.stores else None


async def set_pin(staff_id: int, pin: str) -> None:
    """Choose a PIN of 6 to 12 digits."""
    if not _PIN.fullmatch(pin) or len(set(pin)) < 3:
        raise InvalidInput(field="pin", why="6 to 12 digits are needed, at least three of them different")
    await database.execute("UPDATE stores.staff SET pin_hash = $2 WHERE id = $1", staff_id, await hash_secret(pin))


async def open_shift(till_id: int, staff_id: int, *, at: datetime) -> Shift:
    """Begin a shift; the one before it on the same till ends."""
    async with database.transaction():
        await database.lock_rows("stores.till", [till_id])
        await _close(till_id, at)
        await database.execute(
            "INSERT INTO stores.shift (till_id, staff_id, opened_at) VALUES ($1, $2, $3)", till_id, staff_id, at
        )
    return await current_shift(till_id)


async def current_shift(till_id: int) -> Shift:
    """The open shift of a till. Raises `NoShift`."""
    row = await database.row(
        "SELECT store.code AS store, till.code AS till, staff.name AS cashier, opened_at FROM stores.shift "
        "JOIN stores.till ON till.id = till_id JOIN stores.store ON store.id = store_id JOIN stores.staff ON staff.id = staff_id "
        "WHERE till_id = $1 AND closed_at IS NULL",
        till_id,
    )
    if row is None:
        raise NoShift
    return Shift(**dict(row))


async def close_shift(till_id: int, *, at: datetime) -> None:
    """End the open shift of a till. Raises `NoShift`."""
    if not await _close(till_id, at):
        raise NoShift


async def _close(till_id: int, at: datetime) -> int:
    return await database.execute(
        "UPDATE stores.shift SET closed_at = greatest($2, opened_at) WHERE till_id = $1 AND closed_at IS NULL",
        till_id,
        at,
    )
