"""The audit log: who changed what, from what to what, from where. Written in the transaction of the change itself."""

from datetime import datetime
from typing import Any

import msgspec

import database
from api.access.permissions import Principal
from api.operation.context import current_request


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. `object` names what was changed, such as `store:KL01`; `before` and `after` hold only what differs."""

    id: int
    at: datetime
    actor: str
    role: str
    action: str
    object: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    address: str
    request_id: str


async def audit(
    principal: Principal | None, action: str, about: str, *, before: object = None, after: object = None
) -> None:
    """Note a change. Members' personal data stay out: `before` and `after` name the fields, as `redacted` leaves them."""
    request = current_request.get()
    was, became = _differing(before, after)
    await database.execute(
        "INSERT INTO api.audit (actor, role, action, object, before, after, address, request_id) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        principal.name if principal else "nobody",
        principal.role if principal else "",
        action,
        about,
        was,
        became,
        request.address,
        request.request_id,
    )


def redacted(fields: object) -> dict[str, str]:
    """The names of a Struct's given fields, without what is in them."""
    return dict.fromkeys(msgspec.to_builtins(fields), "…")


async def audit_entries(
    *,
    before: int | None = None,
    limit: int = 50,
    actor: str | None = None,
    action: str | None = None,
    about: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[AuditEntry]:
    """Newest first, from before the entry `before`."""
    rows = await database.rows(
        "SELECT * FROM api.audit WHERE ($1::bigint IS NULL OR id < $1) AND ($3::text IS NULL OR actor = $3) "
        "AND ($4::text IS NULL OR action = $4) AND ($5::text IS NULL OR object = $5) "
        "AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at < $7) ORDER BY id DESC LIMIT $2",
        before,
        limit,
        actor,
        action,
        about,
        since,
        until,
    )
    return [
        AuditEntry(**{**dict(row), "before": _decoded(row["before"]), "after": _decoded(row["after"])}) for row in rows
    ]


def _differing(before: object, after: object) -> tuple[str | None, str | None]:
    """Both sides as JSON without what is the same on both."""
    was = None if before is None else msgspec.to_builtins(before, enc_hook=str)
    became = None if after is None else msgspec.to_builtins(after, enc_hook=str)
    if isinstance(was, dict) and isinstance(became, dict):
        changed = {name for name in was.keys() | became.keys() if was.get(name) != became.get(name)}
        was = {name: value for name, value in was.items() if name in changed}
        became = {name: value for name, value in became.items() if name in changed}
    return (_encoded(was), _encoded(became))


def _encoded(side: Any) -> str | None:
    return None if side is None else msgspec.json.encode(side).decode()


def _decoded(side: str | None) -> dict[str, Any] | None:
    return None if side is None else msgspec.json.decode(side)
