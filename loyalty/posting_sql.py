"""Posting many entries at once. Callers fill the temporary table `posting` and these statements do the rest.

The entries of an account are posted in the order of `event_at`, what was earned before what was taken. Accounts are
locked by the caller. What comes out is what the same postings one by one would give.
"""

import database

CREATE_POSTING = """
CREATE TEMP TABLE posting (
    entry_id bigint NOT NULL DEFAULT nextval('loyalty.entry_id_seq'),
    account_id bigint NOT NULL, amount bigint NOT NULL, kind text NOT NULL, reason text NOT NULL DEFAULT '',
    event_at timestamptz NOT NULL, store_id bigint, receipt_id bigint, explanation jsonb NOT NULL DEFAULT '{}', lot_id bigint,
    sale_id bigint
) ON COMMIT DROP
"""

_ENTRIES = """
INSERT INTO loyalty.entry (id, account_id, unit, version, amount, balance_after, kind, reason, event_at, store_id, receipt_id,
    explanation, seal)
SELECT entry_id, account_id, unit, version, amount, balance, kind, reason, event_at, store_id, receipt_id, explanation,
    loyalty.chain(loyalty.entry_text(account_id, version, amount, balance, kind, reason, event_at, receipt_id, explanation),
        start) OVER (PARTITION BY account_id ORDER BY version)
FROM (
    SELECT posting.*, account.unit, account.seal AS start, account.version + row_number() OVER w AS version,
        (account.balance + sum(amount) OVER w)::bigint AS balance
    FROM posting JOIN loyalty.account ON account.id = posting.account_id
    WINDOW w AS (PARTITION BY posting.account_id ORDER BY event_at, kind DESC, entry_id)
) numbered
ORDER BY account_id, version
"""

_ACCOUNTS = """
UPDATE loyalty.account SET balance = last.balance_after, version = last.version, seal = last.seal
FROM (
    SELECT DISTINCT ON (entry.account_id) entry.account_id, balance_after, version, seal
    FROM loyalty.entry JOIN posting ON posting.entry_id = entry.id
    ORDER BY entry.account_id, version DESC
) last
WHERE account.id = last.account_id
"""

_EVENTS = """
INSERT INTO membership.event (member_id, kind, ref, at, store_id, data)
SELECT account.member_id, entry.unit || '_' || entry.kind, 'entry:' || entry.id, entry.event_at, entry.store_id,
    jsonb_build_object(entry.unit, entry.amount, 'balance', entry.balance_after)
FROM posting JOIN loyalty.entry ON entry.id = posting.entry_id JOIN loyalty.account ON account.id = entry.account_id
ORDER BY account.member_id, entry.version
"""


async def post_all() -> int:
    """Post everything in `posting`: entries with their chain, balances, timeline; how many entries."""
    posted = await database.execute(_ENTRIES)
    await database.execute(_ACCOUNTS)
    await database.execute(_EVENTS)
    return posted
