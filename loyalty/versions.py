"""Every state of what is edited in place: tiers, rewards, the programme. Appended, never changed."""

from datetime import datetime
from typing import Any

import msgspec

import database


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One state and who made it so."""

    version: int
    at: datetime
    by: str | None
    body: dict[str, Any]


async def publish(what: str, code: str, body: dict[str, Any], *, staff_id: int | None = None) -> int:
    """Append the next state of a thing; its version. Two at once are put in order, by the row of the programme."""
    await database.execute("SELECT 1 FROM loyalty.programme FOR NO KEY UPDATE")
    version = await database.value(
        "INSERT INTO loyalty.version (what, code, version, body, staff_id) "
        "SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4 FROM loyalty.version WHERE (what, code) = ($1, $2) RETURNING version",
        what,
        code,
        msgspec.json.encode(body).decode(),
        staff_id,
    )
    return int(version)


async def versions(what: str, code: str) -> list[Version]:
    """Every state of a thing, the newest first."""
    rows = await database.rows(
        "SELECT version, at, email AS by, body FROM loyalty.version v LEFT JOIN stores.staff ON staff.id = staff_id "
        "WHERE (what, code) = ($1, $2) ORDER BY version DESC",
        what,
        code,
    )
    return [Version(**{**dict(row), "body": msgspec.json.decode(row["body"])}) for row in rows]
