"""Merging members and undoing it: one transaction that moves everything, the points as entries and lot by lot."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

import database
from loyalty.caps import join_counters, part_counters
from loyalty.errors import OpenHolds, UnmergeRefused
from loyalty.funds import Unit, accounts_of
from loyalty.ledger import Posting, credit, debit, forgive, freeze_account, repay, restore
from loyalty.locks import ACCOUNT_COLUMNS, Account, account_of, lock_accounts
from loyalty.lots import LotUse
from loyalty.programme import the_programme
from loyalty.tiers import recount
from membership.cards import card_of_member, member_of_card
from membership.merge_journal import Merge, journal, journalled, move, move_back
from membership.merging import absorb, lock_pair, merge_of, open_merge, receipts_since, release

UNITS: Final[tuple[Unit, ...]] = ("points", "money")  # the order in which they are locked, everywhere


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
        # Before anything moves, because tills sell to either under these.
        accounts = {"points": await lock_accounts([survivor_id, loser_id])}
        if await accounts_of([loser_id], "money"):  # none comes while its points are locked
            accounts["money"] = await lock_accounts([survivor_id, loser_id], "money")
        merge = await absorb(survivor_id, loser_id, reason=reason, staff_id=staff_id, at=at)
        points = 0
        for unit, locked in accounts.items():
            into, out_of = locked[survivor_id], locked[loser_id]
            rows = await _lots(out_of)
            if any(row["held"] for row in rows):
                raise OpenHolds(number=other, points=sum(row["held"] for row in rows))
            await _transfer(out_of, into, rows, merge.id, staff_id, at)
            if out_of.debt:
                await _take_over(out_of, into, merge.id, staff_id, at)
            if out_of.frozen:
                await freeze_account(into, at=at)
            points += sum(row["remaining"] for row in rows) if unit == "points" else 0
            await database.execute("UPDATE loyalty.account SET moved_to = $2 WHERE id = $1", out_of.id, into.id)
        await move("loyalty.voucher", merge)
        await move("loyalty.voucher_use", merge, only="released_at IS NULL")
        await _join_caps(merge)
        await _join_tiers(merge)
        await _join_household(merge)
        await recount([survivor_id, loser_id])
        return Merged(
            id=merge.id,
            number=await card_of_member(survivor_id),
            absorbed=other,
            points_moved=points,
            receipts_moved=len(await journalled(merge.id, "stores.receipt")),
        )


async def unmerge_members(number: str, other: str, *, staff_id: int | None = None, at: datetime) -> Unmerged:
    """Make two of them again. Raises `NotMerged`, and `UnmergeRefused` with what cannot be undone when moved points or vouchers
    were spent."""
    async with database.transaction():
        survivor_id = await member_of_card(number)
        merge = await open_merge(survivor_id, other)
        accounts = await _lock_both(survivor_id, merge.loser_id)
        since, moved = await receipts_since(merge), await _movable(merge)
        await database.execute(
            "UPDATE loyalty.account SET moved_to = NULL WHERE id = ANY($1::bigint[])",
            [out_of.id for _, out_of in accounts.values()],
        )
        for lot_id, home in moved.items():
            into, out_of = accounts[home.get("unit", "points")]
            posting: dict[str, Any] = {"event_at": at, "staff_id": staff_id, "reason": f"merge {merge.id} undone"}
            points = home["points"]
            await debit(into, Posting(amount=-points, kind="transfer_out", **posting), [LotUse(lot_id, points)])
            uses = [LotUse(home["lot"], points)]
            await restore(out_of, Posting(amount=points, kind="transfer_in", **posting), uses, expires_min=None)
        await move_back("loyalty.voucher", merge)
        await move_back("loyalty.voucher_use", merge)
        await _part_caps(merge)
        await _part_tiers(merge)
        await _part_household(merge)
        await release(merge, staff_id=staff_id, at=at)
        await recount([survivor_id, merge.loser_id])
        owed = sum((await journalled(merge.id, "loyalty.debt")).values())
        stays = [f"{len(since)} receipts that came after the merge"] if since else []
        return Unmerged(
            number=await card_of_member(survivor_id),
            released=await card_of_member(merge.loser_id),
            points_moved_back=sum(home["points"] for home in moved.values() if home.get("unit", "points") == "points"),
            stays=stays + ([f"{owed} points that were owed when they merged"] if owed else []),
        )


async def _lock_both(survivor_id: int, loser_id: int) -> dict[Unit, tuple[Account, Account]]:
    """Both members' accounts by unit, as they are: the absorbed one's too, which `lock_account` would follow."""
    found: dict[Unit, tuple[Account, Account]] = {}
    for unit in UNITS:
        rows = await database.rows(
            f"SELECT {ACCOUNT_COLUMNS} FROM loyalty.account WHERE member_id = ANY($1::bigint[]) AND unit = $2 "
            "ORDER BY id FOR NO KEY UPDATE",
            [survivor_id, loser_id],
            unit,
        )
        both = {row["member_id"]: account_of(row) for row in rows}
        if loser_id in both:
            found[unit] = both[survivor_id], both[loser_id]
    return found


async def _take_over(out_of: Account, into: Account, merge_id: int, staff_id: int | None, at: datetime) -> None:
    """What the absorbed member owed is owed by the survivor."""
    posting: dict[str, Any] = {"event_at": at, "staff_id": staff_id, "reason": f"merge {merge_id}"}
    await forgive(out_of, Posting(amount=out_of.debt, kind="transfer_in", **posting))
    await debit(into, Posting(amount=-out_of.debt, kind="transfer_out", **posting), [], owed=out_of.debt)
    await repay(into, at=at)
    await journal(merge_id, "loyalty.debt", out_of.id, out_of.debt)


async def _join_household(merge: Merge) -> None:
    """The survivor shares what either shared; their own household stands before the other's."""
    theirs = await database.row(
        "DELETE FROM loyalty.household_member WHERE member_id = $1 RETURNING household_id, joined_at", merge.loser_id
    )
    if theirs is None:
        return
    joined = await database.execute(
        "INSERT INTO loyalty.household_member (member_id, household_id, joined_at) VALUES ($1, $2, $3) "
        "ON CONFLICT (member_id) DO NOTHING",
        merge.survivor_id,
        *theirs,
    )
    before = {"household": theirs["household_id"], "joined_at": theirs["joined_at"], "survivor_joined": bool(joined)}
    await journal(merge.id, "loyalty.household_member", merge.loser_id, before)


async def _part_household(merge: Merge) -> None:
    """Back into the household they came from, if it is still there; the survivor, who came into it by the merge, leaves it."""
    for before in (await journalled(merge.id, "loyalty.household_member")).values():
        await database.execute(
            "INSERT INTO loyalty.household_member (member_id, household_id, joined_at) SELECT $1, $2, $3 "
            "WHERE EXISTS (SELECT FROM loyalty.household_member WHERE household_id = $2) ON CONFLICT (member_id) DO NOTHING",
            merge.loser_id,
            before["household"],
            datetime.fromisoformat(before["joined_at"]),
        )
        if before["survivor_joined"]:
            await database.execute(
                "DELETE FROM loyalty.household_member WHERE member_id = $1 AND household_id = $2",
                merge.survivor_id,
                before["household"],
            )


async def forward(from_account: Account, to_account: Account, *, staff_id: int | None, at: datetime) -> None:
    """Send on what came back to an account whose member has become part of another; noted in the merge's journal."""
    merge_id = await merge_of(from_account.member_id)
    assert merge_id is not None, "only the accounts of absorbed members are forwarded"
    await _transfer(from_account, to_account, await _lots(from_account), merge_id, staff_id, at)


async def _lots(account: Account) -> list[database.Row]:
    return await database.rows(
        "SELECT id, remaining, held, activates_at, expires_at, receipt_id, store_id, awaits FROM loyalty.lot "
        "WHERE account_id = $1 AND remaining > 0 ORDER BY id",
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
            awaits=row["awaits"],
            issued_by=row["store_id"],
        )
        assert entry.lot_id is not None
        await journal(merge_id, "loyalty.lot", entry.lot_id, {"lot": row["id"], "points": points, "unit": into.unit})


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
        "SELECT DISTINCT code FROM loyalty.voucher JOIN membership.merge_move ON row_id = voucher.id AND what = 'loyalty.voucher' "
        "JOIN membership.merge ON merge.id = merge_id JOIN loyalty.voucher_use u ON u.voucher_id = voucher.id "
        "WHERE merge_id = $1 AND receipt_id > newest_receipt_id AND released_at IS NULL ORDER BY code",
        merge.id,
    )
    if spent or vouchers:
        raise UnmergeRefused(points_spent=spent, vouchers_used=[row["code"] for row in vouchers])
    return {row["id"]: moved[row["id"]] for row in rows if row["remaining"] == row["points"]}


async def _join_caps(merge: Merge) -> None:
    programme = await the_programme()
    since = merge.merged_at.astimezone(programme.chain.zone).date() - timedelta(days=programme.claim_days + 1)
    joined = await join_counters(merge.survivor_id, merge.loser_id, since=since)
    if joined:
        await journal(merge.id, "loyalty.rule_given", merge.loser_id, joined)


async def _part_caps(merge: Merge) -> None:
    for joined in (await journalled(merge.id, "loyalty.rule_given")).values():
        await part_counters(merge.survivor_id, joined)


async def _join_tiers(merge: Merge) -> None:
    """The survivor has the higher of what the two have earned, and of what they were given."""
    rows = await database.rows(
        "SELECT s.*, tier.threshold AS threshold, earned.threshold AS earned, granted.threshold AS granted FROM loyalty.standing s "
        "JOIN loyalty.tier ON tier.id = tier_id LEFT JOIN loyalty.tier earned ON earned.id = earned_id "
        "LEFT JOIN loyalty.tier granted ON granted.id = granted_id WHERE member_id = ANY($1::bigint[])",
        [merge.survivor_id, merge.loser_id],
    )
    both = {row["member_id"]: row for row in rows}
    own, theirs = both.get(merge.survivor_id), both.get(merge.loser_id)
    if theirs is None:
        return
    # Of the same tier the one that lasts longer.
    earned = max(
        (row for row in rows if row["earned"] is not None), key=lambda row: (row["earned"], row["until"]), default=None
    )
    granted = max(
        (row for row in rows if row["granted"] is not None),
        key=lambda row: (row["granted"], row["granted_until"]),
        default=None,
    )
    highest = min(rows, key=lambda row: (-row["threshold"], row["since"]))
    became = (
        highest["tier_id"],
        highest["since"],
        earned["until"] if earned else None,
        earned["earned_id"] if earned else None,
        granted["granted_id"] if granted else None,
        granted["granted_until"] if granted else None,
    )
    if own is not None and became == tuple(own[name] for name in _STANDING):
        return
    await _set_standing(merge.survivor_id, became)
    before = [msgspec.to_builtins(own[name]) for name in _STANDING] if own is not None else None
    await journal(
        merge.id, "loyalty.standing", merge.survivor_id, {"own": before, "became": msgspec.to_builtins(became)}
    )


_STANDING = ("tier_id", "since", "until", "earned_id", "granted_id", "granted_until")


async def _set_standing(member_id: int, standing: Sequence[Any]) -> None:
    await database.execute(
        "INSERT INTO loyalty.standing (member_id, tier_id, since, until, earned_id, granted_id, granted_until) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (member_id) DO UPDATE SET (tier_id, since, until, earned_id, granted_id, "
        "granted_until) = (excluded.tier_id, excluded.since, excluded.until, excluded.earned_id, excluded.granted_id, "
        "excluded.granted_until)",
        member_id,
        *standing,
    )


async def _part_tiers(merge: Merge) -> None:
    """As it was, unless the tier has changed since."""
    for change in (await journalled(merge.id, "loyalty.standing")).values():
        row = await database.row("SELECT * FROM loyalty.standing WHERE member_id = $1", merge.survivor_id)
        if row is None or msgspec.to_builtins([row[name] for name in _STANDING]) != change.get("became"):
            continue
        if change["own"] is None:
            await database.execute("DELETE FROM loyalty.standing WHERE member_id = $1", merge.survivor_id)
        else:
            times = {"since", "until", "granted_until"}
            await _set_standing(
                merge.survivor_id,
                [
                    datetime.fromisoformat(value) if name in times and value is not None else value
                    for name, value in zip(_STANDING, change["own"], strict=True)
                ],
            )
