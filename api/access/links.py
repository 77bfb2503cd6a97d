"""Single-use links to staff: the invitation to a new account, and the way back in after a forgotten password."""

from datetime import datetime, timedelta
from typing import Final, Literal

import database
from api.errors import LinkRefused
from api.operation.mail import post
from settings import settings
from stores.credentials import fingerprint, new_secret
from stores.staff import StaffMember, hash_password

Purpose = Literal["invitation", "reset"]
HOURS: Final[dict[Purpose, int]] = {"invitation": 72, "reset": 1}

_SUBJECTS: Final[dict[Purpose, str]] = {
    "invitation": "Your account with {chain}",
    "reset": "A new password for {chain}",
}
_BODIES: Final[dict[Purpose, str]] = {
    "invitation": "{name},\n\nan account has been made for you with {chain}. Choose your password here, within {hours} hours:\n\n"
    "{link}\n\nThe link works once.\n",
    "reset": "{name},\n\nsomebody, we hope you, asked for a new password. Choose it here, within {hours} hour:\n\n"
    "{link}\n\nThe link works once. If it was not you, do nothing: your password stays as it is.\n",
}


async def mail_link(staff: StaffMember, purpose: Purpose, *, at: datetime) -> None:
    """Write to a member of staff with a fresh link; earlier ones stop working. Goes out with the transaction."""
    token = new_secret()
    async with database.transaction():
        await database.execute(
            "UPDATE api.staff_link SET used_at = $2 WHERE staff_id = $1 AND used_at IS NULL", staff.id, at
        )
        await database.execute(
            "INSERT INTO api.staff_link (token_hash, staff_id, purpose, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
            fingerprint(token),
            staff.id,
            purpose,
            at,
            at + timedelta(hours=HOURS[purpose]),
        )
        # Behind the #, where no server, proxy or log ever sees it.
        words = {
            "name": staff.name or staff.email,
            "chain": await database.value("SELECT name FROM stores.chain") or "Regulars",
            "hours": HOURS[purpose],
            "link": f"{settings().base_url.rstrip('/')}/password#{token}",
        }
        await post(
            purpose, staff.email, _SUBJECTS[purpose].format_map(words), _BODIES[purpose].format_map(words), at=at
        )


async def redeem_link(token: str, password: str, *, at: datetime) -> int:
    """Choose a password by a link, which is used up; whose account it is. Raises `LinkRefused`."""
    hashed = await hash_password(password)
    async with database.transaction():
        staff_id = await database.value(
            "UPDATE api.staff_link SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2 "
            "RETURNING staff_id",
            fingerprint(token),
            at,
        )
        if staff_id is None:
            raise LinkRefused
        changed = await database.execute(
            "UPDATE stores.staff SET password_hash = $2 WHERE id = $1 AND active", staff_id, hashed
        )
        if not changed:
            raise LinkRefused
    return int(staff_id)
