"""Whose a ticket is: somebody of the store, fairly. The caller has locked the store, so that two tickets at once see each other."""

from typing import Final

import database
from membership.policy import Assignment
from stores.errors import UnknownStaff
from stores.staff import BOUND_ROLES

_OF_STORE: Final = (
    "FROM stores.staff JOIN stores.staff_store ON staff_id = staff.id AND store_id = $1 "
    "WHERE active AND role = ANY($2::text[]) "
)


async def check_assignee(staff_id: int, store_id: int) -> None:
    """Raises `UnknownStaff` unless they are of the store."""
    if not await database.value(f"SELECT true {_OF_STORE} AND staff.id = $3", store_id, sorted(BOUND_ROLES), staff_id):
        raise UnknownStaff(staff_id=staff_id)


async def next_assignee(store_id: int, rule: Assignment) -> int | None:
    """The least busy of the store's staff, and among them who has waited longest; or simply the latter."""
    if rule == "none":
        return None
    order = "last NULLS FIRST, id" if rule == "round_robin" else "busy, last NULLS FIRST, id"
    chosen: int | None = await database.value(
        "SELECT id FROM (SELECT staff.id, (SELECT count(*) FROM membership.ticket t WHERE t.assignee_id = staff.id "
        "AND t.status NOT IN ('resolved', 'closed')) AS busy, (SELECT max(assigned_at) FROM membership.ticket t "
        f"WHERE t.assignee_id = staff.id) AS last {_OF_STORE}) s ORDER BY {order} LIMIT 1",
        store_id,
        sorted(BOUND_ROLES),
    )
    return chosen
