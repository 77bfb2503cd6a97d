"""Merging members and undoing it: one transaction that moves everything, the points as entries and lot by lot."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

import database
from loyalty.errors import OpenHolds, UnmergeRefused
from loyalty.ledger import Account, Posting, credit, debit, lock_account, lock_account_by_id, restore
from loyalty.lots import LotUse
from membership.cards import card_of_member, member_of_card
from membership.merge_journal import Merge, journal, journalled, move, move_back
from membership.merging import absorb, lock_pair, merge_of, open_merge, receipts_since, release


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """The member that two became, and what moved to it."""

    id: int
    number: str
    absorbed: str
    points_moved: int
    receipts_moved: int


class Unmerged(msgspec.Struct, frozen=True, kw_only=True):
    """The two that there are again, and what stays with the first because it came after the merge."""

    number: str
    released: str
    points_moved_back: int
    stays: list[str]


async def merge_members(number: str, other: str, *, reason: str, staff_id: int | None = None, at: datetime) -> Merged:
    """Make the holder of the card `other` part of the holder of `number`. Raises `SameMember`, `OpenHolds`."""
    async with database.transaction():
        survivor_id, loser_id = await member_of_card(number), await member_of_card(other)
        await lock_pair(survivor_id, loser_id)
        # The survivor's first, here and wherever both are needed; two merges of one pair are parted by the members' locks. Before
        # anything moves, because tills sell to either under these.
        into, out_of = await lock_account(survivor_id), await lock_account(loser_id)
        merge = await absorb(survivor_id, loser_id, reason=reason, staff_id=staff_id, at=at)
        rows = await _lots(out_of)
        if any(row["held"] for row in rows):
            raise OpenHolds(number=other, points=sum(row["held"] for row in rows))
        await _transfer(out_of, into, rows, merge.id, staff_id, at)
        await move("loyalty.voucher", merge)
        await _join_tiers(merge)
        await database.execute("UPDATE loyalty.account SET moved_to = $2 WHERE id = $1", out_of.id, into.id)
        return Merged(
            id=merge.id,
            number=await card_of_member(survivor_id),
            absorbed=other,
            points_moved=sum(row["remaining"] for row in rows),
            receipts_moved=len(await journalled(merge.id, "stores.receipt")),
        )


async def unmerge_members(number: str, other: str, *, staff_id: int | None = None, at: datetime) -> Unmerged:
    """Make two of them again. Raises `NotMerged`, and `UnmergeRefused` with what cannot be undone when moved points or vouchers
    were spent."""
    async with database.transaction():
        survivor_id = await member_of_card(number)
        merge = await open_merge(survivor_id, other)
        into = await lock_account(survivor_id)
        out_of = await lock_account_by_id(
            await database.value(
                "SELECT id FROM loyalty.account WHERE member_id = $1 AND unit = 'points'", merge.loser_id
            )
        )
        since, moved = await receipts_since(merge), await _movable(merge)
        await database.execute("UPDATE loyalty.account SET moved_to = NULL WHERE id = $1", out_of.id)
        for lot_id, home in moved.items():
            posting: dict[str, Any] = {"event_at": at, "staff_id": staff_id, "reason": f"merge {merge.id} undone"}
            points = home["points"]
            await debit(into, Posting(amount=-points, kind="transfer_out", **posting), [LotUse(lot_id, points)])
            uses = [LotUse(home["lot"], points)]
            await restore(out_of, Posting(amount=points, kind="transfer_in", **posting), uses, expires_min=None)
        await move_back("loyalty.voucher", merge)
        await _part_tiers(merge)
        await release(merge, staff_id=staff_id, at=at)
        return Unmerged(
            number=await card_of_member(survivor_id),
            released=await card_of_member(merge.loser_id),
            points_moved_back=sum(home["points"] for home in moved.values()),
            stays=[f"{len(since)} receipts that came after the merge"] if since else [],
        )


async def forward(from_account: Account, to_account: Account, *, staff_id: int | None, at: datetime) -> None:
    """Send on what came back to an account whose member has become part of another; noted in the merge's journal."""
    merge_id = await merge_of(from_account.member_id)
    assert merge_id is not None, "only the accounts of absorbed members are forwarded"
    await _transfer(from_account, to_account, await _lots(from_account), merge_id, staff_id, at)


async def _lots(account: Account) -> list[database.Row]:
    return await database.rows(
        "SELECT lot.id, remaining, held, activates_at, expires_at, lot.receipt_id, entry.store_id FROM loyalty.lot "
        "JOIN loyalty.entry ON entry.id = entry_id WHERE lot.account_id = $1 AND remaining > 0 ORDER BY lot.id",
        account.id,
    )


async def _transfer(
    out_of: Account, into: Account, rows: Sequence[database.Row], merge_id: int, staff_id: int | None, at: datetime
) -> None:
    """Each lot by itself, so that its dates, its receipt and the store that issued it stay what they are."""
    for row in rows:
        posting: dict[str, Any] = {
            "event_at": at,
            "staff_id": staff_id,
            "store_id": row["store_id"],
            "receipt_id": row["receipt_id"],
            "reason": f"merge {merge_id}",
            "explanation": {"lot": row["id"]},
        }
        points = row["remaining"]
        await debit(out_of, Posting(amount=-points, kind="transfer_out", **posting), [LotUse(row["id"], points)])
        entry = await credit(
            into,
            Posting(amount=points, kind="transfer_in", **posting),
            activates_at=row["activates_at"],
            expires_at=row["expires_at"],
        )
        lot_id = await database.value("SELECT id FROM loyalty.lot WHERE entry_id = $1", entry.id)
        await journal(merge_id, "loyalty.lot", lot_id, {"lot": row["id"], "points": points})


async def _movable(merge: Merge) -> dict[int, Any]:
    """The lots to move back and their homes; what has expired since would have there, too. Raises `UnmergeRefused`."""
    moved = await journalled(merge.id, "loyalty.lot")
    rows = await database.rows(
        "SELECT lot.id, points, remaining, held, (SELECT coalesce(sum(u.points), 0)::bigint FROM loyalty.lot_use u "
        "JOIN loyalty.entry e ON e.id = u.entry_id WHERE u.lot_id = lot.id AND e.kind = 'expire') AS expired "
        "FROM loyalty.lot WHERE id = ANY($1::bigint[])",
        list(moved),
    )
    spent = sum(row["points"] - row["remaining"] - row["expired"] + row["held"] for row in rows)
    vouchers = await database.rows(
        "SELECT code FROM loyalty.voucher JOIN membership.merge_move ON row_id = voucher.id AND what = 'loyalty.voucher' "
        "JOIN membership.merge ON merge.id = merge_id WHERE merge_id = $1 AND receipt_id > newest_receipt_id ORDER BY code",
        merge.id,
    )
    if spent or vouchers:
        raise UnmergeRefused(points_spent=spent, vouchers_used=[row["code"] for row in vouchers])
    return {row["id"]: moved[row["id"]] for row in rows if row["remaining"] == row["points"]}


async def _join_tiers(merge: Merge) -> None:
    """The survivor has the higher of the two."""
    await database.execute(
        "WITH theirs AS (SELECT s.*, rank FROM loyalty.standing s JOIN loyalty.tier ON tier.id = tier_id WHERE member_id = $2), "
        "own AS (SELECT s.*, rank FROM loyalty.standing s JOIN loyalty.tier ON tier.id = tier_id WHERE member_id = $1), "
        "raised AS (INSERT INTO loyalty.standing (member_id, tier_id, since) SELECT $1, tier_id, since FROM theirs "
        "WHERE rank > coalesce((SELECT rank FROM own), -1) ON CONFLICT (member_id) DO UPDATE SET "
        "(tier_id, since) = (excluded.tier_id, excluded.since) RETURNING tier_id, since) "
        "INSERT INTO membership.merge_move (merge_id, what, row_id, before) SELECT $3, 'loyalty.standing', $1, "
        "jsonb_build_object('own', (SELECT to_jsonb(own) FROM own), 'raised', to_jsonb(raised)) FROM raised",
        merge.survivor_id,
        merge.loser_id,
        merge.id,
    )


async def _part_tiers(merge: Merge) -> None:
    """As it was, unless the tier has changed since."""
    for before in (await journalled(merge.id, "loyalty.standing")).values():
        raised, own = before["raised"], before["own"]
        now = [merge.survivor_id, raised["tier_id"], datetime.fromisoformat(raised["since"])]
        condition = "WHERE (member_id, tier_id, since) = ($1, $2, $3)"
        if own is None:
            await database.execute(f"DELETE FROM loyalty.standing {condition}", *now)
        else:
            await database.execute(
                f"UPDATE loyalty.standing SET (tier_id, since) = ($4, $5) {condition}",
                *now,
                own["tier_id"],
                datetime.fromisoformat(own["since"]),
            )
