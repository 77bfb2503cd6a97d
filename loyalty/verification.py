"""Proof that the ledger is whole: balances, lots and chains recomputed from the entries."""

from typing import Any

import msgspec

import database

BREAKS_SHOWN_MAX = 20


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """Something that does not add up, and where."""

    what: str
    account: int
    detail: dict[str, Any]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The result; `breaks` holds at most the first twenty of each kind."""

    ok: bool
    accounts: int
    entries: int
    lots: int
    breaks: list[Break]


async def verify_ledger() -> Verification:
    """Recompute everything in one snapshot, so that tills may go on selling meanwhile."""
    async with database.transaction(snapshot=True):
        breaks = [
            Break(
                what=what, account=row["account_id"], detail={k: v for k, v in dict(row).items() if k != "account_id"}
            )
            for what, sql in _CHECKS.items()
            for row in await database.rows(f"{sql} ORDER BY account_id LIMIT {BREAKS_SHOWN_MAX}")
        ]
        counts = await database.row(
            "SELECT (SELECT count(*) FROM loyalty.account) AS accounts, (SELECT count(*) FROM loyalty.entry) AS entries, "
            "(SELECT count(*) FROM loyalty.lot) AS lots"
        )
        assert counts is not None
    return Verification(ok=not breaks, breaks=breaks, **dict(counts))


_CHECKS = {
    "balance is not the sum of entries": """
        SELECT a.id AS account_id, a.balance, coalesce(sum(e.amount), 0)::bigint AS entries FROM loyalty.account a
        LEFT JOIN loyalty.entry e ON e.account_id = a.id GROUP BY a.id HAVING a.balance <> coalesce(sum(e.amount), 0)""",
    "version is not the number of entries": """
        SELECT a.id AS account_id, a.version, count(e.id) AS entries FROM loyalty.account a
        LEFT JOIN loyalty.entry e ON e.account_id = a.id GROUP BY a.id
        HAVING a.version <> count(e.id) OR a.version <> coalesce(max(e.version), 0)""",
    "running balance is broken": """
        SELECT account_id, version, balance_after, expected::bigint FROM (SELECT account_id, version, balance_after,
            sum(amount) OVER (PARTITION BY account_id ORDER BY version) AS expected FROM loyalty.entry) e
        WHERE balance_after <> expected""",
    # Each seal is checked against the stored one before it, so no entry waits for another: the chain breaks where it was cut.
    "chain is broken": """
        SELECT account_id, version FROM (SELECT account_id, version, seal, loyalty.seal(
            coalesce(lag(seal) OVER (PARTITION BY account_id ORDER BY version), ''::bytea),
            loyalty.entry_text(account_id, version, amount, balance_after, kind, reason, event_at, receipt_id, explanation)
        ) AS expected FROM loyalty.entry) e WHERE seal <> expected""",
    "chain does not end at the account": """
        SELECT a.id AS account_id, a.version FROM loyalty.account a
        LEFT JOIN loyalty.entry e ON (e.account_id, e.version) = (a.id, a.version)
        WHERE a.seal <> coalesce(e.seal, ''::bytea)""",
    "absorbed account holds points": """
        SELECT id AS account_id, balance, moved_to FROM loyalty.account WHERE moved_to IS NOT NULL AND balance <> 0""",
    "balance is not the sum of lots": """
        SELECT a.id AS account_id, a.balance, coalesce(sum(l.remaining), 0)::bigint AS lots FROM loyalty.account a
        LEFT JOIN loyalty.lot l ON l.account_id = a.id GROUP BY a.id HAVING a.balance <> coalesce(sum(l.remaining), 0)""",
    "lot is not its points less its uses": """
        SELECT l.account_id, l.id AS lot, l.remaining, l.points - coalesce(sum(u.points), 0)::bigint AS expected
        FROM loyalty.lot l LEFT JOIN loyalty.lot_use u ON u.lot_id = l.id GROUP BY l.id
        HAVING l.remaining <> l.points - coalesce(sum(u.points), 0)""",
    "lot's opening entry differs": """
        SELECT l.account_id, l.id AS lot, l.points, e.amount FROM loyalty.lot l JOIN loyalty.entry e ON e.id = l.entry_id
        WHERE e.amount <> l.points OR e.account_id <> l.account_id OR e.receipt_id IS DISTINCT FROM l.receipt_id""",
    "entry is not the sum of its lot uses": """
        SELECT e.account_id, e.version, e.amount, sum(u.points)::bigint AS uses FROM loyalty.entry e
        JOIN loyalty.lot_use u ON u.entry_id = e.id GROUP BY e.id HAVING e.amount <> -sum(u.points)""",
    "lot holds more or less than its open holds": """
        SELECT l.account_id, l.id AS lot, l.held, coalesce(sum(h.points), 0)::bigint AS holds FROM loyalty.lot l
        LEFT JOIN (SELECT lot_id, lh.points FROM loyalty.lot_hold lh JOIN loyalty.hold ON hold.id = hold_id
            WHERE status = 'held') h ON h.lot_id = l.id
        WHERE l.held > 0 OR h.points IS NOT NULL GROUP BY l.id HAVING l.held <> coalesce(sum(h.points), 0)""",
}
