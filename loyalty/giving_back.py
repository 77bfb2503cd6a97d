"""What was spent goes back into the very lots it came from, whoever's they were and wherever they have moved since."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

import database
from loyalty.errors import UnknownHold
from loyalty.funds import Unit
from loyalty.ledger import Posting, credit, restore
from loyalty.locks import Account, lock_account, lock_with_successors, settled
from loyalty.lots import LotUse, Terms, expiry
from loyalty.merging import forward
from stores.receipts import RecordedReceipt, find_receipt


class Involved(msgspec.Struct, frozen=True, kw_only=True):
    """The locked accounts of a sale: its member's, and by id all that anything was spent from. `moved` says whose an absorbed
    member's account has become part of."""

    own: Account | None
    accounts: Mapping[int, Account] = {}
    moved: Mapping[int, int] = {}

    def settled(self, account_id: int) -> Account:
        """The account, or the one that it has become part of."""
        return self.accounts[settled(account_id, self.moved)]


async def lock_involved(sale_id: int) -> Involved:
    """Lock what undoing a sale touches."""
    member_id = (await find_receipt(receipt_id=sale_id)).member_id
    if member_id is None:
        return Involved(own=None)
    involved = await _lock(_OF_SALE, member_id, sale_id)
    return involved if involved.own is not None else Involved(own=await lock_account(member_id))


async def lock_held(hold_id: int) -> Involved:
    """Lock what a redemption has set aside, in the member's account and in those they share with. Raises `UnknownHold`."""
    member_id = await database.value(
        "SELECT member_id FROM loyalty.hold JOIN loyalty.account ON account.id = account_id WHERE hold.id = $1", hold_id
    )
    if member_id is None:
        raise UnknownHold(hold_id=hold_id)
    return await _lock(_OF_HOLD, member_id, hold_id)


async def _lock(others: str, member_id: int, of: int) -> Involved:
    """The member's points account and others, with those they have become part of."""
    accounts, moved = await lock_with_successors(f"{_OWN} UNION {others}", member_id, of)
    own = next((one.id for one in accounts.values() if (one.member_id, one.unit) == (member_id, "points")), None)
    return Involved(own=accounts[settled(own, moved)] if own is not None else None, accounts=accounts, moved=moved)


_OWN = "SELECT id FROM loyalty.account WHERE member_id = $1 AND unit = 'points'"
_OF_SALE = "SELECT account_id FROM loyalty.entry WHERE receipt_id = $2 AND kind = 'spend'"
_OF_HOLD = "SELECT account_id FROM loyalty.lot_hold JOIN loyalty.lot ON lot.id = lot_id WHERE hold_id = $2"


async def give_back(
    involved: Involved,
    sale: RecordedReceipt,
    unit: Unit,
    *,
    returned: int,
    posting: Posting,
    expires_min: datetime | None,
    terms: Terms,
) -> int:
    """Put back what paid for returned goods; how much. `returned` is what all returns so far are worth, with this one: what goes
    back is its share of what was spent, less what earlier returns gave. Points that a till took offline and no lot had come back
    last, as a lot by `terms`, and pay what is still owed for them."""
    spent = await database.rows(
        "SELECT u.lot_id, u.points, e.account_id FROM loyalty.entry e JOIN loyalty.lot_use u ON u.entry_id = e.id "
        "WHERE e.receipt_id = $1 AND e.kind = 'spend' AND e.unit = $2 ORDER BY u.lot_id",
        sale.id,
        unit,
    )
    owed = await database.row(
        "SELECT e.account_id, d.points FROM loyalty.entry e JOIN loyalty.debt_move d ON d.entry_id = e.id "
        "WHERE e.receipt_id = $1 AND e.kind = 'spend' AND e.unit = $2",
        sale.id,
        unit,
    )
    paid = sum(row["points"] for row in spent) + (owed["points"] if owed is not None else 0)
    if not paid or not sale.total:
        return 0
    given = await database.value(
        "SELECT coalesce(sum(e.amount), 0)::bigint FROM loyalty.entry e JOIN stores.receipt r ON r.id = e.receipt_id "
        "WHERE r.original_id = $1 AND e.kind = 'restore' AND e.unit = $2",
        sale.id,
        unit,
    )
    due: int = paid * returned // sale.total - given
    if due <= 0:
        return 0
    owner = {row["lot_id"]: row["account_id"] for row in spent}
    uses = sliced([LotUse(row["lot_id"], row["points"]) for row in spent], given, due)
    for account_id in sorted(set(owner.values())):
        await put_back(
            involved,
            involved.accounts[account_id],
            [use for use in uses if owner[use.lot_id] == account_id],
            posting=posting,
            expires_min=expires_min,
        )
    from_lots = sum(use.points for use in uses)
    if owed is not None and due > from_lots:
        home = involved.settled(owed["account_id"])
        at = posting.event_at
        lot = msgspec.structs.replace(posting, amount=due - from_lots)
        await credit(home, lot, activates_at=at, expires_at=expiry(at, terms))
    return due


async def put_back(
    involved: Involved, home: Account, uses: list[LotUse], *, posting: Posting, expires_min: datetime | None
) -> None:
    """Put points back into lots of one account; on to the account of whom its member has become part of."""
    points = sum(use.points for use in uses)
    if not points:
        return
    await restore(home, msgspec.structs.replace(posting, amount=points), uses, expires_min=expires_min)
    while home.id in involved.moved:
        into = involved.accounts[involved.moved[home.id]]
        await forward(home, into, staff_id=posting.staff_id, at=posting.event_at)
        home = into


def sliced(uses: list[LotUse], skip: int, take: int) -> list[LotUse]:
    """The next `take` points of `uses` after the first `skip`."""
    parts = []
    for use in uses:
        passed = min(skip, use.points)
        skip -= passed
        taken = min(take, use.points - passed)
        take -= taken
        if taken:
            parts.append(LotUse(use.lot_id, taken))
    return parts
