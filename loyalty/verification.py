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
    "balance is not the sum of lots less the debt": """
        SELECT a.id AS account_id, a.balance, a.debt, coalesce(sum(l.remaining), 0)::bigint AS lots FROM loyalty.account a
        LEFT JOIN loyalty.lot l ON l.account_id = a.id GROUP BY a.id HAVING a.balance <> coalesce(sum(l.remaining), 0) - a.debt""",
    "debt is not what its entries left owed": """
        SELECT a.id AS account_id, a.debt, coalesce(sum(d.points), 0)::bigint AS moves FROM loyalty.account a
        LEFT JOIN (SELECT account_id, points FROM loyalty.debt_move JOIN loyalty.entry ON entry.id = entry_id) d
            ON d.account_id = a.id GROUP BY a.id HAVING a.debt <> coalesce(sum(d.points), 0)""",
    "owes points while it has some to spend": """
        SELECT a.id AS account_id, a.debt, sum(l.remaining - l.held)::bigint AS free FROM loyalty.account a
        JOIN loyalty.lot l ON l.account_id = a.id AND l.remaining > l.held AND (l.expires_at IS NULL OR l.expires_at > now())
        WHERE a.debt > 0 GROUP BY a.id""",
    "entry is of another unit than its account": """
        SELECT account_id, e.version, e.unit FROM loyalty.entry e JOIN loyalty.account a ON a.id = account_id
        WHERE e.unit <> a.unit""",
    "lot is not its points less its uses": """
        SELECT l.account_id, l.id AS lot, l.remaining, l.points - coalesce(sum(u.points), 0)::bigint AS expected
        FROM loyalty.lot l LEFT JOIN loyalty.lot_use u ON u.lot_id = l.id GROUP BY l.id
        HAVING l.remaining <> l.points - coalesce(sum(u.points), 0)""",
    "lot's opening entry differs": """
        SELECT l.account_id, l.id AS lot, l.points, e.amount FROM loyalty.lot l JOIN loyalty.entry e ON e.id = l.entry_id
        WHERE e.amount <> l.points OR e.account_id <> l.account_id OR e.receipt_id IS DISTINCT FROM l.receipt_id""",
    "entry is not what it did to lots and debt": """
        SELECT max(account_id) AS account_id, id AS entry, sum(amount)::bigint AS amount, sum(did)::bigint AS did FROM (
            SELECT account_id, id, amount, 0 AS did FROM loyalty.entry
            UNION ALL SELECT NULL, entry_id, 0, points FROM loyalty.lot
            UNION ALL SELECT NULL, entry_id, 0, -points FROM loyalty.lot_use
            UNION ALL SELECT NULL, entry_id, 0, -points FROM loyalty.debt_move) part
        GROUP BY id HAVING sum(amount) <> sum(did)""",
    "lot use settles otherwise than its entry and lot say": """
        SELECT e.account_id, e.version, u.lot_id FROM loyalty.lot_use u JOIN loyalty.entry e ON e.id = u.entry_id
        JOIN loyalty.lot l ON l.id = u.lot_id
        WHERE u.settles <> (e.kind IN ('spend', 'restore') AND e.unit = 'points') OR u.settles AND (u.issued_by IS DISTINCT FROM l.store_id
            OR u.redeemed_by IS DISTINCT FROM e.store_id)""",
    "lot holds more or less than its open holds": """
        SELECT l.account_id, l.id AS lot, l.held, coalesce(sum(h.points), 0)::bigint AS holds FROM loyalty.lot l
        LEFT JOIN (SELECT lot_id, lh.points FROM loyalty.lot_hold lh JOIN loyalty.hold ON hold.id = hold_id
            WHERE status = 'held') h ON h.lot_id = l.id
        WHERE l.held > 0 OR h.points IS NOT NULL GROUP BY l.id HAVING l.held <> coalesce(sum(h.points), 0)""",
    "what counts towards tiers is not what was bought": """
        SELECT coalesce(a.id, 0) AS account_id, member_id, day, q.spend, q.points, q.visits, d.spend AS spend_due,
            d.points AS points_due, d.visits AS visits_due
        FROM (SELECT * FROM loyalty.qualifying WHERE (spend, points, visits) <> (0, 0, 0)) q
        FULL JOIN (SELECT * FROM loyalty.qualifying_of((SELECT array_agg(DISTINCT member_id) FROM stores.receipt
            WHERE member_id IS NOT NULL)) WHERE (spend, points, visits) <> (0, 0, 0)) d USING (member_id, day)
        LEFT JOIN loyalty.account a USING (member_id)
        WHERE coalesce(a.unit, 'points') = 'points' AND (q.spend, q.points, q.visits) IS DISTINCT FROM (d.spend, d.points, d.visits)""",
    "voucher is not used as often as it says": """
        SELECT 0::bigint AS account_id, v.code, v.uses, count(u.id) AS counted FROM loyalty.voucher v
        LEFT JOIN loyalty.voucher_use u ON u.voucher_id = v.id AND released_at IS NULL
        WHERE v.uses > 0 OR u.id IS NOT NULL GROUP BY v.id HAVING v.uses <> count(u.id)""",
    "reward is not taken as often as it says": """
        SELECT 0::bigint AS account_id, r.code, r.taken, count(h.id) AS counted FROM loyalty.reward r
        LEFT JOIN loyalty.hold h ON h.reward_id = r.id AND h.status IN ('held', 'captured') GROUP BY r.id
        HAVING r.taken <> count(h.id)""",
}
